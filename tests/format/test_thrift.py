"""Thrift's compact protocol: what is written is read again, and any bytes give the named error."""

from __future__ import annotations

import contextlib
import struct
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from objrun.format import thrift
from objrun.format.thrift import Items, Reader, ThriftError, Value, encode, number

PLAIN: dict[int, st.SearchStrategy[Any]] = {
    thrift.BOOL: st.booleans(),
    thrift.I8: st.integers(-(2**7), 2**7 - 1),
    thrift.I16: st.integers(-(2**15), 2**15 - 1),
    thrift.I32: st.integers(-(2**31), 2**31 - 1),
    thrift.I64: st.integers(-(2**63), 2**63 - 1),
    thrift.DOUBLE: st.floats(allow_nan=False),
    thrift.BINARY: st.binary(max_size=9),
}


def items_of(kind: int, contents: st.SearchStrategy[Any]) -> st.SearchStrategy[Items]:
    return st.builds(Items, st.just(kind), st.lists(contents, max_size=3))


def structs_of(values: st.SearchStrategy[Value]) -> st.SearchStrategy[dict[int, Value]]:
    found = st.dictionaries(st.integers(1, 2**15 - 1) | st.integers(1, 40), values, max_size=4)
    return found.map(lambda fields: dict(sorted(fields.items())))


def nested(values: st.SearchStrategy[Value]) -> st.SearchStrategy[Value]:
    inner = structs_of(values)
    lists = st.one_of(
        items_of(thrift.STRUCT, inner),
        items_of(thrift.LIST, items_of(thrift.I32, PLAIN[thrift.I32])),
        *(items_of(kind, contents) for kind, contents in PLAIN.items()),
    )
    return st.one_of(
        st.builds(Value, st.just(thrift.STRUCT), inner),
        st.builds(Value, st.sampled_from([thrift.LIST, thrift.SET]), lists),
    )


structs = structs_of(
    st.recursive(
        st.one_of([st.builds(Value, st.just(kind), each) for kind, each in PLAIN.items()]),
        nested,
        max_leaves=5,
    )
)


@given(structs)
def test_a_struct_comes_back(fields: dict[int, Value]) -> None:
    data = encode(fields)
    reader = Reader(b"before" + data + b"behind", len(b"before"))
    assert reader.struct() == fields
    assert reader.at == len(b"before" + data)


@pytest.mark.parametrize("count", [0, 14, 15, 127, 128, 1_000])
def test_long_lists_come_back(count: int) -> None:
    fields = {1: Value(thrift.LIST, Items(thrift.I32, [*range(count)]))}
    assert Reader(encode(fields)).struct() == fields


@given(structs, st.data())
def test_the_rest_of_a_struct_comes_back(fields: dict[int, Value], data: st.DataObject) -> None:
    after = data.draw(st.sampled_from([0, *fields]))
    rest = {field: value for field, value in fields.items() if field > after}
    tail = encode(rest, after)
    assert encode(fields).endswith(tail) or not rest
    assert Reader(tail).struct(after) == rest


@given(st.binary(max_size=300))
def test_any_bytes_are_a_struct_or_refused(data: bytes) -> None:
    with contextlib.suppress(ThriftError):
        assert isinstance(Reader(data).struct(), dict)


@given(structs, st.data())
def test_a_struct_that_is_cut_off_is_refused(fields: dict[int, Value], data: st.DataObject) -> None:
    whole = encode(fields)
    with pytest.raises(ThriftError, match="too early"):
        Reader(whole[: data.draw(st.integers(0, len(whole) - 1))]).struct()


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"\x1c" * 1_000_000, "levels"),
        (b"\x19" + b"\x19" * 1_000_000, "levels"),
        # Two billion structs, in a few bytes.
        (b"\x19\xfc\xff\xff\xff\xff\x07\0", "too early"),
        (b"\x18\xff\xff\xff\xff\x07", "too early"),
        (b"\x16" + b"\xff" * 11, "ten bytes"),
        (b"\x15" + b"\xff" * 5 + b"\x01", "32 bits"),
        (b"\x1b\0", "kind 11"),
        (b"\x1d", "kind 13"),
        (b"", "too early"),
    ],
)
def test_hostile_bytes_are_refused(data: bytes, message: str) -> None:
    with pytest.raises(ThriftError, match=message):
        Reader(data).struct()


def test_a_footer_of_arrow_comes_back_byte_by_byte() -> None:
    sink = pa.BufferOutputStream()
    pq.write_table(pa.table({"a": range(20), "b": [[str(x)] for x in range(20)]}), sink)
    data = sink.getvalue().to_pybytes()
    (length,) = struct.unpack("<I", data[-8:-4])
    footer = data[-8 - length : -8]
    read = Reader(footer).struct()
    assert number(read, 3) == 20
    assert encode(read) == footer


@pytest.mark.parametrize("fields", [{}, {1: Value(thrift.BINARY, b"1")}])
def test_what_is_no_number_is_refused(fields: dict[int, Value]) -> None:
    with pytest.raises(ThriftError, match="field 1"):
        number(fields, 1)
