"""The life of a run: its status, how it ends, fails and is waited for."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

from objrun import clock
from objrun.annotations import RunAnnotations
from objrun.errors import (
    ActivityFailedException,
    ExperimentExecutionException,
    FlushTimeoutError,
    ObjrunError,
    PointsLostError,
    StatusWarning,
)
from objrun.files import RunFiles
from objrun.format.checking import format_time
from objrun.format.states import TERMINAL
from objrun.logs import logger
from objrun.metrics import RunMetrics
from objrun.protocol.endings import EXIT_PATIENCE, sigterm_held, unwind_on_sigterm
from objrun.protocol.limits import FLUSH_PATIENCE
from objrun.protocol.updates import SetStatus
from objrun.secret import redact

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from types import TracebackType
    from typing import Self

    from objrun.format.states import RunState
    from objrun.protocol.chain import Chain

DEFAULT_ERROR = "UserError"
"""The code of an error that names none."""

_FIRST_LOOK = 0.5
_SLOWEST_LOOK = 15.0


class RunLife(RunMetrics, RunAnnotations, RunFiles):
    """The part of `Run` that begins and ends it."""

    _attempt: int
    """The attempt that this handle belongs to: that of the state it was opened with."""

    @property
    def state(self) -> RunState:
        """All that this handle knows last of the run's chain, as one frozen value."""
        return self._chain.state

    @property
    def status(self) -> str:
        """The status that this handle knows last."""
        return self._chain.state.status

    def get_status(self) -> str:
        """Return the status, read again."""
        return self._fresh().status

    def get_detailed_status(self) -> dict[str, Any]:
        """Return `{"status": ..., "details": None}`, read again."""
        return {"status": self.get_status(), "details": None}

    def get_details(self) -> dict[str, Any]:
        """Return all about the run as Azure ML's dict: runId, status, startTimeUtc, error, ...

        >>> run.get_details()["status"]
        'Running'
        """
        return details_of(self._fresh())

    def start(self) -> None:
        """Set the status to Running; nothing happens, with a warning, if the run has ended.

        `Run.resume` goes on with a run that has ended.
        """
        self._move("Running")

    def complete(self) -> None:
        """Make all metrics durable, then set the status to Completed. The first end stays.

        Where they cannot be made durable the run goes on: the error says why, and `complete()` can
        be called again. Only after PointsLostError, which is for good, the run has ended.
        """
        self._end("Completed", PointsLostError)

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
        from objrun.trash import DELETED, mark_run

        mark_run(self._experiment.workspace.writing(), self._chain, DELETED)

    def restore(self) -> None:
        """Take the run and all runs below it out of the trash; RunNotFoundError if purged."""
        from objrun.trash import ACTIVE, mark_run

        mark_run(self._experiment.workspace.writing(), self._chain, ACTIVE)

    def _fresh(self) -> RunState:
        # Also where it has ended: it may have been resumed.
        return self._chain.refresh()

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
        if state.attempt > self._attempt:
            message = f"run {state.run_id} was resumed by somebody else: {status} is ignored"
            warnings.warn(message, StatusWarning, stacklevel=4)
        elif state.status != status:
            message = f"run {state.run_id} is {state.status} and stays so: {status} is ignored"
            warnings.warn(message, StatusWarning, stacklevel=4)
        elif status == "Completed":
            self._experiment.workspace.run_ended(state.experiment, state.number)

    def _close(self, patience: float = FLUSH_PATIENCE) -> None:
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

        Looks after half a second, then ever more rarely, at least every 15 seconds. Raises
        ActivityFailedException, and ExperimentExecutionException on Ctrl-C.
        """
        ends = TERMINAL if wait_post_processing else (*TERMINAL, "CancelRequested", "Finalizing")
        wait(self._chain, ends, show_output=show_output, raise_on_error=raise_on_error)
        return details_of(self._chain.state)

    def __enter__(self) -> Self:
        """Return the run itself; SIGTERM ends the block as an exception does."""
        unwind_on_sigterm()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Complete, or fail if the block raised; `sys.exit()` and `sys.exit(0)` complete.

        The exception of the block is what propagates: one of the store is then only logged.
        """
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


def error_of(details: object, code: str | None) -> dict[str, str]:
    """Return the error of a failed run: code and message; TypeError for other details.

    >>> error_of(ValueError("bad"), None)
    {'code': 'UserError', 'message': 'ValueError: bad'}
    """
    error = {"code": _readable(str(code or DEFAULT_ERROR))}
    if details is None:
        return error
    if isinstance(details, BaseException):
        text = f"{type(details).__name__}: {details}"
    elif isinstance(details, str):
        text = details
    else:
        message = f"error_details is text or an exception, not {type(details).__name__}"
        raise TypeError(message)
    return {**error, "message": _readable(text)}


def _readable(text: str) -> str:
    """Escape what UTF-8 cannot hold: a failed run must be recorded whatever its error says.

    Secrets that were asked for are taken out: errors of clients often show them.
    """
    return redact(text).encode("utf-8", "backslashreplace").decode()


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


def wait(
    chain: Chain[RunState], ends: Sequence[str], *, show_output: bool, raise_on_error: bool
) -> None:
    """Return when the run has one of the statuses `ends`."""
    if show_output:
        print(f"RunId: {chain.state.run_id}")
    pause = _FIRST_LOOK
    try:
        while chain.state.status not in ends and chain.refresh().status not in ends:
            clock.sleep(pause)
            pause = min(_SLOWEST_LOOK, pause * 1.5)
    except KeyboardInterrupt:
        message = f"waiting for run {chain.state.run_id} was interrupted; the run goes on"
        raise ExperimentExecutionException(message) from None
    state = chain.state
    if show_output:
        print(
            f"\nExecution Summary\n=================\nRunId: {state.run_id}\nStatus: {state.status}"
        )
    if state.status == "Failed" and raise_on_error:
        error = dict(state.error or {})
        message = f"run {state.run_id} failed: {error.get('message') or error.get('code')}"
        raise ActivityFailedException(message)
