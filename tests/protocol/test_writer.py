"""The real writer: what flush promises, on networks that fail, with several at once."""

from __future__ import annotations

import logging
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from objrun import clock
from objrun.errors import (
    FlushTimeoutError,
    PermissionDeniedError,
    PointsLostError,
    StoreError,
    UnavailableError,
)
from objrun.format.segments import encode_segment
from objrun.logs import logger
from objrun.protocol import tail
from objrun.protocol import writer as module
from objrun.protocol.buffer import Buffer
from objrun.protocol.columns import Cell
from objrun.protocol.crew import Crew
from objrun.protocol.limits import MANY_PIECES
from objrun.protocol.writer import Writer
from objrun.storage import connect
from objrun.storage.wrappers import CountingStore, Fault, FaultyStore
from objrun.values.batches import batch_table
from tests.protocol.faults import DOWN, LOST, chaos, script
from tests.protocol.segments import counted, key_of

if TYPE_CHECKING:
    import pyarrow as pa

    from objrun.storage import Store


def writer_to(store: Any) -> Writer:
    return Writer(lambda: store, "e", "r")


def log(writer: Writer, *values: float) -> None:
    for value in values:
        writer.buffer.add("x", float(value), None, 1)
    writer.started()


def small(patch: pytest.MonkeyPatch, rows: int) -> None:
    patch.setattr(tail, "CLOSED_ROWS", rows)
    patch.setattr(tail, "MAX_ROWS", 2 * rows)


def test_a_flush_is_one_put_and_forgets_what_it_supersedes(store: Store) -> None:
    counting = CountingStore(store)
    writer = writer_to(counting)
    log(writer, 0)
    writer.flush()
    assert counting.counts == {"put": 1}
    counting.reset()
    log(writer, 1, 2)
    writer.flush()
    assert counting.counts == {"put": 1, "delete": 1}
    assert [info.key for info in store.list("")] == [key_of(writer._writer, 0, 3)]  # noqa: SLF001
    counting.reset()
    writer.flush()
    writer.close()
    assert counting.counts == {}


def test_an_old_segment_is_closed(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """Or a metric that is logged once a day would be sent whole each time."""
    monkeypatch.setattr(tail, "CLOSED_SECONDS", 0.0)
    writer = writer_to(store)
    for value in range(3):
        log(writer, value)
        writer.flush()
    assert len(store.list("")) == 3
    assert list(counted(store).values()) == [[0, 1, 2]]


def test_a_closed_segment_stays(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    small(monkeypatch, 3)
    writer = writer_to(store)
    for value in range(5):
        log(writer, value)
        writer.flush()
    names = [info.key.rpartition("/")[2].partition("-")[2] for info in store.list("")]
    assert names == ["000000000000-000000000003.parquet", "000000000003-000000000005.parquet"]
    assert list(counted(store).values()) == [[0, 1, 2, 3, 4]]


@pytest.mark.parametrize("count", [5, 6, 7, 12, 13, 40])
def test_much_at_once_is_cut_into_segments(
    store: Store, monkeypatch: pytest.MonkeyPatch, count: int
) -> None:
    small(monkeypatch, 3)
    writer = writer_to(store)
    log(writer, *range(count // 2))
    writer.flush()
    log(writer, *range(count // 2, count))
    writer.close()
    assert list(counted(store).values()) == [[*range(count)]]
    sizes = [info.key.rpartition("/")[2][17:].split("-") for info in store.list("")]
    assert all(int(stop[:12]) - int(start) <= 6 for start, stop in sizes)


def test_long_texts_are_cut_by_their_bytes(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """They compress to almost nothing, so the size of an object does not tell when to cut."""
    monkeypatch.setattr(tail, "MAX_BYTES", 10_000)
    counting = CountingStore(store)
    writer = writer_to(counting)
    for count in (5, 40, 1, 60):
        log_texts(writer, count)
        writer.flush()
    writer.close()
    infos = store.list("")
    ranges = sorted(info.key.rpartition("/")[2][17:45].split("-") for info in infos)
    starts, stops = [int(start) for start, _ in ranges], [int(stop[:12]) for _, stop in ranges]
    assert (starts, stops[-1]) == ([0, *stops[:-1]], 106)
    assert all(stop - start < 15 for start, stop in zip(starts, stops, strict=True))
    assert counting.counts["put"] - counting.counts["delete"] == len(infos)
    assert counting.counts["put"] <= len(infos) + 4


def log_texts(writer: Writer, count: int) -> None:
    for _ in range(count):
        writer.buffer.add("t", Cell("scalar", "str", None, "x" * 1000), None, 1)
    writer.started()


def test_a_flush_that_breaks_is_tried_again(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever breaks it: a program in other hands than ours must not lose its flusher."""
    broken = [MemoryError("no room")]
    freeze = Buffer.freeze

    def now_and_then(self: Buffer) -> pa.Table | None:
        if broken:
            raise broken.pop()
        return freeze(self)

    def fail(_record: object) -> None:
        raise MemoryError

    handler = logging.Handler()
    monkeypatch.setattr(handler, "emit", fail)
    monkeypatch.setattr(Buffer, "freeze", now_and_then)
    writer = writer_to(store)
    logger().addHandler(handler)
    try:
        log(writer, 0, 1)
        with pytest.raises(StoreError, match="a flush has failed: MemoryError"):
            writer.flush()
        writer.close()
    finally:
        logger().removeHandler(handler)
    assert list(counted(store).values()) == [[0, 1]]


def test_what_is_big_is_refused_only_in_an_outage(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MAX_WAITING_BYTES", 100)
    back = threading.Event()
    writer = writer_to(FaultyStore(store, lambda *_: None if back.is_set() else DOWN))
    assert writer.admits(3, 1000)
    log(writer, 0)
    with pytest.raises(FlushTimeoutError):
        writer.flush(0.2)
    assert not writer.admits(7, 1)
    back.set()
    with pytest.raises(PointsLostError, match="7 points of r were dropped"):
        writer.flush()
    assert writer.admits(3, 1000)
    log(writer, 1)
    writer.flush()
    # What is stored takes no room in the next outage.
    back.clear()
    log(writer, 2)
    with pytest.raises(FlushTimeoutError):
        writer.flush(0.2)
    assert writer.admits(1, 1)
    back.set()
    writer.close()
    assert list(counted(store).values()) == [[0, 1, 2]]


def test_an_idle_writer_has_no_thread(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """It gives it back to the crew, and the next point gets it another."""
    monkeypatch.setattr(module, "_IDLE", 0.0)
    crew = Crew("test-idle")
    monkeypatch.setattr(module, "FLUSHERS", crew)
    writer = writer_to(store)
    for value in range(3):
        log(writer, value)
        writer.flush()
        deadline = clock.monotonic() + 90
        while not crew._idle and clock.monotonic() < deadline:  # noqa: SLF001
            clock.sleep(0.01)
        assert len(crew._idle) == 1  # noqa: SLF001
    writer.close()
    assert list(counted(store).values()) == [[0, 1, 2]]


def test_flush_works_where_no_thread_can_start(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(module, "FLUSHERS", Crew("test-refused"))
    writer = writer_to(store)
    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", refuse)
        log(writer, 0)
        writer.flush()
    log(writer, 1)
    writer.close()
    assert list(counted(store).values()) == [[0, 1]]


@pytest.mark.parametrize("faults", [[DOWN], [LOST], [DOWN, LOST, DOWN], [LOST] * 4])
def test_a_lost_request_or_answer_loses_and_doubles_nothing(
    store: Store, faults: list[Fault]
) -> None:
    writer = writer_to(FaultyStore(store, script("put", faults)))
    log(writer, 0, 1)
    writer.flush()
    log(writer, 2)
    writer.close()
    assert list(counted(store).values()) == [[0, 1, 2]]


def test_a_delete_that_fails_is_no_trouble(store: Store) -> None:
    writer = writer_to(FaultyStore(store, script("delete", [DOWN] * 5)))
    for value in range(4):
        log(writer, value)
        writer.flush()
    assert list(counted(store).values()) == [[0, 1, 2, 3]]
    assert len(store.list("")) == 4


def test_flush_says_what_waiting_does_not_mend(store: Store) -> None:
    denied = threading.Event()
    error = PermissionDeniedError("not allowed")
    writer = writer_to(FaultyStore(store, lambda *_: error if not denied.is_set() else None))
    log(writer, 0)
    with pytest.raises(PermissionDeniedError, match="not allowed"):
        writer.flush()
    assert writer.waiting() == 1
    denied.set()
    writer.flush()
    assert list(counted(store).values()) == [[0]]


def test_flush_gives_up_in_time_and_keeps_the_points(store: Store) -> None:
    down = threading.Event()
    error = UnavailableError("the store is down")
    writer = writer_to(FaultyStore(store, lambda *_: None if down.is_set() else error))
    log(writer, 0, 1)
    with pytest.raises(FlushTimeoutError, match=r"2 points are not durable after 1 s: the store"):
        writer.flush(1)
    down.set()
    writer.flush()
    assert list(counted(store).values()) == [[0, 1]]


def test_flush_waits_for_points_that_are_being_frozen(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They have left the buffer and are in no segment yet: this very moment is easily missed."""
    taken, go_on = threading.Event(), threading.Event()
    freeze = Buffer.freeze

    def slowly(self: Buffer) -> pa.Table | None:
        frozen = freeze(self)
        taken.set()
        go_on.wait(90)
        return frozen

    monkeypatch.setattr(Buffer, "freeze", slowly)
    writer = writer_to(store)
    log(writer, 0, 1)
    writer.hurry()
    assert taken.wait(90)
    assert writer.waiting()
    with pytest.raises(FlushTimeoutError):
        writer.flush(0.05)
    go_on.set()
    writer.flush()
    assert list(counted(store).values()) == [[0, 1]]
    assert not writer.waiting()


def test_logging_after_the_end_goes_on_under_the_same_name(store: Store) -> None:
    writer = writer_to(store)
    log(writer, 0)
    writer.close()
    assert not writer.buffer.plain, "or the next point would start no thread"
    log(writer, 1)
    writer.close()
    assert list(counted(store).values()) == [[0, 1]]


def flushed(writer: Writer) -> bool:
    try:
        writer.flush(20)
    except PermissionDeniedError:
        return False
    return True


def log_and_flush(writer: Writer) -> None:
    for start in range(0, 30, 3):
        log(writer, *range(start, start + 3))
        if start % 2:
            flushed(writer)


@settings(max_examples=12)
@given(st.integers(0, 2**32), st.integers(1, 9))
def test_writers_at_once_on_a_bad_network(seed: int, rows: int) -> None:
    """A reader meanwhile sees a beginning of each; in the end there is everything, once."""
    store = connect(f"memory://{clock.random_hex(8)}")
    with pytest.MonkeyPatch.context() as patch:
        small(patch, rows)
        writers = [writer_to(FaultyStore(store, chaos(seed + n, share=0.4))) for n in range(3)]

        with ThreadPoolExecutor(3) as pool:
            working = [pool.submit(log_and_flush, writer) for writer in writers]
            while not all(each.done() for each in working):
                for values in counted(store).values():
                    assert values == [*range(len(values))]
            for each in working:
                each.result()
        for writer in writers:
            while not flushed(writer):
                continue
            writer.stop()
    assert list(counted(store).values()) == [[*range(30)]] * 3


@given(
    st.lists(
        st.tuples(
            st.sampled_from("ab"),
            st.sampled_from(["float", "text", "table", "freeze", "retire"]),
            st.none() | st.integers(-(2**63), 2**63 - 1),
        ),
        max_size=40,
    )
)
def test_a_metric_keeps_its_order_whatever_is_logged(
    acts: list[tuple[str, str, int | None]],
) -> None:
    """Floats with and without a step, others, and moves between them."""
    buffer = Buffer()
    found: dict[str, list[tuple[str, int | None]]] = {"a": [], "b": []}
    wanted: dict[str, list[tuple[str, int | None]]] = {"a": [], "b": []}

    def take() -> None:
        frozen = buffer.freeze()
        rows = frozen.drop_columns("time").to_pylist() if frozen else []
        for row in rows:
            found[row["name"]].append((row.get("data") or str(row["value"]), row.get("step")))

    for number, (name, act, step) in enumerate(acts):
        if act == "freeze":
            take()
        elif act == "retire":
            buffer.retire()
        elif act == "float":
            buffer.add(name, float(number), step, number)
            wanted[name].append((str(float(number)), step))
        elif act == "text":
            buffer.add(name, Cell("scalar", "str", None, f"{number}"), step, number)
            wanted[name].append((f"{number}", step))
        else:
            buffer.add(name, batch_table(name, [float(number)], None, None), None, number)
            wanted[name].append((str(float(number)), None))
    take()
    assert found == wanted
    assert buffer.points() == 0


def test_what_is_logged_during_the_last_flush_is_stored(store: Store) -> None:
    """By another thread, after `close` has cut off what it waits for."""
    late = threading.Event()

    def put(verb: str, _key: str) -> None:
        if verb == "put" and not late.is_set():
            late.set()
            log(writer, 1)

    writer = writer_to(FaultyStore(store, put))
    log(writer, 0)
    writer.close()
    assert late.is_set()
    deadline = clock.monotonic() + 90
    while writer.waiting() and clock.monotonic() < deadline:
        clock.sleep(0.01)
    assert list(counted(store).values()) == [[0, 1]]


def test_many_small_flushes_are_joined(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """Or each would cost as many pieces as there were flushes before."""
    pieces: list[int] = []

    def encode(rows: pa.Table) -> bytes:
        pieces.append(rows.column("value").num_chunks)
        return encode_segment(rows)

    monkeypatch.setattr(tail, "encode_segment", encode)
    writer = writer_to(store)
    for value in range(100):
        log(writer, value)
        writer.flush()
    writer.close()
    assert max(pieces) <= MANY_PIECES
    assert list(counted(store).values()) == [[*range(100)]]


@pytest.mark.parametrize("kind", [RuntimeError, PermissionDeniedError])
def test_what_waits_is_bounded_whatever_breaks(
    store: Store, monkeypatch: pytest.MonkeyPatch, kind: type[Exception]
) -> None:
    monkeypatch.setattr(module, "MAX_WAITING", 100)
    monkeypatch.setattr(module, "_SLOWEST_LOOK", 0.02)
    back = threading.Event()
    error = kind("a bug of a client")
    writer = writer_to(FaultyStore(store, lambda *_: None if back.is_set() else error))
    log(writer, *range(50))
    with pytest.raises(StoreError, match="a bug of a client"):
        writer.flush()
    log(writer, *range(50, 5000))
    deadline = clock.monotonic() + 90
    while writer.waiting() > 100 and clock.monotonic() < deadline:
        clock.sleep(0.01)
    assert writer.waiting() <= 100
    back.set()
    with pytest.raises(PointsLostError, match="4900 points"):
        writer.flush()
    assert list(counted(store).values()) == [[*range(100)]]


def test_points_of_a_batch_that_is_dropped_are_counted() -> None:
    buffer = Buffer()
    buffer.add("x", batch_table("x", [1.0] * 1000, None, None), None, 1)
    buffer.add("x", 1.0, None, 2)
    assert buffer.discard(0) == 1001


def test_a_signal_that_logs_while_a_metric_moves_loses_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It comes between two steps of the very thread that moves the metric."""
    buffer = Buffer()
    buffer.add("x", 0.0, None, 1)
    monotonic = clock.monotonic
    signals = [3]

    def interrupted() -> float:
        if signals:
            buffer.add("x", Cell("scalar", "str", None, "signal"), None, signals.pop())
        return monotonic()

    monkeypatch.setattr(clock, "monotonic", interrupted)
    buffer.add("x", Cell("scalar", "str", None, "text"), None, 2)
    assert not signals
    frozen = buffer.freeze()
    assert frozen is not None
    assert sorted(frozen["data"].to_pylist(), key=str) == [None, "signal", "text"]
