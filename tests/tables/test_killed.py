"""Compactions and vacuums that die at any request: nothing changes, and the next ones finish."""

from __future__ import annotations

import random
import signal
import time
from itertools import count
from typing import TYPE_CHECKING, Any

import pytest

from objrun import Experiment, clock
from objrun.errors import StoreError
from objrun.format import keys
from objrun.storage.wrappers import Around, FaultyStore
from objrun.tables.compaction import compact, drop_runs
from objrun.tables.vacuum import vacuum
from tests.processes.programs import RUNNING, Place, launch
from tests.protocol.faults import chaos
from tests.tables.small import NAME, NOW, Truth, check, copy_of, finish, small_store

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path

    from objrun.storage import Store
    from objrun.testing.servers import Server


class KilledError(BaseException):
    """Nothing runs behind it, as behind SIGKILL."""


class Dying(Around):
    """Do so many requests and no more; each key of a delete is one."""

    def __init__(self, store: Store, left: int) -> None:
        super().__init__(store)
        self.left = left

    def _ask(self, verb: str, key: str, call: Callable[[], Any]) -> Any:  # noqa: ARG002
        if not self.left:
            raise KilledError
        self.left -= 1
        return call()

    def delete(self, names: Iterable[str]) -> None:
        for name in names:
            super().delete([name])


def upkeep(store: Store, *, whole: bool = False, drop: tuple[str, ...] = ()) -> None:
    if drop:
        drop_runs(store, NAME, drop)
    compact(store, NAME, whole=whole)
    vacuum(store, NAME, retention=NOW)


@pytest.fixture(scope="module")
def world() -> tuple[Store, Truth]:
    return small_store()


def test_after_any_request(world: tuple[Store, Truth]) -> None:
    start, truth = world
    for requests in count():
        store, known = copy_of(start), truth.copy()
        if lives(store, requests):
            break
        check(store, known, known)
        finish(store, known)
    assert requests > 20


def lives(store: Store, requests: int, *, whole: bool = False) -> bool:
    """Whether so many requests are enough."""
    try:
        upkeep(Dying(store, requests), whole=whole)
    except KilledError:
        return False
    return True


@pytest.mark.slow
@pytest.mark.parametrize("whole", [False, True])
@pytest.mark.parametrize("more", [0, 3, 11])
def test_after_any_request_twice(world: tuple[Store, Truth], more: int, whole: bool) -> None:
    start, truth = world
    for requests in count():
        store, known = copy_of(start), truth.copy()
        if lives(store, requests, whole=whole):
            break
        lives(store, requests + more, whole=whole)
        check(store, known, known)
        upkeep(store, whole=whole)
        finish(store, known)


def test_while_a_run_is_dropped(world: tuple[Store, Truth]) -> None:
    """All its rows are there or none; then none."""
    start, truth = world
    for requests in count(step=3):
        store, known = copy_of(start), truth.copy()
        for info in store.list(keys.feed(NAME)):
            if "/c." in info.key:
                store.delete([info.key])
        without = truth.copy()
        del without.points["c", "00"], without.versions["c"]
        try:
            upkeep(Dying(store, requests), drop=("c",))
        except KilledError:
            check(store, without, known)
            drop_runs(store, NAME, ["c"])
        else:
            break
        for info in store.list(keys.shards(NAME, "c")):
            store.delete([info.key])
        finish(store, without)
    assert requests > 20


@pytest.mark.parametrize("seed", range(3))
def test_where_answers_are_lost(
    world: tuple[Store, Truth], seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(clock, "backoff", lambda _attempt, **_: 0.001)
    start, truth = world
    store, known = copy_of(start), truth.copy()
    faulty = FaultyStore(store, chaos(seed))
    for _ in range(20):
        try:
            upkeep(faulty)
        except StoreError:
            check(store, known, known)
        else:
            break
    check(store, known, known)
    upkeep(store)
    finish(store, known)


UPKEEP = """
    from datetime import timedelta
    from objrun.tables.compaction import compact, drop_runs
    from objrun.tables.vacuum import vacuum
    store = workspace().writing()
    say("ready")
    while True:
        compact(store, "e", whole=arguments[0] == "whole")
        vacuum(store, "e", retention=timedelta(0))
"""


@pytest.fixture
def _nothing_is_left_running() -> Iterator[None]:
    yield
    while RUNNING:
        RUNNING.pop().end()


def kill(place: Place, times: int) -> None:
    """Write while somebody compacts and vacuums, who is killed again and again."""
    chance = random.Random(1)
    workspace = place.workspace()
    runs = [Experiment(workspace, NAME).start_logging(run_id=f"r{n}") for n in range(3)]
    logged = 0
    for kills in range(times):
        program = launch(place, UPKEEP, chance.choice(["whole", "some"]))
        program.heard("ready")
        until = time.monotonic() + chance.uniform(0.0, 0.5)
        going = True
        while going:
            going = time.monotonic() < until
            for run in runs:
                run.log("x", float(logged))
                run.log("y", float(logged), step=logged)
                run.tag("kills", str(kills))
                run.flush()
            logged += 1
        program.send(signal.SIGKILL)
        assert program.ended().code == -signal.SIGKILL
        seen_by(place, logged, kills)
    upkeep(workspace.writing())
    seen_by(place, logged, times - 1)
    left = workspace.writing().list(keys.shards(NAME))
    assert not left


def seen_by(place: Place, logged: int, kills: int) -> None:
    points = Experiment(place.workspace(), NAME).metrics().collect()
    runs = Experiment(place.workspace(), NAME).runs(["tags.kills", "metrics.y.count"]).collect()
    for number in range(3):
        for name in ("x", "y"):
            values = points.filter(run_id=f"r{number}", name=name)["value"].to_list()
            assert values == [float(n) for n in range(logged)]
    assert runs["metrics.y.count"].to_list() == [logged] * 3
    assert runs["tags.kills"].to_list() == [str(kills)] * 3


@pytest.mark.usefixtures("_nothing_is_left_running")
def test_by_a_signal(tmp_path: Path) -> None:
    kill(Place(str(tmp_path / "store"), {"durability": "none"}), 2)


@pytest.mark.slow
@pytest.mark.xdist_group("s3")
@pytest.mark.usefixtures("_nothing_is_left_running")
def test_by_a_signal_in_s3(s3_server: Server) -> None:
    kill(Place(s3_server.new_bucket(), s3_server.options), 6)


@pytest.mark.slow
@pytest.mark.usefixtures("_nothing_is_left_running")
def test_by_many_signals(tmp_path: Path) -> None:
    kill(Place(str(tmp_path / "store"), {"durability": "none"}), 25)
