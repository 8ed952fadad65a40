"""Commits, numbers and stores of those who may only create."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from objrun import clock
from objrun.errors import (
    AlreadyExistsError,
    CommitUnknownError,
    PermissionDeniedError,
    UnavailableError,
    UnsafeStoreError,
)
from objrun.format import keys
from objrun.format.documents import decode_run
from objrun.format.states import RunState
from objrun.protocol import settle
from objrun.protocol.blind import begin, chain_on
from objrun.protocol.chain import Chain, first_version, last_version, load, load_last
from objrun.protocol.copy.forks import lacking
from objrun.protocol.copy.pair import Pair
from objrun.protocol.live import run_scheme
from objrun.protocol.numbers import Numbers, claims_on, last_number
from objrun.protocol.opening import open_blind, open_for_reading, open_for_writing
from objrun.protocol.updates import CREATE, RemoveTags, SetTags
from objrun.storage import CountingStore, Fault, FaultyStore, MemoryStore
from objrun.storage.creating import CreateOnly
from tests.protocol.faults import DENIED, DOWN, LOST, chaos, script

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

SCHEME = run_scheme("e", "r")
STATE = RunState(
    run_id="r", experiment="e", number=1, root_run_id="r", created=clock.now(), status="Running"
)
RESENT = Fault(AlreadyExistsError("a client has sent it again"), applied=True)
"""What a client says of its own write whose answer was lost, and which it has sent again."""


@pytest.fixture
def store() -> MemoryStore:
    return MemoryStore(clock.random_hex(8))


def begun(store: MemoryStore, plan: Any = None) -> Chain[RunState]:
    """A run that was begun by a worker who may only create."""
    own = CreateOnly(FaultyStore(store, plan) if plan else store)
    version = first_version(STATE, [CREATE])
    assert begin(CreateOnly(store), SCHEME, version)
    return chain_on(own, SCHEME, version)


def tags(store: MemoryStore) -> dict[str, str | None]:
    last = load_last(store, SCHEME)
    assert last is not None
    assert last.state is not None
    return dict(last.state.tags)


def stored(store: MemoryStore) -> list[Any]:
    numbers = range(1, last_version(store, SCHEME) + 1)
    return [decode_run(SCHEME.key(n), store.get(SCHEME.key(n))) for n in numbers]


def test_alone_it_writes_what_anybody_would(store: MemoryStore) -> None:
    chain = begun(store)
    chain.commit(SetTags({"a": "1"}))
    assert chain.commit(SetTags({"b": "2"}), RemoveTags(("a",))).tags == {"b": "2"}
    assert [version.state and dict(version.state.tags) for version in stored(store)] == [
        {}, {"a": "1"}, {"b": "2"},
    ]  # fmt: skip
    assert all(version.base is None for version in stored(store))


def test_beside_others_it_tells_what_it_has_done(store: MemoryStore) -> None:
    chain = begun(store)
    other = Chain(store, SCHEME, chain.head)
    other.commit(SetTags({"o": "1"}))
    assert chain.commit(SetTags({"b": "1"})).tags == {"b": "1"}, "what it knows of"
    assert other.refresh().tags == {"o": "1", "b": "1"}
    other.commit(RemoveTags(("b",)))
    chain.commit(SetTags({"c": "1"}))
    assert tags(store) == {"o": "1", "c": "1"}
    assert [(v.version, v.base) for v in stored(store) if v.state is None] == [(3, 1), (5, 3)]


@pytest.mark.parametrize("fault", [LOST, RESENT], ids=["lost", "resent"])
def test_what_was_stored_though_nobody_said_so_is_done_once(
    store: MemoryStore, fault: Fault
) -> None:
    taken: list[Fault] = []

    def plan(verb: str, key: str) -> Fault | None:
        if verb != "put_if_absent" or not key.endswith("00000002.json"):
            return None
        if taken:
            # Meanwhile somebody has seen it, and undoes it.
            Chain(store, SCHEME, load(store, SCHEME, 2)).commit(RemoveTags(("x",)))
            return None
        taken.append(fault)
        if fault is RESENT:
            store.put(SCHEME.key(3), SCHEME.encode(undone(store)))
        return fault

    chain = begun(store, plan)
    chain.commit(SetTags({"x": "1"}))
    assert last_version(store, SCHEME) == 4
    assert tags(store) == {}
    chain.commit(SetTags({"y": "1"}))
    assert tags(store) == {"y": "1"}


def undone(store: MemoryStore) -> Any:
    """A version 3 of a writer that has seen the tag and removed it."""
    first = load(store, SCHEME, 1)
    return first_version(first.state, [RemoveTags(("x",)).op()], 3)


def test_what_is_down_for_long_stays_open_and_is_settled_first(
    store: MemoryStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(settle, "PATIENCE", 0.0)
    for fault, versions in ((DOWN, 3), (LOST, 5)):
        down = script("put_if_absent", [fault], "/state/")
        chain = chain_on(CreateOnly(FaultyStore(store, down)), SCHEME, begun_once(store))
        with pytest.raises(CommitUnknownError):
            chain.commit(SetTags({"a": str(versions)}))
        chain.commit(SetTags({"b": str(versions)}))
        assert tags(store) == {"a": str(versions), "b": str(versions)}


def begun_once(store: MemoryStore) -> Any:
    return load_last(store, SCHEME) or begun(store).head


def test_what_is_refused_is_not_done_later(store: MemoryStore) -> None:
    chain = begun(store, script("put_if_absent", [DENIED], "/state/"))
    with pytest.raises(PermissionDeniedError):
        chain.commit(SetTags({"a": "1"}))
    chain.commit(SetTags({"b": "1"}))
    assert tags(store) == {"b": "1"}


def test_a_refusal_after_a_name_was_taken_says_nothing(store: MemoryStore) -> None:
    chain = begun(store, script("put_if_absent", [RESENT, DENIED], "/state/"))
    with pytest.raises(CommitUnknownError):
        chain.commit(SetTags({"a": "1"}))
    chain.commit(SetTags({"b": "1"}))
    assert tags(store) == {"a": "1", "b": "1"}


def test_many_at_once_lose_nothing(store: MemoryStore) -> None:
    from concurrent.futures import ThreadPoolExecutor

    first = begun(store).head

    def work(number: int) -> None:
        chain = chain_on(CreateOnly(FaultyStore(store, no_denial(number))), SCHEME, first)
        for step in range(5):
            chain.commit(SetTags({f"{number}-{step}": "1"}))

    with ThreadPoolExecutor(6) as pool:
        assert [*pool.map(work, range(6))] == [None] * 6
    assert {*tags(store)} == {f"{number}-{step}" for number in range(6) for step in range(5)}


def no_denial(seed: int) -> Callable[[str, str], Any]:
    plan = chaos(seed)

    def without(verb: str, key: str) -> Any:
        fault = plan(verb, key)
        return None if fault is DENIED else fault

    return without


def test_thousands_of_blind_versions_are_read(store: MemoryStore) -> None:
    chain = begun(store)
    Chain(store, SCHEME, chain.head).commit(SetTags({"o": "1"}))
    for number in range(2000):
        chain.commit(SetTags({"n": str(number)}))
    assert tags(store) == {"o": "1", "n": "1999"}


def test_it_never_asks_for_anything_else(store: MemoryStore) -> None:
    counting = CountingStore(store)
    own = CreateOnly(counting)
    assert open_for_writing(FaultyStore(counting, script("get", [DENIED]))) is None
    counting.reset()
    number = claims_on(own, "e").claim("r")
    version = first_version(STATE, [CREATE])
    begin(own, SCHEME, version)
    chain_on(own, SCHEME, version).commit(SetTags({"a": "1"}))
    assert {*counting.counts} == {"put_if_absent"}
    assert counting.counts["put_if_absent"] == 5
    assert number >= keys.DRAWN


@pytest.mark.parametrize("verb", ["get", "list", "folders", "delete", "get_range", "now"])
def test_all_else_is_refused_and_not_even_sent(store: MemoryStore, verb: str) -> None:
    counting = CountingStore(store)
    asked: dict[str, Sequence[Any]] = {
        "get": ("a",), "list": ("",), "folders": ("",), "delete": (["a"],),
        "get_range": ("a", 0, 1), "now": (),
    }  # fmt: skip
    with pytest.raises(PermissionDeniedError, match="may only create") as caught:
        getattr(CreateOnly(counting), verb)(*asked[verb])
    assert "s3:" in caught.value.message
    assert not counting.log


def test_a_number_that_is_taken_is_drawn_anew(store: MemoryStore) -> None:
    faults = [RESENT, LOST, None]
    drawn = claims_on(CreateOnly(FaultyStore(store, script("put_if_absent", faults))), "e")
    numbers = [drawn.claim(f"r{place}") for place in range(3)]
    assert len({*numbers}) == 3
    # Both of the first run's own tries are gaps.
    assert len(store.list(keys.numbers("e"))) == 5


def test_drawn_numbers_are_not_the_last(store: MemoryStore) -> None:
    claims_on(CreateOnly(store), "e").claim("x")
    assert Numbers(store, "e").claim("a") == 1
    for number in (keys.BUCKET_SIZE - 1, 7 * keys.BUCKET_SIZE + 5):
        store.put(keys.number("e", number), b"")
    assert last_number(store, "e") == 7 * keys.BUCKET_SIZE + 5
    assert Numbers(store, "e").claim("b") == 7 * keys.BUCKET_SIZE + 6


def test_a_store_that_may_not_be_read_is_there_afterwards(store: MemoryStore) -> None:
    denied = FaultyStore(store, lambda verb, _: None if verb == "put_if_absent" else DENIED)
    assert open_for_writing(denied) is None
    made = open_for_reading(store)
    assert open_for_writing(denied) is None
    assert open_for_reading(store) == made


def test_a_store_that_lets_two_creates_win_is_refused() -> None:
    class Careless(MemoryStore):
        def put_if_absent(self, key: str, data: bytes) -> None:
            self.put(key, data)

    with pytest.raises(UnsafeStoreError):
        open_blind(Careless(clock.random_hex(8)))


def test_who_may_neither_read_nor_write_is_told_so(store: MemoryStore) -> None:
    with pytest.raises(PermissionDeniedError):
        open_for_writing(FaultyStore(store, lambda *_: DENIED))


def test_an_outage_is_no_prohibition(store: MemoryStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(settle, "PATIENCE", 0.0)
    with pytest.raises(UnavailableError):
        open_for_writing(FaultyStore(store, lambda *_: DOWN))


def test_a_write_that_stands_twice_is_copied_once(store: MemoryStore) -> None:
    chain = begun(store, script("put_if_absent", [RESENT], "00000002.json"))
    chain.commit(SetTags({"a": "1"}))
    assert [version.version for version in stored(store)] == [1, 2, 3]
    target = MemoryStore(clock.random_hex(8))
    target.put(SCHEME.key(1), store.get(SCHEME.key(1)))
    ours = dict.fromkeys((1, 2, 3), 1)
    assert lacking(Pair(store, target), SCHEME, 1, ours, {1: 1}) == [2]
