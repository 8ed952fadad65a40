"""What a purge of an experiment lets stand, and when it lets all stand."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from objrun import clock
from objrun.format import keys
from objrun.format.checkpoints import TableFile
from objrun.protocol.chain import Chain, create, first_version, load_last
from objrun.protocol.checkpointing import commit_checkpoint, latest_checkpoint, next_checkpoint
from objrun.protocol.experiments import experiment_scheme, new_experiment
from objrun.protocol.purge import Doomed
from objrun.protocol.purge_experiment import Condemned, plan_experiment, purge_experiment
from objrun.protocol.tombstones import FREE, is_free, tombstone
from objrun.protocol.updates import SetLifecycle, SetTags
from objrun.storage.wrappers import FaultyStore

if TYPE_CHECKING:
    from objrun.storage import Store

SCHEME = experiment_scheme("e")
TABLES = [f"{base:08d}-{'0' * 16}-runs.parquet" for base in range(3)]


@pytest.fixture
def deleted(store: Store) -> Store:
    """An experiment that was marked deleted, with three numbers, one of which was drawn."""
    first = first_version(new_experiment("e"))
    assert create(store, SCHEME, first)
    Chain(store, SCHEME, first).commit(SetLifecycle("deleted", clock.now()))
    for number in (1, 2, keys.DRAWN):
        store.put(keys.number("e", number), b"")
    return store


def plan(store: Store, *runs: Doomed) -> Condemned | None:
    limit = clock.now() + timedelta(hours=1)
    return plan_experiment(store, "e", runs, limit, all_runs=True)


def there(store: Store) -> set[str]:
    return {info.key for info in store.list("")}


def drop(_runs: set[str]) -> None:
    """There are no tables."""


@pytest.mark.parametrize("lifecycle", ["active", "archived"])
def test_only_what_is_marked_is_purged(deleted: Store, lifecycle: str) -> None:
    assert plan(deleted)
    head = load_last(deleted, SCHEME)
    assert head is not None
    Chain(deleted, SCHEME, head).commit(SetLifecycle(lifecycle, clock.now()))
    assert plan(deleted) is None


def test_numbers_that_were_drawn_and_the_last_one_stay(deleted: Store) -> None:
    found = plan(deleted)
    assert found is not None
    assert purge_experiment(deleted, found, drop)
    stays = {keys.number("e", number) for number in (2, keys.DRAWN)}
    assert there(deleted) == {SCHEME.key(4), *stays}
    head = load_last(deleted, SCHEME)
    assert head is not None
    assert is_free(head)


@pytest.mark.parametrize("is_late", [False, True])
def test_tables_that_count_or_may_yet_count_stay(deleted: Store, *, is_late: bool) -> None:
    for name in TABLES:
        deleted.put(f"{keys.tables('e')}{name}", b"")
    file = TableFile(
        name=TABLES[1], kind="runs", level=0, rows=1, size=1, footer=8, crc32=0, first="r", last="r"
    )
    first = next_checkpoint("e", None, [])
    assert commit_checkpoint(deleted, first)
    assert commit_checkpoint(deleted, next_checkpoint("e", first, [file]))
    found = plan(deleted)
    assert found is not None
    stays = {f"{keys.tables('e')}{name}" for name in TABLES[1:]} | {keys.checkpoint("e", 2)}
    assert not stays & {info.key for info in found.rest}
    if is_late:
        # A compaction that was at work has taken another one along.
        second = next_checkpoint(
            "e", latest_checkpoint(deleted, "e"), [replace(file, name=TABLES[0])]
        )
        assert commit_checkpoint(deleted, second)
        stays |= {f"{keys.tables('e')}{TABLES[0]}", keys.checkpoint("e", 3)}
    purge_experiment(deleted, found, drop)
    left = there(deleted)
    assert {key for key in left if "/tables/" in key or "/checkpoints/" in key} == stays


def test_who_has_restored_it_meanwhile_keeps_all(deleted: Store) -> None:
    found, head = plan(deleted), load_last(deleted, SCHEME)
    assert found is not None
    assert head is not None
    Chain(deleted, SCHEME, head).commit(SetLifecycle("active", clock.now()))
    before = there(deleted)
    assert purge_experiment(deleted, found, drop) is None
    assert there(deleted) == before


def test_a_run_that_was_started_meanwhile_keeps_its_number(deleted: Store) -> None:
    found = plan(deleted)
    assert found is not None
    deleted.put(keys.marker("e", "new", 1), b"")
    purge_experiment(deleted, found, drop)
    assert keys.number("e", 1) in there(deleted)


def test_a_run_that_was_changed_meanwhile_keeps_its_number(deleted: Store) -> None:
    deleted.put(keys.run_state("r", 2), b"another's")
    found = plan(deleted, Doomed("e", "r", 1, is_entombed=False, objects=(), markers=()))
    assert found is not None
    purge_experiment(deleted, found, drop)
    assert {keys.number("e", 1), keys.run_state("r", 2)} <= there(deleted)


def test_its_tombstone_goes_when_the_name_is_free(deleted: Store) -> None:
    """Also that of a purge which was killed: until then nobody may make it anew."""
    assert create(deleted, SCHEME, tombstone(3, "e", "purge"))
    kept: list[bool] = []

    def freed(verb: str, _key: str) -> None:
        if verb == "put_if_absent":
            kept.append(SCHEME.key(3) in there(deleted))

    found = plan(deleted)
    assert found is not None
    purge_experiment(FaultyStore(deleted, freed), found, drop)
    assert kept == [True]
    assert [each.key for each in deleted.list(SCHEME.folder)] == [SCHEME.key(4)]


def test_what_is_made_anew_while_it_is_planned_is_not_old(deleted: Store) -> None:
    """The name is free, and a purge that was killed has left versions before that."""
    assert create(deleted, SCHEME, tombstone(3, "e", FREE))
    again = first_version(new_experiment("e"), number=4)

    def made(verb: str, key: str) -> None:
        if verb == "list" and key == keys.experiment_folder("e"):
            deleted.put(SCHEME.key(4), SCHEME.encode(again))

    found = plan(FaultyStore(deleted, made))
    assert found is None
    head = load_last(deleted, SCHEME)
    assert head is not None
    assert Chain(deleted, SCHEME, head).commit(SetTags({"a": "1"})).tags == {"a": "1"}
