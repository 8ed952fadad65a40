"""Pages of a column: find those that hold some rows, and decode them without the others.

pyarrow reads no less than a row group. So the pages that are wanted become a small Parquet file of
their own, in memory, behind whose footer pyarrow finds nothing else. Pure: others fetch the bytes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

from objrun.format.bounds import MOST_BYTES, check_words, read_head, weigh
from objrun.format.thrift import (
    BINARY,
    I32,
    I64,
    LIST,
    STRUCT,
    Items,
    Reader,
    ThriftError,
    Value,
    encode,
    number,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from objrun.format.thrift import Struct

_MAGIC: Final = b"PAR1"
_ODD: Final = "its index of pages does not fit its pages"


class Page(NamedTuple):
    """A page: its bytes `[start, stop)` of the file and its rows `[first, end)` of the group."""

    start: int
    stop: int
    first: int
    end: int


@dataclass(frozen=True)
class Column:
    """A column of a row group: how it is stored, and where its index of pages stands.

    `element`: its part of the file's schema; `start` and `stop`: its bytes, of which those before
    `data` are its dictionary; `index`: the bytes of the index.
    """

    element: Struct
    codec: int
    rows: int
    start: int
    data: int
    stop: int
    index: tuple[int, int]

    def pages(self, index: bytes) -> list[Page]:
        """Return all pages, of the bytes of the index.

        Raises ThriftError where it is none, or not of this column.
        """
        listed = Reader(index).struct().get(1)
        if listed is None or listed.kind != LIST or listed.content.kind != STRUCT:
            raise ThriftError(_ODD)
        places = listed.content.contents
        starts = [number(place, 1) for place in places]
        stops = [number(place, 1) + number(place, 2) for place in places]
        firsts = [number(place, 3) for place in places]
        pages = [*map(Page, starts, stops, firsts, [*firsts[1:], self.rows])]
        begins = [*((page.start, page.first) for page in pages), (self.stop, self.rows)]
        ends = [(self.data, 0), *((page.stop, page.end) for page in pages)]
        if begins != ends or begins != sorted(begins):
            raise ThriftError(_ODD)
        return pages

    def decode(self, pages: Sequence[Page], read: Callable[[int, int], bytes]) -> pa.ChunkedArray:
        """Return the rows of pages; `read(start, stop)` returns bytes of the file.

        Raises ThriftError or pyarrow's errors where these are damaged.
        """
        words = read(self.start, self.data)
        held = [read(page.start, page.stop) for page in pages]
        for page, data in zip(pages, held, strict=True):
            _check(page, data)
        data = _MAGIC + words + b"".join(held)
        rows = sum(page.end - page.first for page in pages)
        weight = weigh(data, len(_MAGIC), len(data), rows)
        weight.check()
        repeats = weight.repeated > MOST_BYTES
        footer = encode(self._footer(rows, len(words), len(data)))
        file = b"".join([data, footer, len(footer).to_bytes(4, "little"), _MAGIC])
        # Of bytes in memory nothing is to be fetched ahead, for which Arrow would use its threads.
        opened = pq.ParquetFile(
            pa.BufferReader(file),
            read_dictionary=[self.element[4].content.decode()] if repeats else None,
            pre_buffer=False,
            page_checksum_verification=True,
        )
        table = opened.read(use_threads=False)
        if table.num_rows != rows:
            raise ThriftError(_ODD)
        if repeats:
            check_words(table)
            return table.column(0).cast(pa.string())
        return table.column(0)

    def _footer(self, rows: int, words: int, stop: int) -> Struct:
        """Return what a file of one column says of itself; its pages end at `stop`."""
        size = stop - len(_MAGIC)
        column = {
            1: self.element[1],
            2: Value(LIST, Items(I32, [])),
            3: Value(LIST, Items(BINARY, [self.element[4].content])),
            4: Value(I32, self.codec),
            5: Value(I64, rows),
            6: Value(I64, size),
            7: Value(I64, size),
            9: Value(I64, len(_MAGIC) + words),
        }
        if words:
            column[11] = Value(I64, len(_MAGIC))
        chunk = {2: Value(I64, 0), 3: Value(STRUCT, column)}
        group = {
            1: Value(LIST, Items(STRUCT, [chunk])),
            2: Value(I64, size),
            3: Value(I64, rows),
        }
        root = {4: Value(BINARY, b"schema"), 5: Value(I32, 1)}
        return {
            1: Value(I32, 2),
            2: Value(LIST, Items(STRUCT, [root, self.element])),
            3: Value(I64, rows),
            4: Value(LIST, Items(STRUCT, [group])),
        }


def _check(page: Page, data: bytes) -> None:
    """Refuse a page whose own head tells of another one: rows would be taken for others."""
    head = read_head(data, 0)
    if head.values != page.end - page.first or head.stop != len(data):
        raise ThriftError(_ODD)


def elements_of(footer: bytes) -> list[Struct]:
    """Return the schema of a footer's columns, nothing where some are nested.

    Raises ThriftError where it is no footer.
    """
    listed = Reader(footer).struct(last=2).get(2)
    if listed is None or listed.kind != LIST or listed.content.kind != STRUCT:
        raise ThriftError("it has no schema")
    found: list[Struct] = listed.content.contents[1:]
    return [] if any(5 in element for element in found) else found


def column_of(footer: bytes, element: Struct, told: pq.ColumnChunkMetaData) -> Column | None:
    """Return a column that `told` is about, None where it has no index that can be found.

    Walking through a large footer takes a tenth of a second here. What pyarrow does not tell stands
    beside what it does, and these numbers no other column has.
    """
    known = {
        5: Value(I64, told.num_values),
        6: Value(I64, told.total_uncompressed_size),
        7: Value(I64, told.total_compressed_size),
        9: Value(I64, told.data_page_offset),
    }
    # Before it, in two bytes, stands the codec.
    at = footer.find(encode(known, after=4)[:-1]) - 2
    if at < 0 or footer[at] != 1 << 4 | I32:
        return None
    reader = Reader(footer, at)
    stored = reader.struct(after=3)
    behind = reader.struct(after=3)
    data = told.data_page_offset
    start = number(stored, 11) if 11 in stored else data
    stop = start + told.total_compressed_size
    if not {4, 5} <= behind.keys():
        return None
    index = number(behind, 4), number(behind, 4) + number(behind, 5)
    if not 0 <= start <= data < stop <= index[0] < index[1] <= index[0] + stop - start:
        return None
    return Column(element, number(stored, 4), told.num_values, start, data, stop, index)
