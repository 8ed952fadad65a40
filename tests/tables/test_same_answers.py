"""Every query says the same before a compaction, at any moment of it, after it and after a vacuum.

A history is a list of steps: runs and children start, log, are rewound, tagged, end, are deleted;
clocks are set back; requests of long ago arrive. Between them it is compacted, vacuumed and purged.
"""

from __future__ import annotations

import random
import warnings
from dataclasses import dataclass, field
from datetime import timedelta
from itertools import cycle
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from objrun import Run, Workspace, clock
from objrun.format import keys
from objrun.storage import connect
from objrun.storage.wrappers import Around
from objrun.tables.compaction import compact
from objrun.tables.vacuum import vacuum
from objrun.upkeep.trash import collect
from tests.tables.answers import (
    METRICS,
    NAME,
    answers,
    assert_same,
    experiment,
    quick_answers,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from objrun.storage import Store

HOUR = 3_600_000_000_000
NOW = timedelta(0)


class Watched(Around):
    """Call `look` before each request that changes the store; each object is deleted alone."""

    def __init__(self, store: Store, look: Callable[[], None]) -> None:
        super().__init__(store)
        self.look = look

    def _ask(self, verb: str, key: str, call: Callable[[], Any]) -> Any:  # noqa: ARG002
        if verb in ("put", "put_if_absent"):
            self.look()
        return call()

    def delete(self, names: Iterable[str]) -> None:
        for place, name in enumerate(names):
            # All of them would be many looks at the same.
            if place % 3 == 0:
                self.look()
            self.store.delete([name])


@dataclass
class World:
    """A store, those who write to it, and what was ever stored of its segments."""

    url: str
    runs: list[list[Run]] = field(default_factory=list)
    purged: set[str] = field(default_factory=set)
    segments: dict[str, bytes] = field(default_factory=dict)
    skew: int = 0
    started: int = 0

    def __post_init__(self) -> None:
        self.store = connect(self.url)
        self.warm = Workspace(self.url)
        self.warm.writing()

    def start(self, which: int, *, child: bool) -> None:
        self.started += 1
        # Ids neither rise nor fall, so that new rows come before, between and behind old ones.
        run_id = f"{'hzbtmcx'[self.started % 7]}{self.started:02}"
        if child and self.runs:
            run = self._handles(which)[0].child_run(run_id=run_id)
        else:
            run = experiment(self.warm).start_logging(run_id=run_id)
        self.runs.append([run])

    def _handles(self, which: int) -> list[Run]:
        return self.runs[which % len(self.runs)]

    def _handle(self, which: int, writer: int) -> Run:
        handles = self._handles(which)
        if writer >= len(handles):
            handles.append(Run.get(Workspace(self.url), handles[0].id))
        return handles[writer % len(handles)]

    def log(self, which: int, writer: int, points: list[tuple[str, Any, int | None]]) -> None:
        if not self.runs:
            return
        run = self._handle(which, writer)
        for name, value, step in points:
            if isinstance(value, list):
                run.log_list(name, value)
            elif isinstance(value, dict) and isinstance(value["x"], list):
                run.log_table(name, value)
            elif isinstance(value, dict):
                run.log_row(name, **value)
            else:
                run.log(name, value, step=step)
        run.flush()
        self.remember()

    def rewind(self, which: int, step: int) -> None:
        """Another process goes back to a step; those of before log on as if nothing had been."""
        if not self.runs:
            return
        handles = self._handles(which)
        handles.insert(0, Run.resume(Workspace(self.url), handles[0].id, from_step=step))
        self.remember()

    def remember(self) -> None:
        for info in self.store.list(keys.shards(NAME)):
            self.segments[info.key] = self.store.get(info.key)

    def late(self) -> None:
        """Every request to store a segment arrives once more."""
        for key, data in self.segments.items():
            if key.split("/")[3] not in self.purged:
                self.store.put(key, data)

    def forget(self, purged: Iterable[str | None]) -> None:
        self.purged |= {run for run in purged if run}
        self.runs = [handles for handles in self.runs if handles[0].id not in self.purged]

    def edit(self, which: int, how: str, value: Any) -> None:
        if not self.runs:
            return
        run = self._handles(which)[0]
        if how == "tag":
            run.tag("t", value)
        elif how == "params":
            run.log_params({"p": value})
        elif how == "complete":
            run.complete()
        elif how == "delete":
            run.delete()
        else:
            run.restore()


NUMBERS = st.one_of(
    st.integers(-5, 5),
    st.integers(-800, 800).map(lambda n: n / 8),
    st.floats(1e-3, 1e3),
    st.sampled_from([float("nan"), float("inf"), -0.0, 2**53 + 1, 2**70, 10**400, True]),
)
VALUES = st.one_of(
    NUMBERS,
    NUMBERS,
    NUMBERS,
    st.sampled_from(
        ["text", None, [1, 2.5, None], {"x": 1, "y": "a"}, {"x": [1, 2], "y": [None, 0.5]}]
    ),
)
STEPS = st.one_of(
    st.none(), st.integers(0, 6), st.integers(0, 6), st.sampled_from([-(2**63), 2**40])
)
POINTS = st.lists(st.tuples(st.sampled_from(METRICS), VALUES, STEPS), min_size=1, max_size=6)
PLACE = st.integers(0, 7)
ACTS = st.one_of(
    st.tuples(st.just("start"), PLACE, st.booleans()),
    st.tuples(st.just("log"), PLACE, st.integers(0, 2), POINTS),
    st.tuples(st.just("log"), PLACE, st.integers(0, 2), POINTS),
    st.tuples(st.just("log"), PLACE, st.integers(0, 2), POINTS),
    st.tuples(st.just("edit"), PLACE, st.just("tag"), st.sampled_from(["a", "", None])),
    st.tuples(st.just("edit"), PLACE, st.just("params"), NUMBERS),
    st.tuples(
        st.just("edit"), PLACE, st.sampled_from(["complete", "delete", "restore"]), st.none()
    ),
    st.tuples(st.just("clock"), st.sampled_from([-HOUR, HOUR, -1000])),
    st.tuples(st.just("late")),
    st.tuples(st.just("rewind"), PLACE, st.sampled_from([-(2**63), 0, 2, 3, 4, 6, 2**40])),
    st.tuples(st.just("rewind"), PLACE, st.integers(1, 5)),
)
UPKEEP = st.one_of(
    st.tuples(st.just("compact"), st.booleans()),
    st.tuples(st.just("compact"), st.just(False)),
    st.tuples(st.just("vacuum")),
    st.tuples(st.just("gc")),
)
HISTORY = st.lists(
    st.tuples(st.lists(ACTS, min_size=1, max_size=8), UPKEEP), min_size=1, max_size=6
)


@pytest.fixture(autouse=True)
def _same_chances(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ids of writers and names of tables are drawn anew for each test, always the same ones."""
    dice = random.Random(7)
    monkeypatch.setattr(clock, "random_hex", lambda count: dice.randbytes(count).hex())


def live(world: World, act: tuple[Any, ...], patch: pytest.MonkeyPatch) -> None:
    what, *rest = act
    if what == "start":
        world.start(rest[0], child=rest[1])
    elif what == "log":
        world.log(*rest)
    elif what == "edit":
        world.edit(*rest)
    elif what == "late":
        world.late()
    elif what == "rewind":
        world.rewind(*rest)
    else:
        world.skew += rest[0]
        real = clock.nanoseconds
        patch.setattr("objrun.runs.metrics.nanoseconds", lambda: real() + world.skew)


def keep_up(world: World, what: str, *, whole: bool) -> None:
    """Compact, vacuum or purge, and ask at every moment of it."""
    if what == "gc":
        world.forget(one.run for one in collect(Workspace(world.url), NOW, dry_run=True))
    before = answers(Workspace(world.url), world.purged)

    askers = cycle(("fresh", "warm"))

    def look() -> None:
        asker = next(askers)
        asked = world.warm if asker == "warm" else Workspace(world.url)
        assert_same(shortly, quick_answers(asked, world.purged), f"{what}, {asker}")

    shortly = quick_answers(world.warm, world.purged)
    watched = Watched(world.store, look)
    if what == "compact":
        compact(watched, NAME, whole=whole)
    elif what == "vacuum":
        planned = vacuum(watched, NAME, retention=NOW, dry_run=True)
        done = vacuum(watched, NAME, retention=NOW)
        assert planned.removed == done.removed
    else:
        workspace = Workspace(world.url)
        workspace.writing()
        workspace._store = watched  # noqa: SLF001 - no URL names it
        freed = [*collect(workspace, NOW, dry_run=False)]
        assert {one.run for one in freed} <= world.purged
    assert_same(before, answers(Workspace(world.url), world.purged), what)
    assert_same(before, answers(world.warm, world.purged), f"{what}, warm")


TINY = {
    "folding.CHUNK_ROWS": 3,
    "folding.HELD_PARTS": 2,
    "planning.JOB_ROWS": 4,
    "planning.LEAST_JOB": 2,
    "planning.RATIO": 2,
    "reading.SMALL": 0,
    "reading.BATCH": 1,
    "writing.FRAME_ROWS": 2,
    "writing.GROUP_ROWS": 2,
    "writing.FILE_BYTES": 100,
}
"""Sizes by which a few points take every path that else only very many take."""


def check(history: list[tuple[list[tuple[Any, ...]], tuple[Any, ...]]], *, tiny: bool) -> None:
    world = World(f"memory://{uuid4()}")
    with pytest.MonkeyPatch.context() as patch:
        for name, size in TINY.items() if tiny else ():
            patch.setattr(f"objrun.tables.{name}", size)
        for acts, (what, *whole) in history:
            for act in acts:
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore")
                    live(world, act, patch)
            keep_up(world, what, whole=bool(whole and whole[0]))


@pytest.mark.parametrize("which", [0, 1])
def test_a_clock_is_set_back_behind_a_compaction(which: int) -> None:
    """Points of a writer keep their order, of a root run and of a child, in tables and live."""
    start = [("start", 0, False), ("start", 0, True)]
    logs = [("log", which, writer, [("m0", writer, None), ("m1", writer, 3)]) for writer in (0, 1)]
    back = ("clock", -HOUR)
    first, then = [*start, logs[1], logs[0], back, logs[0]], [back, *logs]
    check([(first, ("compact", False)), (then, ("compact", True))], tiny=False)


def test_a_run_is_rewound_three_times_behind_and_before_compactions() -> None:
    """Ever farther back, while the processes of before log on, and it is compacted in between."""
    start = [("start", 0, False), ("start", 0, True), ("log", 1, 0, [("m0", 9, 9)])]
    logs = [("log", 0, n, [("m0", n, s) for s in (1, 3, 5)] + [("m1", n, None)]) for n in range(3)]
    compacted = ("compact", False)
    history: list[Any] = [
        ([*start, logs[0]], compacted),
        ([("rewind", 0, 4), logs[0]], compacted),
        ([("rewind", 0, 2), *logs], ("vacuum",)),
        ([("late",), ("rewind", 0, 0), logs[0]], compacted),
        ([logs[2], ("late",)], ("vacuum",)),
        ([logs[0]], ("compact", True)),
    ]
    check(history, tiny=False)


@settings(max_examples=6, suppress_health_check=[HealthCheck.too_slow])
@given(HISTORY, st.booleans())
def test_a_history_reads_the_same_through_all_upkeep(history: list[Any], tiny: bool) -> None:
    check(history, tiny=tiny)


@pytest.mark.slow
@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(HISTORY, st.booleans())
def test_any_history_reads_the_same_through_all_upkeep(history: list[Any], tiny: bool) -> None:
    check(history, tiny=tiny)
