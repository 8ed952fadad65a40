"""Why a run failed, as it is recorded: a code, a message, and where an exception came from."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from objrun.protocol.endings import ENDS
from objrun.secret import redact

if TYPE_CHECKING:
    from types import TracebackType

DEFAULT_ERROR: Final = "UserError"
"""The code of an error that names none, and of an exception of the program."""

TERMINATED: Final = "Terminated"
"""The code where SIGTERM ended the process (a scheduler, a preemption, `kill`), or SIGHUP."""

INTERRUPTED: Final = "Interrupted"
"""The code where Ctrl-C ended it."""

EXITED: Final = "Exited"
"""The code where `sys.exit` ended it with another exit code than 0."""

_FRAMES: Final = 10
_SIGNALED: Final = {128 + each: each.name for each in ENDS}


def error_of(details: object, code: str | None) -> dict[str, str]:
    """Return the error of a failed run: code, message, `traceback`; TypeError for other details.

    A traceback is a line of file, line and function for each of the last frames, without source.

    >>> error_of(ValueError("bad"), None)
    {'code': 'UserError', 'message': 'ValueError: bad'}
    >>> error_of(SystemExit(3), None)
    {'code': 'Exited', 'message': 'exit code 3'}
    >>> error_of(SystemExit(143), None)
    {'code': 'Terminated', 'message': 'SIGTERM ended the process'}
    """
    if details is None:
        return {"code": _readable(str(code or DEFAULT_ERROR))}
    if isinstance(details, BaseException):
        found, message = _told(details)
        where = _frames(details.__traceback__)
    elif isinstance(details, str):
        found, message, where = DEFAULT_ERROR, details, ""
    else:
        told = f"error_details is text or an exception, not {type(details).__name__}"
        raise TypeError(told)
    error = {"code": _readable(str(code or found)), "message": _readable(message)}
    return {**error, "traceback": _readable(where)} if where else error


def _told(error: BaseException) -> tuple[str, str]:
    """Return the code and the message of an exception."""
    if isinstance(error, KeyboardInterrupt):
        return INTERRUPTED, "Ctrl-C ended the program"
    if not isinstance(error, SystemExit):
        return DEFAULT_ERROR, f"{type(error).__name__}: {error}"
    if isinstance(error.code, int) and error.code in _SIGNALED:
        return TERMINATED, f"{_SIGNALED[error.code]} ended the process"
    return EXITED, f"exit code {error.code}" if isinstance(error.code, int) else str(error.code)


def _frames(trace: TracebackType | None) -> str:
    lines = []
    while trace is not None:
        code = trace.tb_frame.f_code
        lines.append(f"{code.co_filename}:{trace.tb_lineno} in {code.co_name}")
        trace = trace.tb_next
    return "\n".join(lines[-_FRAMES:])


def _readable(text: str) -> str:
    """Escape what UTF-8 cannot hold: a failed run must be recorded whatever its error says.

    Secrets that were asked for are taken out: errors of clients often show them.
    """
    return redact(text).encode("utf-8", "backslashreplace").decode()
