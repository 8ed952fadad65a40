"""Walking through a struct ends where reading it ends, and takes the same integers."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from objrun.format.skim import skip, walk
from objrun.format.thrift import I32, I64, LIST, STRUCT, Items, Reader, ThriftError, Value, encode
from tests.format.test_thrift import structs


@given(structs, st.binary(max_size=4))
def test_it_ends_where_reading_does(fields: dict[int, Value], behind: bytes) -> None:
    data = encode(fields) + behind
    wanted = [field for field, value in fields.items() if value.kind == I64]
    end, found = walk(data, 0, handlers={}, wanted=wanted)
    reader = Reader(data)
    assert reader.struct() == fields
    assert end == reader.at == skip(data, 0, STRUCT)
    assert found == {field: fields[field].content for field in wanted}


@given(structs, st.data())
def test_what_reading_refuses_is_not_taken_for_more(
    fields: dict[int, Value], chance: st.DataObject
) -> None:
    """Of changed bytes that can be read, both agree on the end and on the integers."""
    data = bytearray(encode(fields))
    place = chance.draw(st.integers(0, len(data) - 1))
    data[place] = chance.draw(st.integers(0, 255))
    changed = bytes(data)
    reader = Reader(changed)
    try:
        told = reader.struct()
    except ThriftError:
        return
    wanted = {field: value.content for field, value in told.items() if value.kind == I64}
    assert walk(changed, 0, handlers={}, wanted=wanted) == (reader.at, wanted)


@pytest.mark.parametrize(
    "fields",
    [
        {2: Value(I32, 7)},
        {2: Value(LIST, Items(I64, [1]))},
        {3: Value(LIST, Items(I32, [1]))},
    ],
)
def test_a_list_of_another_kind_is_refused(fields: dict[int, Value]) -> None:
    with pytest.raises(ThriftError, match="no list"):
        walk(encode(fields), 0, handlers={}, lists={2: I32})


def test_a_field_of_another_kind_is_refused() -> None:
    with pytest.raises(ThriftError, match="64 bits"):
        walk(encode({5: Value(I32, 7)}), 0, handlers={}, wanted=(5,))


@pytest.mark.parametrize("data", [b"\x15\xff\xff\xff\xff\xff\x01\x00", b"\x1d\x00", b"\x00" * 0])
def test_what_is_no_struct_is_refused(data: bytes) -> None:
    with pytest.raises((ThriftError, IndexError)):
        walk(data, 0, handlers={})


def test_levels_are_counted() -> None:
    deep = {1: Value(I32, 1)}
    for _ in range(20):
        deep = {1: Value(STRUCT, deep)}
    with pytest.raises(ThriftError, match="levels"):
        walk(encode(deep), 0, handlers={})
