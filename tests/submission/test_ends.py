"""How submitted runs are ended: canceled, too long, killed, with all that they have started."""

from __future__ import annotations

import json
import os
import signal
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from objrun import LocalTarget, clock
from objrun.errors import ActivityFailedException, StatusWarning
from objrun.protocol import heartbeat
from objrun.submission.folders import work_folder
from tests.submission.conftest import ended, log_of, until

if TYPE_CHECKING:
    from objrun import Run, Workspace
    from objrun.submission.job import Job
    from tests.submission.conftest import Submit

QUICK = LocalTarget(grace_seconds=0.3)

STUBBORN = """
import os, signal, subprocess, sys, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
child = subprocess.Popen(["/bin/sh", "-c", "trap '' TERM; sleep 300 & wait"])
print(os.getpid(), child.pid, flush=True)
time.sleep(300)
"""

ORDERLY = """
import atexit, signal, sys, time
signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
atexit.register(print, "tidied up")
open("outputs/partial.txt", "w").write("half")
print("works", flush=True)
time.sleep(300)
"""


def is_alive(pid: int) -> bool:
    """Whether a process runs; one that has ended and that nobody has waited for does not."""
    with suppress(FileNotFoundError, ProcessLookupError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    return False


def printed(run: Run) -> list[str]:
    """What a run has printed by now."""
    until(lambda: "logs/std_log.txt" in run.get_file_names())
    return log_of(run).decode().split()


def launcher_of(run: Run) -> int:
    until(lambda: run.get_properties().get("objrun.launcher"))
    pid: int = json.loads(run.properties["objrun.launcher"] or "")["pid"]
    return pid


def test_a_script_that_is_canceled_ends_with_all_that_it_started(
    local_ws: Workspace, submit: Submit
) -> None:
    run = submit(local_ws, STUBBORN, compute_target=QUICK)
    pids = [int(pid) for pid in printed(run)]
    assert all(map(is_alive, pids))
    local_ws.get_run(run.id).cancel()
    assert run.get_status() == "CancelRequested"
    assert ended(run).status == "Canceled"
    until(lambda: not any(map(is_alive, pids)))
    assert run.wait_for_completion()["status"] == "Canceled"
    with pytest.warns(StatusWarning, match="Canceled and stays so"):
        run.cancel()


def test_a_script_may_tidy_up_when_it_is_canceled(local_ws: Workspace, submit: Submit) -> None:
    run = submit(local_ws, ORDERLY)
    assert printed(run) == ["works"]
    run.cancel()
    assert ended(run).status == "Canceled"
    assert log_of(run) == b"works\ntidied up\n"
    assert "outputs/partial.txt" in run.get_file_names()


def test_a_run_that_is_asked_to_be_canceled_is_nothing_else_before_it_ends(
    local_ws: Workspace, submit: Submit
) -> None:
    run = submit(local_ws, ORDERLY)
    until(lambda: run.get_status() == "Running")
    run.cancel()
    for status in ("Running", "Finalizing", "Queued"):
        run.go_on(status)
        assert run.get_status() in ("CancelRequested", "Canceled")
    assert ended(run).status == "Canceled"


def test_a_script_that_takes_too_long_is_canceled_and_the_error_says_so(
    local_ws: Workspace, submit: Submit
) -> None:
    run = submit(local_ws, ORDERLY, max_run_duration_seconds=1.0)
    assert ended(run).status == "Canceled"
    assert dict(run.state.error or {})["code"] == "TimedOut"


def test_what_a_script_leaves_running_is_ended(local_ws: Workspace, submit: Submit) -> None:
    script = """
import subprocess
print(subprocess.Popen(["sleep", "300"]).pid)
"""
    run = ended(submit(local_ws, script, compute_target=QUICK))
    assert run.status == "Completed"
    until(lambda: not is_alive(int(printed(run)[0])))


def test_a_launcher_that_is_killed_takes_its_script_along(
    local_ws: Workspace, submit: Submit, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The run is lost, as any whose process was killed, and reaped."""
    run = submit(local_ws, STUBBORN)
    pids = [int(pid) for pid in printed(run)]
    os.kill(launcher_of(run), signal.SIGKILL)
    until(lambda: not any(map(is_alive, pids)))
    assert run.get_status() == "Running"
    monkeypatch.setattr(heartbeat, "GRACE", timedelta(0))
    assert run.get_status() == "NotResponding"
    naps: list[float] = []

    def sleep(seconds: float) -> None:
        naps.append(seconds)
        if len(naps) > 1:
            local_ws.reap(older_than=timedelta(0))

    monkeypatch.setattr(clock, "sleep", sleep)
    with (
        pytest.warns(StatusWarning, match=r"no sign of life.*objrun reap.*cancel"),
        pytest.raises(ActivityFailedException, match="no sign of life since"),
    ):
        run.wait_for_completion(show_output=True)
    assert log_of(run).split() == [b"%d" % pid for pid in pids]


def test_a_launcher_that_is_terminated_says_so(local_ws: Workspace, submit: Submit) -> None:
    run = submit(local_ws, ORDERLY)
    assert printed(run) == ["works"]
    os.kill(launcher_of(run), signal.SIGTERM)
    assert ended(run).status == "Failed"
    assert dict(run.state.error or {})["code"] == "Terminated"
    assert log_of(run).endswith(b"tidied up\n")


def test_a_second_launcher_does_nothing(local_ws: Workspace, submit: Submit) -> None:
    run = submit(local_ws, ORDERLY)
    until(lambda: run.get_status() == "Running")
    assert not local_ws.get_run(run.id).begin_work("/nowhere")
    run.cancel()
    ended(run)


def test_of_two_launchers_at_once_one_begins(
    local_ws: Workspace, submit: Submit, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = submit(local_ws, "", compute_target=Nowhere())
    first, second = (local_ws.get_run(run.id) for _ in range(2))
    # It has looked before.
    queued = second.state
    monkeypatch.setattr(second._chain, "refresh", lambda: queued)  # noqa: SLF001 - as if it had
    assert first.begin_work("/one")
    assert not second.begin_work("/two")
    first.end_work("Completed")


class Nowhere:
    """A target that never launches anything."""

    name = "nowhere"

    def launch(self, job: object) -> None:
        """Forget it."""


def test_a_run_that_is_queued_is_canceled_at_once(local_ws: Workspace, submit: Submit) -> None:
    run = submit(local_ws, "", compute_target=Nowhere())
    run.cancel()
    assert run.get_status() == "Canceled"
    assert not local_ws.get_run(run.id).begin_work("/nowhere")


class Broken:
    """A target that cannot launch anything."""

    name = "broken"

    def launch(self, job: Job) -> None:
        """Fail."""
        message = f"the scheduler is away: {job.run_id}"
        raise OSError(message)


def test_a_run_that_is_not_launched_has_failed(local_ws: Workspace, submit: Submit) -> None:
    with pytest.raises(OSError, match="away"):
        submit(local_ws, "", compute_target=Broken())
    (run,) = local_ws.experiments["digits"].get_runs()
    assert (run.status, dict(run.state.error or {})["code"]) == ("Failed", "NotLaunched")


def test_waiting_raises_what_the_script_raised_and_shows_its_output(
    local_ws: Workspace, submit: Submit, capsys: pytest.CaptureFixture[str]
) -> None:
    run = submit(local_ws, "print('\\x1b[31mred \\x1b[2Jünd so weiter'); raise OSError('gone')")
    with pytest.raises(ActivityFailedException, match="OSError: gone"):
        run.wait_for_completion(show_output=True)
    out = capsys.readouterr().out
    assert f"RunId: {run.id}" in out
    assert "\nred ?[2Jünd so weiter\nTraceback" in out
    assert "Execution Summary\n=================" in out
    assert out.count("OSError: gone") == 1


def test_details_and_logs(local_ws: Workspace, submit: Submit, tmp_path: Path) -> None:
    script = "open('logs/a.txt', 'w').write('a'); print('told')"
    run = ended(submit(local_ws, script, "--token=hunter22", 3))
    details = run.get_details()
    assert [*details["logFiles"]] == ["logs/a.txt", "logs/std_log.txt"]
    assert details["logFiles"]["logs/a.txt"].startswith(f"{local_ws.url}/runs/{run.id}/")
    wanted = {"script": "train.py", "arguments": ["--token=***", "3"], "target": "local"}
    assert wanted.items() <= details["runDefinition"].items()
    texts = run.get_details_with_logs()["logFiles"]
    assert texts == {"logs/a.txt": "a", "logs/std_log.txt": "told\n"}
    paths = run.get_all_logs(tmp_path / "here")
    assert [Path(path).read_text() for path in paths] == ["a", "told\n"]
    assert [found.id for found in local_ws.get_run(run.id).list_by_compute(
        "local", status="Completed", workspace=local_ws
    )] == [run.id]  # fmt: skip
    assert [*run.list_by_compute("local", workspace=local_ws)] == []
    assert not Path(work_folder(run.id)).exists()
    assert run.clean() == []
