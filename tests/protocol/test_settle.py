"""Who made an object is settled for certain, or said to be unknown."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING

import pytest

from objrun import clock
from objrun.clock import backoff
from objrun.errors import (
    AlreadyExistsError,
    CommitUnknownError,
    PermissionDeniedError,
    StoreFullError,
    UnavailableError,
)
from objrun.protocol.settle import insist, put_once, upload
from objrun.storage import MemoryStore
from objrun.storage.parts import AT_ONCE
from objrun.storage.wrappers import CountingStore, Fault, FaultyStore
from tests.protocol.faults import DENIED, DOWN, LOST, script

if TYPE_CHECKING:
    from collections.abc import Iterable

    from objrun.storage import Store


@pytest.mark.parametrize("faults", [[], [DOWN], [LOST], [DOWN, LOST], [LOST, DOWN, DOWN]])
def test_the_writer_of_an_object_learns_so(store: Store, faults: list[Fault]) -> None:
    assert put_once(FaultyStore(store, script("put_if_absent", faults)), "k", b"mine")
    assert store.get("k") == b"mine"


@pytest.mark.parametrize("faults", [[], [DOWN], [LOST]])
def test_so_does_whoever_came_too_late(store: Store, faults: list[Fault]) -> None:
    store.put("k", b"theirs")
    assert not put_once(FaultyStore(store, script("put_if_absent", faults)), "k", b"mine")
    assert store.get("k") == b"theirs"


def test_what_goes_before_it_was_read_back_leaves_the_name_free(store: Store) -> None:
    """As a checkpoint does that is superseded, or a version of a run that is purged."""
    store.put("k", b"theirs")
    gone = FaultyStore(store, lambda verb, _key: store.delete(["k"]) if verb == "get" else None)
    assert put_once(gone, "k", b"mine")
    assert store.get("k") == b"mine"


def test_a_client_that_retried_by_itself_is_seen_through(store: Store) -> None:
    """Its first request worked, its answer was lost, its second one found its own object."""
    exists = Fault(AlreadyExistsError("k"), applied=True)
    assert put_once(FaultyStore(store, script("put_if_absent", [exists])), "k", b"mine")


def test_the_same_bytes_go_to_the_same_name(store: Store) -> None:
    counting = CountingStore(FaultyStore(store, script("put_if_absent", [DOWN] * 5)))
    put_once(counting, "k", b"mine")
    assert {asked.key for asked in counting.log} == {"k"}
    assert counting.bytes_written == 6 * len(b"mine")


def test_a_refusal_is_raised_as_it_is(store: Store) -> None:
    with pytest.raises(PermissionDeniedError):
        put_once(FaultyStore(store, script("put_if_absent", [DENIED])), "k", b"mine")
    full = Fault(StoreFullError("full"))
    with pytest.raises(StoreFullError):
        put_once(FaultyStore(store, script("put_if_absent", [full])), "k", b"mine")


@pytest.mark.parametrize("first", [DOWN, LOST])
def test_a_refusal_after_a_lost_answer_leaves_it_unknown(store: Store, first: Fault) -> None:
    faulty = FaultyStore(store, script("put_if_absent", [first, DENIED]))
    with pytest.raises(CommitUnknownError, match="k was stored: not allowed"):
        put_once(faulty, "k", b"mine")


def test_exists_that_cannot_be_read_back_leaves_it_unknown(store: Store) -> None:
    """The answer "exists" may be to the client's own second try, so it decides nothing alone."""
    exists = Fault(AlreadyExistsError("k"), applied=True)
    puts, gets = script("put_if_absent", [exists]), script("get", [DENIED])
    faulty = FaultyStore(store, lambda verb, key: puts(verb, key) or gets(verb, key))
    with pytest.raises(CommitUnknownError, match="k was stored"):
        put_once(faulty, "k", b"mine")


def test_patience_ends(store: Store) -> None:
    faulty = FaultyStore(store, lambda *_: DOWN)
    with pytest.raises(CommitUnknownError):
        put_once(faulty, "k", b"mine", patience=0.0)
    with pytest.raises(UnavailableError):
        insist(lambda: faulty.get("k"), patience=0.0)


def test_insisting_does_not_repeat_what_is_certain(store: Store) -> None:
    counting = CountingStore(FaultyStore(store, script("list", [DOWN, DOWN, DENIED])))
    with pytest.raises(PermissionDeniedError):
        insist(lambda: counting.list(""))
    assert counting.counts == {"list": 3}


@pytest.mark.parametrize("attempt", [0, 1, 3, 9, 1_074, 1_100, 10**9])
def test_waits_grow_and_stay_bounded_however_long_an_outage_lasts(attempt: int) -> None:
    waits = [backoff(attempt) for _ in range(50)]
    most = min(15.0, 0.05 * 2 ** min(attempt, 9))
    assert all(0 <= wait <= most for wait in waits)
    assert max(waits) > most / 4


def test_each_pause_is_that_of_its_try(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []

    def at_once(attempt: int) -> float:
        asked.append(attempt)
        return 0.0

    monkeypatch.setattr(clock, "backoff", at_once)
    put_once(FaultyStore(store, script("put_if_absent", [DOWN] * 4)), "k", b"mine")
    assert asked == [0, 1, 2, 3]
    faulty = FaultyStore(store, script("get", [DOWN] * 4))
    assert insist(lambda: faulty.get("k")) == b"mine"
    assert asked == [0, 1, 2, 3] * 2


class Breaking(MemoryStore):
    """A store that breaks off uploads, each after `further` more parts than the one before."""

    def __init__(self, further: int) -> None:
        super().__init__("breaking")
        self.further = further
        self.tries = 0

    def upload(self, key: str, parts: Iterable[bytes]) -> None:
        self.tries += 1
        source = iter(parts)
        first = [*islice(source, AT_ONCE + self.tries * self.further)]
        rest = [*islice(source, 1)]
        if rest:
            message = "broken off"
            raise UnavailableError(message)
        super().upload(key, first)


def test_an_upload_goes_on_as_long_as_it_comes_further(monkeypatch: pytest.MonkeyPatch) -> None:
    """However long it takes: a file of 100 GB is not stored within a minute."""
    monkeypatch.setattr("objrun.protocol.settle.PATIENCE", 0.5)
    monkeypatch.setattr(clock, "backoff", lambda _attempt: 0.0)
    store = Breaking(2)
    monkeypatch.setattr(clock, "monotonic", lambda: float(store.tries))
    parts = [bytes([number]) for number in range(50)]
    upload(store, "k", lambda: parts)
    assert (store.get("k"), store.tries) == (b"".join(parts), 21)
    store = Breaking(-1)
    with pytest.raises(UnavailableError):
        upload(store, "k", lambda: parts)
    assert store.tries == 1
