"""Slots: never more at once, whoever submits, first come first served, and none is lost."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from objrun import Experiment, LocalTarget, ScriptRunConfig
from objrun.errors import UserErrorException
from objrun.format.heartbeat_keys import heartbeat as heartbeat_key
from objrun.protocol import heartbeat
from objrun.submission.folders import work_folder
from objrun.submission.job import Job
from objrun.submission.launcher import launch
from objrun.submission.slots import queue_folder, slot
from tests.api.places import contents
from tests.submission.conftest import ended, log_of, until
from tests.submission.test_ends import Nowhere, launcher_of

if TYPE_CHECKING:
    from objrun import Workspace
    from tests.submission.conftest import Submit

TIMED = """
import os, sys, time
begin = time.time()
open(os.path.join(sys.argv[1], os.environ["OBJRUN_RUN_ID"]), "w").close()
while len(os.listdir(sys.argv[1])) < 2 and time.time() < begin + 50:
    time.sleep(0.02)  # for a second one, which begins before the first one has ended
time.sleep(0.2)
print(begin, time.time())
"""

SUBMITTER = """
import sys
from objrun import Experiment, LocalTarget, ScriptRunConfig, Workspace
target = LocalTarget(slots=2)
config = ScriptRunConfig(sys.argv[2], "train.py", sys.argv[3:], compute_target=target)
print(Experiment(Workspace(sys.argv[1]), "digits").submit(config).id)
"""


def test_of_six_runs_of_many_submitters_never_more_than_two_work_at_once(
    local_ws: Workspace, tmp_path: Path
) -> None:
    """Each submitter has ended by the time its run works."""
    source, here = tmp_path / "source", tmp_path / "here"
    source.mkdir()
    here.mkdir()
    (source / "train.py").write_text(TIMED)
    local_ws.writing()
    submitter = [sys.executable, "-c", SUBMITTER, local_ws.url, str(source), str(here)]
    programs = [subprocess.Popen(submitter, stdout=subprocess.PIPE, text=True) for _ in range(3)]
    config = ScriptRunConfig(source, "train.py", [here], compute_target=LocalTarget(slots=2))
    runs = [Experiment(local_ws, "digits").submit(config) for _ in range(3)]
    runs += [local_ws.get_run(program.communicate()[0].strip()) for program in programs]
    assert not any(program.returncode for program in programs)
    times = []
    for run in runs:
        assert ended(run).status == "Completed"
        begin, end = map(float, log_of(run).split())
        times += [(begin, 1), (end, -1)]
    at_once = [sum(change for _, change in sorted(times)[:end]) for end in range(len(times))]
    assert max(at_once) == 2


BUSY = "import time; print('works', flush=True); time.sleep(300)"


def test_who_waits_is_canceled_at_once_and_a_killed_launcher_frees_its_slot(
    local_ws: Workspace, submit: Submit
) -> None:
    target = LocalTarget(slots=1, name="narrow", grace_seconds=0.3)
    first = submit(local_ws, BUSY, compute_target=target)
    until(lambda: first.get_status() == "Running")
    second, third = (submit(local_ws, BUSY, compute_target=target) for _ in range(2))
    until(lambda: len([*queue_folder("narrow").glob("ticket-*")]) == 2)
    assert [run.id for run in first.list_by_compute(target, workspace=local_ws)] == [
        run.id for run in (third, second, first)
    ]
    second.cancel()
    assert second.get_status() == "Canceled"
    os.kill(launcher_of(first), signal.SIGKILL)
    until(lambda: third.get_status() == "Running")
    assert second.get_status() == "Canceled"
    third.cancel()
    assert ended(third).status == "Canceled"
    until(lambda: not [*queue_folder("narrow").glob("ticket-*")])


def waiting() -> list[int]:
    """The processes that wait in the queue `narrow`: those that hold the locks of its tickets."""
    tickets = {ticket.stat().st_ino for ticket in queue_folder("narrow").glob("ticket-*")}
    locks = [line.split() for line in Path("/proc/locks").read_text().splitlines()]
    return [int(lock[4]) for lock in locks if int(lock[5].rpartition(":")[2]) in tickets]


def test_of_a_queued_run_whose_launcher_is_killed_it_is_told_and_it_is_reaped(
    local_ws: Workspace, submit: Submit, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And of one that waits for a scheduler, for which no process need be there, nothing is."""
    target = LocalTarget(slots=1, name="narrow")
    with slot("narrow", 1, lambda: True):
        run = submit(local_ws, "", compute_target=target)
        elsewhere = submit(local_ws, "", compute_target=Nowhere())
        until(waiting)
        (launcher,) = waiting()
        assert "arrow" not in Path(f"/proc/{launcher}/maps").read_text()
        os.kill(launcher, signal.SIGKILL)
        until(lambda: not waiting())
    assert run.get_status() == "Queued"
    monkeypatch.setattr(heartbeat, "GRACE", timedelta(0))
    experiment = run.experiment
    assert run.get_status() == "NotResponding"
    assert elsewhere.get_status() == "Queued"
    frame = experiment.runs().collect().sort("number")
    assert frame["status"].to_list() == ["NotResponding", "Queued"]
    assert [lost.run for lost in local_ws.reap(older_than=timedelta(0))] == [run.id]
    assert run.get_status() == "Failed"
    assert dict(run.state.error or {})["code"] == "NotResponding"
    assert not local_ws.get_run(run.id).begin_work("/late")


def test_who_waits_gives_signs_of_life_and_begins_also_after_a_long_sleep(
    local_ws: Workspace, submit: Submit, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(heartbeat, "INTERVAL", 0.05)
    monkeypatch.setattr(heartbeat, "HEART", heartbeat.Heart())  # another waits for minutes
    run = submit(local_ws, "", compute_target=Forgetful())
    job = Job(url=local_ws.url, run_id=run.id, snapshot="", command=["x"], queue="q", slots=1)
    with ThreadPoolExecutor(1) as thread:
        with slot("q", 1, lambda: True):
            thread.submit(launch, job)
            until(lambda: heartbeat_key("digits", run.id) in contents(local_ws))
        monkeypatch.setattr(heartbeat, "GRACE", timedelta(0))
        assert ended(run).status == "Failed"  # there is no snapshot
        assert dict(run.state.error or {})["code"] != "NotResponding"


class Forgetful(Nowhere):
    """One whose launchers give signs of life while they wait."""

    is_attended = True


def test_who_came_first_is_first() -> None:
    order: list[int] = []
    with slot("q", 1, lambda: True) as is_free:
        assert is_free
        waiting = [subprocess_that_waits(number) for number in range(3)]
        assert len([*queue_folder("q").glob("ticket-*")]) == 3
    for program in waiting:
        order += [int(line) for line in program.communicate()[0].split()]
    assert order == sorted(order)


WAITING = """
import time
from objrun.submission.slots import slot
with slot('q', 1, lambda: True):
    print(time.monotonic_ns())
"""


def subprocess_that_waits(number: int) -> subprocess.Popen[str]:
    program = subprocess.Popen([sys.executable, "-c", WAITING], stdout=subprocess.PIPE, text=True)
    until(lambda: len([*queue_folder("q").glob("ticket-*")]) == number + 1)
    return program


def test_nobody_is_let_in_who_is_not_wanted_any_more() -> None:
    with slot("q", 1, lambda: True), slot("q", 1, lambda: False) as is_free:
        assert not is_free
    assert [*queue_folder("q").glob("ticket-*")] == []


@pytest.mark.parametrize("slots", [0, -1])
def test_no_slots_are_refused(slots: int) -> None:
    with pytest.raises(UserErrorException, match="slots"):
        LocalTarget(slots)


def test_a_launcher_that_cannot_wait_for_a_slot_fails_the_run(
    local_ws: Workspace, submit: Submit
) -> None:
    queues = queue_folder("local").parents[1]
    queues.parent.mkdir(parents=True)
    queues.touch()  # so there is no queue
    run = ended(submit(local_ws, "", compute_target=LocalTarget(slots=1)))
    error = dict(run.state.error or {})
    assert (run.status, error["code"]) == ("Failed", "NotLaunched")
    assert str(queues) in error["message"]


def test_a_launcher_without_a_place_for_its_work_fails_the_run(
    local_ws: Workspace, submit: Submit
) -> None:
    place = Path(work_folder("any")).parent
    place.touch()  # so there is no folder
    run = ended(submit(local_ws, ""))
    assert run.status == "Failed"
    assert str(place) in dict(run.state.error or {})["message"]


def test_a_launcher_that_is_terminated_while_it_waits_says_so(
    local_ws: Workspace, submit: Submit
) -> None:
    run = submit(local_ws, "", compute_target=Nowhere())
    job = Job(url=local_ws.url, run_id=run.id, snapshot="", command=["x"], queue="q", slots=1)
    here = [sys.executable, "-c", "from objrun.submission import launcher; launcher.here()"]
    with slot("q", 1, lambda: True):
        launcher = subprocess.Popen(here, stdin=subprocess.PIPE, text=True)
        assert launcher.stdin
        with launcher.stdin as told:
            told.write(job.to_text())
        until(lambda: [*queue_folder("q").glob("ticket-*")])
        launcher.terminate()
        assert launcher.wait() == 128 + signal.SIGTERM
    assert run.get_status() == "Failed"
    assert dict(run.state.error or {})["code"] == "Terminated"
