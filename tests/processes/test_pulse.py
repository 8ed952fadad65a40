"""Real processes with runs open: as long as they live, readers see it; once they are gone, too."""

from __future__ import annotations

import signal
import time
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

import pytest

from objrun.format import keys
from objrun.format.heartbeat_keys import parse_heartbeat
from objrun.protocol import heartbeat
from tests.processes.programs import PATIENCE, Place, launch, perform

if TYPE_CHECKING:
    from collections.abc import Callable

QUICK = """
    from objrun.protocol import heartbeat
    heartbeat.INTERVAL = 0.05
"""


def beaten(place: Place) -> datetime | None:
    """When the run's heartbeat was put last."""
    listed = place.workspace().reading().list(keys.feed("processes"))
    times = [info.modified for info in listed if parse_heartbeat(info.key) == "the-run"]
    assert len(times) <= 1
    return times[0] if times else None


def until(is_so: Callable[[], object]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not is_so():
        assert time.monotonic() < deadline, "it does not come"
        time.sleep(0.02)


def until_it_beats(place: Place) -> None:
    before = beaten(place)
    until(lambda: beaten(place) != before)


def test_a_process_that_only_waits_is_alive_until_it_is_killed(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = launch(place, f"{QUICK}\n    run = start(); say('started'); time.sleep(60)")
    program.heard("started")
    until_it_beats(place)
    until_it_beats(place)
    program.send(signal.SIGKILL)
    assert program.ended().code == -signal.SIGKILL
    time.sleep(1.2)  # what was on its way is there; times of S3 are whole seconds
    last = beaten(place)
    time.sleep(1.2)
    assert beaten(place) == last
    run = place.run()
    assert run.get_status() == "Running"
    monkeypatch.setattr(heartbeat, "GRACE", timedelta(seconds=0.1))
    assert run.get_status() == "NotResponding"
    assert run.state.status == "Running"
    reaped = place.workspace().reap(older_than=timedelta(seconds=1))
    assert [(lost.run, lost.last_seen) for lost in reaped] == [("the-run", last)]
    assert place.run().state.status == "Failed"


def test_a_process_that_is_frozen_comes_back(mostly_local: Place) -> None:
    place = mostly_local
    source = f"{QUICK}\n    run = start(); say('started'); time.sleep(0.5); time.sleep(60)"
    program = launch(place, source)
    program.heard("started")
    until_it_beats(place)
    program.send(signal.SIGSTOP)
    time.sleep(0.2)
    last = beaten(place)
    time.sleep(0.5)
    assert beaten(place) == last
    program.send(signal.SIGCONT)
    until_it_beats(place)
    program.send(signal.SIGTERM)
    assert program.ended().code == 143
    error = place.run().state.error or {}
    assert error["code"] == "Terminated"


def test_a_forked_child_beats_once_it_logs(mostly_local: Place) -> None:
    """The parent's heart is stopped, so that what is heard is the child's."""
    source = f"""{QUICK}
    run = start()
    if not os.fork():
        hear()
        run.log("x", 1.0)
        run.flush()
        say("logs")
        time.sleep(60)
    time.sleep(0.5)
    run._heartbeat.end()
    time.sleep(2)  # what was on its way is there
    say("silent")
    time.sleep(60)
    """
    program = launch(mostly_local, source)
    program.heard("silent")
    last = beaten(mostly_local)
    time.sleep(0.3)
    assert beaten(mostly_local) == last
    program.go()
    program.heard("logs")
    until_it_beats(mostly_local)


@pytest.mark.parametrize("end", ["pass", "raise ValueError", "run.complete()"])
def test_a_heartbeat_that_hangs_holds_nobody_up(mostly_local: Place, end: str) -> None:
    source = f"""{QUICK}
    from objrun.errors import UnavailableError
    from objrun.storage.wrappers import FaultyStore
    hangs = threading.Event()
    def plan(verb, key):
        if key.endswith(".heartbeat"):
            say("hangs")
            hangs.set()
            time.sleep(600)
    place = workspace()
    place.go_through(lambda store: FaultyStore(store, plan))
    run = Experiment(place, "processes").start_logging(run_id="the-run")
    run.log("x", 1.0)
    hangs.wait()
    {end}
    """
    # One that hangs is a failure of `perform`.
    ended = perform(mostly_local, source)
    assert ended.out == ["hangs"]
    assert "heartbeat" not in ended.err
    assert mostly_local.values() == [1.0]
