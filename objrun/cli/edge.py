"""The edge of the process: errors and warnings become lines on stderr, and an exit code.

| code | meaning |
|---|---|
| 0 | done; also Ctrl-C in `runs --watch`, which is how that ends |
| 1 | the store or what is stored has an error; the message says which. Or nobody reads our output |
| 2 | the command was given something it cannot use: an option, a name, a URL |
| 3 | there is no such store, experiment, run or metric |
| 130 | Ctrl-C |
"""

from __future__ import annotations

import os
import sys
import traceback
import warnings
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

from objrun.cli.app import app
from objrun.cli.program import program
from objrun.cli.style import harmless
from objrun.cli.waiting import log_shown
from objrun.errors import (
    BucketNotFoundError,
    CredentialsError,
    InvalidURLError,
    NotAStoreError,
    ObjrunError,
    ObjrunWarning,
    ServiceException,
    UserErrorException,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

FAILED: Final = 1
WRONG_USE: Final = 2
NOT_FOUND: Final = 3
INTERRUPTED: Final = 130

TRACEBACK: Final = "OBJRUN_TRACEBACK"
"""The environment variable that shows where an error came from."""

_HINTS: Final[dict[type[ObjrunError], str]] = {
    NotAStoreError: "--url or OBJRUN_URL names another place; `{program} demo` makes a store.",
    CredentialsError: "They come from where the cloud's own tools have them, such as variables of "
    "the environment, or from --option KEY=VALUE.",
}


def execute(arguments: Sequence[str]) -> int:
    """Run one command line and return its exit code; nothing is raised.

    >>> execute(["--version"])
    objrun ...
    0
    """
    _encode_anything()
    with warnings.catch_warnings(), log_shown():
        warnings.simplefilter("default", ObjrunWarning)
        warnings.showwarning = _show_warning
        try:
            return _call(arguments)
        except BrokenPipeError:
            return _reader_gone()
        except KeyboardInterrupt:
            return INTERRUPTED
        except ObjrunError as error:
            return _tell(error)
        except Exception as error:  # noqa: BLE001 - the edge of the process
            if os.environ.get(TRACEBACK):
                traceback.print_exc()
            else:
                told = f"{type(error).__name__}: {error}"
                _error(f"unexpected {told}", f"{TRACEBACK}=1 shows where; please report it.")
            return FAILED


def _call(arguments: Sequence[str]) -> int:
    try:
        code: Any = app(list(arguments), prog_name="objrun", standalone_mode=True)
        sys.stdout.flush()
    except SystemExit as exit_:
        code = exit_.code
    return code if isinstance(code, int) else 0


def code_of(error: ObjrunError) -> int:
    """Return the exit code of an error.

    >>> from objrun.errors import RunNotFoundError, StoreFullError
    >>> code_of(RunNotFoundError("")), code_of(StoreFullError(""))
    (3, 1)
    """
    if isinstance(error, ServiceException | NotAStoreError | BucketNotFoundError):
        return NOT_FOUND
    return WRONG_USE if isinstance(error, UserErrorException | InvalidURLError) else FAILED


def _tell(error: ObjrunError) -> int:
    if os.environ.get(TRACEBACK):
        traceback.print_exc()
    else:
        _error(error.message, _HINTS.get(type(error), "").format(program=program()))
    return code_of(error)


def _error(message: str, hint: str = "") -> None:
    """Print one line, red where stderr is a terminal, and perhaps a second one that helps."""
    told = one_line_of(message)
    sys.stderr.write(_coloured(f"error: {told}", "31") + "\n" + (f"{hint}\n" if hint else ""))


def _show_warning(message: Warning | str, category: type[Warning], *_: Any, **__: Any) -> None:
    told = one_line_of(str(message))
    kind = "warning" if issubclass(category, ObjrunWarning) else category.__name__
    sys.stderr.write(_coloured(f"{kind}: {told}", "33") + "\n")


def one_line_of(message: str) -> str:
    r"""Return a message in one line, without what a terminal obeys.

    >>> one_line_of("runs/\u202e is\n damaged")
    'runs/? is damaged'
    """
    return harmless(" ".join(message.split()))


def _coloured(text: str, colour: str) -> str:
    if sys.stderr.isatty() and not os.environ.get("NO_COLOR"):
        return f"\x1b[{colour}m{text}\x1b[0m"
    return text


def _encode_anything() -> None:
    """Print `?` for what the terminal's encoding lacks, instead of failing."""
    for stream in (sys.stdout, sys.stderr):
        reconfigure = getattr(stream, "reconfigure", None)
        if reconfigure is not None:
            reconfigure(errors="replace")


def _reader_gone() -> int:
    """End without a word: whoever read our output (`| head`) has seen enough."""
    with suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return FAILED
