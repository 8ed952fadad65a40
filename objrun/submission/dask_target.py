"""A Dask cluster as a compute target: each run takes a thread of a worker while it works."""

from __future__ import annotations

import subprocess
from contextlib import nullcontext
from dataclasses import replace
from typing import Any

from objrun.errors import ExperimentExecutionException
from objrun.secret import Secret
from objrun.submission.job import GRACE, Job
from objrun.submission.targets import start_command


class DaskTarget:
    """The workers of a Dask cluster, given as a `Client` or the address of its scheduler.

    Runs wait in the scheduler's queue for a free thread of a worker. The store must be one that the
    workers reach, with objrun and what the script needs installed there; snapshots come by the
    store, and work folders are removed at the end. Storage options go through the scheduler. What
    else decides where a run works, such as `resources={"GPU": 1}`, goes to `Client.submit`.

    A worker that dies takes nothing along: the launcher is a process of its own, and another that
    the scheduler starts for the same run does nothing.

    >>> DaskTarget("tcp://scheduler:8786").name
    'dask'
    """

    def __init__(
        self, cluster: Any, name: str = "dask", grace_seconds: float = GRACE, **submit: Any
    ) -> None:
        """Name the cluster; nothing is asked of it before a run is submitted."""
        self.name = name
        self.grace_seconds = grace_seconds
        self._cluster = cluster
        self._submit = submit

    def launch(self, job: Job) -> None:
        """Queue the launcher; it stays in the queue when this process, or its client, ends."""
        from dask.distributed import Client, fire_and_forget

        # Workers log the arguments of what fails: its repr shows nothing.
        told = Secret(replace(job, grace=self.grace_seconds, keeps_folder=False).to_text())
        is_address = isinstance(self._cluster, str)
        opened = Client(self._cluster, set_as_default=False) if is_address else None
        with opened or nullcontext(self._cluster) as client:
            key = f"objrun-{job.run_id}"
            fire_and_forget(client.submit(work, told, key=key, pure=False, **self._submit))


def work(told: str) -> None:
    """Run the launcher of a job, on a worker, in a process of its own, and wait for it."""
    try:
        _launch(told)
    except Exception as error:
        from objrun.submission.launcher import give_up
        from objrun.workspace import Workspace

        job = Job.from_text(told)
        give_up(job, Workspace(job.url, job.storage_options).get_run(job.run_id), error)
        raise


def _launch(told: str) -> None:
    done = subprocess.run(  # noqa: S603 - this interpreter
        start_command("launcher", "here"),
        input=told.encode(),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        start_new_session=True,
        check=False,
    )
    if done.returncode:
        message = f"the launcher failed: {done.stderr.decode(errors='replace')[-1000:]}"
        raise ExperimentExecutionException(message)
