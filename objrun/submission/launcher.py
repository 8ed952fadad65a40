"""The launcher: one process for one submitted run, from its place in the queue to its last status.

python -c "from objrun.submission import launcher; launcher.here()" < job.json

While it waits for its turn it is small: what launches scripts is loaded after that.
"""

# Paths are text here, as for the script.
# ruff: noqa: PTH103, PTH108, PTH116, PTH120
from __future__ import annotations

import os
import sys
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from objrun.protocol.chain import Chain
from objrun.protocol.endings import unwind_on_sigterm
from objrun.protocol.heartbeat import Heartbeat
from objrun.protocol.live import run_scheme
from objrun.runs.finding import find_version
from objrun.submission.folders import remove_old, work_folder
from objrun.submission.job import Job
from objrun.submission.looks import Looks
from objrun.submission.slots import slot
from objrun.workspace import Workspace

if TYPE_CHECKING:
    from collections.abc import Iterator

    from objrun.run import Run


def here() -> None:
    """Launch the job that standard input holds, and return when its run has ended."""
    launch(Job.from_text(sys.stdin.read()))


def alone(text: str) -> None:
    """Launch a job in a process without a terminal: what goes wrong is told beside its folder."""
    job = Job.from_text(text)
    told = f"{work_folder(job.run_id)}.err"
    with suppress(OSError):  # where nothing can be kept, the run says what is wrong
        os.makedirs(os.path.dirname(told), exist_ok=True, mode=0o700)
        os.dup2(os.open(told, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600), 2)
    launch(job)
    with suppress(OSError):
        if not os.stat(told).st_size:
            os.unlink(told)
    remove_old()


def launch(job: Job) -> None:
    """Do all that a launcher does, and return when the run has ended."""
    unwind_on_sigterm()
    workspace = Workspace(job.url, job.storage_options)
    try:
        with _turn(job, workspace) as is_free:
            if is_free:
                from objrun.submission.launch import Launch

                Launch(job, workspace.get_run(job.run_id)).do()
    except BaseException as error:
        give_up(job, workspace.get_run(job.run_id), error)
        raise


@contextmanager
def _turn(job: Job, workspace: Workspace) -> Iterator[bool]:
    """Wait for a slot, with signs of life of the run; False where it is not wanted any more."""
    if not job.slots:
        yield True
        return
    version = find_version(workspace, job.run_id)
    experiment = version.state.experiment if version.state else ""
    chain = Chain(workspace.reading(), run_scheme(experiment, job.run_id), version)
    heartbeat = Heartbeat(workspace.writing, experiment, job.run_id)
    heartbeat.begin()
    with slot(job.queue, job.slots, Looks(lambda: chain.refresh().status).is_wanted) as is_free:
        heartbeat.end()
        yield is_free


def give_up(job: Job, run: Run, error: BaseException) -> None:
    """Have a run that is still Queued fail, unless another launcher has it."""
    from objrun.runs.causes import error_of

    if run.begin_work(work_folder(job.run_id)):
        # SIGTERM has a code of its own.
        code = "NotLaunched" if isinstance(error, Exception) else None
        run.end_work("Failed", error_of(error, code))
