"""Runs that were submitted: what their launchers say, and what is asked of them."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from objrun import clock
from objrun.errors import (
    ExperimentExecutionException,
    FileConflictError,
    UserErrorException,
)
from objrun.format.log_keys import FOLDER
from objrun.format.states import TERMINAL
from objrun.protocol.heartbeat import LOST
from objrun.protocol.settle import insist
from objrun.protocol.updates import AddProperties, SetStatus
from objrun.runs.following import STREAM
from objrun.runs.life import RunLife

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from objrun.format.states import RunState
    from objrun.protocol.chain import Chain
    from objrun.protocol.log_writer import LogWriter
    from objrun.query.filters import Filter
    from objrun.run import Run
    from objrun.workspace import Workspace

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

LOGS: Final = ("logs/", "azureml-logs/", "user_logs/")
"""Folders whose files are logs."""

OUTPUT: Final = f"{FOLDER}{STREAM}"
"""The file with all that a submitted script prints."""

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

    def _uploaded(self, files: Mapping[str, Any], *, overwrite: bool) -> Any:
        """Store files, but none that would hide what the script prints."""
        if OUTPUT in files and TARGET in self._chain.state.properties:
            message = f"{OUTPUT} is what the script prints: upload the file under another name"
            raise FileConflictError(message)
        return super()._uploaded(files, overwrite=overwrite)

    def cancel(self) -> None:
        """Have the run canceled. One that this process works on is Canceled at once.

        One that was submitted and is Queued is, too. One that runs is CancelRequested: its launcher
        sees that within 5 seconds, ends the script with all that it started, by SIGTERM and then by
        SIGKILL, and the run is Canceled. Any process that may write to the store can do this.
        """
        if TARGET not in self._chain.state.properties:
            super().cancel()
            return
        is_asleep = self.get_status() in ("NotStarted", "Queued", LOST)
        self._move("Canceled" if is_asleep else "CancelRequested")

    def get_details(self) -> dict[str, Any]:
        """Return all about the run as Azure ML's dict: runId, status, startTimeUtc, error, ...

        `runDefinition` is what was submitted. `logFiles` maps the names of logs to where they are,
        which costs two LISTs.

        >>> run.get_details()["status"]
        'Running'
        """
        from objrun.runs.artifacts import places_of

        found = super().get_details()
        properties = found["properties"]
        if DEFINITION in properties:
            found["runDefinition"] = json.loads(properties[DEFINITION])
            found["target"] = properties.get(TARGET)
        places = places_of(self._readable(), self.id)
        url = self._experiment.workspace.url
        found["logFiles"] = {name: f"{url}/{places[name].key}" for name in _logs_among(places)}
        return found

    def get_details_with_logs(self) -> dict[str, Any]:
        """Return `get_details()` with the texts of logs in the place of where they are."""
        found = self.get_details()
        for name in found["logFiles"]:
            with self.open(name) as file:
                found["logFiles"][name] = file.read().decode("utf-8", "replace")
        return found

    def get_all_logs(self, destination: str | os.PathLike[str] | None = None) -> list[str]:
        """Write all logs below a folder, by default `assets/<id>`; return the paths of the files.

        Logs are all files in `logs/`, that of a script which still runs as far as it is by now.
        Raises UserErrorException where `destination` is a file.
        """
        folder = Path(destination or Path("assets", self.id)).absolute()
        if folder.exists() and not folder.is_dir():
            message = f"{folder} is a file: name a folder to write logs to"
            raise UserErrorException(message)
        folder.mkdir(parents=True, exist_ok=True)
        names = _logs_among(self.get_file_names())
        for name in names:
            self.download_file(name, folder / name)
        return [str(folder / name) for name in names]

    @staticmethod
    def list_by_compute(
        compute: Any,
        type: str | None = None,
        tags: Filter = None,
        properties: Filter = None,
        status: str | None = None,
        workspace: Workspace | None = None,
    ) -> Iterator[Run]:
        """Yield the runs that were submitted to a compute target, of all experiments.

        `compute`: a target, or its name. Those that have not ended, unless a `status` is asked for.
        `workspace`: by default that of the environment, `Workspace()`.
        """
        from objrun.run import Run
        from objrun.workspace import Workspace

        name = compute if isinstance(compute, str) else compute.name
        for experiment in (workspace or Workspace()).experiments.values():
            listed = Run.list(experiment, type, tags, properties, status, include_children=True)
            for run in listed:
                is_there = run.properties.get(TARGET) == name
                if is_there and (status or run.status not in TERMINAL):
                    yield run

    def _last_statuses(self, wait_post_processing: bool) -> Sequence[str]:
        # A launcher is quick, and only the last status says whether the script has failed.
        is_launched = TARGET in self._chain.state.properties
        return super()._last_statuses(wait_post_processing or is_launched)

    def clean(self) -> list[str]:
        """Remove the work folder of a run that was submitted on this machine; say what was done.

        Of a run that has completed it is gone already, unless there is in it what is not stored.
        Raises ExperimentExecutionException where the run did not work here, or still works.
        """
        launcher = json.loads(self.get_properties().get(LAUNCHER) or "{}")
        folder, host = str(launcher.get("folder", "")), launcher.get("host")
        run_id = self._chain.state.run_id
        if host != os.uname().nodename or os.path.basename(folder) != run_id:  # noqa: PTH119
            message = f"run {run_id} has no work folder on this machine: nothing to clean"
            raise ExperimentExecutionException(message)
        if self._chain.state.status not in TERMINAL:
            message = f"run {run_id} is {self.status}, and works in {folder}: cancel it first"
            raise ExperimentExecutionException(message)
        from objrun.submission.folders import remove

        is_there = os.path.isdir(folder)  # noqa: PTH112
        remove(folder)
        return [f"removed {folder}"] if is_there else []

    # -- what a launcher says

    def begin_work(self, folder: str, python: str | None = None) -> bool:
        """Have the run Starting, in a work folder; False where it is not for this launcher.

        It may have been canceled, or another launcher may have it. Recorded is the environment of
        the interpreter `python`, by default of this one.
        """
        # A machine that was asleep has given no signs of life, and is back.
        if self._chain.refresh().status != "Queued":
            return False
        own = {"folder": folder, "host": os.uname().nodename, "pid": os.getpid()}
        value = json.dumps({**own, "id": clock.random_hex(8)})
        held = self._record(lambda chain: self._claim_property(chain.store, LAUNCHER, value))
        if held != value:
            return False
        said = SetStatus("Starting", clock.now(), None, self._attempt)

        def begin(chain: Chain[RunState]) -> RunState:
            recorded = self._experiment.workspace.recorder.environment(chain.store, python)
            for key, found in recorded.items():
                self._claim_property(chain.store, key, found)
            return chain.commit(AddProperties({LAUNCHER: value, **recorded}), said)

        state = self._record(begin)
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


def _logs_among(names: Iterable[str]) -> list[str]:
    return [name for name in names if name.startswith(LOGS)]
