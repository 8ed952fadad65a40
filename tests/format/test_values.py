"""Scalars come back as what they were: type, bits, sign of zero."""

from __future__ import annotations

import json
import math
import struct
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from objrun.format.values import (
    SAFE_INTEGER,
    TYPES,
    dumps,
    from_json,
    from_point,
    loads,
    to_json,
    to_point,
)
from tests.format import strategies as some


def same(one: Any, other: Any) -> bool:
    """Equal in type and, floats, bit for bit; NaN is NaN."""
    if type(one) is not type(other):
        return False
    if isinstance(one, float) and not math.isnan(one):
        return struct.pack("<d", one) == struct.pack("<d", other)
    if isinstance(one, list):
        return len(one) == len(other) and all(map(same, one, other))
    if isinstance(one, dict):
        return list(one) == list(other) and all(same(one[k], other[k]) for k in one)
    return bool(one == other) or (one != one and other != other)  # noqa: PLR0124 - NaN


@given(some.scalars)
def test_a_point_holds_a_scalar_exactly(scalar: Any) -> None:
    point = to_point(scalar)
    assert point.type in TYPES
    assert same(from_point(*point), scalar)
    if isinstance(scalar, int | float):
        assert point.value is not None


@given(st.floats(allow_nan=True))
def test_the_bits_of_a_float_stay_in_a_point(value: float) -> None:
    stored = to_point(value).value
    assert stored is not None
    assert struct.pack("<d", stored) == struct.pack("<d", value)


@given(some.scalars)
def test_json_holds_a_scalar_exactly(scalar: Any) -> None:
    text = json.dumps(to_json(scalar), allow_nan=False)
    assert same(from_json(json.loads(text)), scalar)


@given(some.integers)
def test_plain_json_numbers_are_exact_in_every_language(integer: int) -> None:
    assert isinstance(to_json(integer), int) == (abs(integer) <= SAFE_INTEGER)
    assert (to_point(integer).data is None) == (abs(integer) <= SAFE_INTEGER)


@given(
    st.lists(some.scalars, max_size=5)
    | st.dictionaries(some.texts, some.scalars, max_size=4)
    | st.dictionaries(some.texts, st.lists(some.scalars, max_size=3), max_size=3)
)
def test_lists_rows_and_tables_come_back(value: Any) -> None:
    text = dumps(value)
    text.encode()
    assert same(loads(text), value)
    assert same(from_point("json", None, text), value)


@given(some.json_values)
def test_from_json_gives_a_scalar_or_a_value_error(value: Any) -> None:
    try:
        scalar = from_json(value)
    except ValueError:
        return
    assert scalar is None or isinstance(scalar, bool | int | float | str)


@given(st.text(max_size=30) | st.text('[]{}",:0123.eE-NaInfty', max_size=30))
def test_loads_gives_a_value_or_a_value_error(text: str) -> None:
    try:
        value = loads(text)
    except ValueError:
        return
    assert isinstance(value, list | dict)


@given(
    st.sampled_from([*TYPES, "complex", ""]),
    st.none() | st.floats(),
    st.none() | st.text(max_size=9),
)
def test_from_point_gives_a_value_or_a_value_error(
    type_: str, value: float | None, data: str | None
) -> None:
    try:
        from_point(type_, value, data)
    except ValueError:
        return
    assert type_ in TYPES


@pytest.mark.parametrize(
    "bad",
    [
        {}, [], {"float": "nan"}, {"float": "1.0"}, {"float": 1.0}, {"float": []}, {"int": 3},
        {"int": "1_0"}, {"int": " 1"}, {"int": "٣"}, {"int": ""}, {"int": "-"}, {"int": "1\n"},
        {"int": "9" * 5000}, {"int": "1", "x": 1}, {"str": "a"},
    ],
)  # fmt: skip
def test_what_is_no_scalar(bad: Any) -> None:
    with pytest.raises(ValueError, match=r"\w"):
        from_json(bad)


@pytest.mark.parametrize(
    ("type_", "value", "data"),
    [
        ("int", math.inf, None), ("int", math.nan, None), ("int", 0.5, None), ("int", None, None),
        ("int", 1.0, "0x1"), ("str", 1.0, None), ("json", None, None), ("json", None, "3"),
        ("json", None, "[NaN]"), ("json", None, "[" * 100_000), ("bool", None, None),
        ("float", None, "1"), ("complex", 1.0, None),
    ],
)  # fmt: skip
def test_what_is_no_point(type_: str, value: float | None, data: str | None) -> None:
    with pytest.raises(ValueError, match=r"\w"):
        from_point(type_, value, data)


@pytest.mark.parametrize("ends", [("[", "]"), ('{"a":', "}")])
def test_what_is_nested_deeply_is_no_value(ends: tuple[str, str]) -> None:
    """Also at depths that Python just reads and does not print any more."""
    for depth in (3, 4, 100, *range(900, 1001, 7), 100_000):
        with pytest.raises(ValueError, match=r"not a scalar|nested too deeply"):
            loads(ends[0] * depth + "1" + ends[1] * depth)


def test_integers_that_python_does_not_print_are_refused() -> None:
    with pytest.raises(ValueError, match="digits"):
        to_point(10**5000)
