"""Stores around a store, and many requests at once."""

from __future__ import annotations

import pytest

from objrun import clock
from objrun.errors import NotFoundError, UnavailableError
from objrun.storage import CountingStore, Fault, FaultyStore, LatencyStore, MemoryStore, together


@pytest.fixture
def memory() -> MemoryStore:
    return MemoryStore(clock.random_hex(8))


def test_counting(memory: MemoryStore) -> None:
    store = CountingStore(memory)
    store.put("a/1", b"12345")
    store.put_if_absent("a/2", b"123")
    assert (store.get("a/1"), store.get_range("a/2", 1, 1)) == (b"12345", b"2")
    with pytest.raises(NotFoundError):
        store.get("absent")
    store.list("a/")
    store.folders("")
    store.delete(["a/1", "a/2"])
    store.now()
    assert (store.bytes_written, store.bytes_read) == (8, 6)
    assert store.counts.pop("get") == 2
    assert set(store.counts.values()) == {1}
    assert [tuple(asked) for asked in store.log] == [
        ("put", "a/1"),
        ("put_if_absent", "a/2"),
        ("get", "a/1"),
        ("get_range", "a/2"),
        ("get", "absent"),
        ("list", "a/"),
        ("folders", ""),
        ("delete", "a/1"),
        ("now", ""),
    ]
    store.reset()
    assert not store.counts
    assert not store.log


@pytest.mark.parametrize("applied", [True, False])
def test_a_fault_before_or_after_it_counted(memory: MemoryStore, *, applied: bool) -> None:
    fault = Fault(UnavailableError("lost"), applied=applied)
    store = FaultyStore(memory, lambda verb, key: fault if (verb, key) == ("put", "a") else None)
    store.put("b", b"")
    with pytest.raises(UnavailableError, match="lost"):
        store.put("a", b"")
    assert [info.key for info in memory.list("")] == (["a", "b"] if applied else ["b"])


def test_an_error_alone_comes_before(memory: MemoryStore) -> None:
    store = FaultyStore(memory, lambda *_: UnavailableError("down"))
    with pytest.raises(UnavailableError):
        store.put_if_absent("a", b"")
    assert not memory.list("")


def test_many_are_in_flight(memory: MemoryStore) -> None:
    """Fewer waits than objects, without a clock: the slow store is asked by many threads."""
    store = CountingStore(LatencyStore(memory, 0.01))
    for number in range(200):
        memory.put(f"{number:03d}", b"%d" % number)
    keys = [f"{number:03d}" for number in range(200)]
    answers = together(store, store.get, iter(keys))
    assert next(answers)() == b"0"
    # Asked ahead, but not without bound.
    assert 1 < store.counts["get"] <= 2 * store.concurrency + 1
    assert [answer() for answer in answers] == [key.lstrip("0").encode() for key in keys[1:]]


def test_together_may_be_left_early(memory: MemoryStore) -> None:
    store = CountingStore(LatencyStore(memory, 0.001))
    answers = together(store, store.get, (f"{number}" for number in range(10_000)))
    next(answers)
    answers.close()  # type: ignore[attr-defined]
    assert store.counts["get"] <= 2 * store.concurrency + 1


def test_together_of_nothing(memory: MemoryStore) -> None:
    assert not [*together(memory, memory.get, [])]
    assert not [*together(LatencyStore(memory, 0), memory.get, [])]
