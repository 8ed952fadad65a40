"""Small objects that would fill the memory: each a few kB that tells of, or comes to, gigabytes.

    python -m tests.hostile.bombs NAME...

reads the bombs of these names and prints what is said of them and how much memory that took.
"""

from __future__ import annotations

import json
import resource
import sys
from typing import TYPE_CHECKING, NamedTuple

import pyarrow as pa

from objrun.errors import FormatError
from objrun.format import keys
from objrun.format.documents import decode_run
from objrun.format.segments import decode_segment
from objrun.format.thrift import BINARY, I32, I64, LIST, STRUCT, Items, Value, encode
from tests.hostile.subjects import ROWS, SEGMENT, read_table

if TYPE_CHECKING:
    from collections.abc import Callable

    from objrun.format.thrift import Struct

BIG = 2**26
TEXT, INT64 = 6, 2
PLAIN, RLE, DELTA_LENGTH, DELTA_TEXT, WORDS = 0, 3, 6, 7, 8
ZSTD = 6


class Column(NamedTuple):
    """A column of a file: its pages as they are stored, and what its footer tells."""

    name: str
    kind: int
    pages: list[bytes]
    values: int
    codec: int = 0
    dictionary: int = 0
    nullable: bool = False


def varint(value: int) -> bytes:
    """Return an integer as Thrift and Parquet's encodings write it."""
    out = bytearray()
    while value > 127:
        out.append(value & 127 | 128)
        value >>= 7
    return bytes([*out, value])


def page(body: bytes, encoding: int, values: int, size: int | None = None) -> bytes:
    """Return a page of data, which says that it decompresses to `size` bytes."""
    told = _ints(values, encoding, RLE, RLE)
    size = len(body) if size is None else size
    return encode({**_ints(0, size, len(body)), 5: Value(STRUCT, told)}) + body


def words(body: bytes, values: int, size: int | None = None) -> bytes:
    """Return a page that is a dictionary."""
    size = len(body) if size is None else size
    return encode({**_ints(2, size, len(body)), 7: Value(STRUCT, _ints(values, PLAIN))}) + body


def _ints(*numbers: int) -> Struct:
    return {place: Value(I32, number) for place, number in enumerate(numbers, 1)}


def file(columns: list[Column], rows: int) -> bytes:
    """Return a Parquet file of one row group."""
    data = b"PAR1"
    elements: list[Struct] = [{4: Value(BINARY, b"schema"), 5: Value(I32, len(columns))}]
    chunks: list[Struct] = []
    for column in columns:
        start, stored = len(data), b"".join(column.pages)
        data += stored
        name = column.name.encode()
        element: Struct = {1: Value(I32, column.kind), 3: Value(I32, int(column.nullable))}
        element[4] = Value(BINARY, name)
        if column.kind == TEXT or column.name == "time":
            element[6] = Value(I32, 0 if column.kind == TEXT else 10)
        elements.append(element)
        told: Struct = {1: Value(I32, column.kind), 2: Value(LIST, Items(I32, [0]))}
        told |= {3: Value(LIST, Items(BINARY, [name])), 4: Value(I32, column.codec)}
        told |= {5: Value(I64, column.values), 6: Value(I64, len(stored))}
        told[7] = Value(I64, len(stored))
        told[9] = Value(I64, start + column.dictionary)
        if column.dictionary:
            told[11] = Value(I64, start)
        chunks.append({2: Value(I64, 0), 3: Value(STRUCT, told)})
    group = {1: Value(LIST, Items(STRUCT, chunks)), 2: Value(I64, len(data)), 3: Value(I64, rows)}
    footer = encode(
        {
            1: Value(I32, 2),
            2: Value(LIST, Items(STRUCT, elements)),
            3: Value(I64, rows),
            4: Value(LIST, Items(STRUCT, [group])),
        }
    )
    return data + footer + len(footer).to_bytes(4, "little") + b"PAR1"


def times(rows: int = ROWS) -> Column:
    """Return times as they may be."""
    return Column("time", INT64, [page(bytes(8 * rows), PLAIN, rows)], rows)


def _text(value: bytes) -> bytes:
    return len(value).to_bytes(4, "little") + value


def names(rows: int = ROWS) -> Column:
    """Return names as they may be."""
    return Column("name", TEXT, [page(_text(b"a") * rows, PLAIN, rows)], rows)


def zipped() -> Column:
    """Twenty texts of 64 MB each."""
    body = _text(bytes(BIG))
    small = pa.Codec("zstd").compress(body, asbytes=True)
    return Column("name", TEXT, [page(small, PLAIN, 1, len(body))] * ROWS, ROWS, ZSTD)


def claimed() -> Column:
    """Pages that tell of two gigabytes and hold nothing."""
    return Column("name", TEXT, [page(b"1234", PLAIN, ROWS, 2**31 - 1)], ROWS, ZSTD)


def repeated(name: str = "name", rows: int = 2**20) -> Column:
    """One word of 64 kB, a million times."""
    word = words(_text(bytes(2**16)), 1)
    run = bytes([0]) + varint(rows << 1)
    return Column(name, TEXT, [word, page(run, WORDS, rows)], rows, 0, len(word))


def lengths(encoding: int) -> Column:
    """Texts whose lengths are said to be a billion, in the page alone."""
    many = varint(2**30) + varint(1) + varint(2**30) + varint(0) + varint(0) + b"\0"
    few = varint(128) + varint(4) + varint(ROWS) + varint(0) + varint(0) + bytes(4)
    body = many + (few if encoding == DELTA_TEXT else b"")
    return Column("name", TEXT, [page(body, encoding, ROWS)], ROWS)


def nulls(rows: int, kind: int = INT64) -> Column:
    """Nothing but nulls, as one run."""
    run = varint(rows << 1) + b"\0"
    body = len(run).to_bytes(4, "little") + run
    return Column("step", kind, [page(body, PLAIN, rows)], rows, nullable=True)


def many_words() -> Column:
    """A dictionary that is said to have two billion words."""
    word = words(_text(b"a"), 2**31 - 1)
    pages = [word, page(bytes([0]) + varint(ROWS << 1), WORDS, ROWS)]
    return Column("name", TEXT, pages, ROWS, 0, len(word))


def _covering(column: Column, rows: int) -> bytes:
    """Return a table `coverage` with this column of ids."""
    ids = [column._replace(name=name) for name in ("root_run_id", "run_id", "writer")]
    return file([*ids, times(min(rows, 2**20))._replace(name="stop")], rows)


def _segment(*columns: Column, rows: int = ROWS) -> Callable[[], object]:
    key = keys.segment("e", "r", "00000000000000a1", 0, rows) if rows != ROWS else SEGMENT
    return lambda: decode_segment(key, file([*columns], rows))


def _table(column: Column, rows: int = ROWS) -> Callable[[], object]:
    return lambda: read_table("coverage", _covering(column, rows))


def _document(data: bytes) -> Callable[[], object]:
    return lambda: decode_run(keys.run_state("r", 1), data)


HUGE = 2**30
BOMBS: dict[str, Callable[[], Callable[[], object]]] = {
    "texts that are zipped": lambda: _segment(zipped(), times()),
    "a page that claims gigabytes": lambda: _segment(claimed(), times()),
    "a word a million times": lambda: _segment(repeated(), times(2**20), rows=2**20),
    "a text a million times": lambda: _segment(
        names(2**20), times(2**20), repeated("data"), rows=2**20
    ),
    "a billion lengths": lambda: _segment(lengths(DELTA_LENGTH), times()),
    "a billion prefixes": lambda: _segment(lengths(DELTA_TEXT), times()),
    "a billion nulls": lambda: _segment(names(), times(), nulls(HUGE), rows=HUGE),
    "a billion nulls of twenty": lambda: _segment(names(), times(), nulls(HUGE)),
    "two billion words": lambda: _segment(many_words(), times()),
    "a table of texts that are zipped": lambda: _table(zipped()),
    "a table of a page that claims gigabytes": lambda: _table(claimed()),
    "a table of a word a million times": lambda: _table(repeated(), 2**20),
    "a table of a billion lengths": lambda: _table(lengths(DELTA_LENGTH)),
    "a table of two billion words": lambda: _table(many_words()),
    "a table of a billion nulls": lambda: _table(nulls(HUGE, TEXT), HUGE),
    "a document that is nested": lambda: _document(b"[" * 10**6),
    "an object that is nested": lambda: _document(b'{"state":' * 10**6),
    "a document of 100 MB": lambda: _document(b'{"format":1,"a":[%b0]}' % (b"0," * 50_000_000)),
    "a number of a million digits": lambda: _document(b'{"format":1%b}' % (b"0" * 10**6)),
}


def main(asked: list[str]) -> None:
    """Read some, and print what was said of each and the bytes that it took."""
    for name in asked:
        read = BOMBS[name]()
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        try:
            told = f"answered: {type(read()).__name__}"
        except FormatError as error:
            told = str(error)
        taken = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024
        sys.stdout.write(json.dumps({"name": name, "told": told, "taken": taken}) + "\n")


if __name__ == "__main__":
    main(sys.argv[1:])
