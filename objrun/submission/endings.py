"""How a script ended, as the status and the error of its run: pure."""

from __future__ import annotations

import re
import signal
from typing import TYPE_CHECKING, Final, NamedTuple

from objrun.runs.causes import DEFAULT_ERROR, EXITED

if TYPE_CHECKING:
    from collections.abc import Mapping

CANCELED: Final = "canceled"
"""It was ended because somebody has canceled the run."""

TOO_LONG: Final = "too long"
"""It was ended because it ran longer than it may."""

MOST_LINES: Final = 20
"""Lines of its output that an error shows at most."""

_FRAME: Final = '  File "'
_RAISED: Final = re.compile(r"[A-Za-z_][\w.]*(?:: .*)?")


class Ending(NamedTuple):
    """The last status of a run, and its error.

    >>> Ending("Completed").error
    """

    status: str
    error: Mapping[str, str] | None = None


def ending_of(code: int, reason: str, tail: str, limit: float | None) -> Ending:
    """Return what an exit code (minus a signal), the end of the output and a reason come to.

    >>> ending_of(0, "", "", None)
    Ending(status='Completed', error=None)
    >>> ending_of(3, "", "", None)
    Ending(status='Failed', error={'code': 'Exited', 'message': 'exit code 3'})
    >>> ending_of(-9, "", "", None).error["message"]
    'SIGKILL ended the script'
    """
    if reason == CANCELED:
        return Ending("Canceled")
    if reason == TOO_LONG:
        message = f"it ran longer than max_run_duration_seconds, which is {limit:g}"
        return Ending("Canceled", {"code": "TimedOut", "message": message})
    if code == 0:
        return Ending("Completed")
    lines = [line.rstrip() for line in tail.splitlines() if line.strip()]
    # An interpreter that an exception ends has the exit code 1.
    raised = _raised(lines) if code == 1 else ""
    said = {"output": "\n".join(lines[-MOST_LINES:])} if lines else {}
    if raised:
        return Ending("Failed", {"code": DEFAULT_ERROR, "message": raised, **said})
    told = f"exit code {code}" if code > 0 else f"{_signal_name(-code)} ended the script"
    return Ending("Failed", {"code": EXITED if code > 0 else "Killed", "message": told, **said})


def _raised(lines: list[str]) -> str:
    """Return the first line of what the last traceback says was raised, "" where there is none.

    >>> trace = ['  File "a.py", line 1, in <module>', "    f()", "ValueError: a", "b"]
    >>> _raised(trace), _raised(trace[2:])
    ('ValueError: a', '')
    """
    frames = [place for place, line in enumerate(lines) if line.startswith(_FRAME)]
    behind = lines[frames[-1] :] if frames else []
    said = next((line for line in behind if line[0] != " "), "")
    return said if _RAISED.fullmatch(said) else ""


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
