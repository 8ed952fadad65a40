"""Segments: every value comes back, and only the promised errors from any bytes."""

from __future__ import annotations

import struct
from datetime import UTC, datetime
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from objrun.errors import CorruptObjectError
from objrun.format import keys
from objrun.format.segments import DECODED, SCHEMA, decode_segment, encode_segment
from objrun.format.values import dumps, from_point, to_point
from tests.format import strategies as some
from tests.format.test_values import same

NOON = datetime(2026, 1, 31, 12, tzinfo=UTC)

steps = st.none() | st.integers(-(2**63), 2**63 - 1)
logged = st.one_of(
    st.tuples(st.none(), some.scalars),
    st.tuples(st.just("list"), st.lists(some.scalars, max_size=3)),
    st.tuples(st.just("row"), st.dictionaries(some.texts, some.scalars, max_size=3)),
    st.tuples(
        st.just("table"),
        st.dictionaries(some.texts, st.lists(some.scalars, max_size=2), max_size=2),
    ),
)
rows = st.lists(st.tuples(some.names, steps, some.times, logged), min_size=1, max_size=20)


def key(count: int, start: int = 0) -> str:
    return keys.segment("e", "r", "00000000000000a1", start, start + count)


def table(points: list[Any]) -> pa.Table:
    """Return drawn points as the columns of a segment."""
    stored = [
        to_point(value) if kind is None else ("json", None, dumps(value))
        for *_, (kind, value) in points
    ]
    columns = {
        "name": [name for name, *_ in points],
        "kind": [kind for *_, (kind, _) in points],
        "step": [step for _, step, *_ in points],
        "time": [time for _, _, time, _ in points],
        "type": [None if type_ == "float" else type_ for type_, *_ in stored],
        "value": [value for _, value, _ in stored],
        "data": [data for *_, data in stored],
    }
    return pa.table([pa.array(columns[f.name], f.type) for f in SCHEMA], schema=SCHEMA)


@given(rows)
def test_every_row_comes_back(points: list[Any]) -> None:
    made = table(points)
    read = decode_segment(key(len(points)), encode_segment(made))
    assert read.schema == DECODED
    for row, (name, step, time, (kind, value)) in zip(read.to_pylist(), points, strict=True):
        assert (row["name"], row["step"], row["time"], row["kind"]) == (name, step, time, kind)
        assert same(from_point(row["type"] or "float", row["value"], row["data"]), value)


@given(st.lists(st.integers(0, 2**64 - 1), min_size=1, max_size=50))
def test_floats_keep_every_bit_also_of_nan(patterns: list[int]) -> None:
    values = pa.py_buffer(struct.pack(f"<{len(patterns)}Q", *patterns))
    column = pa.Array.from_buffers(pa.float64(), len(patterns), [None, values])
    made = table([("m", None, NOON, (None, 0.0))])
    made = pa.concat_tables([made] * len(patterns)).set_column(5, SCHEMA.field("value"), column)
    read = decode_segment(key(len(patterns)), encode_segment(made)).column("value").combine_chunks()
    assert read.buffers()[1].to_pybytes()[: 8 * len(patterns)] == values.to_pybytes()


@given(rows)
def test_the_same_rows_give_the_same_bytes(points: list[Any]) -> None:
    assert encode_segment(table(points)) == encode_segment(table(points))


@given(rows)
def test_text_may_be_dictionaries(points: list[Any]) -> None:
    made = table(points)
    for place, name in enumerate(SCHEMA.names):
        if name in ("name", "kind", "type"):
            made = made.set_column(place, name, made.column(name).dictionary_encode())
    read = decode_segment(key(len(points)), encode_segment(made))
    assert repr(read.to_pylist()) == repr(table(points).to_pylist())


@given(rows, st.data())
def test_a_cut_segment_is_damaged(points: list[Any], data: st.DataObject) -> None:
    whole = encode_segment(table(points))
    cut = whole[: data.draw(st.integers(0, len(whole) - 1))]
    with pytest.raises(CorruptObjectError) as caught:
        decode_segment(key(len(points)), cut)
    assert [p.code for p in caught.value.problems] == ["bad_parquet"]


@settings(max_examples=300)
@given(rows, st.data())
def test_flipped_bits_raise_nothing_else(points: list[Any], data: st.DataObject) -> None:
    whole = bytearray(encode_segment(table(points)))
    for _ in range(data.draw(st.integers(1, 4))):
        whole[data.draw(st.integers(0, len(whole) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    try:
        read = decode_segment(key(len(points)), bytes(whole))
    except CorruptObjectError:
        return
    # Text that can be used, whatever it says; a time may be one that Python's datetime cannot tell.
    times = read.column("time").cast(pa.int64())
    assert len(read.set_column(3, "time", times).to_pylist()) == len(points)


@pytest.mark.parametrize("bit", range(8))
def test_a_flipped_bit_of_a_page_is_damage(bit: int) -> None:
    data = encode_segment(table([("m", number, NOON, (None, number / 7)) for number in range(200)]))
    group = pq.read_metadata(pa.BufferReader(data)).row_group(0)
    for place in range(group.num_columns):
        column = group.column(place)
        # The last byte of its last page: behind all headers.
        start = column.dictionary_page_offset or column.data_page_offset
        whole = bytearray(data)
        whole[start + column.total_compressed_size - 1] ^= 1 << bit
        with pytest.raises(CorruptObjectError):
            decode_segment(key(200), bytes(whole))


@given(rows, st.integers(1, 40))
def test_a_segment_of_other_rows_than_its_key_says_is_damaged(
    points: list[Any], count: int
) -> None:
    data = encode_segment(table(points))
    if count == len(points):
        assert decode_segment(key(count, start=7), data).num_rows == count
        return
    with pytest.raises(CorruptObjectError) as caught:
        decode_segment(key(count), data)
    assert [p.code for p in caught.value.problems] == ["key_mismatch"]


@pytest.mark.parametrize("name", ["kind", "step", "type", "data"])
def test_a_column_of_nulls_is_left_out(name: str) -> None:
    data = encode_segment(table([("m", None, NOON, (None, 0.5))]))
    stored = pq.read_schema(pa.BufferReader(data)).names
    assert name not in stored
    assert stored == ["name", "time", "value"]


@pytest.mark.parametrize("unit", ["ms", "ns"])
def test_other_units_are_converted_where_nothing_is_lost(unit: str) -> None:
    made = table([("m", 1, NOON, (None, 0.5))])
    other = made.set_column(3, "time", made.column("time").cast(pa.timestamp(unit, tz="UTC")))
    other = other.set_column(2, "step", made.column("step").cast(pa.int32()))
    sink = pa.BufferOutputStream()
    pq.write_table(other, sink)
    assert decode_segment(key(1), sink.getvalue().to_pybytes()).to_pylist() == made.to_pylist()


def test_a_column_that_stands_twice_is_damage() -> None:
    made = table([("m", 1, NOON, (None, 0.5))])
    sink = pa.BufferOutputStream()
    pq.write_table(made.append_column("name", made.column("name")), sink)
    with pytest.raises(CorruptObjectError) as caught:
        decode_segment(key(1), sink.getvalue().to_pybytes())
    assert [p.code for p in caught.value.problems] == ["bad_parquet"]


def stored(made: pa.Table, **options: Any) -> bytes:
    """Return a segment as other writers may store it."""
    sink = pa.BufferOutputStream()
    pq.write_table(made, sink, **options)
    data: bytes = sink.getvalue().to_pybytes()
    return data


@pytest.mark.parametrize(
    "text",
    [pa.string(), pa.large_string(), pa.string_view(), pa.dictionary(pa.int8(), pa.string())],
)
@pytest.mark.parametrize("dictionary", [True, False])
@pytest.mark.parametrize("arrow", [True, False])
def test_other_writers_store_text_otherwise(text: Any, dictionary: bool, arrow: bool) -> None:
    """Several row groups, each with words of its own, of any type of text."""
    kinds = [None, "list", "row"]
    made = table(
        [
            (f"m{place}", place, NOON, (kinds[place % 3], {} if place % 3 else 1))
            for place in range(9)
        ]
    )
    other = made
    for place in (0, 1, 4, 6):
        other = other.set_column(place, SCHEMA.names[place], made.column(place).cast(text))
    data = stored(other, row_group_size=2, use_dictionary=dictionary, store_schema=arrow)
    assert decode_segment(key(9), data).to_pylist() == made.to_pylist()


@pytest.mark.parametrize("name", SCHEMA.names)
@pytest.mark.parametrize("of", [list, dict])
def test_a_column_of_lists_or_structs_is_damage(name: str, of: type) -> None:
    made = table([("m", 1, NOON, (None, 0.5))])
    cell = pa.array([[1] if of is list else {"a": 1}])
    data = stored(made.set_column(SCHEMA.names.index(name), name, cell))
    with pytest.raises(CorruptObjectError) as caught:
        decode_segment(key(1), data)
    assert [p.code for p in caught.value.problems] == ["bad_parquet"]
