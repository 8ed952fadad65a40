"""Tables as they are logged: dicts and frames of Arrow, polars and pandas; large ones in pieces."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

import pyarrow as pa

from objrun.errors import UserErrorException
from objrun.format.bounds import columns_in, total, weigh
from objrun.format.frames import MOST_ROWS, encode_frame, is_plain
from objrun.format.names import check_key
from objrun.format.thrift import ThriftError
from objrun.format.values import dumps
from objrun.protocol.columns import Cell
from objrun.protocol.packs import Content
from objrun.values.conversion import is_float_series, to_table
from objrun.values.sizes import SMALL, checked_size

if TYPE_CHECKING:
    from collections.abc import Iterator

PIECE: Final = 32 << 20
"""Bytes of a piece of a large table before it is compressed, where one row has not more."""


def pieces(where: str, value: Any) -> Iterator[Cell | Content]:
    """Yield a table as it is logged: as it stands, or in pieces of some of its rows.

    Raises UserErrorException, naming `where`, before the first piece. A dict of columns that are
    too mixed for Arrow stands as it is, whatever its size.
    """
    if isinstance(value, Mapping):
        frame = _of_dict(value)
        if frame is None:
            columns = to_table(value, where)
            if any(columns.values()):
                yield Cell("table", "json", None, dumps(columns))
            return
    else:
        frame = _of_frame(where, value)
    yield from _parts(where, _plain(where, frame))


def _parts(where: str, frame: pa.Table) -> Iterator[Cell | Content]:
    if frame.num_rows and frame.num_rows * frame.num_columns <= SMALL:
        yield Cell("table", "json", None, dumps(to_table(frame.to_pydict(), where)))
        return
    parts = _halved(frame) if frame.num_rows else []
    # All of them before the first is logged: no table is half there.
    for row in (part for part in parts if part.nbytes > PIECE):
        _check_row(where, row)
    for part in parts:
        yield Content(".parquet", checked_size(where, encode_frame(part)))


def _halved(frame: pa.Table) -> list[pa.Table]:
    """Return slices of at most PIECE bytes, or of one row. Rows may be of very different sizes."""
    rows = frame.num_rows
    if rows == 1 or (rows <= MOST_ROWS and frame.nbytes <= PIECE):
        return [frame]
    return _halved(frame.slice(0, rows // 2)) + _halved(frame.slice(rows // 2))


def _check_row(where: str, row: pa.Table) -> None:
    """Raise UserErrorException for a row that no blob can hold, or no reader would take."""
    try:
        data = checked_size(where, encode_frame(row))
        total(weigh(data, *each[1:]) for each in columns_in(data)).check()
    except (pa.ArrowException, ThriftError) as error:
        message = f"{where}: a row of {row.nbytes} bytes is too large: use upload_file: {error}"
        raise UserErrorException(message) from None


def _of_dict(value: Mapping[Any, Any]) -> pa.Table | None:
    """Return a dict of columns as Arrow; None where it is small, or its columns are mixed."""
    lengths = [len(c) if hasattr(c, "__len__") and not isinstance(c, str) else 1
               for c in value.values()]  # fmt: skip
    if sum(lengths) <= SMALL or len({*lengths}) > 1:
        return None
    columns = {}
    for name, column in value.items():
        numbers = getattr(column, "dtype", None)
        try:
            # Arrow takes the NaN of a series for null.
            given = column.to_numpy() if is_float_series(column) else column
            array = pa.array(given) if numbers is None or column.ndim == 1 else None
        except (pa.ArrowException, OverflowError, TypeError, AttributeError):
            return None
        # A list of numbers and texts, or of integers and floats, is not what Arrow makes of it.
        is_exact = numbers is not None or len({*map(type, column)} - {type(None)}) == 1
        if array is None or not is_exact or not is_plain(array.type) or not isinstance(name, str):
            return None
        columns[name] = array
    return pa.table(columns)


def _of_frame(where: str, value: Any) -> pa.Table:
    if isinstance(value, pa.Table):
        return value
    if isinstance(value, pa.RecordBatch):
        return pa.Table.from_batches([value])
    if hasattr(value, "iloc") and hasattr(value, "columns"):
        return _of_pandas(where, value)
    # A series has the way of a frame to Arrow, too, and fails on it.
    with suppress(pa.ArrowException):
        if hasattr(value, "__arrow_c_stream__"):
            return pa.table(value)
        if callable(to_arrow := getattr(value, "to_arrow", None)):
            return pa.table(to_arrow())
    message = (
        f"{where}: a table is a dict of column name to list, or a frame of Arrow, polars or "
        f"pandas, not {type(value).__name__}"
    )
    raise UserErrorException(message)


def _of_pandas(where: str, frame: Any) -> pa.Table:
    # Its own way to Arrow would add a column for its index.
    try:
        table = pa.Table.from_pandas(frame, preserve_index=False)
    except (pa.ArrowException, ValueError) as error:
        told = ": ".join(map(str, reversed(error.args)))
        message = f"{where}: a column is of no type that a table may have: {told}"
        raise UserErrorException(message) from None
    for place, name in enumerate(table.column_names):
        column = frame.iloc[:, place]
        if is_float_series(column):
            table = table.set_column(place, name, pa.array(column.to_numpy()))
    return table


def _plain(where: str, frame: pa.Table) -> pa.Table:
    """Return a table whose columns are scalars: categories as texts, and so times and decimals."""
    names = [check_key(name, "column") for name in frame.column_names]
    if len({*names}) < len(names):
        message = f"{where}: two columns have one name: {names}"
        raise UserErrorException(message[:400])
    columns = {}
    for name, column in zip(names, frame.columns, strict=True):
        try:
            columns[name] = _scalars(column)
        except pa.ArrowException as error:
            message = f"{where}[{name!r}]: a column of type {column.type} cannot be logged: {error}"
            raise UserErrorException(message) from None
        if not is_plain(columns[name].type):
            message = (
                f"{where}[{name!r}]: a column of type {column.type} cannot be logged; use null, "
                "bool, integers, floats, texts, dates, times or decimals"
            )
            raise UserErrorException(message)
    return pa.table(columns)


def _scalars(column: Any) -> Any:
    """Return categories as what they are of, and times, decimals and views as texts.

    Of an array or chunked array. Each chunk has categories of its own, and Arrow casts no views.
    A duration is text as in ISO 8601, such as PT1.5S.
    """
    if pa.types.is_dictionary(column.type):
        chunks = [_scalars(chunk.dictionary).take(chunk.indices) for chunk in column.chunks]
        return pa.chunked_array(chunks or [pa.nulls(0)])
    if pa.types.is_duration(column.type):
        import polars as pl

        return pl.Series(column).dt.to_string("iso").to_arrow()
    tests = pa.types.is_temporal, pa.types.is_decimal, pa.types.is_string_view
    return column.cast(pa.string()) if any(test(column.type) for test in tests) else column
