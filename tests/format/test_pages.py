"""Pages: any of them, of any file of Arrow, are read as they stand in the whole."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from objrun.format.pages import Column, Page, column_of, elements_of
from objrun.format.thrift import I32, I64, LIST, STRUCT, Items, ThriftError, Value, encode

WHEN = datetime(2026, 1, 31, tzinfo=UTC)
ENCODINGS = {"number": "DELTA_BINARY_PACKED", "value": "BYTE_STREAM_SPLIT"}
OPTIONS = st.fixed_dictionaries(
    {
        "compression": st.sampled_from(["zstd", "snappy", "gzip", "lz4", "brotli", "none"]),
        "data_page_version": st.sampled_from(["1.0", "2.0"]),
        "data_page_size": st.sampled_from([16, 200, 2**20]),
        "max_rows_per_page": st.sampled_from([3, 50, 20_000]),
        "write_batch_size": st.sampled_from([1, 7, 1024]),
        # Where a dictionary is too large, what follows stands as it is.
        "dictionary_pagesize_limit": st.sampled_from([30, 2**20]),
        "write_page_checksum": st.booleans(),
        "row_group_size": st.sampled_from([40, 200]),
        "write_statistics": st.booleans(),
    }
)


def table(rows: int, seed: int) -> pa.Table:
    """Return rows of every type that a table of metrics has, with and without nulls."""
    chance = Random(seed)
    often = chance.choice([0.0, 0.3, 1.0])

    def some(value: Any) -> Any:
        return None if chance.random() < often else value

    columns = {
        "word": pa.array([some(f"w{chance.randrange(9)}") for _ in range(rows)], pa.string()),
        "text": pa.array(["x" * chance.randrange(30) for _ in range(rows)], pa.string()),
        "number": pa.array([some(chance.randrange(-999, 999)) for _ in range(rows)], pa.int32()),
        "offset": pa.array([chance.getrandbits(60) for _ in range(rows)], pa.int64()),
        "value": pa.array([some(chance.random()) for _ in range(rows)], pa.float64()),
        "time": pa.array(
            [WHEN + timedelta(seconds=chance.random()) for _ in range(rows)],
            pa.timestamp("us", tz="UTC"),
        ),
    }
    fields = [pa.field(n, c.type, n not in ("offset", "time")) for n, c in columns.items()]
    return pa.table([*columns.values()], schema=pa.schema(fields))


class File(NamedTuple):
    """A Parquet file in memory."""

    data: bytes
    footer: bytes
    opened: pq.ParquetFile

    def columns(self, group: int) -> dict[str, Column]:
        metadata = self.opened.metadata.row_group(group)
        found = {}
        for place, element in enumerate(elements_of(self.footer)):
            told = metadata.column(place)
            column = column_of(self.footer, element, told)
            assert column is not None
            found[told.path_in_schema] = column
        return found

    def read(self, start: int, stop: int) -> bytes:
        return self.data[start:stop]

    def pages(self, column: Column) -> list[Page]:
        return column.pages(self.read(*column.index))


def written(rows: pa.Table, **options: Any) -> File:
    sink = pa.BufferOutputStream()
    given: dict[str, Any] = {
        "use_dictionary": ["word", "text"],
        "column_encoding": {**ENCODINGS, "offset": "DELTA_BINARY_PACKED"},
        "write_page_index": True,
        "store_schema": False,
    }
    pq.write_table(rows, sink, **(given | options))
    data = sink.getvalue().to_pybytes()
    length = int.from_bytes(data[-8:-4], "little") + 8
    return File(data, data[-length:], pq.ParquetFile(pa.BufferReader(data)))


@given(st.integers(1, 300), st.integers(0, 9), OPTIONS, st.data())
def test_pages_are_read_as_they_stand(
    rows: int, seed: int, options: dict[str, Any], data: st.DataObject
) -> None:
    file = written(table(rows, seed), **options)
    group = data.draw(st.integers(0, file.opened.num_row_groups - 1))
    plain = file.opened.read_row_group(group)
    for name, column in file.columns(group).items():
        pages = file.pages(column)
        some = [page for page in pages if data.draw(st.booleans())] or pages[-1:]
        expected = [plain.column(name).slice(p.first, p.end - p.first) for p in some]
        found = column.decode(some, file.read)
        assert found.type == plain.schema.field(name).type
        assert found.to_pylist() == [each for part in expected for each in part.to_pylist()]


def test_pages_cover_all_rows_in_order() -> None:
    file = written(table(300, 0), data_page_size=16, write_batch_size=1, row_group_size=200)
    column = file.columns(1)["value"]
    pages = file.pages(column)
    assert len(pages) > 20
    assert (pages[0].first, pages[-1].end) == (0, 100)
    assert (pages[0].start, pages[-1].stop) == (column.data, column.stop)


def test_no_column_where_there_is_no_index() -> None:
    file = written(table(30, 0), write_page_index=False)
    metadata = file.opened.metadata.row_group(0)
    found = [
        column_of(file.footer, element, metadata.column(place))
        for place, element in enumerate(elements_of(file.footer))
    ]
    assert found == [None] * 6


def test_no_columns_where_some_are_nested() -> None:
    assert elements_of(written(pa.table({"a": [[1]], "b": [2]})).footer) == []


@pytest.mark.parametrize("footer", [b"", b"\0", b"PAR1", b"\xff" * 40])
def test_what_is_no_footer_is_refused(footer: bytes) -> None:
    with pytest.raises(ThriftError):
        elements_of(footer)


class TestDamage:
    file = written(table(300, 0), data_page_size=200, write_batch_size=20)

    @given(st.data())
    def test_of_an_index_is_named(self, data: st.DataObject) -> None:
        column = self.file.columns(0)["value"]
        index = bytearray(self.file.read(*column.index))
        at = data.draw(st.integers(0, len(index) - 1))
        index[at] ^= data.draw(st.integers(1, 255))
        before = self.file.pages(column)
        try:
            pages = column.pages(bytes(index))
            found = [column.decode([page], self.file.read).to_pylist() for page in pages]
        except ThriftError:
            return
        # What does not count was changed: something that Parquet does not know.
        assert pages == before
        assert found == [column.decode([page], self.file.read).to_pylist() for page in before]

    @given(st.data())
    def test_of_a_page_is_named_or_leaves_as_many_rows(self, data: st.DataObject) -> None:
        name = data.draw(st.sampled_from(["word", "text", "number", "offset", "value", "time"]))
        column = self.file.columns(0)[name]
        pages = self.file.pages(column)
        damaged = bytearray(self.file.data)
        at = data.draw(st.integers(column.start, column.stop - 1))
        damaged[at] ^= data.draw(st.integers(1, 255))
        try:
            found = column.decode(pages[:2], lambda start, stop: bytes(damaged[start:stop]))
        except (ThriftError, pa.ArrowException, OSError):
            return
        assert len(found) == pages[:2][-1].end

    @pytest.mark.parametrize(
        "pages",
        [
            [],
            [(0, 10, 0)],
            [(0, 10, 0), (0, 10, 20)],
            [(0, -10, 0)],
            [(2**60, 10, 0)],
        ],
    )
    def test_an_index_of_other_pages_is_refused(self, pages: list[tuple[int, int, int]]) -> None:
        column = self.file.columns(0)["value"]
        kinds = (I64, I32, I64)
        listed = [
            {
                place: Value(kind, number)
                for place, (kind, number) in enumerate(zip(kinds, page, strict=True), 1)
            }
            for page in pages
        ]
        with pytest.raises(ThriftError, match="does not fit"):
            column.pages(encode({1: Value(LIST, Items(STRUCT, listed))}))

    def test_pages_of_other_rows_are_refused(self) -> None:
        column = self.file.columns(0)["value"]
        first, second, *_ = self.file.pages(column)
        shifted = second._replace(first=first.end + 1)
        with pytest.raises(ThriftError, match="does not fit"):
            column.decode([shifted], self.file.read)
        with pytest.raises(ThriftError, match="does not fit"):
            column.decode([second._replace(stop=second.stop - 1)], self.file.read)

    def test_bytes_that_are_not_there_are_refused(self) -> None:
        column = self.file.columns(0)["value"]
        with pytest.raises(ThriftError):
            column.decode(self.file.pages(column)[:1], lambda _start, _stop: b"")

    def test_an_index_that_is_nowhere_is_not_used(self) -> None:
        told = self.file.opened.metadata.row_group(0).column(4)
        column = self.file.columns(0)["value"]
        stored = encode({4: Value(I64, column.index[0])}, after=3)[:-1]
        assert self.file.footer.count(stored) == 1
        for elsewhere in (0, column.stop - 1, -1):
            footer = self.file.footer.replace(
                stored, encode({4: Value(I64, elsewhere)}, after=3)[:-1]
            )
            assert column_of(footer, column.element, told) is None
