"""Samples of the system: real ones, of this machine."""

from __future__ import annotations

import gc
import logging
import os
import subprocess
import sys
import threading
import time
import weakref
from typing import TYPE_CHECKING

import psutil
import pytest

from objrun import Experiment, Run, Workspace
from objrun.errors import UserErrorException
from objrun.runs.system import Machine

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

NAMES = {
    *("system/cpu_percent", "system/memory_percent", "system/memory_mb", "system/disk_percent"),
    *("system/process_cpu_percent", "system/process_rss_mb"),
}
"""What every machine tells."""


def until(true: Callable[[], bool]) -> None:
    """Wait for what comes in any case."""
    while not true():
        time.sleep(0.01)


def threads() -> list[threading.Thread]:
    return [each for each in threading.enumerate() if each.name == "objrun-system"]


def sampled(run: Run) -> dict[str, list[float]]:
    run.flush()
    rows = run.metrics().collect()
    rows = rows.filter(rows["name"].str.starts_with("system/"))
    return {name[0]: group["value"].to_list() for name, group in rows.group_by("name")}


def test_what_is_sampled(run: Run) -> None:
    run.sample_system(every=0.1)
    until(lambda: len(sampled(run).get("system/cpu_percent", [])) >= 3)
    found = sampled(run)
    assert found.keys() >= NAMES
    for name in ("cpu_percent", "memory_percent", "disk_percent"):
        assert all(0 <= value <= 100 for value in found[f"system/{name}"])
    assert all(10 < value < 10**6 for value in found["system/process_rss_mb"])
    assert all(value >= 0 for values in found.values() for value in values)
    steps = run.metrics().collect()["step"]
    assert steps.null_count() == 0
    assert steps.min() >= 0  # type: ignore[operator]
    run.complete()
    until(lambda: not threads())
    again = sampled(Run.get(run.experiment.workspace, run.id))
    assert (
        again["system/cpu_percent"][: len(found["system/cpu_percent"])]
        == found["system/cpu_percent"]
    )


def test_cpus_are_those_since_the_last_sample_in_any_thread(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The first sample is of another thread than the start, and the last one, too."""
    now = psutil.cpu_times()
    monkeypatch.setattr(psutil, "cpu_times", lambda: now)
    machine = Machine()
    found = []
    for user, idle in ((25, 75), (80, 20)):
        now = now._replace(user=now.user + user, idle=now.idle + idle)
        thread = threading.Thread(target=lambda: found.append(machine.read()["system/cpu_percent"]))
        thread.start()
        thread.join()
    assert found == [25, 80]


def test_it_is_off_unless_asked_for(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    assert threads() == []
    for told in ("", "0", "off", "OFF"):
        monkeypatch.setenv("OBJRUN_SYSTEM_METRICS", told)
        run.experiment.start_logging().complete()
    assert threads() == []
    run.sample_system(60)
    run.sample_system(30)
    until(lambda: len(threads()) == 1)
    run.sample_system(None)
    until(lambda: not threads())


def test_the_environment_asks(
    ws: Workspace, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("OBJRUN_SYSTEM_METRICS", "0.1")
    with Experiment(ws, "e").start_logging() as run:
        until(lambda: bool(sampled(run)))
    monkeypatch.setenv("OBJRUN_SYSTEM_METRICS", "often")
    with caplog.at_level(logging.WARNING, "objrun"):
        Experiment(ws, "e").start_logging().complete()
    assert "OBJRUN_SYSTEM_METRICS=often" in caplog.text


@pytest.mark.parametrize("every", [0, -1, 0.01, float("nan")])
def test_how_often_is_refused(run: Run, every: float) -> None:
    with pytest.raises(UserErrorException, match="every"):
        run.sample_system(every)
    assert threads() == []


def test_a_short_run_has_one_sample(run: Run) -> None:
    run.sample_system(every=3600)
    time.sleep(1.1)
    run.complete()
    assert len(sampled(run)["system/cpu_percent"]) == 1


def test_it_keeps_no_run_alive(ws: Workspace) -> None:
    run = Experiment(ws, "e").start_logging()
    Run.get(ws, run.id).sample_system(every=0.1)
    there = weakref.ref(run)
    run.complete()
    del run
    gc.collect()
    until(lambda: not threads())
    assert there() is None


PROGRAM = """
import os, sys
from objrun import Experiment, Workspace
run = Experiment(Workspace(sys.argv[1]), "e").start_logging(run_id="r")
run.sample_system(every=0.1)
if sys.argv[2] == "fork":
    pid = os.fork()
    if pid == 0:
        run.log("child", 1.0)
        run.flush()
        run.stop_sampling()
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
while not run.get_metrics("system/cpu_percent"):
    run.flush()
if sys.argv[2] != "left":
    run.complete()
"""


@pytest.mark.parametrize("how", ["ended", "left", "fork"])
def test_no_process_waits_for_it(tmp_path: Path, how: str) -> None:
    """Nor does a forked child sample, or wait for the thread that is not there."""
    url = str(tmp_path / "store")
    subprocess.run([sys.executable, "-c", PROGRAM, url, how], check=True, timeout=120)
    run = Run.get(Workspace(url), "r")
    assert sampled(run).keys() >= NAMES
    rows = run.metrics().collect()
    writers = rows.filter(rows["name"] == "system/cpu_percent")["writer"].n_unique()
    assert writers == 1


def test_without_psutil(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "psutil", None)
    with pytest.raises(UserErrorException, match=r"objrun\[system\]"):
        run.sample_system()
    monkeypatch.setenv("OBJRUN_SYSTEM_METRICS", "15")
    run.experiment.start_logging().complete()


def test_a_script_that_was_started_samples(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OBJRUN_RUN_ID", run.id)
    monkeypatch.setenv("OBJRUN_URL", run.experiment.workspace.url)
    monkeypatch.setenv("OBJRUN_SYSTEM_METRICS", "0.1")
    context = Run.get_context()
    until(lambda: bool(sampled(context)))
    context.complete()
    until(lambda: not threads())
    assert os.environ["OBJRUN_RUN_ID"] == context.id
