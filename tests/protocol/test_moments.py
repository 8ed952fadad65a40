"""Between any two steps of a thread others may come: what waits is never seen as too little."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pytest

from objrun import clock
from objrun.format.segments import SCHEMA, encode_segment
from objrun.protocol import buffer as module
from objrun.protocol import endings, tail
from objrun.protocol import writer as writers
from objrun.protocol.buffer import Buffer
from objrun.protocol.columns import RECORD, Cell
from objrun.protocol.packs import Content
from objrun.protocol.tail import Tail
from objrun.protocol.writer import Writer
from objrun.storage.wrappers import CountingStore, FaultyStore
from tests.protocol.faults import DOWN
from tests.protocol.segments import counted

if TYPE_CHECKING:
    from collections.abc import Iterable

    from objrun.storage import Store


def until(happened: Any) -> None:
    deadline = clock.monotonic() + 20
    while not happened() and clock.monotonic() < deadline:
        clock.sleep(0.01)
    assert happened()


def test_a_name_that_is_retired_is_counted_all_the_time(monkeypatch: pytest.MonkeyPatch) -> None:
    buffer, seen = Buffer(), []
    buffer.add("x", 0.0, None, 1)
    real = clock.monotonic

    def looked() -> float:
        seen.append(buffer.points())
        return real()

    monkeypatch.setattr(clock, "monotonic", looked)
    buffer.retire()
    assert seen == [1]
    assert buffer.points() == 1


def test_what_is_retired_while_it_is_counted_is_counted() -> None:
    buffer = Buffer()
    buffer.add("x", 0.0, None, 1)

    class Moving(dict[str, Any]):
        def values(self) -> Any:
            buffer.retire()
            return super().values()

    buffer.plain = Moving(buffer.plain)
    assert buffer.points() >= 1


def test_what_is_frozen_while_it_is_counted_is_counted(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    back = threading.Event()
    down = FaultyStore(store, lambda *_: None if back.is_set() else DOWN)
    writer = Writer(lambda: down, "e", "r")
    writer.buffer.add("x", 0.0, None, 1)
    end = Tail.end
    asking = threading.current_thread()

    def frozen_meanwhile(self: Tail) -> int:
        found = end(self)
        if threading.current_thread() is asking:
            writer.started()
            writer.hurry()
            until(lambda: not writer.buffer.points())
        return found

    with monkeypatch.context() as patch:
        patch.setattr(Tail, "end", frozen_meanwhile)
        assert writer.waiting() == 1
    back.set()
    writer.close()


def test_who_appends_to_what_was_retired_is_heard() -> None:
    """A thread that logs may have found the array just before."""
    buffer = Buffer()
    buffer.add("x", 0.0, None, 1)
    rows = buffer.plain["x"]
    buffer.retire()
    assert buffer.freeze() is not None
    assert buffer.freeze() is None
    rows.frombytes(RECORD.pack(1.0, 0, 2))
    frozen = buffer.freeze()
    assert frozen is not None
    assert frozen["value"].to_pylist() == [1.0]


@pytest.mark.parametrize("kept", [module.HELD_SECONDS, -1.0])
def test_who_appends_while_rows_are_frozen_is_heard(
    monkeypatch: pytest.MonkeyPatch, kept: float
) -> None:
    """Also where they were retired so long ago that nobody looks at them again."""
    monkeypatch.setattr(module, "HELD_SECONDS", kept)
    buffer = Buffer()
    buffer.add("x", 0.0, None, 1)
    rows = buffer.plain["x"]
    buffer.retire()
    tables = module._tables  # noqa: SLF001

    def appended_meanwhile(waiting: Any) -> list[pa.Table]:
        made = tables(waiting)
        rows.frombytes(RECORD.pack(1.0, 0, 2))
        return made

    with monkeypatch.context() as patch:
        patch.setattr(module, "_tables", appended_meanwhile)
        first = buffer.freeze()
    second = buffer.freeze()
    assert first is not None
    assert second is not None
    assert first["value"].to_pylist() + second["value"].to_pylist() == [0.0, 1.0]


def test_who_appends_while_points_are_dropped_is_heard(monkeypatch: pytest.MonkeyPatch) -> None:
    buffer = Buffer()
    buffer.add("x", 0.0, None, 1)
    rows = buffer.plain["x"]

    def appended_meanwhile(items: Iterable[int]) -> int:
        found = sum(items)
        rows.frombytes(RECORD.pack(1.0, 0, 2))
        return found

    with monkeypatch.context() as patch:
        patch.setattr(module, "sum", appended_meanwhile, raising=False)
        assert buffer.discard(0) == 1
    assert buffer.points() == 1


def test_rows_of_a_segment_that_is_closed_are_counted_all_the_time() -> None:
    class Watched(Tail):
        def __setattr__(self, name: str, value: Any) -> None:
            super().__setattr__(name, value)
            if {"start", "_rows"} <= self.__dict__.keys():
                ends.append(self.end())

    ends: list[int] = []
    watched = Watched()
    time = SCHEMA.field("time").type
    watched.add(pa.table({"name": ["x"] * 3, "time": pa.array([0, 1, 2], time)}))
    piece = watched.piece()._replace(cut=True)
    ends.clear()
    watched.close_if_full(piece)
    assert min(ends) == 3


def test_a_blob_that_is_logged_while_points_are_frozen_goes_before_its_point(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    counting = CountingStore(store)
    writer = Writer(lambda: counting, "e", "r")
    freeze = Buffer.freeze
    left = [b"1"]

    def late(self: Buffer) -> pa.Table | None:
        if left:
            blob = writer.packs.add("p", Content(".png", left.pop()))
            self.add("p", Cell("image", "blob", None, blob.reference()), None, 1)
        return freeze(self)

    monkeypatch.setattr(Buffer, "freeze", late)
    writer.buffer.add("x", 0.0, None, 1)
    writer.close()
    assert [key.partition("/")[0] for _, key in counting.log] == ["runs", "experiments"]


def test_a_fork_waits_for_native_code_and_not_for_the_store(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    held: dict[str, bool] = {}
    freeze = Buffer.freeze

    def frozen(self: Buffer) -> pa.Table | None:
        held["freeze"] = endings.STEADY.locked()
        return freeze(self)

    def encoded(rows: pa.Table) -> bytes:
        held["encode"] = endings.STEADY.locked()
        return encode_segment(rows)

    def put(verb: str, _key: str) -> None:
        held[verb] = endings.STEADY.locked()

    monkeypatch.setattr(Buffer, "freeze", frozen)
    monkeypatch.setattr(tail, "encode_segment", encoded)
    writer = Writer(lambda: FaultyStore(store, put), "e", "r")
    writer.buffer.add("x", 0.0, None, 1)
    writer.close()
    assert held == {"freeze": True, "encode": True, "put": False}


def test_no_thread_rests_while_points_wait(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writers, "_IDLE", -1.0)
    monkeypatch.setattr(writers, "FIRST_FLUSH", 0.3)
    writer = Writer(lambda: store, "e", "r")
    writer.buffer.add("x", 0.0, None, 1)
    writer.started()
    until(lambda: store.list(""))
    assert list(counted(store).values()) == [[0.0]]


def test_a_thread_that_was_told_to_stop_does_not_end_the_next_one(store: Store) -> None:
    writer = Writer(lambda: store, "e", "r")
    writer.buffer.add("x", 0.0, None, 1)
    writer.started()
    assert writer._rest(threading.Event())  # noqa: SLF001
    assert not writer.started(), "it still has its thread"
    writer.close()
