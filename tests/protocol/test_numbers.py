"""Run numbers: unique whoever races, one after the other where nobody does."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest

from objrun import clock
from objrun.errors import CommitUnknownError, StoreError
from objrun.format import keys
from objrun.format.documents import decode_number, encode_number
from objrun.format.states import NumberClaim
from objrun.protocol.numbers import Numbers, last_number
from objrun.storage.wrappers import CountingStore, FaultyStore
from tests.protocol.faults import DENIED, LOST, chaos, script

if TYPE_CHECKING:
    from objrun.storage import Store


def claimed(store: Store, *numbers: int) -> None:
    for n in numbers:
        claim = NumberClaim(number=n, run_id=f"old-{n}", write_id="w")
        store.put(keys.number("e", n), encode_number(claim))


def owners(store: Store) -> dict[int, str]:
    found = {}
    for info in store.list(keys.numbers("e")):
        claim = decode_number(info.key, store.get(info.key))
        assert keys.number("e", claim.number) == info.key
        found[claim.number] = claim.run_id
    return found


def test_one_after_the_other(store: Store) -> None:
    numbers = Numbers(store, "e")
    assert [numbers.claim(f"r{i}") for i in range(5)] == [1, 2, 3, 4, 5]
    assert Numbers(store, "e").claim("r") == 6
    assert numbers.claim("s") >= 7
    assert owners(store)[6] == "r"


@pytest.mark.parametrize("last", [997, 998, 999, 1000, 1998, 1999])
def test_across_the_border_of_a_folder(store: Store, last: int) -> None:
    claimed(store, *range(max(1, last - 3), last + 1), *(n for n in (999, 1999) if n <= last))
    numbers = Numbers(store, "e")
    assert [numbers.claim(f"r{i}") for i in range(4)] == [*range(last + 1, last + 5)]
    assert last_number(store, "e") == last + 4
    assert Numbers(store, "e").claim("r") == last + 5


def test_a_hole_is_no_end(store: Store) -> None:
    claimed(store, 1, 2, 5)
    assert Numbers(store, "e").claim("r") == 6


@pytest.mark.parametrize("last", [0, 990])
@pytest.mark.parametrize("shared", [True, False])
def test_threads_never_share_a_number(store: Store, last: int, shared: bool) -> None:
    claimed(store, *range(max(1, last - 1), last + 1))
    one = Numbers(store, "e")
    start = threading.Barrier(8)

    def claims(thread: int) -> list[int]:
        numbers = one if shared else Numbers(store, "e")
        start.wait()
        return [numbers.claim(f"r{thread}.{turn}") for turn in range(5)]

    with ThreadPoolExecutor(8) as pool:
        found = dict(enumerate(pool.map(claims, range(8))))
    everything = sorted(n for got in found.values() for n in got)
    assert len(set(everything)) == 40
    assert everything[0] > last
    there = owners(store)
    for thread, got in found.items():
        assert [there[n] for n in got] == [f"r{thread}.{turn}" for turn in range(5)]
    if shared:
        assert everything == [*range(last + 1, last + 41)], "without a race there are no gaps"
    assert Numbers(store, "e").claim("after") == everything[-1] + 1


def test_threads_on_a_bad_network_never_share_a_number(store: Store) -> None:
    def claims(thread: int) -> list[int]:
        numbers = Numbers(FaultyStore(store, chaos(thread)), "e")
        found = []
        for turn in range(6):
            try:
                found.append(numbers.claim(f"r{thread}.{turn}"))
            except (CommitUnknownError, StoreError):
                continue
        return found

    with ThreadPoolExecutor(4) as pool:
        found = [n for got in pool.map(claims, range(4)) for n in got]
    assert found
    assert len(set(found)) == len(found)
    assert set(found) <= set(owners(store))


def test_an_answer_that_was_lost_costs_no_number(store: Store) -> None:
    numbers = Numbers(FaultyStore(store, script("put_if_absent", [LOST])), "e")
    assert [numbers.claim("a"), numbers.claim("b")] == [1, 2]


def test_a_refusal_costs_at_most_a_gap(store: Store) -> None:
    numbers = Numbers(FaultyStore(store, script("put_if_absent", [DENIED])), "e")
    with pytest.raises(StoreError):
        numbers.claim("a")
    assert numbers.claim("b") in (1, 2)
    assert list(owners(store).values()) == ["b"]


def test_who_skips_numbers_stays_in_the_folder(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody would find a number in the next one before the last of this one is claimed."""
    claimed(store, *range(1, 997))
    jumps: list[int] = []

    def far(count: int) -> int:
        jumps.append(count)
        return count - 1

    monkeypatch.setattr(clock, "below", far)

    def others(verb: str, _key: str) -> None:
        if verb == "put_if_absent":
            claimed(store, 997, 998)

    assert Numbers(FaultyStore(store, others), "e").claim("a") == 999
    assert jumps == [1, 2]
    assert last_number(store, "e") == 999


def test_the_next_folder_is_not_begun_before_this_one_is_full(store: Store) -> None:
    claimed(store, *range(1, 999))
    numbers = Numbers(FaultyStore(store, script("put_if_absent", [DENIED])), "e")
    with pytest.raises(StoreError):
        numbers.claim("refused")
    assert [numbers.claim("a"), numbers.claim("b")] == [999, 1000]


def test_who_is_far_behind_lists_again(store: Store) -> None:
    counting = CountingStore(store)
    numbers = Numbers(counting, "e")
    numbers.claim("a")
    claimed(store, *range(2, 50))
    counting.reset()
    assert numbers.claim("b") == 50
    assert counting.counts == {"list": 1, "put_if_absent": 2, "get": 1}


def test_folders_of_others_are_no_numbers(store: Store) -> None:
    claimed(store, 999, 1000)
    store.put(f"{keys.numbers('e')}notes/1.txt", b"")
    assert Numbers(store, "e").claim("a") == 1001


def test_what_a_claim_costs(store: Store) -> None:
    counting = CountingStore(store)
    numbers = Numbers(counting, "e")
    numbers.claim("a")
    assert counting.counts == {"list": 1, "put_if_absent": 1}
    counting.reset()
    numbers.claim("b")
    assert counting.counts == {"put_if_absent": 1}
    claimed(store, *range(998, 1003))
    counting.reset()
    Numbers(counting, "e").claim("c")
    assert counting.counts == {"list": 2, "folders": 1, "put_if_absent": 1}
