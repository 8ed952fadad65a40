"""Wait for a run, and show what it prints while it prints it."""

from __future__ import annotations

import codecs
import re
import warnings
from typing import TYPE_CHECKING, Final

from objrun import clock
from objrun.errors import (
    ActivityFailedException,
    ExperimentExecutionException,
    StatusWarning,
)
from objrun.format.log_keys import FOLDER
from objrun.protocol.heartbeat import LOST

if TYPE_CHECKING:
    from collections.abc import Sequence

    from objrun.runs.life import RunLife
    from objrun.storage import Store

STREAM: Final = "std_log.txt"
"""The log with all that a submitted script prints: the file `logs/std_log.txt` of its run."""

_FIRST_LOOK: Final = 0.5
_SLOWEST_LOOK: Final = 15.0
_SLOWEST_SHOWN: Final = 3.0
_COLOUR: Final = re.compile(r"\x1b\[[0-9;]*m")
_CUT: Final = re.compile(r"\x1b(?:\[[0-9;]*)?\Z")
_ORDER: Final = re.compile(
    "[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]"
)


def shown(text: str) -> str:
    r"""Return text without colours, and without orders to a terminal but the end of a line.

    >>> shown("\x1b[31mred\x1b[0m\x1b[2Jgone\r\n")
    'red?[2Jgone\r\n'
    """
    return _ORDER.sub("?", _COLOUR.sub("", text))


class Follower:
    """A log as text that can be shown, piece by piece; a character may come in two of them."""

    def __init__(self, store: Store, run: str, stream: str = STREAM) -> None:
        """Begin at the beginning."""
        from objrun.protocol.log_reader import LogReader  # a worker does not read logs

        self._reader = LogReader(store, run, stream)
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._cut = ""

    def more(self) -> str:
        """Return what has come since: one LIST, and a GET for each chunk."""
        text = self._cut + "".join(self._decoder.decode(data) for data in self._reader.read())
        found = _CUT.search(text)
        end = found.start() if found else len(text)
        self._cut = text[end:]
        return shown(text[:end])


def wait(run: RunLife, ends: Sequence[str], log: Follower | None, *, raise_on_error: bool) -> None:
    """Return when the run has one of the statuses `ends`; `log` is shown meanwhile."""
    if log:
        heading = f"Streaming {FOLDER}{STREAM}"
        print(f"RunId: {run.id}\nWeb View: {run.portal_url}\n\n{heading}\n{'=' * len(heading)}\n")
    try:
        _await(run, ends, log)
    except KeyboardInterrupt:
        message = f"waiting for run {run.id} was interrupted; the run goes on"
        raise ExperimentExecutionException(message) from None
    state = run.state
    if log:
        print(log.more(), end="")
        summary = f"RunId: {run.id}\nWeb View: {run.portal_url}\nStatus: {state.status}"
        print(f"\nExecution Summary\n=================\n{summary}")
    if state.status == "Failed" and raise_on_error:
        error = dict(state.error or {})
        message = f"run {run.id} failed: {error.get('message') or error.get('code')}"
        raise ActivityFailedException(message)


def _await(run: RunLife, ends: Sequence[str], log: Follower | None) -> None:
    pause = _FIRST_LOOK
    told = False
    while run.status not in ends and run.get_status() not in ends:
        if run.status == LOST and not told:
            message = (
                f"run {run.id} gives no sign of life: waiting until it is back, or is ended by "
                "`objrun reap` or run.cancel()"
            )
            warnings.warn(message, StatusWarning, stacklevel=4)
        told = run.status == LOST
        if log:
            print(log.more(), end="", flush=True)
        clock.sleep(pause)
        pause = min(_SLOWEST_SHOWN if log else _SLOWEST_LOOK, pause * 1.5)
