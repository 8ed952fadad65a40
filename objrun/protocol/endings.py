"""Ends and forks of the process: flush what waits, start children anew.

`atexit` is too late: the clients of the object stores need an executor that Python has closed by
then. `threading._register_atexit` runs before that. SIGTERM becomes SystemExit(143), and only
where the program has no handler of its own, so `with` blocks and exit hooks run.
"""

from __future__ import annotations

import atexit
import logging
import os
import signal
import sys
import threading
import weakref
from typing import TYPE_CHECKING, Protocol

from objrun import clock
from objrun.errors import ObjrunError

if TYPE_CHECKING:
    from types import FrameType

EXIT_PATIENCE = 60.0
"""Seconds that the end of the process waits for all writers together."""

_log = logging.getLogger("objrun")


class Forkable(Protocol):
    """Something with locks or threads, which a forked child must make anew."""

    def forked(self) -> None:
        """Begin anew in the child."""


class Flushable(Forkable, Protocol):
    """Something that must be flushed before the process ends."""

    def waiting(self) -> int:
        """Return how much is not durable yet."""

    def hurry(self) -> None:
        """Begin to make it durable, without waiting."""

    def flush(self, timeout: float) -> None:
        """Make it durable within `timeout` seconds or raise an ObjrunError."""

    def stop(self) -> None:
        """End its thread."""


_forkables: weakref.WeakSet[Forkable] = weakref.WeakSet()
_flushables: weakref.WeakSet[Flushable] = weakref.WeakSet()
_installed: set[str] = set()


def renew_after_fork(thing: Forkable) -> None:
    """Call `thing.forked()` in every forked child, as long as `thing` lives."""
    if "fork" not in _installed:
        _installed.add("fork")
        os.register_at_fork(after_in_child=_forked)
    _forkables.add(thing)


def watch(thing: Flushable) -> None:
    """Flush `thing` when the process ends, and renew it after a fork."""
    renew_after_fork(thing)
    _flushables.add(thing)
    if "exit" not in _installed:
        _installed.add("exit")
        # Private, and the only hook that runs while the stores' clients still work.
        register = getattr(threading, "_register_atexit", atexit.register)
        register(finish)
    if "signal" not in _installed and threading.current_thread() is threading.main_thread():
        _installed.add("signal")
        if signal.getsignal(signal.SIGTERM) is signal.SIG_DFL:
            signal.signal(signal.SIGTERM, _terminated)


def finish() -> None:
    """Flush everything that waits, within EXIT_PATIENCE seconds in all; say what could not be."""
    deadline = clock.monotonic() + EXIT_PATIENCE
    waiting = [thing for thing in list(_flushables) if thing.waiting()]
    for thing in waiting:
        thing.hurry()
    for thing in waiting:
        try:
            thing.flush(max(0.0, deadline - clock.monotonic()))
        except ObjrunError as error:
            _log.error("metrics were lost at exit: %s", error.message)
        finally:
            thing.stop()


def _forked() -> None:
    for thing in list(_forkables):
        thing.forked()


def _terminated(signum: int, _frame: FrameType | None) -> None:
    sys.exit(128 + signum)
