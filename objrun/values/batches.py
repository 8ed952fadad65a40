"""Whole arrays of points as rows of a segment, without a Python loop."""

from __future__ import annotations

from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from objrun.clock import nanoseconds
from objrun.errors import UserErrorException
from objrun.protocol.columns import TIME, repeated


def batch_table(name: str, values: Any, steps: Any, times: Any) -> pa.Table:
    """Return rows of metric `name`; UserErrorException if the three do not fit each other.

    >>> batch_table("loss", [0.5, 0.25], [1, 2], None).num_rows
    2
    """
    numbers = _array(values, f"values of {name!r}")
    if not _is_number(numbers.type):
        message = f"values of {name!r} are numbers, not {numbers.type}; use log_list for others"
        raise UserErrorException(message)
    columns = {
        "name": repeated(name, len(numbers)),
        "type": _types(numbers),
        "step": _steps(name, steps, len(numbers)),
        "time": _times(name, times, len(numbers)),
        "value": _exact(numbers, pa.float64(), f"values of {name!r}"),
    }
    return pa.table({kind: column for kind, column in columns.items() if column is not None})


def _types(numbers: pa.Array) -> pa.Array | None:
    """Return the column of exact types, None where all are floats; nulls read back as None."""
    kind = "bool" if pa.types.is_boolean(numbers.type) else "int"
    exact = pa.scalar(None if pa.types.is_floating(numbers.type) else kind, pa.string())
    if numbers.null_count:
        return pc.if_else(pc.is_null(numbers), "none", exact)
    return pa.repeat(exact, len(numbers)) if exact.is_valid else None


def _steps(name: str, steps: Any, count: int) -> pa.Array:
    if steps is None:
        return pa.nulls(count, pa.int64())
    whole = _array(steps, f"steps of {name!r}")
    if not pa.types.is_integer(whole.type) and len(whole):
        message = f"steps of {name!r} are integers, not {whole.type}"
        raise UserErrorException(message)
    return _same_length(name, "steps", _exact(whole, pa.int64(), f"steps of {name!r}"), count)


def _times(name: str, times: Any, count: int) -> pa.Array:
    if times is None:
        return pa.repeat(pa.scalar(nanoseconds(), TIME), count)
    given = _array(times, f"times of {name!r}")
    if pa.types.is_timestamp(given.type):
        zoned = given if given.type.tz else pc.assume_timezone(given, "UTC")
    elif _is_number(given.type):
        whole = pc.round(pc.multiply(given.cast(pa.float64()), 1e6))
        zoned = _exact(whole, pa.int64(), f"times of {name!r}").cast(pa.timestamp("us", "UTC"))
    else:
        message = f"times of {name!r} are timestamps or seconds since the epoch, not {given.type}"
        raise UserErrorException(message)
    found = _exact(zoned, TIME, f"times of {name!r}")
    if found.null_count:
        message = f"times of {name!r} hold a null: every point has a time"
        raise UserErrorException(message)
    return _same_length(name, "times", found, count)


def _array(given: Any, what: str) -> pa.Array:
    """Return an Arrow array of whatever numpy, Arrow, pandas or Python holds in one dimension."""
    if isinstance(given, pa.ChunkedArray):
        return given.combine_chunks()
    if isinstance(given, Mapping | AbstractSet):
        message = f"{what} are a {type(given).__name__}: an array or a sequence is wanted"
        raise UserErrorException(message)
    try:
        made = given if isinstance(given, pa.Array) else pa.array(_own(given))
    except (pa.ArrowException, TypeError, ValueError, OverflowError, RuntimeError) as error:
        message = f"{what} are no array of one dimension: {error}"
        raise UserErrorException(message) from None
    return made.combine_chunks() if isinstance(made, pa.ChunkedArray) else made


def _own(given: Any) -> Any:
    """Return a copy of what has memory: the caller may fill it anew before its points are stored.

    A tensor becomes the array of numpy that it offers, and says itself why it cannot.
    """
    if not hasattr(given, "__array__"):
        return given
    if hasattr(given, "copy"):
        return given.copy()
    return given if hasattr(given, "__arrow_c_stream__") else given.__array__().copy()


def _exact(numbers: pa.Array, type_: pa.DataType, what: str) -> pa.Array:
    try:
        return numbers.cast(type_)
    except pa.ArrowInvalid as error:
        message = f"{what} do not fit in {type_}: {error}"
        raise UserErrorException(message) from None


def _is_number(type_: pa.DataType) -> bool:
    kinds = (pa.types.is_integer, pa.types.is_floating, pa.types.is_boolean, pa.types.is_null)
    return any(kind(type_) for kind in kinds)


def _same_length(name: str, what: str, column: pa.Array, count: int) -> pa.Array:
    if len(column) != count:
        message = f"metric {name!r}: {count} values and {len(column)} {what}"
        raise UserErrorException(message)
    return column
