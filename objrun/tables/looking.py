"""Look for points within row groups: which pages to fetch, and the points that are in them.

First the columns that say whose points these are, and other small ones, are read whole, together
with the indexes of pages of the others. Then it is known exactly which pages are needed.
"""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass
from itertools import accumulate
from typing import TYPE_CHECKING, Final, NamedTuple

import polars as pl
import pyarrow as pa

from objrun.format.pages import column_of, elements_of
from objrun.tables.chunks import BLOCK, ROW, ROWS, Chunk
from objrun.tables.ranges import span

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    import pyarrow.parquet as pq

    from objrun.format.pages import Column, Page
    from objrun.tables.ranges import Pieces, Span

WHOLE: Final = 2**12
"""Bytes of a column of a row group up to which no pages are looked for in it."""

SHARE: Final = 4
"""Looking is worth it where what must be read first is less than one part of so many."""

Range = tuple[int, int]
"""Rows `[first, end)`, of several row groups counted as if they were one."""


class Part(NamedTuple):
    """A column of a row group, of which pages are read; `before` it are so many rows."""

    name: str
    before: int
    column: Column

    def rows(self, page: Page) -> Range:
        """Return the rows of a page."""
        return self.before + page.first, self.before + page.end


@dataclass(frozen=True)
class Look:
    """What to read of row groups: `whole` columns, and pages of `parts`.

    `first`: the bytes to fetch first, of whole columns and of indexes.
    """

    whole: list[str]
    parts: list[Part]
    first: list[Span]

    def find(
        self, table: pa.Table, blocks: pl.DataFrame, condition: pl.Expr, pieces: Pieces
    ) -> Found:
        """Return where the points are; `table` is what was read whole, `blocks` whose it is.

        Raises ThriftError where an index is damaged.
        """
        stop = pl.col("length").cast(pl.Int64).cum_sum()
        kept = blocks.lazy().with_columns(stop=stop).filter(condition).collect()
        wanted = _joined(zip(kept["stop"] - kept["length"], kept["stop"], strict=True))
        pages = [
            [
                page
                for page in part.column.pages(pieces.between(*part.column.index))
                if _meets(wanted, part.rows(page))
            ]
            for part in self.parts
        ]
        return Found(self, table, kept.drop("stop"), wanted, pages)


@dataclass(frozen=True)
class Found:
    """Points that are wanted: whose they are, and of each of `look.parts` the pages to read.

    `table` is what was read whole; its rows `wanted` are these points.
    """

    look: Look
    table: pa.Table
    blocks: pl.DataFrame
    wanted: list[Range]
    pages: list[list[Page]]

    def spans(self) -> Iterator[Span]:
        """Yield the bytes to fetch: the pages, and the dictionaries that they need."""
        for part, pages in zip(self.look.parts, self.pages, strict=True):
            if pages and part.column.start < part.column.data:
                yield part.column.start, part.column.data
            for page in pages:
                yield page.start, page.stop

    def chunk(self, pieces: Pieces) -> Chunk:
        """Return the points.

        Raises ThriftError, or errors of pyarrow or polars, where the pages are damaged.
        """
        everywhere = [(0, self.table.num_rows)]
        rows = {
            name: _cut(self.table.column(name), everywhere, self.wanted)
            for name in self.look.whole
            if name in ROW and self.table.column(name).null_count < self.table.num_rows
        }
        for name in dict.fromkeys(part.name for part in self.look.parts):
            held, chunks = [], []
            for part, pages in zip(self.look.parts, self.pages, strict=True):
                if pages and part.name == name:
                    held += [part.rows(page) for page in pages]
                    chunks += part.column.decode(pages, pieces.between).chunks
            rows[name] = _cut(pa.chunked_array(chunks), held, self.wanted)
        series = [pl.Series(name, rows[name]).cast(ROWS[name]) for name in ROW if name in rows]
        return Chunk(self.blocks, pl.DataFrame(series))


def look_at(
    stored: bytes, footer: pq.FileMetaData, groups: Sequence[int], columns: Sequence[str]
) -> Look | None:
    """Return how to look for points in row groups; None where that would not save much.

    `stored`: the bytes of the footer. Raises ThriftError where they are none.
    """
    look = Look([], [], [])
    elements = elements_of(stored)
    found = [footer.row_group(group) for group in groups]
    befores = [*accumulate((group.num_rows for group in found), initial=0)]
    for place, element in enumerate(elements):
        told = [group.column(place) for group in found]
        name = footer.schema.column(place).name
        if name not in columns:
            continue
        if name in BLOCK or all(each.total_compressed_size <= WHOLE for each in told):
            look.whole.append(name)
            look.first.extend(span(group, [name]) for group in found)
            continue
        for before, each in zip(befores, told, strict=False):
            column = column_of(stored, element, each)
            if column is None:
                return None
            look.parts.append(Part(name, before, column))
            look.first.append(column.index)
    first = sum(stop - start for start, stop in look.first)
    most = sum(stop - start for start, stop in (span(group, columns) for group in found))
    return look if elements and SHARE * first < most else None


def _joined(ranges: Iterable[Range]) -> list[Range]:
    """Return ranges, in order, of which those that follow each other are one."""
    joined: list[Range] = []
    for first, end in ranges:
        if joined and joined[-1][1] == first:
            joined[-1] = (joined[-1][0], end)
        else:
            joined.append((first, end))
    return joined


def _meets(ranges: Sequence[Range], rows: Range) -> bool:
    at = bisect_right(ranges, rows[0], key=lambda each: each[1])
    return at < len(ranges) and ranges[at][0] < rows[1]


def _cut(
    stored: pa.ChunkedArray, held: Sequence[Range], wanted: Sequence[Range]
) -> pa.ChunkedArray:
    """Return the rows `wanted` of what holds the rows `held`, one range after the other."""
    firsts = [first for first, _ in held]
    places = [*accumulate((end - first for first, end in held), initial=0)]
    parts = []
    for first, end in wanted:
        at = bisect_right(firsts, first) - 1
        parts += stored.slice(places[at] + first - firsts[at], end - first).chunks
    found = pa.chunked_array(parts, stored.type)
    # What is not text would only crash where it is used.
    found.validate(full=True)
    return found
