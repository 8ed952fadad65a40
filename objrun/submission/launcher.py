"""The launcher: one process for one submitted run, from its place in the queue to its last status.

python -c "from objrun.submission import launcher; launcher.here()" < job.json
"""

# Paths are text here: they go into the environment of the script.
# ruff: noqa: PTH103, PTH108, PTH116, PTH118, PTH120
from __future__ import annotations

import json
import os
import shutil
import sys
import tempfile
from contextlib import contextmanager, nullcontext, suppress
from typing import TYPE_CHECKING, Any, Final

from objrun import clock
from objrun.causes import error_of
from objrun.context import OPTIONS, RUN_ID, URL
from objrun.errors import ObjrunError
from objrun.following import STREAM
from objrun.format.states import TERMINAL
from objrun.logs import logger
from objrun.outputs import capture, watch
from objrun.protocol.endings import unwind_on_sigterm
from objrun.protocol.log_writer import LogWriter
from objrun.secret import PREFIX, TOLD, is_secret_name
from objrun.submission.endings import CANCELED, TOO_LONG, Ending, ending_of
from objrun.submission.folders import work_folder
from objrun.submission.group import Group
from objrun.submission.job import Job
from objrun.submission.pump import Pump, Secrets
from objrun.submission.slots import slot
from objrun.workspace import Workspace

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from objrun.run import Run

FIRST_LOOK: Final = 0.5
"""Seconds until the first look whether the run is to be canceled; each later wait is longer."""

SLOWEST_LOOK: Final = 5.0
"""Seconds between two such looks at most: one GET each, 720 an hour."""

_TICK: Final = 0.02


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


def launch(job: Job) -> None:
    """Do all that a launcher does, and return when the run has ended."""
    unwind_on_sigterm()
    run = run_of(job)
    looks = Looks(run)
    in_turn = (
        slot(job.queue, job.slots, looks.is_wanted) if job.slots else nullcontext(enter_result=True)
    )
    try:
        with in_turn as is_free:
            if is_free:
                _Launch(job, run, looks).do()
    except BaseException as error:
        give_up(job, run, error)
        raise


def run_of(job: Job) -> Run:
    """Return the run that a job is to launch."""
    return Workspace(job.url, job.storage_options).get_run(job.run_id)


def give_up(job: Job, run: Run, error: BaseException) -> None:
    """Have a run that is still Queued fail, unless another launcher has it."""
    if run.begin_work(work_folder(job.run_id)):
        # SIGTERM has a code of its own.
        code = "NotLaunched" if isinstance(error, Exception) else None
        run.end_work("Failed", error_of(error, code))


class Looks:
    """Asks now and then whether somebody has canceled the run."""

    def __init__(self, run: Run) -> None:
        """Look for the first time after FIRST_LOOK seconds."""
        self._run = run
        self._pause = FIRST_LOOK
        self._next = clock.monotonic() + FIRST_LOOK
        self._is_wanted = True

    def is_wanted(self) -> bool:
        """Return whether the run is to go on, as far as is known."""
        if self._is_wanted and clock.monotonic() >= self._next:
            try:
                self._is_wanted = self._run.get_status() not in (*TERMINAL, "CancelRequested")
            except ObjrunError as error:
                logger().info("run %s is not read: %s", self._run.id, error.message)
            self._pause = min(SLOWEST_LOOK, 1.2 * self._pause)
            self._next = clock.monotonic() + self._pause
        return self._is_wanted


class _Launch:
    """One run on its way from Queued to its end."""

    def __init__(self, job: Job, run: Run, looks: Looks) -> None:
        self.job, self.run, self.looks = job, run, looks
        self.folder = work_folder(job.run_id)

    def do(self) -> None:
        """Launch the run, unless it is canceled already or another launcher has it."""
        if not self.run.begin_work(self.folder):
            return
        try:
            ending = self._worked()
        except BaseException as error:
            self.run.end_work("Failed", error_of(error, None))
            raise
        self.run.end_work(*ending)

    def _worked(self) -> Ending:
        with self._source() as folder, tempfile.TemporaryDirectory(prefix="objrun-") as private:
            # As on Azure ML both are there, so that scripts write into them without further ado.
            outputs = watch([os.path.join(folder, name) for name in ("outputs", "logs")])
            secrets = Secrets(private)
            pump = Pump(LogWriter(self.run.id, STREAM), secrets, self.run.keep_log)
            for value in secrets_of(self.job.storage_options):
                pump.masker.add(value)
            environment = self._environment(secrets)
            command = self._command(environment)
            try:
                group = Group.start(command, folder, environment, pump.output)
            except OSError as error:
                return Ending("Failed", {"code": "UserError", "message": f"{command[0]}: {error}"})
            pump.start()
            try:
                self.run.go_on("Running")
                reason = self._waited(group)
            finally:
                code = group.end(self.job.grace)
                tail = pump.finish()
                secrets.close()
            self.run.go_on("Finalizing")
            if outputs:
                capture(self.run.id, outputs.made(), self.run.upload_file)
            return ending_of(code, reason, tail, self.job.limit)

    def _waited(self, group: Group) -> str:
        """Wait until the program has ended, or is to be ended; return why, "" if by itself."""
        limit = float("inf") if self.job.limit is None else self.job.limit
        deadline = clock.monotonic() + limit
        pause = _TICK
        while group.exit_code() is None:
            if clock.monotonic() > deadline:
                return TOO_LONG
            if not self.looks.is_wanted():
                return CANCELED
            clock.sleep(pause)
            pause = min(10 * _TICK, 1.05 * pause)
        return ""

    @contextmanager
    def _source(self) -> Iterator[str]:
        """Have the snapshot in a new folder."""
        try:
            yield self.run.unpack_snapshot(self.folder, self.job.snapshot)
        finally:
            if not self.job.keeps_folder:
                shutil.rmtree(self.folder, ignore_errors=True)

    def _environment(self, secrets: Secrets) -> dict[str, str]:
        job = self.job
        python = job.python or sys.executable
        own = {
            RUN_ID: job.run_id,
            URL: job.url,
            OPTIONS: json.dumps(job.storage_options),
            TOLD: secrets.path,
            "PYTHONUNBUFFERED": "1",
            "PATH": os.pathsep.join([os.path.dirname(python), os.environ.get("PATH", os.defpath)]),
        }
        return {**os.environ, **own}

    def _command(self, environment: Mapping[str, str]) -> list[str]:
        first, *arguments = self.job.command
        program = (self.job.python or sys.executable) if first == "python" else first
        return [shutil.which(program, path=environment["PATH"]) or program, *arguments]


def secrets_of(options: Mapping[str, Any]) -> Iterator[str]:
    """Yield the secrets that this process has: of the store, and for scripts to ask for."""
    yield from (value for name, value in os.environ.items() if name.startswith(PREFIX))
    for name, value in options.items():
        if isinstance(value, dict):
            yield from secrets_of(value)
        elif isinstance(value, str) and is_secret_name(name):
            yield value
            # Of a connection string each secret, too.
            pairs = (part.partition("=") for part in value.split(";") if ";" in value)
            yield from (part for key, _, part in pairs if is_secret_name(key))
