"""Daemon threads that stay for more work when theirs is done: runs one after another share one.

Starting a thread, and the first allocations in it, would cost a short run as much as its metrics.
"""

from __future__ import annotations

import threading
from contextlib import suppress
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Final

from objrun.protocol.endings import renew_after_fork

if TYPE_CHECKING:
    from collections.abc import Callable

IDLE_SECONDS: Final = 10.0
"""How long a thread stays without work."""


class Crew:
    """Threads that work one after the other on whatever is given to them; thread-safe.

    >>> done = threading.Event()
    >>> Crew("example").employ(done.set)
    >>> done.wait(10)
    True
    """

    def __init__(self, name: str) -> None:
        """Name the threads; none is started before there is work."""
        self._name = name
        self.forked()
        renew_after_fork(self)

    def forked(self) -> None:
        """Have nobody in a forked child: threads stay with the parent."""
        # A signal handler may log, and so employ somebody, while its own thread holds it.
        self._lock = threading.RLock()
        self._idle: list[SimpleQueue[Callable[[], None]]] = []

    def employ(self, work: Callable[[], None]) -> None:
        """Have `work()` done by an idle thread, or a new one; RuntimeError if none can start."""
        with self._lock:
            if self._idle:
                self._idle.pop().put(work)
                return
        orders: SimpleQueue[Callable[[], None]] = SimpleQueue()
        orders.put(work)
        threading.Thread(target=self._serve, args=(orders,), name=self._name, daemon=True).start()

    def _serve(self, orders: SimpleQueue[Callable[[], None]]) -> None:
        while (work := self._next(orders)) is not None:
            work()
            # Or what it belongs to would live until the next work comes.
            del work
            with self._lock:
                self._idle.append(orders)

    def _next(self, orders: SimpleQueue[Callable[[], None]]) -> Callable[[], None] | None:
        """Return the next work, None after IDLE_SECONDS without."""
        with suppress(Empty):
            return orders.get(timeout=IDLE_SECONDS)
        with self._lock, suppress(Empty):
            if orders in self._idle:
                self._idle.remove(orders)
            # Just now somebody may have given it work.
            return orders.get_nowait()
        return None


FLUSHERS: Final = Crew("objrun-flush")
"""The threads that flush metrics."""
