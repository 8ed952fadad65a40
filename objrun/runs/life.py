"""The life of a run: its status, how it ends, fails and is waited for."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

from objrun import clock
from objrun.elsewhere import Elsewhere
from objrun.errors import (
    FlushTimeoutError,
    ObjrunError,
    PointsLostError,
    StatusWarning,
)
from objrun.format.checking import format_time
from objrun.format.keys import run_folder
from objrun.format.states import TERMINAL
from objrun.logs import logger
from objrun.protocol.endings import EXIT_PATIENCE, sigterm_held, unwind_on_sigterm
from objrun.protocol.heartbeat import LOST, is_expected, is_late
from objrun.protocol.limits import FLUSH_PATIENCE
from objrun.protocol.live import list_feed
from objrun.protocol.updates import SetStatus
from objrun.runs.annotations import RunAnnotations
from objrun.runs.causes import error_of
from objrun.runs.files import RunFiles
from objrun.runs.folder import current, go_back
from objrun.runs.media import RunMedia
from objrun.runs.open import OPEN
from objrun.runs.sampling import RunSampling

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime
    from types import TracebackType
    from typing import Self

    from objrun.format.states import RunState


class RunLife(RunMedia, RunAnnotations, RunFiles, Elsewhere, RunSampling):
    """The part of `Run` that begins and ends it."""

    _attempt: int
    """The attempt that this handle belongs to: that of the state it was opened with."""

    @property
    def state(self) -> RunState:
        """All that this handle knows last of the run's chain, as one frozen value."""
        return self._chain.state

    _lost: bool
    _seen: datetime
    _came_from: str | None = None

    @property
    def status(self) -> str:
        """The status that this handle knows last; NotResponding if the run was lost by then."""
        state = self._chain.state
        return LOST if self._lost and is_expected(state) else state.status

    def get_status(self) -> str:
        """Return the status, read again.

        NotResponding: it is still to run, and has given no sign of life for 15 minutes. Nobody has
        stored that, and it may come back. To find out costs one LIST more, now and then.
        """
        self._look()
        return self.status

    @property
    def portal_url(self) -> str:
        """Where the run is in its store; there is no portal."""
        run = run_folder(self._chain.state.run_id)
        return f"{self._experiment.workspace.url}/{run}".rstrip("/")

    def get_portal_url(self) -> str:
        """Return where the run is in its store; there is no portal.

        >>> run.get_portal_url() == f"{ws.url}/runs/{run.id}"
        True
        """
        return self.portal_url

    def get_detailed_status(self) -> dict[str, Any]:
        """Return `{"status": ..., "details": None}`, read again."""
        return {"status": self.get_status(), "details": None}

    def get_details(self) -> dict[str, Any]:
        """Return all about the run as Azure ML's dict: runId, status, startTimeUtc, error, ...

        >>> run.get_details()["status"]
        'Running'
        """
        return self._details(self._look())

    def start(self) -> None:
        """Set the status to Running; nothing happens, with a warning, if the run has ended.

        `Run.resume` goes on with a run that has ended.
        """
        self._move("Running")

    def complete(self, _set_status: bool = True) -> None:
        """Make all metrics durable, then set the status to Completed. The first end stays.

        Where they cannot be made durable the run goes on: the error says why, and `complete()` can
        be called again. Only after PointsLostError, which is for good, the run has ended.
        """
        if _set_status:
            self._end("Completed", PointsLostError)
        else:
            self.stop_sampling()
            self.flush()

    def fail(
        self,
        error_details: str | BaseException | None = None,
        error_code: str | None = None,
        _set_status: bool = True,
    ) -> None:
        """Make all metrics durable, then set the status to Failed and keep the error.

        `error_details` is a text or an exception, else TypeError. The run is failed also where its
        metrics cannot be made durable, which is raised after that.
        """
        error = error_of(error_details, error_code)
        if _set_status:
            self._end("Failed", ObjrunError, error)
        else:
            self.stop_sampling()
            self.flush()

    def cancel(self) -> None:
        """Set the status to Canceled, then make all metrics durable."""
        self._move("Canceled")
        self._close()
        self._capture()

    def delete(self) -> None:
        """Put the run and all runs below it into the trash: lists and frames leave them out.

        They are found by id until `objrun gc` purges them, a month later; `restore()` brings them
        back. What is logged to them meanwhile is kept, and purged with them.

        >>> child = run.child_run("given up")
        >>> child.delete()
        >>> child.id in [each.id for each in run.get_children()]
        False
        """
        from objrun.upkeep.trash import DELETED, mark_run

        mark_run(self._experiment.workspace.writing(), self._chain, DELETED)

    def restore(self) -> None:
        """Take the run and all runs below it out of the trash; RunNotFoundError if purged."""
        from objrun.upkeep.trash import ACTIVE, mark_run

        mark_run(self._experiment.workspace.writing(), self._chain, ACTIVE)

    def _look(self) -> RunState:
        """Read the run again, also where it has ended, and see whether it is lost."""
        # It may have been resumed.
        state = self._chain.refresh()
        here = self._spooled or self._heartbeat.is_beating
        self._lost = not here and self._is_silent(state)
        return state

    def _is_silent(self, state: RunState) -> bool:
        """Return whether the last sign of life is old, by this machine's clock if it is ahead.

        While the last one that is known is young, nothing is listed.
        """
        if not is_expected(state):
            return False
        now = clock.now()
        if is_late(self._seen, now):
            seen = list_feed(self._experiment.workspace.reading(), state.experiment).seen
            now = max([now, *seen.values()])
            self._seen = seen.get(state.run_id, self._chain.head.written)
        return is_late(self._seen, now)

    def _details(self, state: RunState) -> dict[str, Any]:
        return details_of(state) | {"status": self.status}

    def _begin(self) -> None:
        """Say that the run is alive from now on, and see to its end where the process fails."""
        self._heartbeat.begin()
        OPEN.add(self)
        self.sample_as_asked()

    def fail_at_exit(self, cause: BaseException) -> None:
        """Fail because the process ends; what could not be flushed by now stays as it is."""
        try:
            self._end("Failed", ObjrunError, error_of(cause, None), 0.0)
        except Exception as error:  # noqa: BLE001 - the top of a thread is an edge
            logger().error("run %s: its end is not recorded: %r", self._chain.state.run_id, error)

    def _end(
        self,
        status: str,
        despite: type[ObjrunError],
        error: Mapping[str, Any] | None = None,
        patience: float = FLUSH_PATIENCE,
    ) -> None:
        """Flush and commit the end, also where the flush raises `despite`."""
        try:
            self._close(patience)
        except despite:
            self._move(status, error)
            raise
        self._capture()
        self._move(status, error)

    def _move(self, status: str, error: Mapping[str, Any] | None = None) -> None:
        state = self._commit(SetStatus(status, clock.now(), error, self._attempt))
        is_late = state.attempt > self._attempt
        if is_late or state.status in TERMINAL:
            self._heartbeat.end()
            OPEN.discard(self)
        if is_late:
            message = f"run {state.run_id} was resumed by somebody else: {status} is ignored"
            warnings.warn(message, StatusWarning, stacklevel=4)
        elif state.status != status:
            message = f"run {state.run_id} is {state.status} and stays so: {status} is ignored"
            warnings.warn(message, StatusWarning, stacklevel=4)
        elif status == "Completed":
            self._experiment.workspace.run_ended(state.experiment, state.number)

    def _close(self, patience: float = FLUSH_PATIENCE) -> None:
        self.stop_sampling()
        if self._writer is None:
            return
        try:
            self._writer.close(patience)
        except FlushTimeoutError as error:
            if self._experiment.workspace.spool is None:
                raise
            try:
                self._writer.rescue()
            except ObjrunError:
                raise error from None

    def wait_for_completion(
        self,
        show_output: bool = False,
        wait_post_processing: bool = False,
        raise_on_error: bool = True,
    ) -> dict[str, Any]:
        """Return `get_details()` when the run has ended; a failed one raises, if `raise_on_error`.

        Looks after half a second, then ever more rarely, at least every 15 seconds, or every 3 with
        `show_output`, which prints the log of a submitted script while it grows. Raises
        ActivityFailedException, and ExperimentExecutionException on Ctrl-C. Where the run is lost a
        StatusWarning says so, and the wait goes on: it may come back, or `objrun reap` ends it.
        """
        from objrun.runs.following import Follower, wait

        log = Follower(self._readable(), self.id) if show_output else None
        wait(self, self._last_statuses(wait_post_processing), log, raise_on_error=raise_on_error)
        return self.get_details()

    def _last_statuses(self, wait_post_processing: bool) -> Sequence[str]:
        """Return the statuses in which nobody waits any more."""
        return TERMINAL if wait_post_processing else (*TERMINAL, "CancelRequested", "Finalizing")

    def __enter__(self) -> Self:
        """Return the run itself; SIGTERM ends the block as an exception does."""
        unwind_on_sigterm()
        self._came_from = current()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Complete, or fail if the block raised; `sys.exit()` and `sys.exit(0)` complete.

        The exception of the block is what propagates: one of the store is then only logged. The
        working directory is that of before again.
        """
        go_back(self._came_from)
        if error is None or (isinstance(error, SystemExit) and error.code in (None, 0)):
            self._leave("Completed", PointsLostError)
            return
        with sigterm_held():
            try:
                self._leave("Failed", ObjrunError, error_of(error, None), EXIT_PATIENCE)
            except ObjrunError as problem:
                logger().error("run %s: %s", self._chain.state.run_id, problem)

    def _leave(
        self,
        status: str,
        despite: type[ObjrunError],
        error: Mapping[str, Any] | None = None,
        patience: float = FLUSH_PATIENCE,
    ) -> None:
        """End as the block did, quietly where the run was ended inside the block."""
        if self._chain.state.status in TERMINAL:
            self._close(patience)
        else:
            self._end(status, despite, error, patience)


def details_of(state: RunState) -> dict[str, Any]:
    """Return all about a run in the shape of Azure ML; what is not set is left out."""
    found: dict[str, Any] = {
        "runId": state.run_id,
        "target": "local",
        "status": state.status,
        "startTimeUtc": format_time(state.started),
        "endTimeUtc": format_time(state.ended),
        "error": {"error": dict(state.error)} if state.error else None,
        "properties": dict(state.properties),
        "inputDatasets": [],
        "outputDatasets": [],
        "logFiles": {},
    }
    return {name: value for name, value in found.items() if value is not None}
