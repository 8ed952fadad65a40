"""Ranges of bytes of a Parquet file: which to fetch, and a file of which only these are there."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    import pyarrow.parquet as pq

Span = tuple[int, int]
"""Bytes `[start, stop)` of a file."""


def span(group: pq.RowGroupMetaData, columns: Sequence[str] | None = None) -> Span:
    """Return the bytes of a row group: from its first column's first page to its last's end."""
    spans = [
        span_of(column)
        for column in map(group.column, range(group.num_columns))
        if columns is None or column.path_in_schema.partition(".")[0] in columns
    ]
    return min(start for start, _ in spans), max(stop for _, stop in spans)


def span_of(column: pq.ColumnChunkMetaData) -> Span:
    """Return the bytes of a column of a row group, its dictionary first."""
    start = column.data_page_offset
    if column.has_dictionary_page and column.dictionary_page_offset:
        start = min(start, column.dictionary_page_offset)
    return start, start + column.total_compressed_size


def wide(spans: Iterable[Span], gap: int) -> list[Span]:
    """Return spans in order, of which those that `gap` bytes or fewer are between are joined.

    >>> wide([(100, 110), (0, 10), (5, 20)], gap=64)
    [(0, 20), (100, 110)]
    """
    joined: list[Span] = []
    for start, stop in sorted(spans):
        if joined and start - joined[-1][1] <= gap:
            joined[-1] = (joined[-1][0], max(stop, joined[-1][1]))
        else:
            joined.append((start, stop))
    return joined


class Pieces(io.RawIOBase):
    """A file of which only some pieces are there, by their starts; those alone are read.

    >>> Pieces({4: b"abcd"}, 100).between(5, 7)
    b'bc'
    """

    def __init__(self, parts: dict[int, bytes], size: int) -> None:
        """Begin at the first byte."""
        self._parts = parts
        self._size = size
        self._at = 0

    def between(self, start: int, stop: int) -> bytes:
        """Return the bytes `[start, stop)`, fewer where they are not there."""
        self._at = start
        return self.read(stop - start)

    def readable(self) -> bool:
        """It is."""
        return True

    def seekable(self) -> bool:
        """It is."""
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Let the next read begin elsewhere, and return where."""
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._size}[whence]
        self._at = base + offset
        return self._at

    def tell(self) -> int:
        """Return where the next read begins."""
        return self._at

    def size(self) -> int:
        """Return the bytes of the whole file."""
        return self._size

    def read(self, size: int = -1) -> bytes:
        """Return the bytes that follow, up to the end of their piece; none where there is none."""
        for start, data in self._parts.items():
            if start <= self._at < start + len(data):
                stop = len(data) if size < 0 else self._at - start + size
                found = data[self._at - start : stop]
                self._at += len(found)
                return found
        return b""
