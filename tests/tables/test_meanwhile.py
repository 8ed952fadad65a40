"""What may happen while a compaction works: writers, other compactors, vacuums; nothing is lost."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

import pytest

from objrun import clock
from objrun.errors import UnavailableError
from objrun.storage.wrappers import Around
from objrun.tables.compaction import compact
from objrun.tables.vacuum import vacuum
from tests.protocol.segments import points
from tests.tables.small import (
    NAME,
    NOW,
    Interrupted,
    Truth,
    check,
    files_of,
    finish,
    flush,
    found,
    fresh,
    key_of,
    live_segments,
    small_store,
    start_run,
    tag,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from objrun.storage import Store


@pytest.fixture
def world() -> tuple[Store, Truth]:
    return small_store()


def reads_segment(verb: str, key: str) -> bool:
    return verb == "get" and "/shards/" in key


def test_a_writer_supersedes_what_was_listed(world: tuple[Store, Truth]) -> None:
    store, truth = world
    done = compact(
        Interrupted(store, reads_segment, lambda: flush(store, truth, ("c", "00"), 0, 9)), NAME
    )
    assert done is not None
    check(store, truth, truth)
    assert not live_segments(store)
    finish(store, truth)


def test_a_writer_supersedes_a_segment_by_one_that_overlaps_the_next() -> None:
    """No writer here does that, but the format lets it: rows count once all the same."""
    store, truth = fresh(), Truth()
    start_run(store, truth, "m")
    flush(store, truth, ("m", "00"), 0, 3)
    flush(store, truth, ("m", "00"), 3, 7)

    def act() -> None:
        store.put(key_of(("m", "00"), 0, 5), points(0, 5))
        store.delete([key_of(("m", "00"), 0, 3)])

    compact(Interrupted(store, reads_segment, act), NAME)
    check(store, truth, truth)


@pytest.mark.parametrize("moment", ["get", "put", "put_if_absent"])
def test_another_compacts_and_vacuums(world: tuple[Store, Truth], moment: str) -> None:
    store, truth = world

    def other() -> None:
        compact(store, NAME)
        vacuum(store, NAME, retention=NOW)

    def when(verb: str, key: str) -> bool:
        return verb == moment and (reads_segment(verb, key) or verb != "get")

    watched = Interrupted(store, when, other)
    # All was done by the other, so nothing is left for this one.
    assert compact(watched, NAME) is None or moment == "put_if_absent"
    assert watched.times == 1
    check(store, truth, truth)
    finish(store, truth)


def test_the_tables_go_that_it_is_about_to_read(world: tuple[Store, Truth]) -> None:
    store, truth = world
    flush(store, truth, ("z", "00"), 0, 5)

    def other() -> None:
        compact(store, NAME, whole=True)
        vacuum(store, NAME, retention=NOW)

    watched = Interrupted(store, lambda verb, key: "get" in verb and "/tables/" in key, other)
    assert compact(watched, NAME) is None
    assert watched.times == 1
    check(store, truth, truth)
    finish(store, truth)


def test_others_are_always_quicker(world: tuple[Store, Truth]) -> None:
    store, truth = world

    class Beaten(Around):
        def _ask(self, verb: str, key: str, call: Callable[[], Any]) -> Any:  # noqa: ARG002
            if verb == "put_if_absent":
                compact(store, NAME)
                tag(store, truth, "z", clock.random_hex(4))
            return call()

    with pytest.raises(UnavailableError, match="try again"):
        compact(Beaten(store), NAME)
    check(store, truth, truth)
    finish(store, truth)


def test_tables_are_read_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two readers wait for each other's request: one after the other they would wait for ever."""
    store, truth = fresh(), Truth()
    monkeypatch.setattr("objrun.tables.planning.RATIO", 1)
    start_run(store, truth, "m")
    for start, stop in ((0, 50), (50, 60)):
        flush(store, truth, ("m", "00"), start, stop)
        compact(store, NAME)
    assert len(files_of(store)) == 2
    barrier = threading.Barrier(2, timeout=90)

    class Slow(Around):
        concurrency = 2

        def _ask(self, verb: str, key: str, call: Callable[[], Any]) -> Any:
            if verb == "get" and key.endswith("metrics.parquet"):
                barrier.wait()
            return call()

    counts = found(Slow(store))[0]
    assert counts == truth.points


def test_a_reader_ends_though_somebody_always_flushes() -> None:
    """Of many writers one has superseded a segment whenever all were listed."""
    store, truth = fresh(), Truth()
    for run in range(30):
        start_run(store, truth, f"r{run:02}")
        flush(store, truth, (f"r{run:02}", "00"), 0, 1)
    flushed = 0

    class Busy(Around):
        def _ask(self, verb: str, key: str, call: Callable[[], Any]) -> Any:
            nonlocal flushed
            answer = call()
            if verb == "list" and "/shards/" in key:
                writer = f"r{flushed % 30:02}", "00"
                flush(store, truth, writer, 0, truth.points[writer] + 1)
                flushed += 1
            return answer

    least = truth.copy()
    check(Busy(store), least, truth)
    assert flushed < 5
