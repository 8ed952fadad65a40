"""Python values to what is stored and back: SPEC section 6.

A scalar is None, bool, int, float or str. In JSON an int is a number without fraction or exponent,
a float one with; what JSON numbers cannot say everywhere is an object with one field:
`{"float": "NaN"}`, `{"float": "Infinity"}`, `{"float": "-Infinity"}`, and `{"int": "..."}` for
integers beyond 2^53. A metric point holds a scalar as (type, value, data).
"""

from __future__ import annotations

import json
import math
import re
from typing import TYPE_CHECKING, Any, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping

Scalar = None | bool | int | float | str
"""What one cell holds."""

MOST_BLOB: Final = 1 << 27
"""Bytes of one blob at most."""

PREFIX: Final = "media://"
"""How every reference to a blob begins; no name of a file does, for none has an empty piece."""

SAFE_INTEGER: Final = 2**53
"""Integers up to this magnitude are exact as float64 and as JSON numbers of every language."""

SCHEMA_KINDS: Final = ("confusion_matrix", "accuracy_table", "residuals", "predictions")
"""Kinds of metric rows whose value is a JSON document with a schema."""

KINDS: Final = (
    *("scalar", "list", "row", "table", "reference"),
    *("image", "text", "histogram", *SCHEMA_KINDS),
)
"""Kinds of metric rows."""

TYPES: Final = ("float", "int", "bool", "none", "str", "json", "blob")
"""Types of a metric row's value."""

_INTEGER: Final = re.compile(r"-?[0-9]+")
_NON_FINITE: Final = {"NaN": math.nan, "Infinity": math.inf, "-Infinity": -math.inf}


class Point(NamedTuple):
    """How one value is stored: `type` of TYPES, `value` (float64) and `data` (text), either None.

    >>> Point("float", 0.5, None).value
    0.5
    """

    type: str
    value: float | None
    data: str | None


def to_point(scalar: Scalar) -> Point:
    """Return how a scalar is stored in a metric row; numbers always fill `value`, for charts.

    Raises ValueError for integers of more digits than Python prints (4300 by default).

    >>> to_point(3), to_point(2**60).data
    (Point(type='int', value=3.0, data=None), '1152921504606846976')
    >>> to_point("a"), to_point(None).type
    (Point(type='str', value=None, data='a'), 'none')
    """
    if scalar is None:
        return Point("none", None, None)
    if isinstance(scalar, str):
        return Point("str", None, scalar)
    if isinstance(scalar, bool):
        return Point("bool", float(scalar), None)
    if isinstance(scalar, int):
        exact = -SAFE_INTEGER <= scalar <= SAFE_INTEGER
        return Point("int", nearest(scalar), None if exact else str(scalar))
    return Point("float", scalar, None)


def from_point(type_: str, value: float | None, data: str | None) -> Any:
    """Return the value that a metric row holds; `json` rows give lists and dicts of scalars.

    Those of type `blob` give the reference to it, as it stands there. Raises ValueError where the
    three do not fit each other.

    >>> from_point("int", 3.0, None), from_point("bool", 1.0, None)
    (3, True)
    >>> from_point("json", None, "[1, 2.5]")
    [1, 2.5]
    """
    if type_ == "none":
        return None
    if type_ not in TYPES:
        message = f"{type_[:80]!r} is no type of a value"
        raise ValueError(message)
    if type_ in ("str", "json", "blob"):
        if data is None:
            message = f"a value of type {type_} has no data"
            raise ValueError(message)
        return loads(data) if type_ == "json" else data
    if type_ == "int" and data is not None:
        return _integer(data)
    if value is None:
        message = f"a value of type {type_} has no value"
        raise ValueError(message)
    if type_ == "int":
        if not value.is_integer():
            message = f"{value} is no integer"
            raise ValueError(message)
        return int(value)
    return value != 0 if type_ == "bool" else value


def to_json(scalar: Scalar) -> Any:
    """Return a scalar as JSON can hold it exactly.

    >>> to_json(1.5), to_json(float("nan")), to_json(2**60)
    (1.5, {'float': 'NaN'}, {'int': '1152921504606846976'})
    """
    if isinstance(scalar, float) and not math.isfinite(scalar):
        if math.isnan(scalar):
            return {"float": "NaN"}
        return {"float": "Infinity" if scalar > 0 else "-Infinity"}
    if isinstance(scalar, int) and not -SAFE_INTEGER <= scalar <= SAFE_INTEGER:
        return {"int": str(scalar)}
    return scalar


def from_json(value: Any) -> Scalar:
    """Return the scalar that `to_json` made `value` of; ValueError for anything else.

    >>> from_json({"float": "-Infinity"}), from_json(2)
    (-inf, 2)
    """
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, dict) and len(value) == 1:
        ((kind, text),) = value.items()
        if kind == "float" and isinstance(text, str) and text in _NON_FINITE:
            return _NON_FINITE[text]
        if kind == "int" and isinstance(text, str):
            return _integer(text)
    message = f"not a scalar: {str(value)[:80]}"
    raise ValueError(message)


def dumps(value: list[Scalar] | Mapping[str, Any]) -> str:
    """Return the text of a list, a row (name to scalar) or a table (name to list).

    >>> dumps([1, 2.0, float("inf")]), dumps({"a": [1], "b": [None]})
    ('[1,2.0,{"float":"Infinity"}]', '{"a":[1],"b":[null]}')
    """
    return json.dumps(_walk(value), ensure_ascii=False, allow_nan=False, separators=(",", ":"))


def loads(text: str) -> Any:
    """Return the list, row or table that `dumps` made `text` of; ValueError for anything else.

    >>> loads('{"a":[1,{"float":"NaN"}]}')
    {'a': [1, nan]}
    """
    try:
        value = json.loads(text, parse_constant=_refuse)
    except RecursionError:
        message = "nested too deeply"
        raise ValueError(message) from None
    if isinstance(value, list):
        return [from_json(item) for item in value]
    if isinstance(value, dict):
        return {
            name: [from_json(item) for item in cell] if isinstance(cell, list) else from_json(cell)
            for name, cell in value.items()
        }
    message = "neither a list nor an object"
    raise ValueError(message)


def _walk(value: Any) -> Any:
    if isinstance(value, list):
        return [to_json(item) for item in value]
    return {k: _walk(v) if isinstance(v, list) else to_json(v) for k, v in value.items()}


def _refuse(token: str) -> None:
    message = f"{token} is not JSON"
    raise ValueError(message)


def _integer(text: str) -> int:
    if not _INTEGER.fullmatch(text):
        message = f"not an integer: {text[:80]!r}"
        raise ValueError(message)
    return int(text)


def nearest(number: float) -> float:
    """Return the float next to a number; infinity beyond the range of floats.

    >>> nearest(3), nearest(-(10**400))
    (3.0, -inf)
    """
    try:
        return float(number)
    except OverflowError:
        return math.inf if number > 0 else -math.inf
