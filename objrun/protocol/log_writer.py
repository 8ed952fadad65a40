"""The writer of a log: one PUT a flush, and few objects however long it grows. SPEC section 9.9.

Chunks have levels. A flush makes a chunk of level 0; where the last FAN - 1 chunks have one level,
it makes one of the next level instead, which repeats their bytes and supersedes them. So each byte
is sent once for each level, a log of n flushes has some FAN * log(n) objects, and a chunk of
LARGEST bytes is never repeated.
"""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Final, NamedTuple

from objrun import clock
from objrun.errors import StoreError
from objrun.format.log_keys import ChunkKey, chunk

if TYPE_CHECKING:
    from collections.abc import Callable

    from objrun.storage import Store

    Send = Callable[[Callable[[], None]], None]

FAN: Final = 10
"""Chunks of one level that the next level puts together."""

LARGEST: Final = 8 << 20
"""Bytes of a chunk from which on it stays as it is; a writer keeps less than twice as many."""


class _Stored(NamedTuple):
    start: int
    stop: int
    level: int


class LogWriter:
    """Writes one stream of a run; for one thread. A new one after a fork, or a new process.

    >>> from objrun.storage import MemoryStore
    >>> store, writer = MemoryStore("log"), LogWriter("r1", "std_log.txt")
    >>> for text in (b"one", b"two"):
    ...     writer.add(text)
    ...     writer.flush(store)
    >>> [info.size for info in store.list("runs/r1/logs/")], writer.waiting
    ([3, 3], 0)
    """

    def __init__(self, run: str, stream: str) -> None:
        """Begin at offset 0."""
        self._place = (run, stream, new_writer())
        self._bytes = bytearray()
        self._base = 0
        self._stored: list[_Stored] = []

    @property
    def durable(self) -> int:
        """How many bytes are stored."""
        return self._stored[-1].stop if self._stored else self._base

    @property
    def waiting(self) -> int:
        """How many bytes are not."""
        return self._base + len(self._bytes) - self.durable

    def add(self, data: bytes) -> None:
        """Append bytes; they are stored by the next `flush`."""
        self._bytes += data

    def flush(self, store: Store) -> None:
        """Store what waits: one PUT for each LARGEST bytes. What an error leaves waits on."""
        while self.waiting:
            self._send(store, *self._next())

    def _next(self) -> tuple[_Stored, int]:
        """Return the chunk to store, and how many of those that are stored it leaves."""
        if len(self._bytes) >= LARGEST:
            return _Stored(self._base, self._base + LARGEST, 0), 0
        level, left = 0, len(self._stored)
        while left >= FAN - 1 and all(
            each.level == level for each in self._stored[left - FAN + 1 : left]
        ):
            level, left = level + 1, left - FAN + 1
        start = self._stored[left].start if level else self.durable
        return _Stored(start, self._base + len(self._bytes), level), left

    def _send(self, store: Store, new: _Stored, left: int) -> None:
        data = self._bytes[new.start - self._base : new.stop - self._base]
        store.put(self._key(new), bytes(data))
        superseded = [self._key(each) for each in self._stored[left:]]
        if new.stop - new.start >= LARGEST:
            self._base, self._stored = new.stop, []
            del self._bytes[: new.stop - new.start]
        else:
            self._stored[left:] = [new]
        if superseded:
            # They only take up room: who may not delete leaves them.
            with suppress(StoreError):
                store.delete(superseded)

    def _key(self, stored: _Stored) -> str:
        return chunk(ChunkKey(*self._place, stored.start, stored.stop))


def new_writer() -> str:
    """Return the id of a writer that begins now: milliseconds, then chance.

    >>> len(new_writer()), new_writer()[:8] <= new_writer()[:8]
    (16, True)
    """
    return f"{clock.nanoseconds() // 1_000_000:012x}{clock.random_hex(2)}"
