"""The working directory, before a `with` block and after it."""

# Text is all that is needed, and pathlib costs more.
# ruff: noqa: PTH109
from __future__ import annotations

import os
import threading
from contextlib import suppress


def current() -> str | None:
    """Return the working directory; None where it was removed, or belongs to another thread.

    It is one of the process: threads that go in and out of runs leave it to the main one.
    """
    with suppress(OSError):
        return os.getcwd() if threading.current_thread() is threading.main_thread() else None
    return None


def go_back(folder: str | None) -> None:
    """Be in a folder again, if it is known and still there."""
    if folder is not None and folder != current():
        with suppress(OSError):
            os.chdir(folder)
