"""Read compacted tables: whole, or the row groups that can hold what is asked for."""

from __future__ import annotations

import io
import zlib
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Final

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from objrun.errors import CorruptObjectError, Problem
from objrun.format import keys
from objrun.format.tables import SCHEMAS
from objrun.protocol.settle import insist
from objrun.tables.chunks import BLOCK, ROW, ROWS, Chunk

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Sequence

    from objrun.format.checkpoints import TableFile
    from objrun.storage import Store

SMALL: Final = 2**18
"""Bytes of a file up to which it is fetched whole: one request instead of two."""

BATCH: Final = 8
"""Row groups that are fetched at once when a table is read from its beginning to its end."""

FEW_GROUPS: Final = 4
"""Row groups up to which it is worth asking which of them hold a metric before they are read."""

GAP: Final = 2**20
"""Bytes that are read rather than asked around."""


@dataclass(frozen=True)
class Rows:
    """Which rows of a table are wanted: of root runs `[first, stop)`, of some runs, of some names.

    None stands for all. Rows of the runs `without` are not wanted. `roots`, where they are known
    and few, are the root runs of `runs`: where these stand follows from them.
    """

    first: str | None = None
    stop: str | None = None
    runs: frozenset[str] | None = None
    names: frozenset[str] | None = None
    without: frozenset[str] = frozenset()
    roots: frozenset[str] | None = None

    def has_root(self, root: str) -> bool:
        """Return whether rows of a root run are wanted."""
        return self._roots_meet(root, root)

    def may_be_in(self, file: TableFile) -> bool:
        """Return whether a file can hold rows that are wanted."""
        return self._roots_meet(file.first, file.last)

    def _roots_meet(self, least: str, most: str) -> bool:
        below = self.stop is None or least < self.stop
        above = self.first is None or self.first <= most
        return below and above and _meets(self.roots)(least, most)

    def may_be_in_group(self, group: pq.RowGroupMetaData) -> bool:
        """Return whether a row group can hold rows that are wanted, by its statistics."""
        meets = {"root_run_id": self._roots_meet, "run_id": _meets(self.runs)}
        meets["name"] = _meets(self.names)
        for place in range(group.num_columns):
            column = group.column(place)
            meet = meets.get(column.path_in_schema)
            if meet is not None:
                statistics = column.statistics
                known = statistics is not None and statistics.has_min_max
                if known and not meet(statistics.min, statistics.max):
                    return False
        return True

    def condition(self) -> pl.Expr:
        """Return the same as an expression, exactly."""
        parts = [pl.lit(value=True)]
        if self.first is not None:
            parts.append(pl.col("root_run_id") >= self.first)
        if self.stop is not None:
            parts.append(pl.col("root_run_id") < self.stop)
        if self.without:
            parts.append(~pl.col("run_id").is_in([*self.without]))
        for column, wanted in (("run_id", self.runs), ("name", self.names)):
            if wanted is not None:
                parts.append(pl.col(column).is_in([*wanted]))
        return pl.all_horizontal(parts)


def of_root(root: str) -> Rows:
    """Return the rows of one root run and all below it."""
    return Rows(root, f"{root}\0")


def _meets(wanted: Collection[str] | None) -> Callable[[str, str], bool]:
    if wanted is None:
        return lambda _least, _most: True
    return lambda least, most: any(least <= item <= most for item in wanted)


def read_frame(store: Store, experiment: str, file: TableFile) -> pl.DataFrame:
    """Return all rows of a table's file, by one request.

    Raises NotFoundError where it was superseded and removed, CorruptObjectError where it changed.
    """
    key = _key(experiment, file)
    data = _read_whole(store, key, file)
    try:
        # Asked for columns by name, polars takes a tenth longer than for all that there are.
        return pl.read_parquet(io.BytesIO(data)).select(SCHEMAS[file.kind].names)
    except pl.exceptions.PolarsError as error:
        raise _damaged(key, "bad_parquet", str(error)) from None


def _read_whole(store: Store, key: str, file: TableFile) -> bytes:
    data = insist(partial(store.get, key))
    if len(data) != file.size or zlib.crc32(data) != file.crc32:
        raise _damaged(key, "key_mismatch", "not the bytes that its checkpoint tells of")
    return data


def _damaged(key: str, code: str, message: str) -> CorruptObjectError:
    return CorruptObjectError(key, [Problem("$", code, message[:200])])


class TableReader:
    """Read parts of one file of a table: its footer once, then row groups as they are needed."""

    def __init__(self, store: Store, experiment: str, file: TableFile) -> None:
        """Read nothing yet."""
        self.store = store
        self.file = file
        self.key = _key(experiment, file)
        # No cached_property: in Python 3.11 all readers of a process would wait for each other.
        self._footer: pq.FileMetaData | None = None
        self._data: bytes | None = None

    @property
    def footer(self) -> pq.FileMetaData:
        """The footer, by one request."""
        if self._footer is None:
            self._footer = self._read_footer()
        return self._footer

    def _read_footer(self) -> pq.FileMetaData:
        length = self.file.footer
        data = self._bytes(self.file.size - length, self.file.size)
        try:
            footer = pq.read_metadata(pa.BufferReader(data))
            stored = footer.schema.to_arrow_schema().names
        except (pa.ArrowException, OSError) as error:
            raise _damaged(self.key, "bad_parquet", str(error)) from None
        if missing := {*SCHEMAS[self.file.kind].names} - {*stored}:
            raise _damaged(self.key, "bad_parquet", f"it has no {sorted(missing)}")
        return footer

    def _bytes(self, start: int, stop: int) -> bytes:
        if self.file.size <= SMALL:
            if self._data is None:
                self._data = _read_whole(self.store, self.key, self.file)
            return self._data[start:stop]
        return insist(lambda: self.store.get_range(self.key, start, stop - start))

    def groups(self, rows: Rows) -> list[int]:
        """Return the row groups that can hold rows that are wanted."""
        if not rows.may_be_in(self.file):
            return []
        footer = self.footer
        every = range(footer.num_row_groups)
        return [place for place in every if rows.may_be_in_group(footer.row_group(place))]

    def read(self, groups: Sequence[int], columns: Sequence[str] | None = None) -> pa.Table:
        """Return row groups, of BLOCK as dictionaries; few requests, one if they are neighbours."""
        spans = [_span(self.footer.row_group(group), columns) for group in groups]
        pieces = [(start, self._bytes(start, stop)) for start, stop in _wide(spans)]
        source = pa.PythonFile(_Pieces(pieces, self.file.size), mode="r")
        try:
            words = [n for n in BLOCK if n in SCHEMAS[self.file.kind].names]
            # Nothing ahead: Arrow would also read what lies between, which is not there.
            opened = pq.ParquetFile(
                source, metadata=self.footer, read_dictionary=words, pre_buffer=False
            )
            return opened.read_row_groups([*groups], columns=columns, use_threads=False)
        except (pa.ArrowException, OSError, ValueError) as error:
            raise _damaged(self.key, "bad_parquet", str(error)) from None

    def chunks(
        self, rows: Rows, columns: Sequence[str] | None = None, batch: int = BATCH
    ) -> Iterator[Chunk]:
        """Yield the points that are wanted, in order; each is of at most `batch` row groups.

        Of `columns` those of BLOCK, `offset` and `time` must be there.
        """
        groups = self._narrowed(self.groups(rows), rows)
        for start in range(0, len(groups), batch):
            chunk = chunk_of_table(self.read(groups[start : start + batch], columns))
            yield selected(chunk, rows)

    def _narrowed(self, groups: Sequence[int], rows: Rows) -> Sequence[int]:
        """Return those of a few row groups that hold points of the wanted metrics.

        Statistics cannot tell where a group has the end of one run and the beginning of the next;
        what tells whose points these are is small.
        """
        if rows.names is None or not 1 < len(groups) <= FEW_GROUPS:
            return groups
        condition = rows.condition()
        return [
            group
            for group in groups
            if frame_of_table(self.read([group], BLOCK)).select(condition.any()).item()
        ]

    def frames(self, rows: Rows, columns: Sequence[str] | None = None) -> Iterator[pl.DataFrame]:
        """Yield the rows that are wanted of a table that is not metrics, in order."""
        groups = self.groups(rows)
        for start in range(0, len(groups), BATCH):
            table = self.read(groups[start : start + BATCH], columns)
            yield frame_of_table(table).filter(rows.condition())


def frame_of_table(table: pa.Table) -> pl.DataFrame:
    """Return an Arrow table as polars has it, its dictionaries as text."""
    plain = pa.schema(
        f.with_type(pa.string()) if pa.types.is_dictionary(f.type) else f for f in table.schema
    )
    return pl.DataFrame(table.cast(plain))


def chunk_of_table(table: pa.Table) -> Chunk:
    """Return rows of a metrics table as a chunk."""
    table = table.unify_dictionaries().combine_chunks()
    columns = {name: _words(table, name) for name in BLOCK}
    code = pl.lit(0, pl.UInt64)
    for name, (words, _) in columns.items():
        code = code * max(len(words), 1) + pl.col(name).cast(pl.UInt64)
    places = pl.DataFrame([indices.alias(name) for name, (_, indices) in columns.items()])
    stretches = places.select(code.alias("code"))["code"].rle().struct.field("len")
    starts = stretches.cum_sum().shift(1, fill_value=0)
    blocks = [
        words.gather(indices.gather(starts)).alias(name)
        for name, (words, indices) in columns.items()
    ]
    rows = [
        pl.Series(name, table.column(name)).cast(ROWS[name])
        for name in ROW
        if name in table.column_names and table.column(name).null_count < table.num_rows
    ]
    return Chunk(pl.DataFrame([*blocks, stretches.alias("length")]), pl.DataFrame(rows))


def _words(table: pa.Table, name: str) -> tuple[pl.Series, pl.Series]:
    column = table.column(name)
    piece = (
        column.chunk(0)
        if column.num_chunks
        else pa.array([], pa.dictionary(pa.int32(), pa.string()))
    )
    return pl.Series(piece.dictionary, dtype=pl.String), pl.Series(piece.indices)


def selected(chunk: Chunk, rows: Rows) -> Chunk:
    """Return the points of a chunk that are wanted."""
    return chunk if rows == Rows() else chunk.where(rows.condition())


def _key(experiment: str, file: TableFile) -> str:
    return f"{keys.tables(experiment)}{file.name}"


def _span(group: pq.RowGroupMetaData, columns: Sequence[str] | None = None) -> tuple[int, int]:
    """Return the bytes of a row group: from its first column's first page to its last's end."""
    starts, stops = [], []
    for place in range(group.num_columns):
        column = group.column(place)
        if columns is not None and column.path_in_schema.partition(".")[0] not in columns:
            continue
        start = column.data_page_offset
        if column.has_dictionary_page and column.dictionary_page_offset:
            start = min(start, column.dictionary_page_offset)
        starts.append(start)
        stops.append(start + column.total_compressed_size)
    return min(starts), max(stops)


def _wide(spans: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
    """Return spans of which those that nearly touch are joined."""
    wide: list[tuple[int, int]] = []
    for start, stop in spans:
        if wide and start - wide[-1][1] <= GAP:
            wide[-1] = (wide[-1][0], max(stop, wide[-1][1]))
        else:
            wide.append((start, stop))
    return wide


class _Pieces(io.RawIOBase):
    """A file of which only some pieces are there; those alone are read."""

    def __init__(self, pieces: Sequence[tuple[int, bytes]], size: int) -> None:
        self._parts = pieces
        self._size = size
        self._at = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._size}[whence]
        self._at = base + offset
        return self._at

    def tell(self) -> int:
        return self._at

    def size(self) -> int:
        return self._size

    def read(self, size: int = -1) -> bytes:
        for start, data in self._parts:
            if start <= self._at < start + len(data):
                stop = len(data) if size < 0 else self._at - start + size
                found = data[self._at - start : stop]
                self._at += len(found)
                return found
        return b""
