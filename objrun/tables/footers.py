"""What a table's file says of itself, and what it comes to: looked at before it is decoded."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from objrun.format.bounds import MOST_BYTES, check_columns, total, weigh
from objrun.format.tables import SCHEMAS
from objrun.tables.ranges import span_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from objrun.format.bounds import Weight

DAMAGES: Final = (
    pa.ArrowException,
    OSError,
    ValueError,
    LookupError,
    pl.exceptions.PolarsError,
    pl.exceptions.PanicException,
)
"""What reading damaged Parquet may raise."""

MOST_FOOTER: Final = 2**26
"""Bytes of a footer at most; one of a file of 64 MB takes a thousandth of it."""

MOST_TEXT: Final = 8 * MOST_BYTES
"""Bytes of the texts of a whole file at most, each as often as it stands there."""


def open_footer(kind: str, tail: bytes, size: int) -> pq.FileMetaData:
    """Return the footer that a file of `size` bytes ends in; `tail` is its end.

    Raises one of DAMAGES where that is no footer of a table of this kind.
    """
    footer = pq.read_metadata(pa.BufferReader(tail))
    check_columns(footer, size)
    stored = {field.name: field.type for field in footer.schema.to_arrow_schema()}
    for field in SCHEMAS[kind]:
        if field.name not in stored:
            message = f"it has no column {field.name}"
            raise ValueError(message)
        if not _fits(stored[field.name], field.type):
            message = f"its column {field.name} is of {stored[field.name]}, not {field.type}"
            raise ValueError(message)
    return footer


def _fits(stored: pa.DataType, wanted: pa.DataType) -> bool:
    if pa.types.is_dictionary(stored):
        stored = stored.value_type
    same: bool = stored == wanted or (
        pa.types.is_large_string(stored) and pa.types.is_string(wanted)
    )
    return same or (pa.types.is_integer(stored) and pa.types.is_integer(wanted))


def check_file(kind: str, data: bytes) -> Weight:
    """Return what all columns of a file come to; one of DAMAGES where it is not to be decoded."""
    footer = open_footer(kind, data, len(data))
    groups = range(footer.num_row_groups)
    flat, nested = weigh_groups(footer, groups, None, lambda start, stop: data[start:stop])
    if flat.size + nested.size > MOST_TEXT:
        message = f"more than {MOST_TEXT} bytes when decompressed"
        raise ValueError(message)
    return total((flat, nested))


def weigh_groups(
    footer: pq.FileMetaData,
    groups: Sequence[int],
    columns: Sequence[str] | None,
    read: Callable[[int, int], bytes],
) -> tuple[Weight, Weight]:
    """Return what columns of row groups come to: those that are flat, and those that are nested.

    `read(start, stop)` returns bytes of the file. Raises ThriftError where a row group is too
    large, or where that cannot be found out.
    """
    flat, nested = [], []
    for place in groups:
        found: list[tuple[str, Weight]] = []
        group = footer.row_group(place)
        for column in map(group.column, range(group.num_columns)):
            path = column.path_in_schema
            if columns is None or path.partition(".")[0] in columns:
                start, stop = span_of(column)
                data = read(start, stop)
                found.append((path, weigh(data, 0, len(data), column.num_values)))
        total(weight for _, weight in found).check()
        flat += [weight for path, weight in found if "." not in path]
        nested += [weight for path, weight in found if "." in path]
    return total(flat), total(nested)


def check_texts(frame: pl.DataFrame) -> None:
    """Raise ValueError where the texts of a file, each as often as it stands there, are too large.

    In memory polars holds each once, whoever uses them does not.
    """
    size = sum(each.str.len_bytes().sum() for series in frame for each in _texts(series))
    if size > MOST_TEXT:
        message = f"{size} bytes of text are more than {MOST_TEXT}"
        raise ValueError(message)


def _texts(series: pl.Series) -> Iterator[pl.Series]:
    if isinstance(series.dtype, pl.List):
        yield from _texts(series.explode())
    elif isinstance(series.dtype, pl.Struct):
        for field in series.struct.fields:
            yield from _texts(series.struct.field(field))
    elif series.dtype == pl.String:
        yield series
