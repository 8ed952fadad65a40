"""Where points go while the store fails: when a writer leaves it, and what it takes along."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import pytest

from objrun import clock
from objrun.errors import (
    FlushTimeoutError,
    PermissionDeniedError,
    UnavailableError,
    UnsupportedFormatError,
)
from objrun.protocol import limits
from objrun.protocol import writer as module
from objrun.protocol.buffer import Buffer
from objrun.protocol.columns import Cell
from objrun.protocol.crew import Crew
from objrun.protocol.packs import Content
from objrun.protocol.post import Post
from objrun.protocol.writer import Writer
from objrun.storage import MemoryStore
from objrun.storage.wrappers import CountingStore, FaultyStore
from tests.protocol.faults import DENIED, DOWN, script
from tests.protocol.segments import counted

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import pyarrow as pa

    from objrun.storage import Store

GONE = UnavailableError("gone")


@pytest.fixture
def refuge() -> Store:
    return MemoryStore(clock.random_hex(8))


@pytest.fixture
def go_on() -> Iterator[threading.Event]:
    """What a request that hangs waits for; it comes back in the end."""
    event = threading.Event()
    yield event
    event.set()


def log(writer: Writer, *values: float) -> None:
    for value in values:
        writer.buffer.add("x", float(value), None, 1)
    writer.started()


def until(happened: Callable[[], object]) -> None:
    deadline = clock.monotonic() + 20
    while not happened() and clock.monotonic() < deadline:
        clock.sleep(0.01)
    assert happened()


@pytest.mark.parametrize("has_pack", [False, True])
def test_a_request_that_hung_counts_for_nothing_when_it_comes_back(
    store: Store,
    refuge: Store,
    go_on: threading.Event,
    monkeypatch: pytest.MonkeyPatch,
    *,
    has_pack: bool,
) -> None:
    crew = Crew("test-hung")
    monkeypatch.setattr(module, "FLUSHERS", crew)
    first = [None]

    def hang(verb: str, _key: str) -> None:
        if verb == "put" and first:
            first.pop()
            go_on.wait(20)

    home = FaultyStore(store, hang)
    writer = Writer(lambda: home, "e", "r", lambda _error: refuge)
    if has_pack:
        blob = writer.packs.add("p", Content(".png", b"1"))
        writer.buffer.add("p", Cell("image", "blob", None, blob.reference()), None, 1)
    else:
        log(writer, 0)
    writer.started()
    with pytest.raises(FlushTimeoutError):
        writer.flush(0.1)
    log(writer, 1, 2)
    writer.rescue()
    there = refuge.list("")
    assert len(there) == 1 + has_pack
    go_on.set()
    until(lambda: crew._idle)  # noqa: SLF001
    assert refuge.list("") == there
    assert writer.waiting() == 0
    log(writer, 3)
    writer.close()
    assert sum(map(len, counted(refuge).values())) == 4


def test_a_flush_ends_in_time_though_the_thread_was_just_told_to_stop(
    store: Store, go_on: threading.Event
) -> None:
    def hang(_verb: str, _key: str) -> None:
        go_on.wait(20)

    writer = Writer(lambda: FaultyStore(store, hang), "e", "r")
    writer.buffer.add("x", 0.0, None, 1)
    with pytest.raises(FlushTimeoutError):
        writer.flush(0.1)
    go_on.set()
    writer.close()


def test_who_waits_to_try_again_is_taken_from(
    store: Store, refuge: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(clock, "backoff", lambda _attempt: 60.0)
    home = CountingStore(FaultyStore(store, lambda *_: DOWN))
    writer = Writer(lambda: home, "e", "r", lambda _error: refuge)
    log(writer, 0, 1)
    writer.hurry()
    until(lambda: home.counts["put"])
    writer.rescue()
    assert list(counted(refuge).values()) == [[0, 1]]
    assert home.counts["put"] == 1


def test_a_flush_that_is_asked_for_does_not_wait_to_try_again(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(clock, "backoff", lambda _attempt: 60.0)
    home = CountingStore(FaultyStore(store, script("put", [DOWN])))
    writer = Writer(lambda: home, "e", "r")
    log(writer, 0)
    writer.hurry()
    until(lambda: home.counts["put"])
    writer.flush(20)
    assert list(counted(store).values()) == [[0]]


def test_what_another_thread_holds_for_good_is_given_up(
    store: Store, refuge: Store, go_on: threading.Event, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is in no request that could be taken over."""
    held = threading.Event()
    freeze = Buffer.freeze

    def hang(self: Buffer) -> pa.Table | None:
        held.set()
        go_on.wait(40)
        return freeze(self)

    monkeypatch.setattr(Buffer, "freeze", hang)
    monkeypatch.setattr(module, "_RESCUE_LOOKS", 3)
    writer = Writer(lambda: store, "e", "r", lambda _error: refuge)
    log(writer, 0)
    writer.hurry()
    assert held.wait(20)
    with pytest.raises(FlushTimeoutError, match="the store does not answer"):
        writer.rescue()
    assert refuge.list("") == []


def test_a_store_that_cannot_be_opened_is_told_as_it_is() -> None:
    def target() -> Store:
        raise UnsupportedFormatError("upgrade")

    writer = Writer(target, "e", "r")
    log(writer, 0)
    with pytest.raises(UnsupportedFormatError, match="upgrade"):
        writer.flush(20)
    writer.stop()


def test_it_flees_when_the_store_has_failed_for_long(
    store: Store, refuge: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [1000.0]
    monkeypatch.setattr(clock, "monotonic", lambda: now[0])
    post = Post(lambda: store, lambda _error: refuge)
    assert not post.changes_after(GONE)
    now[0] += limits.ESCAPE / 2
    assert not post.changes_after(GONE)
    # It was back for a moment: an outage begins anew.
    post.put("a", b"1")
    now[0] += limits.ESCAPE / 2
    assert not post.changes_after(GONE)
    now[0] += limits.ESCAPE
    assert post.changes_after(GONE)
    post.put("b", b"2")
    assert [info.key for info in refuge.list("")] == ["b"]
    assert not post.flee(GONE), "there is but one refuge"


def test_what_waiting_does_not_mend_is_fled_from_at_once(store: Store, refuge: Store) -> None:
    post = Post(lambda: FaultyStore(store, lambda *_: DENIED), lambda _error: refuge)
    with pytest.raises(PermissionDeniedError):
        post.put("a", b"1")
    assert not post.asking
    assert post.changes_after(PermissionDeniedError("not allowed"))


def test_who_may_not_delete_asks_once(store: Store) -> None:
    counting = CountingStore(FaultyStore(store, script("delete", [DENIED])))
    post = Post(lambda: counting, None)
    post.forget(["a"])
    post.forget(["b"])
    assert counting.counts == {"delete": 1}
