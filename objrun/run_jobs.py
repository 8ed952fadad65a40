"""Runs that were submitted: what their launchers say, and what is asked of them."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any, Final

from objrun import clock
from objrun.errors import ExperimentExecutionException
from objrun.format.states import TERMINAL
from objrun.life import RunLife
from objrun.protocol.settle import insist
from objrun.protocol.updates import AddProperties, SetStatus

if TYPE_CHECKING:
    from collections.abc import Mapping

    from objrun.protocol.log_writer import LogWriter
    from objrun.run import Run

SCRIPT_RUN: Final = "azureml.scriptrun"
"""The type of runs that were submitted."""

TARGET: Final = "objrun.target"
"""The property with the name of the compute target; each run that was submitted has it."""

DEFINITION: Final = "objrun.definition"
"""The property with what was submitted, as JSON."""

COMMAND: Final = "objrun.command"
"""The property with the command line."""

LAUNCHER: Final = "objrun.launcher"
"""The property that says which process launches the run, and where: JSON, and the one claim."""

PATIENCE: Final = 20.0
"""Seconds for which a log is tried to be stored before it goes to the spool."""


class RunJobs(RunLife):
    """The part of `Run` that is submitted, and submits."""

    def submit_child(
        self, config: Any, tags: Mapping[str, Any] | None = None, **kwargs: Any
    ) -> Run:
        """Submit a child of this run and return it at once; see `Experiment.submit`."""
        from objrun.submission.submit import submit

        return submit(self._experiment, config, tags, self._chain.state, **kwargs)

    def clean(self) -> list[str]:
        """Remove the work folder of a run that was submitted on this machine; say what was done.

        Raises ExperimentExecutionException where there is none here, or the run still works in it.
        """
        launcher = json.loads(self.get_properties().get(LAUNCHER) or "{}")
        folder, host = str(launcher.get("folder", "")), launcher.get("host")
        run_id = self._chain.state.run_id
        here = host == os.uname().nodename and os.path.basename(folder) == run_id  # noqa: PTH119
        if not here or not os.path.isdir(folder):  # noqa: PTH112
            message = f"run {run_id} has no work folder on this machine: nothing to clean"
            raise ExperimentExecutionException(message)
        if self._chain.state.status not in TERMINAL:
            message = f"run {run_id} is {self.status}, and works in {folder}: cancel it first"
            raise ExperimentExecutionException(message)
        import shutil

        shutil.rmtree(folder)
        return [f"removed {folder}"]

    # -- what a launcher says

    def begin_work(self, folder: str) -> bool:
        """Have the run Starting, in a work folder; False where it is not for this launcher.

        It may have been canceled, or another launcher may have it.
        """
        if self.get_status() != "Queued":
            return False
        own = {"folder": folder, "host": os.uname().nodename, "pid": os.getpid()}
        value = json.dumps({**own, "id": clock.random_hex(8)})
        held = self._record(lambda chain: self._claim_property(chain.store, LAUNCHER, value))
        if held != value:
            return False
        said = SetStatus("Starting", clock.now(), None, self._attempt)
        noted = AddProperties({LAUNCHER: value})
        state = self._record(lambda chain: chain.commit(noted, said))
        if state.status != "Starting":
            return False
        self._heartbeat.begin()
        return True

    def go_on(self, status: str) -> None:
        """Have the run Running or Finalizing, unless it is to be canceled."""
        self._commit(SetStatus(status, clock.now(), None, self._attempt))

    def end_work(self, status: str, error: Mapping[str, str] | None = None) -> None:
        """Have the run ended."""
        self._move(status, error)

    def keep_log(self, log: LogWriter) -> None:
        """Store what waits in a log; in the spool, where the store fails for long."""
        self._record(lambda chain: insist(lambda: log.flush(chain.store), patience=PATIENCE))
