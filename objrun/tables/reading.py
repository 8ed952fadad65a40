"""Read compacted tables: whole, or the row groups or pages that can hold what is asked for."""

from __future__ import annotations

import io
import zlib
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from itertools import accumulate
from typing import TYPE_CHECKING, Final

import polars as pl
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from objrun.errors import CorruptObjectError, Problem
from objrun.format import keys
from objrun.format.bounds import MOST_BYTES, check_times, check_words
from objrun.format.tables import METRICS, SCHEMAS
from objrun.protocol.settle import insist
from objrun.storage import together
from objrun.tables.chunks import BLOCK, ROW, ROWS, Chunk
from objrun.tables.footers import (
    DAMAGES,
    MOST_FOOTER,
    check_file,
    check_texts,
    open_footer,
    weigh_groups,
)
from objrun.tables.looking import look_at
from objrun.tables.ranges import Pieces, span, wide
from objrun.tables.run_rows import check_rows

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Sequence

    from objrun.format.checkpoints import TableFile
    from objrun.storage import Store
    from objrun.tables.looking import Look
    from objrun.tables.ranges import Span

SMALL: Final = 2**18
"""Bytes of a file up to which it is fetched whole: one request instead of two."""

BATCH: Final = 8
"""Row groups that are fetched at once when a table is read from its beginning to its end."""

FEW_GROUPS: Final = 4
"""Row groups up to which it is worth asking where in them a metric is before they are read."""

GAP: Final = 2**20
"""Bytes that are read rather than asked around where row groups are read whole."""

ASIDE: Final = 2**17
"""The same where some of their columns are read: what lies between are the others."""

NEAR: Final = 2**12
"""The same where pages are read."""


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
                if column.physical_type != "BYTE_ARRAY":
                    # Of another type than the schema says pyarrow would end the process.
                    raise ValueError(f"a column {column.path_in_schema} that is no text")
                statistics = column.statistics
                known = statistics is not None and statistics.has_min_max
                if known and not meet(statistics.min, statistics.max):
                    return False
        return True

    def is_narrow(self) -> bool:
        """Return whether it is likely that few rows of a row group are wanted."""
        return self.names is not None or (self.runs is not None and len(self.runs) == 1)

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
    with _naming(key):
        weight = check_file(file.kind, data)
        # Asked for columns by name, polars takes a tenth longer than for all that there are.
        frame = pl.read_parquet(io.BytesIO(data)).select(SCHEMAS[file.kind].names)
        check_times(frame.select(pl.col(pl.Datetime)).to_arrow())
        if weight.repeated > MOST_BYTES:
            check_texts(frame)
        if file.kind == "runs":
            check_rows(frame)
        return frame


def _read_whole(store: Store, key: str, file: TableFile) -> bytes:
    data = insist(partial(store.get, key))
    if len(data) != file.size or zlib.crc32(data) != file.crc32:
        raise _damaged(key, "key_mismatch", "not the bytes that its checkpoint tells of")
    return data


@contextmanager
def _naming(key: str) -> Iterator[None]:
    try:
        yield
    except DAMAGES as error:
        raise _damaged(key, "bad_parquet", str(error)) from None


def _damaged(key: str, code: str, message: str) -> CorruptObjectError:
    return CorruptObjectError(key, [Problem("$", code, message[:200])])


class TableReader:
    """Read parts of one file of a table: its footer once, then row groups or pages as needed."""

    def __init__(self, store: Store, experiment: str, file: TableFile) -> None:
        """Read nothing yet."""
        self.store = store
        self.experiment = experiment
        self.file = file
        self.key = _key(experiment, file)
        # No cached_property: in Python 3.11 all readers of a process would wait for each other.
        self._footer: pq.FileMetaData | None = None
        self._stored_footer = b""
        self._data: bytes | None = None

    @property
    def footer(self) -> pq.FileMetaData:
        """The footer, by one request."""
        if self._footer is None:
            self._footer = self._read_footer()
        return self._footer

    def _read_footer(self) -> pq.FileMetaData:
        length = self.file.footer
        if length > MOST_FOOTER:
            raise _damaged(self.key, "bad_parquet", f"a footer of {length} bytes is too large")
        data = self._bytes(self.file.size - length, self.file.size)
        with _naming(self.key):
            footer = open_footer(self.file.kind, data, self.file.size)
        # A checkpoint may tell of more bytes than that.
        self._stored_footer = data[-8 - int.from_bytes(data[-8:-4], "little") :]
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
        with _naming(self.key):
            return [place for place in every if rows.may_be_in_group(footer.row_group(place))]

    def read(self, groups: Sequence[int], columns: Sequence[str] | None = None) -> pa.Table:
        """Return row groups, words as dictionaries; few requests, one if they are neighbours."""
        with _naming(self.key):
            spans = [span(self.footer.row_group(group), columns) for group in groups]
        pieces = self._pieces(spans, GAP if columns is None else ASIDE)
        return self._decoded(pieces, groups, columns)

    def _pieces(self, spans: Iterable[Span], gap: int) -> Pieces:
        """Return what stands in these bytes, and in gaps that are not larger."""
        asked = [*spans]
        for start, stop in asked:
            if not 0 <= start <= stop <= self.file.size or stop - start > MOST_BYTES:
                raise _damaged(self.key, "bad_parquet", f"bytes {start} to {stop} are none of it")
        fetched = together(self.store, lambda s: (s[0], self._bytes(*s)), wide(asked, gap))
        return Pieces(dict(answer() for answer in fetched), self.file.size)

    def _decoded(
        self, pieces: Pieces, groups: Sequence[int], columns: Sequence[str] | None
    ) -> pa.Table:
        source = pa.PythonFile(pieces, mode="r")
        words = [n for n in (*BLOCK, "kind", "type") if n in SCHEMAS[self.file.kind].names]
        with _naming(self.key):
            flat, nested = weigh_groups(self.footer, groups, columns, pieces.between)
            if nested.repeated > MOST_BYTES:
                return self._decoded_whole(groups, columns)
            if flat.repeated > MOST_BYTES:
                words = [f.name for f in SCHEMAS[self.file.kind] if pa.types.is_string(f.type)]
            # Nothing ahead: Arrow would also read what lies between, which is not there.
            opened = pq.ParquetFile(
                source,
                metadata=self.footer,
                read_dictionary=words,
                pre_buffer=False,
                page_checksum_verification=True,
            )
            table = opened.read_row_groups([*groups], columns=columns, use_threads=False)
            if flat.repeated > MOST_BYTES:
                check_words(table)
            check_times(table)
            return table

    def _decoded_whole(self, groups: Sequence[int], columns: Sequence[str] | None) -> pa.Table:
        """Return row groups by way of all rows: repeated words in lists only polars keeps once."""
        frame = read_frame(self.store, self.experiment, self.file)
        lengths = [self.footer.row_group(i).num_rows for i in range(self.footer.num_row_groups)]
        starts = [*accumulate(lengths, initial=0)]
        found = pl.concat([frame.slice(starts[group], lengths[group]) for group in groups])
        return found.select(columns or found.columns).to_arrow()

    def chunks(
        self, rows: Rows, columns: Sequence[str] | None = None, batch: int = BATCH
    ) -> Iterator[Chunk]:
        """Yield the points that are wanted, in order; each is of at most `batch` row groups.

        Of `columns` those of BLOCK, `offset` and `time` must be there.
        """
        groups = self.groups(rows)
        if look := self._look(groups, rows, columns or METRICS.names):
            yield from self._looked(look, groups, rows)
            return
        for start in range(0, len(groups), batch):
            table = self.read(groups[start : start + batch], columns)
            with _naming(self.key):
                chunk = selected(chunk_of_table(table), rows)
            yield chunk

    def _look(self, groups: Sequence[int], rows: Rows, columns: Sequence[str]) -> Look | None:
        """Return how to look for points within row groups; None where that is not worth it."""
        few = 0 < len(groups) <= FEW_GROUPS
        if not few or not rows.is_narrow() or self.file.size <= SMALL:
            return None
        with _naming(self.key):
            return look_at(self._stored_footer, self.footer, groups, columns)

    def _looked(self, look: Look, groups: Sequence[int], rows: Rows) -> Iterator[Chunk]:
        """Yield the points that are wanted; of large columns, the pages alone that hold them."""
        pieces = self._pieces(look.first, NEAR)
        table = self._decoded(pieces, groups, look.whole)
        with _naming(self.key):
            found = look.find(table, blocks_of(table), rows.condition(), pieces)
        if found.wanted:
            pieces = self._pieces(found.spans(), NEAR)
            with _naming(self.key):
                chunk = found.chunk(pieces)
            yield chunk

    def frames(self, rows: Rows, columns: Sequence[str] | None = None) -> Iterator[pl.DataFrame]:
        """Yield the rows that are wanted of a table that is not metrics, in order."""
        groups = self.groups(rows)
        for start in range(0, len(groups), BATCH):
            table = self.read(groups[start : start + BATCH], columns)
            with _naming(self.key):
                frame = frame_of_table(table).filter(rows.condition())
                if self.file.kind == "runs" and columns is None:
                    check_rows(frame)
            yield frame


def frame_of_table(table: pa.Table) -> pl.DataFrame:
    """Return an Arrow table as polars has it, its dictionaries as text."""
    plain = pa.schema(
        f.with_type(pa.string()) if pa.types.is_dictionary(f.type) else f for f in table.schema
    )
    return pl.DataFrame(table.cast(plain))


def chunk_of_table(table: pa.Table) -> Chunk:
    """Return rows of a metrics table as a chunk."""
    rows = [
        pl.Series(name, table.column(name)).cast(ROWS[name])
        for name in ROW
        if name in table.column_names and table.column(name).null_count < table.num_rows
    ]
    return Chunk(blocks_of(table), pl.DataFrame(rows))


def blocks_of(table: pa.Table) -> pl.DataFrame:
    """Return whose points the rows of a metrics table are, as a chunk has it."""
    # By Arrow: each step of polars goes through its engine, which takes long for a few rows.
    found = table.select(BLOCK).unify_dictionaries().combine_chunks()
    columns = [*map(_words, found.columns)]
    code = pa.scalar(0, pa.int64())
    for words, indices in columns:
        code = pc.add(pc.multiply(code, max(len(words), 1)), indices)
    ends = pc.run_end_encode(code, run_end_type=pa.int64()).run_ends
    starts = pa.concat_arrays([pa.array([0], pa.int64()), ends])[: len(ends)]
    blocks = {
        name: pc.take(words, pc.take(indices, starts))
        for name, (words, indices) in zip(BLOCK, columns, strict=True)
    }
    whose = pa.table({**blocks, "length": pc.subtract(ends, starts).cast(pa.uint32())})
    # What is not text would only crash where it is used.
    whose.validate(full=True)
    return pl.DataFrame(whose)


def _words(column: pa.ChunkedArray) -> tuple[pa.Array, pa.Array]:
    if not column.num_chunks:
        return pa.array([], pa.string()), pa.array([], pa.int32())
    return column.chunk(0).dictionary, column.chunk(0).indices


def selected(chunk: Chunk, rows: Rows) -> Chunk:
    """Return the points of a chunk that are wanted."""
    return chunk if rows == Rows() else chunk.where(rows.condition())


def _key(experiment: str, file: TableFile) -> str:
    return f"{keys.tables(experiment)}{file.name}"
