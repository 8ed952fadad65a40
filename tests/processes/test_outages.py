"""The store fails while a run logs: training goes on, and what can be kept is kept."""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING

import pytest

from objrun import Experiment, Run
from objrun.errors import (
    FlushTimeoutError,
    PointsLostError,
    UnavailableError,
)
from objrun.protocol import writer as writers
from objrun.storage import FaultyStore
from objrun.testing.proxy import Answer, Delay, Reset
from tests.processes.programs import Place, launch

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from objrun.testing.proxy import Act, Proxy, Request

DOWN = UnavailableError("the store is down")


class Outage:
    """A run on a store on which everything fails while `error` is set."""

    def __init__(self, place: Place) -> None:
        self.error: Exception | None = None
        workspace = place.workspace()
        workspace._store = FaultyStore(workspace._store, lambda _verb, _key: self.error)  # noqa: SLF001
        self.run = Experiment(workspace, "outages").start_logging(run_id="the-run")


@pytest.fixture
def place(tmp_path: Path) -> Place:
    """A fresh store in a folder: which one fails makes no difference."""
    return Place(str(tmp_path / "store"), {"durability": "none"})


@pytest.fixture
def outage(place: Place) -> Iterator[Outage]:
    made = Outage(place)
    yield made
    made.error = None
    made.run.complete()


def test_an_outage_is_told_once_and_loses_nothing(
    place: Place, outage: Outage, caplog: pytest.LogCaptureFixture
) -> None:
    outage.run.log("x", 0.0)
    outage.run.flush()
    outage.error = DOWN
    for number in range(1, 5001):
        outage.run.log("x", float(number))
    # The warning comes when the second try has failed.
    while not caplog.records:
        with pytest.raises(FlushTimeoutError, match="the store is down"):
            outage.run.flush(timeout_seconds=1)
    outage.run.log("x", 5001.0)
    with pytest.raises(FlushTimeoutError):
        outage.run.flush(timeout_seconds=1)
    warned = [r for r in caplog.records if r.levelno == logging.WARNING]
    assert [r.name for r in warned] == ["objrun"], [r.getMessage() for r in warned]
    assert place.values() == [0.0]
    outage.error = None
    outage.run.flush()
    assert place.values() == list(range(5002))
    assert len(place.writers()) == 1


def test_what_does_not_fit_in_memory_is_counted(
    place: Place,
    outage: Outage,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(writers, "MAX_WAITING", 1000)
    outage.error = DOWN
    logged = 0
    # The warning comes when the second try has failed.
    while not caplog.records:
        for _ in range(1000):
            outage.run.log("x", float(logged))
            logged += 1
        time.sleep(0.01)
    outage.error = None
    with pytest.raises(PointsLostError, match="points of the-run were dropped") as raised:
        outage.run.flush()
    outage.run.flush()
    values = place.values()
    lost = int(raised.value.message.split(": ")[1].split(" ")[0])
    assert len(values) == logged - lost
    assert values == sorted(set(values))


def on_segments(act: Act) -> Callable[[Request], Act | None]:
    def plan(request: Request) -> Act | None:
        return act if request.method == "PUT" and "shards" in request.path else None

    return plan


@pytest.mark.parametrize(
    "act",
    [
        pytest.param(Reset(), id="resets"),
        pytest.param(Answer(503), id="is throttled", marks=pytest.mark.slow),
        pytest.param(Answer(500), id="fails", marks=pytest.mark.slow),
    ],
)
def test_a_process_outlives_an_outage_of_s3(behind: Place, proxy: Proxy, act: Act) -> None:
    source = """
        run = start()
        run.log("x", 0.0)
        run.flush()
        say("down")
        end = time.monotonic() + 3
        count = 1
        while time.monotonic() < end:
            run.log("x", float(count))
            count += 1
            time.sleep(0.001)
        say("up")
        time.sleep(0.5)
        run.complete()
        say(count)
    """
    program = launch(behind, source)
    program.heard("down")
    proxy.plan = on_segments(act)
    program.heard("up")
    proxy.plan = lambda _: None
    ended = program.ended()
    assert ended.code == 0, ended.err
    assert behind.values() == list(range(int(ended.out[-1])))
    assert behind.run().status == "Completed"
    assert ended.err.count("metrics wait in memory") <= 1


@pytest.mark.parametrize(
    "act",
    [
        pytest.param(Delay(600), id="never answers"),
        pytest.param(Reset(), id="resets", marks=pytest.mark.slow),
        pytest.param(Answer(503), id="is throttled", marks=pytest.mark.slow),
    ],
)
def test_a_dead_store_does_not_hold_up_the_end(behind: Place, proxy: Proxy, act: Act) -> None:
    source = """
        from objrun.protocol import endings
        endings.EXIT_PATIENCE = 2.0
        os.environ["OBJRUN_SPOOL"] = "off"
        run = start()
        run.log("x", 0.0)
        run.flush()
        say("ready")
        hear()
        run.log("x", 1.0)
    """
    program = launch(behind, source)
    program.heard("ready")
    proxy.plan = on_segments(act)
    program.go()
    ended = program.ended()
    assert ended.code == 0, ended.err
    assert "metrics were lost at exit: 1 points are not durable after" in ended.err
    proxy.plan = lambda _: None
    assert behind.values() == [0.0]


def test_two_places_do_not_share_an_outage(tmp_path_factory: pytest.TempPathFactory) -> None:
    """A dead store holds up neither the flush nor the end of a run on another."""
    places = [
        Place(str(tmp_path_factory.mktemp("places") / "store"), {"durability": "none"})
        for _ in range(2)
    ]
    dead, living = (Outage(place) for place in places)
    dead.error = DOWN
    for one in (dead, living):
        one.run.log("x", 1.0)
    living.run.complete()
    assert places[1].run().status == "Completed"
    dead.error = None
    dead.run.complete()
    assert isinstance(places[0].run(), Run)
