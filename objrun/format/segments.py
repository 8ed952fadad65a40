"""Metric segments: columns to Parquet bytes and back. SPEC section 6; no I/O.

A segment holds rows `[start, stop)` of one writer in order of their offset, so row i has offset
`start + i`. Columns that would hold only their default are left out: `kind` (null means scalar),
`type` (null means float), `step` and `data` (null).
"""

from __future__ import annotations

from typing import Final

import pyarrow as pa
import pyarrow.parquet as pq

from objrun.errors import CorruptObjectError, Problem
from objrun.format.bounds import (
    MOST_BYTES,
    MOST_VALUES,
    Weight,
    check_times,
    check_words,
    columns_in,
    total,
    weigh,
)
from objrun.format.keys import parse_segment
from objrun.format.thrift import ThriftError
from objrun.format.values import KINDS, TYPES

SCHEMA: Final = pa.schema(
    [
        pa.field("name", pa.string(), nullable=False),
        pa.field("kind", pa.string()),
        pa.field("step", pa.int64()),
        pa.field("time", pa.timestamp("us", tz="UTC"), nullable=False),
        pa.field("type", pa.string()),
        pa.field("value", pa.float64()),
        pa.field("data", pa.string()),
    ]
)
"""The columns of a metric row, in order; `offset` is implied by the position."""

_DICTIONARY: Final = ("name", "kind", "type")

COMPRESSED: Final = ("value", "data")
"""Columns that zstd makes smaller; for the others lz4 does as well, in a third of the time."""

DECODED: Final = pa.schema(
    field.with_type(pa.dictionary(pa.int32(), pa.string())) if field.name in _DICTIONARY else field
    for field in SCHEMA
)
"""The columns of a segment that was read: as in SCHEMA, its words as dictionaries."""

_DEFAULTED: Final = ("kind", "step", "type", "data")


def encode_segment(rows: pa.Table) -> bytes:
    """Return the Parquet bytes of `rows`, which have the columns of SCHEMA or leave out defaults.

    Text columns may be dictionary-encoded; times may be in nanoseconds, of which microseconds are
    kept. The same rows and pyarrow give the same bytes.
    """
    kept = [
        name
        for name in SCHEMA.names
        if name in rows.column_names
        and not (name in _DEFAULTED and rows.column(name).null_count == rows.num_rows)
    ]
    sink = pa.BufferOutputStream()
    plain = [name for name in kept if name not in _DICTIONARY]
    encodings = {"step": "DELTA_BINARY_PACKED", "time": "DELTA_BINARY_PACKED"}
    encodings |= {"value": "BYTE_STREAM_SPLIT", "data": "PLAIN"}
    pq.write_table(
        rows.select(kept),
        sink,
        compression={name: "zstd" if name in COMPRESSED else "lz4" for name in kept},
        use_dictionary=[name for name in kept if name in _DICTIONARY],
        column_encoding={name: encodings[name] for name in plain},
        write_statistics=["name"],
        write_page_checksum=True,
        store_schema=False,
        coerce_timestamps="us",
        allow_truncated_timestamps=True,
    )
    data: bytes = sink.getvalue().to_pybytes()
    return data


def decode_segment(key: str, data: bytes) -> pa.Table:
    """Return the rows of a segment with the columns of DECODED.

    Raises CorruptObjectError, naming `key`, where the bytes are not such a file or hold another
    number of rows than the key says. Columns this version does not know are ignored.
    """
    try:
        source = pa.BufferReader(data)
        footer = pq.read_metadata(source)
        # Before it is believed how much there is to read.
        _refuse(key, _row_problems(key, footer.num_rows))
        weight = weigh_segment(data, footer.schema)
        decoded = _decode(source, footer, weight)
    except (pa.ArrowException, OSError, ValueError, LookupError) as error:
        raise CorruptObjectError(key, [Problem("$", "bad_parquet", str(error)[:200])]) from None
    words = [*_word_problems(decoded, "kind", KINDS), *_word_problems(decoded, "type", TYPES)]
    _refuse(key, _row_problems(key, decoded.num_rows) + words)
    return decoded


def weigh_segment(data: bytes, schema: pq.ParquetSchema) -> Weight:
    """Return what the columns come to that are read, or raise ThriftError where that is too much.

    Raises ThriftError as well where that cannot be found out.
    """
    read = {place for place in range(len(schema)) if _root(schema, place) in SCHEMA.names}
    stored = [each for each in columns_in(data) if each.column in read]
    if sum(each.values for each in stored) > MOST_VALUES * len(read):
        raise ThriftError(f"more than {MOST_VALUES} rows")
    weight = total(weigh(data, each.start, each.stop, each.values) for each in stored)
    weight.check()
    return weight


def _root(schema: pq.ParquetSchema, place: int) -> str:
    name: str = schema.column(place).path.partition(".")[0]
    return name


def _decode(source: pa.BufferReader, footer: pq.FileMetaData, weight: Weight) -> pa.Table:
    leaves = {footer.schema.column(place).path for place in range(footer.num_columns)}
    repeats = weight.repeated > MOST_BYTES
    words = [name for name in (*_DICTIONARY, *(["data"] if repeats else [])) if name in leaves]
    file = pq.ParquetFile(
        source, metadata=footer, read_dictionary=words, page_checksum_verification=True
    )
    # In this thread: those of Arrow gain nothing here, and a damaged column may leave one behind
    # that aborts the process when it ends.
    stored = set(file.schema_arrow.names)
    table = file.read([name for name in SCHEMA.names if name in stored], use_threads=False)
    # Text that is not UTF-8 would only be found, or crash, where it is used.
    table.validate(full=True)
    if repeats:
        check_words(table)
    columns = [_column(table, field) for field in DECODED]
    decoded = pa.table(columns, schema=DECODED)
    check_times(decoded)
    return decoded.unify_dictionaries()


def _column(table: pa.Table, field: pa.Field) -> pa.ChunkedArray:
    if field.name in table.column_names:
        column = table.column(field.name)
        if column.null_count and not field.nullable:
            message = f"the column {field.name} holds a null"
            raise pa.ArrowInvalid(message)
        if column.type == field.type:
            return column
        plain = column.cast(SCHEMA.field(field.name).type)
        return plain.dictionary_encode() if field.name in _DICTIONARY else plain
    if not field.nullable:
        message = f"the column {field.name} is missing"
        raise pa.ArrowInvalid(message)
    return pa.chunked_array([pa.nulls(table.num_rows, field.type)])


def _row_problems(key: str, rows: int) -> list[Problem]:
    named = parse_segment(key)
    if named is None or named.stop - named.start == rows:
        return []
    message = f"{rows} rows under a key that says {named.stop - named.start}"
    return [Problem("$", "key_mismatch", message)]


def _word_problems(table: pa.Table, name: str, known: tuple[str, ...]) -> list[Problem]:
    column = table.column(name)
    if not {word for piece in column.chunks for word in piece.dictionary.to_pylist()} - {*known}:
        return []
    words = set(column.unique().to_pylist()) - {None, *known}
    return [
        Problem(f"$.{name}", "unknown_value", f"{name} is {word[:80]!r}") for word in sorted(words)
    ]


def _refuse(key: str, problems: list[Problem]) -> None:
    if problems:
        raise CorruptObjectError(key, problems)
