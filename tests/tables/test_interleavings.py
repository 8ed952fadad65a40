"""Compactors, a vacuum, writers, late requests and readers, one request at a time in any order.

First every way to pause one program at one request while others run; then many orders at random.
"""

from __future__ import annotations

from datetime import timedelta
from itertools import chain, repeat
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from objrun.format import keys
from objrun.tables.compaction import compact
from objrun.tables.vacuum import vacuum
from tests.protocol.segments import points
from tests.protocol.turns import Program, take_turns
from tests.tables.small import (
    NAME,
    NOW,
    Truth,
    check,
    copy_of,
    finish,
    flush,
    key_of,
    small_store,
    tag,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from objrun.storage import Store

MANY = 200
"""More requests than a program makes: it runs to its end."""


class Play:
    """A copy of a store, and programs that work on it; `acknowledged` grows, `logged` is known."""

    def __init__(self, store: Store, truth: Truth) -> None:
        self.store = copy_of(store)
        self.acknowledged = truth.copy()
        self.logged = truth.copy()
        self.logged.points["m", "00"] += 2
        self.logged.versions["m"] += 1

    def compact(self, store: Store) -> None:
        compact(store, NAME)

    def vacuum(self, store: Store) -> None:
        vacuum(store, NAME, retention=NOW)

    def tidy(self, store: Store) -> None:
        """A vacuum that leaves tables to those who read them: they never start again."""
        vacuum(store, NAME, retention=timedelta(hours=1))

    def write(self, store: Store) -> None:
        """A writer supersedes its open segment, and the run is tagged."""
        flush(store, self.acknowledged, ("m", "00"), 3, 6)
        tag(store, self.acknowledged, "m", "b")
        flush(store, self.acknowledged, ("m", "00"), 3, 7)

    def late(self, store: Store) -> None:
        """Requests that were given up long ago arrive."""
        for start, stop in ((0, 3), (3, 5), (3, 4)):
            store.put(key_of(("m", "00"), start, stop), points(start, stop))
        store.put(keys.marker(NAME, "m", 1), b"")
        store.put(keys.marker(NAME, "z", 1), b"")
        store.put(key_of(("c", "00"), 0, 2), points(0, 2))

    def read(self, store: Store) -> None:
        for _ in range(2):
            check(store, self.acknowledged.copy(), self.logged)

    def run(self, names: Iterable[str], turns: Iterable[int]) -> None:
        programs = [Program(getattr(self, name)) for name in names]
        take_turns(self.store, programs, turns)
        for program in programs:
            if isinstance(program.result, BaseException):
                raise program.result
        check(self.store, self.acknowledged, self.logged)
        finish(self.store, self.acknowledged)


@pytest.fixture(scope="module")
def begin() -> Callable[[], Play]:
    store, truth = small_store()
    return lambda: Play(store, truth)


PAIRS = [
    ("compact", "vacuum"),
    ("compact", "write"),
    ("vacuum", "compact"),
    ("vacuum", "write"),
    ("vacuum", "late"),
    ("write", "compact"),
    ("read", "compact"),
    ("read", "vacuum"),
    ("read", "tidy"),
    ("read", "write"),
]


def turns(*parts: tuple[int, int]) -> Iterable[int]:
    """Let a program make so many requests, then another, and so on."""
    return chain.from_iterable(repeat(program, times) for program, times in parts)


def pause(play: Play, first: str, others: tuple[str, ...], requests: int) -> None:
    """Let the others run to their ends after so many requests of the first."""
    order = [(0, requests), *((place + 1, MANY) for place in range(len(others)))]
    play.run((first, *others), turns(*order))


@pytest.mark.parametrize("requests", range(25))
def test_one_is_paused_while_all_others_run(begin: Callable[[], Play], requests: int) -> None:
    """Also when the number it wants to commit has been committed and removed meanwhile."""
    pause(begin(), "compact", ("compact", "write", "compact", "vacuum", "late"), requests)


@pytest.mark.parametrize("requests", range(12))
@pytest.mark.parametrize("vacuum", ["vacuum", "tidy"])
def test_a_reader_is_paused(begin: Callable[[], Play], requests: int, vacuum: str) -> None:
    pause(begin(), "read", ("write", "compact", vacuum), requests)


@pytest.mark.slow
@pytest.mark.parametrize("first", ["compact", "vacuum", "read", "write", "late"])
@pytest.mark.parametrize(
    "others",
    [
        ("compact", "vacuum"),
        ("write", "compact", "vacuum"),
        ("write", "compact", "vacuum", "late"),
        ("write", "compact", "tidy"),
        ("compact", "write", "compact", "vacuum"),
    ],
)
def test_anyone_is_paused(begin: Callable[[], Play], first: str, others: tuple[str, ...]) -> None:
    for requests in range(25):
        pause(begin(), first, others, requests)


def in_any_order(play: Play, data: st.DataObject) -> None:
    extra = data.draw(st.lists(st.sampled_from(["compact", "vacuum", "read", "late"]), max_size=2))
    vacuums = data.draw(st.sampled_from(["vacuum", "tidy"]))
    programs = ["compact", "compact", vacuums, "write", "read", *extra]
    bursts = st.tuples(st.integers(0, len(programs) - 1), st.integers(1, 12))
    order = data.draw(st.lists(bursts, min_size=5, max_size=40))
    play.run(programs, turns(*order))


@settings(max_examples=25)
@given(st.data())
def test_in_any_order(begin: Callable[[], Play], data: st.DataObject) -> None:
    in_any_order(begin(), data)


@pytest.mark.slow
@settings(max_examples=500, deadline=None)
@given(st.data())
def test_in_very_many_orders(begin: Callable[[], Play], data: st.DataObject) -> None:
    in_any_order(begin(), data)


@pytest.mark.slow
@pytest.mark.parametrize(("first", "second"), PAIRS)
def test_every_two_pauses(begin: Callable[[], Play], first: str, second: str) -> None:
    """The first makes `i` requests, the second `j`, the first ends, then the second; one looks."""
    for i in range(0, 28, 2):
        for j in range(1, 28, 2):
            programs = (first, second, "read")
            begin().run(programs, turns((2, 3), (0, i), (1, j), (2, 1), (0, MANY), (2, 2)))
