"""The end of one writer's points: what is frozen and not closed yet. SPEC section 10; no I/O.

The open segment is sent cumulatively: `[a, b')` supersedes `[a, b)`. One thread at a time changes a
tail; others may ask it how much waits.
"""

from __future__ import annotations

from typing import NamedTuple

import pyarrow as pa

from objrun import clock
from objrun.format.segments import encode_segment
from objrun.protocol.limits import (
    CLOSED_BYTES,
    CLOSED_ROWS,
    CLOSED_SECONDS,
    MANY_PIECES,
    MAX_BYTES,
    MAX_ROWS,
)


class Piece(NamedTuple):
    """Rows `[start, stop)` of a writer as the bytes of a segment; `cut`: rows follow them."""

    start: int
    stop: int
    data: bytes
    cut: bool


class Tail:
    """Frozen points of a writer, from the start of its open segment on.

    `start` and `durable` are offsets: where the open segment begins, and what is stored already.

    >>> from objrun.format.segments import SCHEMA
    >>> tail = Tail()
    >>> tail.add(pa.table({"name": ["loss"], "time": pa.array([0], SCHEMA.field("time").type)}))
    >>> tail.end(), tail.durable, tail.piece()[:2]
    (1, 0, (0, 1))
    """

    def __init__(self) -> None:
        """Begin at offset 0."""
        self.start = 0
        self.durable = 0
        self._rows: list[pa.Table] = []
        self._opened = clock.monotonic()

    def end(self) -> int:
        """Return the offset behind the last frozen row."""
        rows: int = sum(table.num_rows for table in self._rows)
        return self.start + rows

    def add(self, rows: pa.Table) -> None:
        """Append frozen rows."""
        if not self._rows:
            self._opened = clock.monotonic()
        self._rows.append(rows)

    def piece(self) -> Piece:
        """Return the open segment as it is to be sent now: more rows than are durable."""
        whole = pa.concat_tables(self._rows, promote_options="default")
        if whole.column(0).num_chunks > MANY_PIECES:
            whole = whole.unify_dictionaries().combine_chunks()
        self._rows = [whole]
        fitting: int = whole.num_rows * MAX_BYTES // max(1, whole.nbytes)
        length = min(MAX_ROWS, max(fitting, self.durable - self.start + 1))
        rows = whole.slice(0, length)
        data = encode_segment(rows.unify_dictionaries())
        stop: int = self.start + rows.num_rows
        return Piece(self.start, stop, data, cut=rows.num_rows < whole.num_rows)

    def close_if_full(self, piece: Piece) -> None:
        """Begin the next segment behind a piece, which is durable, where that is long enough."""
        rows = piece.stop - piece.start
        age = clock.monotonic() - self._opened
        is_full = rows >= CLOSED_ROWS or len(piece.data) >= CLOSED_BYTES or age >= CLOSED_SECONDS
        if not (piece.cut or is_full):
            return
        rest = pa.concat_tables(self._rows, promote_options="default").slice(rows)
        # In this order: `end`, asked meanwhile, may count too many, never too few.
        self.start += rows
        self._rows = [rest] if rest.num_rows else []
        self._opened = clock.monotonic()
