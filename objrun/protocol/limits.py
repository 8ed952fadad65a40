"""How much of a run's metrics is sent at once, kept in memory and waited for."""

from __future__ import annotations

from typing import Final

CLOSED_ROWS: Final = 65_536
"""Rows from which on a segment is closed: no later flush repeats it."""

CLOSED_BYTES: Final = 1_000_000
"""Bytes from which on a segment is closed."""

CLOSED_SECONDS: Final = 300.0
"""Age from which on a segment is closed."""

MANY_ROWS: Final = 262_144
"""Points from which on they are flushed before it is time."""

MANY_BYTES: Final = 8 << 20
"""Bytes of blobs from which on they are flushed before it is time."""

MAX_ROWS: Final = 1_048_576
"""Rows of one segment at most."""

MAX_BYTES: Final = 64_000_000
"""Bytes of memory that the rows of one segment take at most, where one row does not take more."""

MAX_WAITING: Final = 4_000_000
"""Points kept in memory, at 24 to 40 bytes, while the store fails; newer ones are dropped, counted
and reported."""

MAX_WAITING_BYTES: Final = 256_000_000
"""Bytes of batches, texts and tables kept in memory while the store fails; likewise."""

MAX_BRAKE: Final = 60.0
"""Seconds that logging a blob waits at most where MAX_WAITING_BYTES of them wait already."""

ESCAPE: Final = 20.0
"""Seconds for which the store may fail before metrics go to the refuge, where there is one."""

FLUSH_PATIENCE: Final = 300.0
"""Seconds that `flush` waits unless told otherwise."""

FIRST_FLUSH: Final = 1.0
"""Seconds from the first point to the first flush; each later wait doubles."""

SLOWEST_FLUSH: Final = 60.0
"""Seconds between flushes at most."""

MANY_PIECES: Final = 16
"""Pieces of what is frozen from which on they are joined: each costs as much as many points."""
