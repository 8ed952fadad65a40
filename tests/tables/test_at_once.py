"""Compactors, vacuums, writers and readers at once: no point is missed, none is seen twice."""

from __future__ import annotations

import random
import signal
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

from objrun import Experiment
from objrun.errors import UnavailableError
from objrun.format import keys
from objrun.storage import connect
from objrun.storage.wrappers import Around
from objrun.tables.compaction import compact
from objrun.tables.vacuum import vacuum
from tests.processes.programs import RUNNING, Place, launch
from tests.tables.small import NAME, NOW, Truth, check, finish, flush, fresh, start_run, tag

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    import polars as pl

    from objrun.storage import Store
    from objrun.tables.compaction import Compacted
    from objrun.testing.servers import Server


HOUR = timedelta(hours=1)


class Distant(Around):
    """Each request takes a while, another one each time."""

    concurrency = 4

    def _ask(self, verb: str, key: str, call: Callable[[], Any]) -> Any:  # noqa: ARG002
        time.sleep(random.uniform(0, 0.002))
        answer = call()
        time.sleep(random.uniform(0, 0.002))
        return answer


class Crowd:
    """Threads that work on one store until the writers have written all."""

    def __init__(self, store: Store, rounds: int) -> None:
        self.store = store
        self.rounds = rounds
        self.over = threading.Event()
        self.acknowledged = Truth()
        self.logged = Truth()
        self.lock = threading.Lock()
        self.compacted: list[Compacted | None] = []
        self.reads = 0

    def write(self, name: str) -> None:
        """Start runs, flush segments cumulatively and tag the runs, one after the other."""
        for number in range(self.rounds):
            run = f"{name}{number}"
            mine = Truth()
            with self.lock:
                self.logged.versions[run] = 2
                self.logged.points[run, "00"] = 9
            start_run(self.store, mine, run)
            self.acknowledge(mine)
            for start, stop in ((0, 2), (0, 5), (5, 7), (5, 9)):
                flush(self.store, mine, (run, "00"), start, stop)
                self.acknowledge(mine)
            tag(self.store, mine, run, name)
            self.acknowledge(mine)

    def acknowledge(self, mine: Truth) -> None:
        with self.lock:
            self.acknowledged.versions.update(mine.versions)
            self.acknowledged.points |= mine.points

    def keep_up(self, rest: float) -> None:
        while not self.over.is_set():
            try:
                self.compacted.append(compact(self.store, NAME))
            except UnavailableError:
                # Others were quicker each time: all is in tables that was there at the beginning.
                self.compacted.append(None)
            time.sleep(random.uniform(0, rest))

    def clean(self) -> None:
        while not self.over.is_set():
            # Where tables stay, a reader of old ones goes on with them.
            vacuum(self.store, NAME, retention=random.choice([NOW, HOUR]))
            time.sleep(random.uniform(0, 0.05))

    def read(self) -> None:
        while not self.over.is_set():
            with self.lock:
                least = self.acknowledged.copy()
            check(self.store, least, self.logged)
            self.reads += 1

    def work(self, compactors: int, *, rest: float = 0.05) -> None:
        with ThreadPoolExecutor(compactors + 6) as pool:
            writers = [pool.submit(self.write, name) for name in ("a", "z")]
            others = [pool.submit(self.keep_up, rest) for _ in range(compactors)]
            others += [pool.submit(self.clean), pool.submit(self.read), pool.submit(self.read)]
            try:
                for writer in writers:
                    writer.result()
            finally:
                self.over.set()
            for other in others:
                other.result()
        assert self.acknowledged == self.logged
        assert any(self.compacted)
        assert self.reads
        check(self.store, self.logged, self.logged)
        finish(self.store, self.logged)


def test_two_compactors() -> None:
    Crowd(Distant(fresh()), 15).work(2)


def test_eight_compactors() -> None:
    Crowd(Distant(fresh()), 15).work(8)


@pytest.mark.slow
@pytest.mark.parametrize("compactors", [1, 2, 8])
def test_many_compactors_for_long(compactors: int) -> None:
    Crowd(Distant(fresh()), 200).work(compactors)


def test_two_compactors_in_s3(s3_server: Server) -> None:
    Crowd(connect(s3_server.new_bucket(), **s3_server.options), 2).work(2, rest=0.5)


@pytest.mark.slow
def test_eight_compactors_in_s3(s3_server: Server) -> None:
    Crowd(connect(s3_server.new_bucket(), **s3_server.options), 20).work(8, rest=0.5)


COMPACTOR = """
    from datetime import timedelta
    from objrun.errors import UnavailableError
    from objrun.tables.compaction import compact
    from objrun.tables.vacuum import vacuum
    store = workspace().writing()
    stopped = []
    signal.signal(signal.SIGUSR1, lambda *_: stopped.append(1))
    say("ready")
    while not stopped:
        with suppress(UnavailableError):
            compact(store, "e")
        if arguments[0] == "0":
            vacuum(store, "e", retention=timedelta(0))
        time.sleep(0.02)
"""
WRITER = """
    experiment = Experiment(workspace(), "e")
    workspace().writing()
    for number in range(int(arguments[1])):
        with experiment.start_logging(run_id=f"{arguments[0]}{number}") as run:
            for step in range(5):
                run.log("x", float(step), step=step)
                run.log("y", float(step))
                run.flush()
            run.tag("t", "a")
        say(run.id)
"""


@pytest.fixture
def _nothing_is_left_running() -> Iterator[None]:
    yield
    while RUNNING:
        RUNNING.pop().end()


def processes(place: Place, compactors: int, runs: int) -> None:
    place.workspace().writing()
    upkeep = [launch(place, COMPACTOR, number) for number in range(compactors)]
    for program in upkeep:
        program.heard("ready")
    writers = [launch(place, WRITER, name, runs) for name in ("a", "z")]
    for writer in writers:
        for number, run_id in enumerate(writer.lines()):
            if number % 5 == 0:
                look(place, {run_id})
    for program in upkeep:
        program.send(signal.SIGUSR1)
    for program in (*upkeep, *writers):
        ended = program.ended()
        assert ended.code == 0, ended.err
    everyone = {f"{name}{number}" for name in ("a", "z") for number in range(runs)}
    assert look(place, everyone) == everyone
    store = place.workspace().writing()
    compact(store, NAME)
    vacuum(store, NAME, retention=NOW)
    assert look(place, everyone) == everyone
    assert not store.list(keys.shards(NAME))
    assert not store.list(keys.feed(NAME))


def points_of(place: Place) -> pl.DataFrame:
    """All points. A vacuum that keeps no table for readers may make a frame useless in no time."""
    while True:
        with suppress(UnavailableError):
            return Experiment(place.workspace(), NAME).metrics().collect()


def look(place: Place, ended: set[str]) -> set[str]:
    """Read with a new handle; of runs that have ended all must be there, of others no half."""
    points = points_of(place)
    runs = Experiment(place.workspace(), NAME).runs().collect()
    assert runs["run_id"].is_unique().all()
    for (_run, _name), part in points.group_by("run_id", "name"):
        assert part["value"].to_list() == [float(n) for n in range(part.height)]
    counts = dict(points.group_by("run_id").len().iter_rows())
    status = dict(runs.select("run_id", "status").iter_rows())
    for run in ended:
        assert (counts[run], status[run]) == (10, "Completed")
    return set(status)


@pytest.mark.usefixtures("_nothing_is_left_running")
def test_processes(tmp_path: Path) -> None:
    processes(Place(str(tmp_path / "store"), {"durability": "none"}), 2, 15)


@pytest.mark.slow
@pytest.mark.usefixtures("_nothing_is_left_running")
def test_eight_processes(tmp_path: Path) -> None:
    processes(Place(str(tmp_path / "store"), {"durability": "none"}), 8, 100)


@pytest.mark.slow
@pytest.mark.usefixtures("_nothing_is_left_running")
def test_processes_in_s3(s3_server: Server) -> None:
    processes(Place(s3_server.new_bucket(), s3_server.options), 2, 15)
