"""A vacuum removes nothing for which only a damaged table would stand, and reads little for it."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

from objrun import clock
from objrun.errors import CorruptObjectError
from objrun.format import keys
from objrun.storage.wrappers import CountingStore
from objrun.tables import intact
from objrun.tables.compaction import compact
from objrun.tables.vacuum import Needless, vacuum
from tests.tables.small import (
    NAME,
    NOW,
    Interrupted,
    Truth,
    check,
    copy_of,
    files_of,
    finish,
    flush,
    fresh,
    small_store,
    start_run,
    tag,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from objrun.storage import Store

HOUR = timedelta(hours=1)


@pytest.fixture
def world() -> tuple[Store, Truth]:
    """A store whose live segments were compacted just now."""
    store, truth = small_store()
    compact(store, NAME)
    return store, truth


def key_of(store: Store, kind: str) -> str:
    return f"{keys.tables(NAME)}{files_of(store, kind)[-1].name}"


def cut(data: bytes) -> bytes:
    return data[:-1]


def flip(data: bytes) -> bytes:
    return data[:9] + bytes([data[9] ^ 1]) + data[10:]


def everything(store: Store) -> dict[str, bytes]:
    return {info.key: store.get(info.key) for info in store.list("")}


def problem(found: Needless) -> str:
    (error,) = found.damaged
    assert isinstance(error, CorruptObjectError)
    return error.key


@pytest.mark.parametrize("dry_run", [False, True])
@pytest.mark.parametrize("how", [cut, flip, None])
@pytest.mark.parametrize("kind", ["metrics", "coverage"])
def test_a_damaged_table_keeps_all_that_it_stands_for(
    world: tuple[Store, Truth], kind: str, how: Callable[[bytes], bytes] | None, dry_run: bool
) -> None:
    store, truth = world
    key = key_of(store, kind)
    whole = store.get(key)
    if how is None:
        store.delete([key])
    else:
        store.put(key, how(whole))
    before = everything(store)
    found = vacuum(store, NAME, retention=NOW, dry_run=dry_run)
    assert problem(found) == key
    assert not found.removed
    assert everything(store) == before
    store.put(key, whole)
    assert vacuum(store, NAME, retention=NOW).segments
    finish(store, truth)


@pytest.mark.parametrize("kind", ["runs", "summary"])
def test_of_all_tables_the_sizes_are_looked_at(world: tuple[Store, Truth], kind: str) -> None:
    store, _ = world
    key = key_of(store, kind)
    store.put(key, cut(store.get(key)))
    assert problem(vacuum(store, NAME, retention=NOW)) == key


def test_a_table_that_replaced_others_is_looked_at_before_these_go(
    world: tuple[Store, Truth],
) -> None:
    """Their segments went long ago."""
    store, truth = world
    vacuum(store, NAME, retention=NOW)
    compact(store, NAME, whole=True)
    tag(store, truth, "z", "x")
    compact(store, NAME, whole=True)
    whole = copy_of(store)
    store.put(key_of(store, "metrics"), flip(store.get(key_of(store, "metrics"))))
    assert not store.list(keys.shards(NAME))
    before = everything(store)
    assert problem(vacuum(store, NAME, retention=NOW)) == key_of(store, "metrics")
    assert everything(store) == before
    assert vacuum(whole, NAME, retention=NOW).tables
    check(whole, truth, truth)


def test_a_table_with_rows_that_their_writer_has_sent_again_is_looked_at(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It is older than the segment that goes, and has some of its rows."""
    monkeypatch.setattr("objrun.tables.planning.RATIO", 1)
    store, truth = fresh(), Truth()
    start_run(store, truth, "m")
    flush(store, truth, ("m", "00"), 0, 5)
    compact(store, NAME)
    old, real = key_of(store, "metrics"), clock.now
    store.put(old, flip(store.get(old)))
    monkeypatch.setattr(clock, "now", lambda: real() + HOUR / 12)
    flush(store, truth, ("m", "00"), 0, 8)
    compact(store, NAME)
    assert len(files_of(store)) == 2
    assert problem(vacuum(store, NAME, retention=HOUR)) == old


def test_tables_that_are_committed_while_it_lists_are_there(world: tuple[Store, Truth]) -> None:
    store, truth = world

    def others() -> None:
        flush(store, truth, ("z", "00"), 0, 5)
        compact(store, NAME, whole=True)

    late = Interrupted(store, lambda verb, key: verb == "list" and "/checkpoints/" in key, others)
    found = vacuum(late, NAME, retention=HOUR)
    assert late.times == 1
    assert found.segments
    assert not found.damaged
    check(store, truth, truth)


def test_tables_that_come_and_go_while_it_lists_are_not_missed(world: tuple[Store, Truth]) -> None:
    store, truth = world

    def others() -> None:
        tag(store, truth, "z", f"{first.times}")
        compact(store, NAME, whole=True)
        vacuum(store, NAME, retention=NOW)

    first = Interrupted(store, lambda verb, key: verb == "list" and "/checkpoints/" in key, others)
    second = Interrupted(
        first, lambda verb, key: verb == "list" and "/tables/" in key and first.times == 1, others
    )
    assert not vacuum(second, NAME, retention=NOW).damaged
    assert second.times == 1
    check(store, truth, truth)
    finish(store, truth)


def test_tables_that_go_while_it_looks_are_not_missed(world: tuple[Store, Truth]) -> None:
    store, truth = world

    def others() -> None:
        tag(store, truth, "z", "y")
        compact(store, NAME, whole=True)
        vacuum(store, NAME, retention=NOW)

    late = Interrupted(store, lambda verb, key: verb == "get_range" and "metrics" in key, others)
    found = vacuum(late, NAME, retention=NOW)
    assert late.times == 1
    assert not found.damaged
    check(store, truth, truth)
    finish(store, truth)


def test_points_are_read_once_by_pieces_and_only_those_that_are_new(
    world: tuple[Store, Truth], monkeypatch: pytest.MonkeyPatch
) -> None:
    store, truth = world
    monkeypatch.setattr(intact, "PIECE", 1000)
    read = read_by_vacuum(store)
    (file, *_) = new = [f for f in files_of(store) if f.name.startswith("00000001")]
    assert read == {f"{keys.tables(NAME)}{file.name}": -(-file.size // 1000) for file in new}, (
        "all pieces of what the last compaction wrote"
    )
    real = clock.now
    monkeypatch.setattr(clock, "now", lambda: real() + HOUR / 2)
    monkeypatch.setattr("objrun.tables.planning.RATIO", 1)
    start_run(store, truth, "new")
    flush(store, truth, ("new", "00"), 0, 5)
    compact(store, NAME)
    again = read_by_vacuum(store)
    assert len(again) == 1
    assert not again.keys() & read.keys()
    assert read_by_vacuum(store) == {}, "nothing goes"
    assert file in files_of(store)
    check(store, truth, truth)


def read_by_vacuum(store: Store) -> dict[str, int]:
    """Return how often a vacuum asks for a part of each metrics table."""
    counting = CountingStore(store)
    vacuum(counting, NAME, retention=HOUR)
    asked: dict[str, Any] = {}
    for verb, key in counting.log:
        if "metrics" in key and verb.startswith("get"):
            asked[key] = asked.get(key, 0) + 1
    return asked
