"""Logs: what was flushed is read, in few objects, whatever is left over and whoever reads when."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from objrun import clock
from objrun.errors import CorruptObjectError, UnavailableError
from objrun.format.log_keys import ChunkKey, chunk, parse_chunk
from objrun.protocol import log_writer
from objrun.protocol.log_reader import LogReader, list_streams, to_read
from objrun.protocol.log_writer import LogWriter
from objrun.storage import CountingStore, MemoryStore
from objrun.storage.creating import CreateOnly
from objrun.storage.wrappers import Around
from tests.protocol.between import Between

if TYPE_CHECKING:
    from collections.abc import Callable


A, B = "0199c0ffee00beef", "0199c0ffee010000"
spans = st.tuples(st.sampled_from([A, B]), st.integers(0, 30), st.integers(1, 12))
chunks = st.lists(spans).map(
    lambda found: [ChunkKey("r", "s", w, start, start + length) for w, start, length in found]
)


def new_store() -> MemoryStore:
    return MemoryStore(clock.random_hex(8))


def text_of(store: MemoryStore, stream: str = "s") -> bytes:
    return b"".join(LogReader(store, "r", stream).read())


@given(chunks, st.dictionaries(st.sampled_from([A, B]), st.integers(0, 20)))
def test_what_is_read_is_each_offset_once_up_to_the_first_gap(
    listed: list[ChunkKey], read: dict[str, int]
) -> None:
    stored: defaultdict[str, set[int]] = defaultdict(set)
    for each in listed:
        stored[each.writer] |= {*range(each.start, each.stop)}
    told = [
        (each.writer, offset)
        for each, skip in to_read(listed, read)
        for offset in range(each.start + skip, each.stop)
    ]
    wanted = []
    for writer in sorted(stored):
        offset = read.get(writer, 0)
        while offset in stored[writer]:
            wanted.append((writer, offset))
            offset += 1
    assert told == wanted


@given(chunks)
def test_no_fewer_chunks_would_do(listed: list[ChunkKey]) -> None:
    """Each one that is read reaches further than any that could have taken its place."""
    for each, skip in to_read(listed):
        at = each.start + skip
        fitting = [o.stop for o in listed if o.writer == each.writer and o.start <= at < o.stop]
        assert each.stop == max(fitting)


@given(st.text(), st.binary(min_size=8, max_size=8), st.integers(0, 99), st.integers(1, 99))
def test_keys_come_back(stream: str, writer: bytes, start: int, length: int) -> None:
    key = ChunkKey("r", stream, writer.hex(), start, start + length)
    try:
        place = chunk(key)
    except ValueError:  # UserErrorException is one, and so is what a lone surrogate raises
        return
    assert parse_chunk(place) == key


@pytest.mark.parametrize(
    "key",
    [
        "runs/r/logs/s", f"runs/r/logs/s/{A}-000000000000", f"runs/r/logs/s/{A}-0-1",
        f"runs/r/logs/s/{A}-000000000001-000000000001",
        f"runs/r/logs/s/{A}-000000000002-000000000001",
        f"runs/r/logs/s/{A.upper()}-000000000000-000000000001",
        f"runs/../logs/s/{A}-000000000000-000000000001",
        f"runs/r/logs/%2E%2E/{A}-000000000000-000000000001",
        f"runs/r/logs/a%2F..%2Fb/{A}-000000000000-000000000001",
        f"runs/r/logs/a%2fb/{A}-000000000000-000000000001",
        f"runs/r/logs//{A}-000000000000-000000000001",
        f"runs/r/logs/s/x/{A}-000000000000-000000000001",
        f"runs/r/logs/s/{A}-00000000000\u0660-000000000001",
    ],
)  # fmt: skip
def test_other_keys_are_none(key: str) -> None:
    assert parse_chunk(key) is None


def test_a_log_of_many_flushes_is_few_objects_and_few_bytes() -> None:
    store = CountingStore(new_store())
    writer = LogWriter("r", "s")
    text = b""
    for number in range(1234):
        line = b"line %d\n" % number
        writer.add(line)
        writer.flush(store)
        text += line
    counts = store.counts
    assert counts["put"] == 1234
    assert counts["delete"] == 123
    assert len(store.list("runs/r/logs/")) == 1 + 2 + 3 + 4
    assert b"".join(LogReader(store, "r", "s").read()) == text


@pytest.mark.parametrize(("flushed", "sizes"), [(40, {40, 8, 100, 68}), (9, {90, 9, 3, 100, 68})])
def test_large_chunks_are_sent_once(
    monkeypatch: pytest.MonkeyPatch, flushed: int, sizes: set[int]
) -> None:
    """What is large after a few flushes is not repeated, either."""
    monkeypatch.setattr(log_writer, "LARGEST", 100)
    store, writer = new_store(), LogWriter("r", "s")
    text = bytes(range(256)) * 3
    for start in range(0, len(text), flushed):
        writer.add(text[start : start + flushed])
        writer.flush(store)
    writer.add(text)
    writer.flush(store)
    assert text_of(store) == text + text
    assert {info.size for info in store.list("runs/r/logs/")} <= sizes


def test_nothing_new_is_no_request() -> None:
    store = CountingStore(new_store())
    writer = LogWriter("r", "s")
    writer.flush(store)
    writer.add(b"")
    writer.flush(store)
    assert not store.counts


class _Failing(Around):
    """A store that fails a request now and then, after or before it took effect."""

    def __init__(self, store: MemoryStore, outcomes: list[str]) -> None:
        super().__init__(store)
        self.outcomes = outcomes

    def put(self, key: str, data: bytes) -> None:
        outcome = self.outcomes.pop() if self.outcomes else "done"
        if outcome != "before":
            self.store.put(key, data)
        if outcome != "done":
            raise UnavailableError(outcome)

    def _ask(self, verb: str, key: str, call: Callable[[], Any]) -> Any:  # noqa: ARG002
        return call()


@given(st.lists(st.tuples(st.binary(max_size=5), st.sampled_from(["done", "before", "lost"]))))
def test_what_a_failed_flush_leaves_is_sent_by_the_next(parts: list[tuple[bytes, str]]) -> None:
    store = new_store()
    writer = LogWriter("r", "s")
    text = b""
    for data, outcome in parts:
        writer.add(data)
        text += data
        try:
            writer.flush(_Failing(store, [outcome]))
        except UnavailableError:
            assert text.startswith(text_of(store))
            assert len(text_of(store)) >= writer.durable
    writer.flush(store)
    assert text_of(store) == text


def test_a_reader_goes_on_where_it_was_whatever_is_superseded_meanwhile() -> None:
    store, writer = new_store(), LogWriter("r", "s")
    reader, told, text = LogReader(store, "r", "s"), b"", b""
    for number in range(120):
        writer.add(b"%d," % number)
        text += b"%d," % number
        writer.flush(store)
        if number % 7 == 0:
            told += b"".join(reader.read())
            assert told == text
    assert told + b"".join(reader.read()) == text


def test_a_chunk_that_is_superseded_between_list_and_get_is_read_from_its_successor() -> None:
    store, writer = new_store(), LogWriter("r", "s")

    def grow() -> None:
        for _ in range(8 if writer.durable < 20 else 0):
            writer.add(b"x")
            writer.flush(store)

    grow()
    assert b"".join(LogReader(Between(store, grow), "r", "s").read()) == b"x" * writer.durable


def test_writers_come_in_the_order_in_which_they_began() -> None:
    store = new_store()
    first = LogWriter("r", "s")
    clock.sleep(0.002)
    second = LogWriter("r", "s")
    for writer, data in ((second, b"second"), (first, b"first ")):
        writer.add(data)
        writer.flush(store)
    assert text_of(store) == b"first second"
    assert [*list_streams(store, "r")] == ["s"]


def test_a_chunk_of_another_size_than_its_key_says_is_damage() -> None:
    store = new_store()
    store.put(chunk(ChunkKey("r", "s", A, 0, 3)), b"four")
    with pytest.raises(CorruptObjectError, match="key_mismatch"):
        text_of(store)


def test_who_may_only_create_writes_a_log_as_well() -> None:
    store, writer = new_store(), LogWriter("r", "s")
    for number in range(25):
        writer.add(b"%d," % number)
        writer.flush(CreateOnly(store))
    assert text_of(store) == b"".join(b"%d," % number for number in range(25))
    assert len(store.list("runs/r/logs/")) == 25
