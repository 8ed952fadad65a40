"""Ends and forks of the process: flush what waits, start children anew.

What waits is flushed twice: when the main thread has ended, while everything still works
(`threading._register_atexit`), and at the very end (`atexit`), for points logged by threads that
outlived the main one and by the exit handlers of others. SIGTERM becomes SystemExit(143), and
SIGHUP, which comes when a terminal is closed, SystemExit(129), so `with` blocks and exit hooks run;
only where the program neither handles nor ignores it (`nohup`).
"""

from __future__ import annotations

import atexit
import os
import signal
import sys
import threading
import weakref
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Final, Protocol, TypeVar

from objrun import clock
from objrun.errors import ObjrunError, PointsLostError
from objrun.logs import logger

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import FrameType

T = TypeVar("T")

VARIABLE: Final = "OBJRUN_EXIT_PATIENCE"
"""The environment variable with the seconds that the end of the process waits."""


def _patience() -> float:
    with suppress(ValueError):
        return max(0.0, float(os.environ.get(VARIABLE, "60")))
    return 60.0


ENDS: Final = (signal.SIGTERM, signal.SIGHUP)
"""Signals that end the process in an orderly way."""

EXIT_PATIENCE = _patience()
"""Seconds that the end of the process waits for all writers together."""

RESERVE: Final = 0.1
"""Of this share of EXIT_PATIENCE is left to rescue what could not be flushed."""


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

    def rescue(self) -> None:
        """Make it durable elsewhere, without waiting for long, or raise an ObjrunError."""

    def stop(self) -> None:
        """End its thread."""


class Act(Protocol):
    """What is to be done before the process ends."""

    def __call__(self, patience: float, *, is_last: bool) -> None:
        """Do it within `patience` seconds; `is_last`: it is not called again."""


STEADY = threading.Lock()
"""Held around work in native code that a fork must not cut in two, because a child would inherit
its locks and half-made state; a fork waits until it is free. Never held while a store is asked."""

_registry = threading.RLock()
"""Held while the sets below are changed or copied; a signal may interrupt its own thread there."""

_masks: list[set[int]] = []
"""While the process forks: the signals that its thread did not take before."""


def _ours() -> list[signal.Signals]:
    return [each for each in ENDS if signal.getsignal(each) is _terminated]


def _hold_sigterm() -> None:
    # Python forgets what reaches a child before its first step, and drops the SystemExit of a
    # handler that runs in a hook: either way nobody could end the child any more.
    if ours := _ours():
        _masks.append(signal.pthread_sigmask(signal.SIG_BLOCK, ours))


def _let_sigterm_come() -> None:
    if _masks:
        signal.pthread_sigmask(signal.SIG_SETMASK, _masks[-1])
        _masks.pop()


def _let_sigterm_end_the_child() -> None:
    # A child that has logged nothing has nothing to unwind; its first point has it unwind.
    if _masks:
        for each in _ours():
            signal.signal(each, signal.SIG_DFL)
        _installed.discard("signal")
        signal.pthread_sigmask(signal.SIG_SETMASK, _masks.pop())


# Registered before the lock of forks, so that it is held meanwhile.
os.register_at_fork(
    before=_hold_sigterm,
    after_in_parent=_let_sigterm_come,
    after_in_child=_let_sigterm_end_the_child,
)
for _lock in (STEADY, _registry):
    os.register_at_fork(
        before=_lock.acquire, after_in_parent=_lock.release, after_in_child=_lock.release
    )

_forkables: weakref.WeakSet[Forkable] = weakref.WeakSet()
_flushables: weakref.WeakSet[Flushable] = weakref.WeakSet()
_given_up: weakref.WeakSet[Flushable] = weakref.WeakSet()
_installed: set[str] = set()
_caught: set[int] = set()
"""Signals that have been told to end the process."""

_acts: list[Act] = []
_ending: set[str] = set()
"""What the end of the process has come to: "ended" (the main thread has), "flushing", "held" (a
SIGTERM must wait) and "terminated" (it came meanwhile)."""


def renew_after_fork(thing: Forkable) -> None:
    """Call `thing.forked()` in every forked child, as long as `thing` lives."""
    with _registry:
        if "fork" not in _installed:
            _installed.add("fork")
            os.register_at_fork(after_in_child=_forked)
        _forkables.add(thing)


def watch(thing: Flushable) -> None:
    """Flush `thing` when the process ends, and renew it after a fork."""
    renew_after_fork(thing)
    with _registry:
        _flushables.add(thing)
    prepare()


def before_end(act: Act) -> None:
    """Have something done when the process ends, if `prepare` was called.

    It is called when what waits was flushed: once when all threads have ended, or SIGTERM came, and
    again as the last thing of all.
    """
    _acts.append(act)


def cause() -> BaseException | None:
    """Return why the process ends, where that is known: SIGTERM, or what nobody has caught.

    What ends in an interactive session ended no process.
    """
    if _caught:
        return SystemExit(128 + max(_caught))
    return None if hasattr(sys, "ps1") else getattr(sys, "last_value", None)


def is_ending() -> bool:
    """Return whether the process ends, so that no more threads may be had."""
    return "ended" in _ending


def prepare() -> None:
    """Have the end of the process wait for what is watched, and SIGTERM be an orderly end."""
    with _registry:
        if "exit" not in _installed:
            _installed.add("exit")
            # Private, and the only hook before Python waits for other threads. It refuses when the
            # main thread has ended already; then there is `_finish_last`.
            with suppress(AttributeError, RuntimeError):
                threading._register_atexit(finish)  # type: ignore[attr-defined]  # noqa: SLF001
    unwind_on_sigterm()


def unwind_on_sigterm() -> None:
    """Have SIGTERM and SIGHUP raise SystemExit from now on, where the program does not handle them.

    Only the main thread can do that; elsewhere nothing happens.
    """
    if "signal" not in _installed and threading.current_thread() is threading.main_thread():
        _installed.add("signal")
        for each in ENDS:
            if signal.getsignal(each) is signal.SIG_DFL:
                signal.signal(each, _terminated)


@contextmanager
def sigterm_held() -> Iterator[None]:
    """Have a SIGTERM wait until this block is done."""
    _ending.add("held")
    try:
        yield
    finally:
        _ending.discard("held")
        if "terminated" in _ending and "ended" not in _ending:
            _ending.discard("terminated")
            signal.raise_signal(max(_caught))


def finish(*, is_last: bool = False) -> None:
    """Flush everything that waits, within EXIT_PATIENCE seconds in all; say what could not be.

    What failed once is not tried again: the process must come to its end. A SIGTERM meanwhile
    counts when the flush is done.
    """
    _ending.update(("ended", "flushing"))
    _flush_all(is_last=is_last)
    _ending.discard("flushing")
    if "terminated" in _ending:
        signum = max(_caught)
        signal.signal(signum, signal.SIG_DFL)
        signal.raise_signal(signum)


def _flush_all(*, is_last: bool) -> None:
    deadline = clock.monotonic() + EXIT_PATIENCE
    reserve = RESERVE * EXIT_PATIENCE
    # What writers rescue may make a spool wait in turn.
    for is_first in (True, False):
        things = [thing for thing in _alive(_flushables) if thing not in _given_up]
        waiting = [thing for thing in things if thing.waiting()]
        for thing in waiting:
            thing.hurry()
        for thing in waiting:
            _flush_or_rescue(thing, deadline - reserve - clock.monotonic())
        if is_first and (is_last or "terminated" in _ending or not _others_work()):
            for act in _acts:
                act(deadline - clock.monotonic(), is_last=is_last)
        reserve = 0.0


def _others_work() -> bool:
    """Return whether threads go on that Python waits for; those of executors may be idle."""
    pools = getattr(sys.modules.get("concurrent.futures.thread"), "_threads_queues", ())
    others = (thread for thread in threading.enumerate() if not thread.daemon)
    return any(each is not threading.main_thread() and each not in pools for each in others)


def _flush_or_rescue(thing: Flushable, patience: float) -> None:
    try:
        try:
            thing.flush(max(0.0, patience))
        except PointsLostError:
            raise
        except ObjrunError as failure:
            try:
                thing.rescue()
            except ObjrunError:
                raise failure from None
    except ObjrunError as error:
        _given_up.add(thing)
        logger().error("metrics were lost at exit: %s", error.message)


def _alive(things: weakref.WeakSet[T]) -> list[T]:
    with _registry:
        return list(things)


def _finish_last() -> None:
    finish(is_last=True)
    for thing in _alive(_flushables):
        thing.stop()


# Exit handlers run in reverse: one that is registered this early runs after those of the program.
# The clients of the buckets close in the handler of weakref, which is registered with the first
# finalizer: made before, so that they are open while the last points are sent.
weakref.finalize(_finish_last, int).detach()
atexit.register(_finish_last)


def _forked() -> None:
    _ending.clear()
    _caught.clear()
    for thing in _alive(_forkables):
        thing.forked()


def _terminated(signum: int, _frame: FrameType | None) -> None:
    if _masks:
        # Amid the hooks of a fork an exception would be dropped: after them.
        threading.Timer(0.01, os.kill, (os.getpid(), signum)).start()
        return
    _caught.add(signum)
    if not _ending:
        sys.exit(128 + signum)
    # An exception would only cut off what is being flushed.
    _ending.add("terminated")
    if "ended" in _ending and "flushing" not in _ending:
        finish()
