"""Any interleaving of writers that flush, close, crash and retry late reads back exactly.

A model of the network: a PUT arrives and is answered, arrives unanswered, is lost, or arrives at
any time later, also long after its writer has gone on or died.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from hypothesis import given, settings
from hypothesis import strategies as st

from objrun import clock
from objrun.storage import connect
from tests.protocol.segments import counted, key_of, points

if TYPE_CHECKING:
    from objrun.storage import Store

OUTCOMES = ["answered", "answered", "unanswered", "lost", "late"]


@dataclass
class Writer:
    """One writer that keeps the rules of the SPEC, and the requests of its that are on the way."""

    name: str
    store: Store
    logged: int = 0
    start: int = 0
    acknowledged: int = 0
    alive: bool = True
    late: list[tuple[str, bytes]] = field(default_factory=list)

    def flush(self, outcome: str, *, forget: bool) -> None:
        if self.logged == self.acknowledged:
            return
        key, data = key_of(self.name, self.start, self.logged), points(self.start, self.logged)
        if outcome in ("answered", "unanswered"):
            self.store.put(key, data)
        if outcome == "late":
            self.late.append((key, data))
        if outcome != "answered":
            return
        superseded, self.acknowledged = self.acknowledged, self.logged
        if forget and superseded > self.start:
            self.store.delete([key_of(self.name, self.start, superseded)])

    def close(self) -> None:
        self.start = self.acknowledged

    def land(self, which: int) -> None:
        """A request of long ago arrives."""
        if self.late:
            self.store.put(*self.late.pop(which % len(self.late)))


ACTIONS = st.lists(
    st.tuples(
        st.integers(0, 2),
        st.one_of(
            st.tuples(st.just("log"), st.integers(1, 4)),
            st.tuples(st.just("flush"), st.sampled_from(OUTCOMES), st.booleans()),
            st.tuples(st.just("flush"), st.sampled_from(OUTCOMES), st.booleans()),
            st.tuples(st.just("close")),
            st.tuples(st.just("land"), st.integers(0, 5)),
            st.tuples(st.just("crash")),
        ),
    ),
    min_size=3,
    max_size=25,
)


@settings(max_examples=80)
@given(ACTIONS)
def test_what_was_acknowledged_is_read_and_nothing_twice(
    actions: list[tuple[int, tuple[object, ...]]],
) -> None:
    store = connect(f"memory://{clock.random_hex(8)}")
    writers = [Writer(name, store) for name in ("00", "11", "22")]
    for number, (action, *arguments) in actions:
        writer = writers[number]
        if action == "land":
            writer.land(int(str(arguments[0])))
        elif not writer.alive:
            continue
        elif action == "log":
            writer.logged += int(str(arguments[0]))
        elif action == "flush":
            writer.flush(str(arguments[0]), forget=bool(arguments[1]))
        elif action == "close":
            writer.close()
        else:
            writer.alive = False
        check(store, writers)
    for writer in writers:
        while writer.late:
            writer.land(0)
        if writer.alive:
            writer.flush("answered", forget=True)
    check(store, writers)


def check(store: Store, writers: list[Writer]) -> None:
    found = counted(store)
    for writer in writers:
        values = found.get(writer.name, [])
        assert values == [float(n) for n in range(len(values))], "not the points that were logged"
        assert writer.acknowledged <= len(values) <= writer.logged
