"""A Dask cluster as a compute target, with real workers."""

from __future__ import annotations

import json
import os
import pickle
import signal
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from dask.distributed import Client

from objrun import DaskTarget
from objrun.errors import ExperimentExecutionException
from objrun.submission.dask_target import work
from objrun.submission.job import Job
from tests.clusters import dask_cluster
from tests.submission.conftest import ended, log_of, until
from tests.submission.test_ends import Nowhere, launcher_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from dask.distributed import LocalCluster

    from objrun import Workspace
    from tests.submission.conftest import Submit


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalCluster]:
    """One worker with one thread."""
    place = tmp_path_factory.mktemp("dask")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("OBJRUN_WORK", str(place / "work"))
        patch.setenv("OBJRUN_ENVIRONMENT", "off")
        with dask_cluster(1, local_directory=str(place)) as cluster:
            yield cluster


WORKS = "import time; print('works', flush=True); time.sleep(300)"


def test_runs_wait_for_a_worker_and_are_canceled(
    local_ws: Workspace, submit: Submit, cluster: LocalCluster
) -> None:
    target = DaskTarget(cluster.scheduler_address, grace_seconds=0.3)
    first, second = (submit(local_ws, WORKS, compute_target=target) for _ in range(2))
    third = submit(local_ws, "print('at last')", compute_target=target)
    until(lambda: first.get_status() == "Running")
    assert second.get_status() == "Queued"
    assert {run.id for run in first.list_by_compute("dask", workspace=local_ws)} == {
        run.id for run in (first, second, third)
    }
    second.cancel()
    assert second.get_status() == "Canceled"
    first.cancel()
    assert ended(first).status == "Canceled"
    assert ended(third).status == "Completed"
    assert log_of(third) == b"at last\n"
    assert second.get_status() == "Canceled"
    folder = json.loads(third.get_properties()["objrun.launcher"] or "")["folder"]
    until(lambda: not Path(folder).exists())


def test_a_worker_that_is_killed_takes_no_run_along(
    local_ws: Workspace, submit: Submit, cluster: LocalCluster, tmp_path: Path
) -> None:
    """Its task comes again, to a worker that takes its place, and finds the run taken."""
    script = f"""
import os, time
print("works", flush=True)
while not os.path.exists({str(tmp_path / "go")!r}):
    time.sleep(0.05)
"""
    with Client(cluster) as client:
        run = submit(local_ws, script, compute_target=DaskTarget(client))
        until(lambda: run.get_status() == "Running")
        workers = client.run(os.getpid)
        for pid in workers.values():
            os.kill(pid, signal.SIGKILL)
        until(lambda: {*client.run(os.getpid, on_error="ignore").values()} - {*workers.values()})
        assert run.get_status() == "Running"
        assert launcher_of(run)
        (tmp_path / "go").touch()
        assert ended(run).status == "Completed"
        assert log_of(run) == b"works\n"


class Noting:
    """In the place of a client: what it is to submit."""

    submitted: tuple[object, ...] = ()

    def submit(self, *given: object, **_more: object) -> object:
        """Note it, as a scheduler gets it."""
        self.submitted = pickle.loads(pickle.dumps(given))  # noqa: S301 - its own
        raise KeyError  # there is no cluster


def test_no_log_of_a_cluster_shows_storage_options() -> None:
    """Workers log the arguments of what fails."""
    client = Noting()
    options = {"secret": "hunter2222"}
    job = Job(url="u", run_id="r", snapshot="", command=[], storage_options=options)
    with pytest.raises(KeyError):
        DaskTarget(client).launch(job)
    assert "hunter2222" not in repr(client.submitted)
    (told,) = client.submitted[1:]
    assert isinstance(told, str)
    assert Job.from_text(told).storage_options == options


def test_a_launcher_that_breaks_on_a_worker_fails_the_run(
    local_ws: Workspace, submit: Submit, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = submit(local_ws, "", compute_target=Nowhere())
    job = Job(url=local_ws.url, run_id=run.id, snapshot="", command=["python"])
    broken = ["/bin/sh", "-c", "echo out of memory >&2; exit 1"]
    monkeypatch.setattr("objrun.submission.dask_target.start_command", lambda *_: broken)
    with pytest.raises(ExperimentExecutionException, match="out of memory"):
        work(job.to_text())
    assert run.get_status() == "Failed"
    error = dict(run.state.error or {})
    assert error["code"] == "NotLaunched"
    assert "out of memory" in error["message"]
