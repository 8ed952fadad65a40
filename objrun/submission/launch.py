"""What a launcher does once it is its turn: from Starting to the last status of the run."""

# Paths are text here: they go into the environment of the script.
# ruff: noqa: PTH118, PTH120
from __future__ import annotations

import json
import os
import shutil
import sys
import tempfile
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

from objrun import clock
from objrun.context import OPTIONS, RUN_ID, URL
from objrun.protocol.log_writer import LogWriter
from objrun.runs.causes import error_of
from objrun.runs.following import STREAM
from objrun.runs.jobs import OUTPUT
from objrun.runs.outputs import capture, watch
from objrun.secret import PREFIX, TOLD, is_secret_name
from objrun.submission.endings import CANCELED, TOO_LONG, Ending, ending_of
from objrun.submission.folders import hold, remove, work_folder
from objrun.submission.group import Group
from objrun.submission.looks import Looks
from objrun.submission.pump import Pump, Secrets
from objrun.submission.slots import close

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from objrun.run import Run
    from objrun.submission.job import Job

OWN: Final = "logs/std_log.script.txt"
"""The name of a file that a script has left as OUTPUT, which is what it has printed."""

_TICK: Final = 0.02


class Launch:
    """One run on its way from Queued to its end."""

    def __init__(self, job: Job, run: Run) -> None:
        """Take over the run that `job` is of."""
        self.job, self.run = job, run
        self.looks = Looks(run.get_status)
        self.folder = work_folder(job.run_id)
        self._is_needless = False

    def do(self) -> None:
        """Launch the run, unless it is canceled already or another launcher has it."""
        if not self.run.begin_work(self.folder, self.job.python):
            return
        try:
            with self._source() as folder:
                ending = self._worked(folder)
        except BaseException as error:
            self.run.end_work("Failed", error_of(error, None))
            raise
        self.run.end_work(*ending)

    def _worked(self, folder: str) -> Ending:
        whole = watch(folder)
        # As on Azure ML both are there, so that scripts write into them without further ado.
        outputs = watch([os.path.join(folder, name) for name in ("outputs", "logs")])
        log = LogWriter(self.run.id, STREAM)
        with tempfile.TemporaryDirectory(prefix="objrun-") as private:
            secrets = Secrets(private)
            pump = Pump(log, secrets, self.run.keep_log)
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
        ending = ending_of(code, reason, tail, self.job.limit)
        made = outputs.made() if outputs else {}
        is_stored = capture(self.run.id, self._named(made, log), self.run.upload_file)
        left = {*whole.made().values()} - {*made.values()} if whole else set()
        is_stored &= all("/__pycache__/" in path for path in left)
        self._is_needless = is_stored and ending.status == "Completed"
        return ending

    def _named(self, made: dict[str, str], log: LogWriter) -> dict[str, str]:
        """Return files by names under which none hides what was printed, which says so."""
        if OUTPUT not in made:
            return made
        log.add(f"\n[objrun: this is {OUTPUT}, that of the script is {OWN}]\n".encode())
        self.run.keep_log(log)
        return {OWN if name == OUTPUT else name: path for name, path in made.items()}

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
        """Have the snapshot in a new folder; it stays if there is in it what is not stored."""
        held = hold(self.folder)
        try:
            yield self.run.unpack_snapshot(self.folder, self.job.snapshot)
        finally:
            if self._is_needless or not self.job.keeps_folder:
                remove(self.folder)
            elif held is not None:
                os.utime(held)
            close(held)

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
