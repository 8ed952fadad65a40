"""Actors: threads of which one runs at a time, and whose time and chance are the world's.

An actor runs the product's own code. It stops before each request until the world gives it the
turn, and while it runs nobody else does. What it asks `objrun.clock` for is answered from its name
and how often it has asked, so an order of requests always gives the same bytes.
"""

from __future__ import annotations

import hashlib
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from objrun import clock
from objrun.protocol.crew import FLUSHERS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from datetime import datetime, timedelta

    from objrun.testing.sim.operations import Operation

__all__ = ["Actor", "KilledError", "current", "simulated_time"]

PATIENCE = 60.0
"""Seconds of real time after which an actor that does not come back counts as hanging."""

CLOCK = ("now", "monotonic", "sleep", "nanoseconds", "random_hex", "new_id", "below")
"""What actors are asked for instead of `objrun.clock`."""

_here = threading.local()


class KilledError(BaseException):
    """Raised in an actor that dies; nothing runs behind it, as behind SIGKILL."""


class Actor:
    """Somebody who does `work()`; `result` or `error` is how that ended.

    `waiting` is the operation before which it stands, None once it has ended. `skew` is how far its
    clock is from that of the bucket, which `tells` says.
    """

    def __init__(
        self, name: str, work: Callable[[], Any], tells: Callable[[], datetime], skew: timedelta
    ) -> None:
        self.name = name
        self.skew = skew
        self.waiting: Operation | None = None
        self.started = False
        self.killed = False
        self.result: Any = None
        self.error: Exception | None = None
        self._work = work
        self._tells = tells
        self._answer: Any = None
        self._raised: BaseException | None = None
        self._asked = 0
        self._seconds = 0.0
        # Locks as turns: each is released by the other side.
        self._go = threading.Lock()
        self._back = threading.Lock()
        self._go.acquire()
        self._back.acquire()

    def start(self) -> None:
        """Run up to the first operation."""
        self.started = True
        threading.Thread(target=self._run, name=f"sim-{self.name}", daemon=True).start()
        self._until_it_waits()

    def resume(self, answer: Any = None, error: BaseException | None = None) -> None:
        """Give the waiting operation its answer or its error, and run up to the next one."""
        self.waiting = None
        self._answer, self._raised = answer, error
        self._go.release()
        self._until_it_waits()

    def kill(self) -> None:
        """End it where it stands: whatever it still asks for while it unwinds is refused."""
        self.killed = True
        while self.waiting is not None:
            self.resume(error=KilledError())

    def ask(self, operation: Operation) -> Any:
        """Wait for the turn, in the actor's own thread, and return what the operation gave."""
        if self.killed:
            raise KilledError
        self.waiting = operation
        self._back.release()
        self._go.acquire()
        if self._raised is not None:
            raise self._raised
        return self._answer

    def _until_it_waits(self) -> None:
        if not self._back.acquire(timeout=PATIENCE):
            message = f"actor {self.name} hangs: it waits for something that is no request"
            raise AssertionError(message)

    def _run(self) -> None:
        _here.actor = self
        try:
            self.result = self._work()
        except KilledError:
            self.killed = True
        except Exception as error:  # noqa: BLE001 - an outcome like any other
            self.error = error
        self._back.release()

    # -- its time and chance

    def now(self) -> datetime:
        """Return what its clock says."""
        return self._tells() + self.skew

    def monotonic(self) -> float:
        """Return seconds that only its own waits make pass, and a millisecond for each look."""
        self._seconds += 0.001
        return self._seconds

    def sleep(self, seconds: float) -> None:
        """Wait without waiting."""
        self._seconds += seconds

    def nanoseconds(self) -> int:
        """Return what its clock says, since the epoch."""
        return int(self.now().timestamp() * 1e9)

    def random_hex(self, count: int) -> str:
        """Return digits that no other actor gets, the same each time the trace is replayed."""
        self._asked += 1
        told = f"{self.name} {self._asked}".encode()
        return hashlib.blake2b(told, digest_size=count).hexdigest()

    def new_id(self) -> str:
        """Return an id that no other actor gets."""
        return self.random_hex(16)

    def below(self, count: int) -> int:
        """Return an integer below `count`."""
        return int(self.random_hex(8), 16) * count >> 64


def current() -> Actor | None:
    """Return the actor whose thread this is, None in any other thread."""
    return getattr(_here, "actor", None)


@contextmanager
def simulated_time() -> Iterator[None]:
    """Have `objrun.clock` ask the actor, in the threads of actors, and let these start no threads.

    The product's writer then flushes in the thread that asks for it, as it does at the limit of
    threads.
    """
    real = {name: getattr(clock, name) for name in CLOCK}

    def asked(name: str) -> Callable[..., Any]:
        # The lambda asks anew each time whose thread it is.
        return lambda *given: getattr(current(), name, real[name])(*given)  # noqa: PLW0108

    employ = FLUSHERS.employ

    def refuse(work: Callable[[], None]) -> None:
        if current():
            raise RuntimeError
        employ(work)

    try:
        for name in CLOCK:
            setattr(clock, name, asked(name))
        FLUSHERS.employ = refuse  # type: ignore[method-assign]
        yield
    finally:
        for name in CLOCK:
            setattr(clock, name, real[name])
        del FLUSHERS.employ
