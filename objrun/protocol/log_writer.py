"""The writer of a log: one PUT a flush, and few objects however long it grows. SPEC section 9.9.

Chunks are put together in levels, by the rule of `levels`.
"""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Final

from objrun import clock
from objrun.errors import StoreError
from objrun.format.log_keys import ChunkKey, chunk
from objrun.protocol.levels import Levels

if TYPE_CHECKING:
    from objrun.protocol.levels import Stretch
    from objrun.storage import Store

LARGEST: Final = 8 << 20
"""Bytes of a chunk from which on it stays as it is; a writer keeps less than twice as many."""


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
        self._levels = Levels(0)

    @property
    def durable(self) -> int:
        """How many bytes are stored."""
        return self._levels.stop

    @property
    def waiting(self) -> int:
        """How many bytes are not."""
        return self._levels.start + len(self._bytes) - self.durable

    def add(self, data: bytes) -> None:
        """Append bytes; they are stored by the next `flush`."""
        self._bytes += data

    def flush(self, store: Store) -> None:
        """Store what waits: one PUT for each LARGEST bytes. What an error leaves waits on."""
        while self.waiting:
            base, stop = self._levels.start, self.durable + min(self.waiting, LARGEST)
            made = self._levels.next(stop, large=stop - base >= LARGEST)
            store.put(self._key(made), bytes(self._bytes[made.start - base : stop - base]))
            superseded = self._levels.store(made)
            del self._bytes[: self._levels.start - base]
            if superseded:
                # They only take up room: who may not delete leaves them.
                with suppress(StoreError):
                    store.delete(map(self._key, superseded))

    def _key(self, made: Stretch) -> str:
        return chunk(ChunkKey(*self._place, made.start, made.stop))


def new_writer() -> str:
    """Return the id of a writer that begins now: milliseconds, then chance.

    >>> len(new_writer()), new_writer()[:8] <= new_writer()[:8]
    (16, True)
    """
    return f"{clock.nanoseconds() // 1_000_000:012x}{clock.random_hex(2)}"
