"""Tables read in part: exactly the points asked for, whatever the pages are, and few bytes."""

from __future__ import annotations

import zlib
from contextlib import contextmanager, suppress
from dataclasses import replace
from itertools import pairwise
from random import Random
from typing import TYPE_CHECKING, Any, TypeVar

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from objrun import clock
from objrun.errors import CorruptObjectError
from objrun.format import keys
from objrun.format.checkpoints import TableFile
from objrun.format.tables import METRICS
from objrun.storage import connect
from objrun.storage.wrappers import Around
from objrun.tables import looking, reading
from objrun.tables.chunks import BLOCK, ROW, ROWS, Chunk, full_frame
from objrun.tables.reading import Rows, TableReader, of_root
from objrun.tables.writing import Target, write_chunks
from tests.tables.small import fresh

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from objrun.storage import Store
    from objrun.testing.servers import Server

NAME = "e"
RUNS = ("a", "b", "b1", "b2", "c", "d")
NAMES = ("acc", "loss", "text", "val/loss")
WRITER = "0" * 16
T = TypeVar("T")

WRITING: dict[str, Any] = {
    "compression": "zstd",
    "use_dictionary": [*BLOCK, "kind", "type"],
    "column_encoding": {
        "offset": "DELTA_BINARY_PACKED",
        "step": "DELTA_BINARY_PACKED",
        "time": "DELTA_BINARY_PACKED",
        "value": "BYTE_STREAM_SPLIT",
    },
    "write_statistics": ["root_run_id", "run_id", "name"],
    "write_page_index": True,
    "store_schema": False,
}
OPTIONS = st.fixed_dictionaries(
    {
        "data_page_size": st.sampled_from([16, 300, 2**20]),
        "max_rows_per_page": st.sampled_from([5, 20_000]),
        "write_batch_size": st.sampled_from([1, 7, 1024]),
        "data_page_version": st.sampled_from(["1.0", "2.0"]),
        "row_group_size": st.sampled_from([30, 120, 1000]),
    }
)
WANTED = st.builds(
    Rows,
    first=st.none() | st.sampled_from(RUNS),
    stop=st.none() | st.sampled_from(RUNS),
    runs=st.none() | st.frozensets(st.sampled_from(RUNS), max_size=2),
    names=st.none() | st.frozensets(st.sampled_from((*NAMES, "other")), max_size=2),
    without=st.frozensets(st.sampled_from(RUNS), max_size=1),
)


def points(lengths: Sequence[int], seed: int = 0) -> Chunk:
    """Return points of metrics of these lengths, of runs of which some have the same root."""
    chance = Random(seed)
    every = [(run[0], run, name, WRITER) for run in RUNS for name in NAMES]
    chosen = sorted(chance.sample(every, len(lengths)))
    blocks = pl.DataFrame(chosen, BLOCK, orient="row")
    blocks = blocks.with_columns(pl.Series("length", lengths, pl.UInt32))
    texts = chance.random() < 0.5
    columns: dict[str, list[Any]] = {name: [] for name in ROW}
    for offset in (at for length in lengths for at in range(length)):
        columns["offset"].append(offset)
        columns["kind"].append(chance.choice([None, "list", "row", "table"]) if texts else None)
        columns["step"].append(chance.choice([None, offset]))
        columns["time"].append(1_700_000_000_000_000 + chance.randrange(10**12))
        columns["type"].append(chance.choice([None, "int", "str"]) if texts else None)
        columns["value"].append(chance.random())
        columns["data"].append("x" * chance.randrange(20) if texts else None)
    rows = pl.DataFrame([pl.Series(name, columns[name]).cast(ROWS[name]) for name in ROW])
    return Chunk(blocks, rows)


def put(
    store: Store, chunk: Chunk, further: dict[str, list[Any]] | None = None, **options: Any
) -> TableFile:
    """Store points and `further` columns as a file, which pyarrow writes with these options."""
    frame = full_frame(chunk)
    never_null = {*BLOCK, "offset", "time"}
    schema = pa.schema(f.with_nullable(f.name not in never_null) for f in METRICS)
    table = frame.to_arrow().cast(schema)
    for name, column in (further or {}).items():
        table = table.append_column(name, pa.array(column))
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink, **(WRITING | options))
    data = sink.getvalue().to_pybytes()
    key = keys.table(NAME, keys.TableKey(0, clock.random_hex(8), "metrics"))
    store.put(key, data)
    return TableFile(
        name=key.rpartition("/")[2],
        kind="metrics",
        level=0,
        rows=frame.height,
        size=len(data),
        footer=int.from_bytes(data[-8:-4], "little") + 8,
        crc32=zlib.crc32(data),
        first=frame["root_run_id"][0],
        last=frame["root_run_id"][-1],
    )


def read(store: Store, file: TableFile, rows: Rows, columns: Sequence[str] | None = None) -> Any:
    """Return what is read of a file, as Python has it."""
    chunks = TableReader(store, NAME, file).chunks(rows, columns)
    return [row for chunk in chunks for row in full_frame(chunk).rows(named=True)]


@contextmanager
def pages_always(whole: int = 0) -> Iterator[None]:
    """Look for pages wherever there are some, of columns of more than `whole` bytes."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(reading, "SMALL", 0)
        patch.setattr(looking, "SHARE", 0)
        patch.setattr(looking, "WHOLE", whole)
        yield


class Remembering(Around):
    """A store that remembers which ranges were read."""

    def __init__(self, store: Store) -> None:
        super().__init__(store)
        self.ranges: list[tuple[int, int]] = []

    def get_range(self, key: str, start: int, length: int) -> bytes:
        self.ranges.append((start, start + length))
        return super().get_range(key, start, length)

    def _ask(self, verb: str, key: str, call: Callable[[], T]) -> T:  # noqa: ARG002
        return call()

    def bytes_read(self) -> int:
        return sum(stop - start for start, stop in self.ranges)


@given(
    st.lists(st.integers(1, 60), min_size=1, max_size=12),
    st.integers(0, 99),
    OPTIONS,
    st.lists(WANTED, min_size=1, max_size=4),
    st.sampled_from([0, 100, 300]),
)
def test_pages_give_what_the_whole_file_gives(
    lengths: list[int], seed: int, options: dict[str, Any], wanted: list[Rows], whole: int
) -> None:
    store, chunk = fresh(), points(lengths, seed)
    file = put(store, chunk, **options)
    for rows in wanted:
        expected = full_frame(chunk).filter(rows.condition()).rows(named=True)
        with pages_always(whole):
            assert read(store, file, rows) == expected
        assert read(store, file, rows) == expected


def test_columns_that_are_not_wanted_are_not_read() -> None:
    store, chunk = Remembering(fresh()), points([200] * 12)
    file = put(store, chunk, data_page_size=300, write_batch_size=20)
    rows = Rows(names=frozenset(["loss"]))
    columns = [*BLOCK, "offset", "time", "step"]
    with pages_always():
        found = read(store, file, rows, columns)
        few = store.bytes_read()
        store.ranges.clear()
        every = read(store, file, rows)
    assert [[row[name] for name in columns] for row in found] == [
        [row[name] for name in columns] for row in every
    ]
    assert {row["value"] for row in found} == {None}
    assert few < store.bytes_read()


class TestWhatIsRead:
    """Of a file as a compaction writes it: one row group, of which a twentieth is wanted."""

    ROWS = Rows("b", "b\0", frozenset(["b"]), frozenset(["loss"]))
    CHUNK = points([1500] * 20, seed=3)

    @pytest.fixture
    def store(self) -> Remembering:
        return Remembering(fresh())

    def file(self, store: Store) -> TableFile:
        (file,) = write_chunks(Target(store, NAME, 0, "metrics", 0), [self.CHUNK])
        assert file.size > reading.SMALL
        return file

    def test_few_bytes(self, store: Remembering) -> None:
        file = self.file(store)
        assert read(store, file, self.ROWS) == full_frame(self.CHUNK).filter(
            self.ROWS.condition()
        ).rows(named=True)
        assert store.ranges[0] == (file.size - file.footer, file.size)
        assert store.bytes_read() < file.size / 4
        # Once the footer is read: whole columns, indexes, pages.
        assert len(store.ranges) <= 10
        assert not any(start < stop for (_, stop), (start, _) in pairwise(sorted(store.ranges)))

    def test_all_of_a_group_of_which_much_is_wanted(self, store: Remembering) -> None:
        assert read(store, self.file(store), of_root("b"))
        assert len(store.ranges) == 2

    def test_all_of_a_group_without_an_index(self, store: Remembering) -> None:
        file = put(store, self.CHUNK, write_page_index=False)
        assert len(read(store, file, self.ROWS)) == 1500
        assert len(store.ranges) == 2

    @pytest.mark.parametrize("value", [1, [1]], ids=["flat", "nested"])
    def test_a_file_with_further_columns(self, store: Remembering, value: object) -> None:
        file = put(store, self.CHUNK, {"further": [value] * len(self.CHUNK)})
        assert len(read(store, file, self.ROWS)) == 1500
        assert (len(store.ranges) == 2) is (value != 1)

    def test_nothing_of_a_metric_that_is_not_there(self, store: Remembering) -> None:
        file = self.file(store)
        assert read(store, file, Rows(names=frozenset(["loss2"]))) == []
        assert store.bytes_read() < file.size / 10

    def test_a_footer_of_which_too_much_is_told(self, store: Remembering) -> None:
        file = self.file(store)
        longer = replace(file, footer=file.footer + 100)
        assert read(store, longer, self.ROWS) == read(store, file, self.ROWS)

    def test_in_s3(self, s3_server: Server) -> None:
        store = Remembering(connect(s3_server.new_bucket(), **s3_server.options))
        self.test_few_bytes(store)


@given(st.data())
def test_damage_is_named(data: st.DataObject) -> None:
    store = fresh()
    file = put(store, points([60] * 8), data_page_size=300, write_batch_size=7)
    key = f"{keys.tables(NAME)}{file.name}"
    damaged = bytearray(store.get(key))
    damaged[data.draw(st.integers(0, file.size - 1))] ^= data.draw(st.integers(1, 255))
    store.put(key, bytes(damaged))
    # If nothing, there are other values or names: parts of a file are not compared with a sum.
    with pages_always(), suppress(CorruptObjectError):
        assert len(read(store, file, Rows(names=frozenset(["loss", "acc"])))) <= 480
