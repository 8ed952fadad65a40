"""What the log says while a command runs: warnings, and that a store does not answer."""

from __future__ import annotations

import logging
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from objrun import clock
from objrun.cli.style import one_line
from objrun.protocol.settle import PATIENCE, TRYING_AGAIN

if TYPE_CHECKING:
    from collections.abc import Iterator

SILENT: Final = 3.0
"""Seconds of a command in which nothing is said of requests that are tried again."""


class _Lines(logging.Handler):
    """Writes warnings, and of requests that are tried again the first one that is late."""

    def __init__(self) -> None:
        super().__init__()
        self._late = clock.monotonic() + SILENT

    def emit(self, record: logging.LogRecord) -> None:
        told = one_line(record.getMessage())
        if record.levelno >= logging.WARNING:
            sys.stderr.write(f"{record.levelname.lower()}: {told}\n")
        elif record.msg == TRYING_AGAIN and clock.monotonic() > self._late:
            self._late = float("inf")
            sys.stderr.write(f"{told} ({PATIENCE:.0f} s at most)\n")


@contextmanager
def log_shown() -> Iterator[None]:
    """Write what the log says to stderr, one line each."""
    logger, handler = logging.getLogger("objrun"), _Lines()
    level = logger.level
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    try:
        yield
    finally:
        logger.removeHandler(handler)
        logger.setLevel(level)
