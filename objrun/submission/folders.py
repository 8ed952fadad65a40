"""Where submitted scripts work on this machine, and how long what they leave there stays."""

from __future__ import annotations

import os
import shutil
from contextlib import suppress
from pathlib import Path
from typing import Final

from objrun import clock
from objrun.spool import state_folder
from objrun.submission.slots import close, locked

WORK: Final = "OBJRUN_WORK"
"""The environment variable with the folder below which they work."""

KEPT: Final = 30 * 86_400
"""Seconds after the end of a run at which what it has left is removed."""

_LOCK: Final = ".objrun-lock"  # of no other program: what has one is removed one day
_BESIDE: Final = (".err", _LOCK)


def work_folder(run: str) -> str:
    """Return the folder of one run, which is its working directory.

    It is below `OBJRUN_WORK`, else `$XDG_STATE_HOME/objrun/work`, `~/.local/state/objrun/work`.
    """
    root = os.environ.get(WORK) or os.path.join(state_folder(), "work")  # noqa: PTH118 - text
    return os.path.join(os.path.abspath(root), run)  # noqa: PTH100, PTH118


def hold(folder: str) -> int | None:
    """Have nobody remove a work folder while this process lives, until it is closed.

    The file by which it does so also says, later, that the folder is one of a run, and how old.
    """
    Path(folder).parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    return locked(Path(f"{folder}{_LOCK}"))


def remove(folder: str) -> None:
    """Remove a work folder and what stands beside it, as far as that can be."""
    shutil.rmtree(folder, ignore_errors=True)
    for end in _BESIDE:
        with suppress(OSError):
            os.unlink(f"{folder}{end}")  # noqa: PTH108 - text


def remove_old() -> None:
    """Remove the work folders of runs that have ended KEPT seconds ago."""
    for lock in Path(work_folder("")).glob(f"*{_LOCK}"):
        with suppress(OSError):
            is_old = clock.now().timestamp() - lock.stat().st_mtime > KEPT
            if is_old and (held := locked(lock, os.O_RDWR)) is not None:
                remove(str(lock).removesuffix(_LOCK))
                close(held)
