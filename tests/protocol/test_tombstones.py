"""A chain that was purged: what handles, readers and writers make of its tombstone."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest

from objrun.errors import NotFoundError, RunNotFoundError
from objrun.format.documents import decode_run, encode_run
from objrun.format.states import RunState, Version
from objrun.protocol.chain import Chain, append, create, first_version, last_version, load_last
from objrun.protocol.live import run_scheme
from objrun.protocol.tombstones import place_for, tombstone
from objrun.protocol.updates import CREATE, SetTags
from objrun.storage.wrappers import CountingStore, FaultyStore
from tests.protocol.last_runs import read_runs

if TYPE_CHECKING:
    from objrun.storage import Store

WHEN = datetime(2026, 1, 31, 12, tzinfo=UTC)
SCHEME = run_scheme("e", "r")
STATE = RunState(run_id="r", experiment="e", number=1, root_run_id="r", created=WHEN)


def started(store: Store, *, tags: int = 2, written: datetime = WHEN) -> list[Version[RunState]]:
    """Return the versions of a chain that was written long ago."""
    versions = []
    for number in range(1, tags + 2):
        state = replace(STATE, tags={str(tag): None for tag in range(number - 1)})
        version = replace(first_version(state, [CREATE], number), written=written)
        assert create(store, SCHEME, version)
        versions.append(version)
    return versions


def purge(store: Store, last: int, *, keep: int = 0) -> None:
    """Purge the chain as gc does; `keep`: versions that it has not come to yet."""
    assert create(store, SCHEME, tombstone(last + 1, "e", "purge"))
    store.delete(SCHEME.key(number) for number in range(1, last + 1 - keep))


def names(store: Store) -> list[str]:
    return [info.key.rpartition("/")[2] for info in store.list(SCHEME.folder)]


def test_it_comes_back_as_it_was_written() -> None:
    version = tombstone(3, "e", "purge")
    assert decode_run(SCHEME.key(3), encode_run(version)) == version


@pytest.mark.parametrize("at", [1, 2, 3])
@pytest.mark.parametrize("keep", [0, 1, 3])
def test_a_handle_that_looks_again_is_told(store: Store, at: int, keep: int) -> None:
    versions = started(store)
    purge(store, 3, keep=keep)
    with pytest.raises(RunNotFoundError, match="'r' was deleted and purged"):
        Chain(store, SCHEME, versions[at - 1]).refresh()


@pytest.mark.parametrize("at", [1, 2, 3])
@pytest.mark.parametrize("keep", [0, 1, 2, 3])
@pytest.mark.parametrize("year", [2026, 2126])
def test_a_commit_on_a_name_that_was_freed_is_undone(
    store: Store, at: int, keep: int, year: int
) -> None:
    """Also where the clock of who wrote it was far ahead."""
    versions = started(store, written=WHEN.replace(year=year))
    purge(store, 3, keep=keep)
    freed = [f"experiments/e/feed/r.{number:08d}" for number in range(1, 4 - keep)]
    store.delete(freed)
    before = names(store)
    chain = Chain(store, SCHEME, versions[at - 1])
    for _ in range(2):
        with pytest.raises(RunNotFoundError, match="'r' was deleted and purged"):
            chain.commit(SetTags({"a": "1"}))
    assert names(store) == before
    assert last_version(store, SCHEME) == 4
    assert not {*freed} & {info.key for info in store.list("experiments/e/feed/")}


def test_a_chain_begins_where_there_is_none_or_nothing_is_left_of_it(store: Store) -> None:
    assert place_for(store, SCHEME) == 1
    started(store)
    assert place_for(store, SCHEME) == 0
    purge(store, 3)
    assert place_for(store, SCHEME) == 0, "the purge may not have come to its end"
    assert create(store, SCHEME, tombstone(5, "e", "free"))
    assert place_for(store, SCHEME) == 6


@pytest.mark.parametrize("head", [b"{", b'{"format":2}'])
def test_no_chain_begins_behind_what_cannot_be_read(store: Store, head: bytes) -> None:
    started(store)
    store.put(SCHEME.key(4), head)
    assert place_for(store, SCHEME) == 0


def test_what_was_done_elsewhere_does_not_bring_it_back(store: Store) -> None:
    versions = started(store)
    purge(store, 3)
    before = store.list("")
    with pytest.raises(RunNotFoundError, match="purged"):
        append(store, SCHEME, replace(versions[-1], version=4, write_id="another"))
    assert store.list("") == before


def test_a_purge_between_a_listing_and_the_reading_is_seen(store: Store) -> None:
    started(store)
    left = [lambda: purge(store, 3)]

    def purged(verb: str, _key: str) -> None:
        if verb == "get" and left:
            left.pop()()

    last = load_last(FaultyStore(store, purged), SCHEME)
    assert last is not None
    assert (last.version, bool(last.purged)) == (4, True)


def test_a_race_is_lost_to_what_is_purged_at_once(store: Store) -> None:
    versions = started(store)
    Chain(store, SCHEME, versions[-1]).commit(SetTags({"a": "1"}))
    looks = [lambda: purge(store, 4), lambda: None]

    def purged(verb: str, _key: str) -> None:
        if verb == "get" and looks:
            looks.pop()()

    with pytest.raises(RunNotFoundError, match="purged"):
        Chain(FaultyStore(store, purged), SCHEME, versions[-1]).commit(SetTags({"b": "1"}))


def test_a_version_that_is_listed_and_is_never_there_is_told(store: Store) -> None:
    started(store)
    gone = FaultyStore(store, lambda verb, key: NotFoundError(key) if verb == "get" else None)
    with pytest.raises(NotFoundError):
        load_last(gone, SCHEME)


def test_versions_may_go_in_any_order(store: Store) -> None:
    versions = started(store)
    assert create(store, SCHEME, tombstone(4, "e", "purge"))
    store.delete([SCHEME.key(2)])
    with pytest.raises(RunNotFoundError, match="purged"):
        Chain(store, SCHEME, versions[0]).commit(SetTags({"a": "1"}))
    assert names(store) == ["00000001.json", "00000003.json", "00000004.json"]


def test_a_chain_that_goes_on_behind_it_is_another(store: Store) -> None:
    """As that of an experiment does, whose name was free again."""
    versions = started(store)
    purge(store, 3)
    store.delete([SCHEME.key(4)])
    assert create(store, SCHEME, first_version(STATE, [CREATE], 5))
    for version in versions:
        with pytest.raises(RunNotFoundError, match="purged"):
            Chain(store, SCHEME, version).commit(SetTags({"a": "1"}))
        with pytest.raises(RunNotFoundError, match="purged"):
            Chain(store, SCHEME, version).refresh()
    assert names(store) == ["00000005.json"]


def test_a_commit_on_what_was_not_purged_costs_a_list_once_a_day(store: Store) -> None:
    versions = started(store)
    counting = CountingStore(store)
    chain = Chain(counting, SCHEME, versions[-1])
    chain.commit(SetTags({"a": "1"}))
    assert counting.counts == {"put": 1, "put_if_absent": 1, "list": 1}
    counting.reset()
    chain.commit(SetTags({"b": "1"}))
    assert counting.counts == {"put": 1, "put_if_absent": 1}
    assert chain.refresh().tags == {"0": None, "1": None, "a": "1", "b": "1"}


def test_another_that_commits_meanwhile_is_no_purge(store: Store) -> None:
    """Between the commit and the LIST that follows it, others may commit."""
    versions = started(store)
    other = Chain(store, SCHEME, versions[-1])

    class Crowded(CountingStore):
        def list(self, prefix: str) -> list:  # type: ignore[type-arg]
            other.commit(SetTags({"other": "1"}))
            return super().list(prefix)

    chain = Chain(Crowded(store), SCHEME, versions[-1])
    chain.commit(SetTags({"a": "1"}))
    assert chain.refresh().tags == {"0": None, "1": None, "a": "1", "other": "1"}


def test_a_blind_version_behind_it_changes_nothing(store: Store) -> None:
    started(store)
    purge(store, 3)
    blind: Version[RunState] = Version(
        version=5, write_id="w", written=WHEN, ops=({"op": "describe"},), state=None, base=1
    )
    store.put(SCHEME.key(5), encode_run(blind))
    found = load_last(store, SCHEME)
    assert found is not None
    assert (found.state, found.experiment, found.version) == (None, "e", 5)


def test_it_is_left_out_of_listings_and_told(store: Store) -> None:
    versions = started(store)
    purge(store, 3)
    for known in ({}, {"r": versions[0]}, {"r": versions[2]}):
        found = read_runs(store, {"e": known})["e"]
        assert (found.versions, found.damaged, found.purged) == ({}, [], {"r"})


def test_markers_that_are_left_over_lead_to_it(store: Store) -> None:
    started(store, tags=8)
    purge(store, 9)
    store.delete([f"experiments/e/feed/r.{number:08d}" for number in range(6, 11)])
    assert read_runs(store, {"e": {}})["e"].purged == {"r"}
