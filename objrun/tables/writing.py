"""Write compacted tables: rows in, Parquet files of a bounded size out."""

from __future__ import annotations

import zlib
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

import polars as pl
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from objrun import clock
from objrun.format import keys
from objrun.format.bounds import MOST_BYTES
from objrun.format.checkpoints import TableFile
from objrun.format.segments import COMPRESSED
from objrun.format.tables import SCHEMAS
from objrun.protocol.settle import insist
from objrun.tables.chunks import BLOCK, Chunk, concat
from objrun.tables.spread import ends_of, spread_arrow

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from objrun.storage import Store

FILE_BYTES: Final = 64 * 2**20
"""Bytes of a table's file at which the next one is begun."""

GROUP_ROWS: Final = 32_768
"""Points of a row group of metrics, about: what must be read to see one of them."""

GROUP_BYTES: Final = MOST_BYTES // 4
"""Bytes of a row group at most, where one row does not take more."""

FRAME_ROWS: Final = 8_192
"""Rows of a row group of the other tables."""

PAGE_BYTES: Final = 16 * 2**10
"""Bytes of a page of metrics before compression."""

_WORDS: Final = (
    "root_run_id", "run_id", "parent_run_id", "experiment", "name", "writer", "kind", "type",
    "status", "lifecycle", "family", "error_code",
)  # fmt: skip
_RISING: Final = ("offset", "step", "time", "number", "version", "first_offset", "stop")
_SEARCHED: Final = (
    "root_run_id",
    "run_id",
    "name",
    "step",
    "time",
    "number",
    "status",
    "started",
    "created",
    "version",
)


@dataclass(frozen=True)
class Target:
    """Where files of one kind and level go, and what they are based on."""

    store: Store
    experiment: str
    base: int
    kind: str
    level: int


class FileWriter:
    """Write sorted rows of one kind as files of at most about FILE_BYTES, one after the other.

    Each file is stored when it is full; `files` names those stored. Row groups are written as they
    come, so memory holds one file's compressed bytes and one row group.
    """

    def __init__(self, target: Target, schema: pa.Schema | None = None) -> None:
        """Write nothing yet."""
        self.target = target
        self.schema = schema or SCHEMAS[target.kind]
        self.files: list[TableFile] = []
        self._open: pq.ParquetWriter | None = None
        self._sink = pa.BufferOutputStream()
        self._rows = 0
        self._first = self._last = ""

    def write(self, group: pa.Table, first: str, last: str) -> None:
        """Write one row group, whose first and last rows are of these root runs."""
        if self._open is None:
            self._sink = pa.BufferOutputStream()
            self._open = pq.ParquetWriter(
                self._sink, self.schema, **_options(self.target.kind, self.schema)
            )
            self._rows, self._first = 0, first
        for part in _small(group):
            self._open.write_table(part, row_group_size=max(part.num_rows, 1))
        self._rows += group.num_rows
        self._last = last
        if self._sink.tell() >= FILE_BYTES:
            self.finish_file()

    def finish_file(self) -> None:
        """Store the rows written since the last file, if any."""
        if self._open is None:
            return
        self._open.close()
        self._open = None
        data = self._sink.getvalue().to_pybytes()
        target = self.target
        name = keys.TableKey(target.base, clock.random_hex(8), target.kind)
        key = keys.table(target.experiment, name)
        insist(lambda: target.store.put(key, data))
        self.files.append(
            TableFile(
                name=key.rpartition("/")[2],
                kind=target.kind,
                level=target.level,
                rows=self._rows,
                size=len(data),
                footer=int.from_bytes(data[-8:-4], "little") + 8,
                crc32=zlib.crc32(data),
                first=self._first,
                last=self._last,
            )
        )


def _small(group: pa.Table) -> Iterator[pa.Table]:
    """Yield rows in groups that readers do not refuse for what they decompress to."""
    if group.nbytes <= GROUP_BYTES or group.num_rows <= 1:
        yield group
    else:
        half = group.num_rows // 2
        yield from _small(group.slice(0, half))
        yield from _small(group.slice(half))


def _options(kind: str, schema: pa.Schema) -> dict[str, Any]:
    leaves = [field.name for field in schema if not pa.types.is_nested(field.type)]
    words = [name for name in leaves if name in _WORDS]
    encodings = {name: "DELTA_BINARY_PACKED" for name in leaves if name in _RISING}
    encodings |= {
        n: "BYTE_STREAM_SPLIT" for n in leaves if pa.types.is_float64(schema.field(n).type)
    }
    # Not the values of lists: how much a dictionary that is repeated there comes to, no reader
    # could say before it has all of it in memory.
    paths = [
        f"{field.name}.list.element" + (".key" if pa.types.is_struct(field.type.value_type) else "")
        for field in schema
        if pa.types.is_nested(field.type)
    ]
    metrics = kind == "metrics"
    compression = {name: "zstd" if name in COMPRESSED else "lz4" for name in schema.names}
    return {
        "compression": compression if metrics else "zstd",
        "use_dictionary": [*words, *paths],
        "column_encoding": encodings,
        "write_statistics": [name for name in leaves if name in _SEARCHED],
        "write_page_index": metrics,
        # A range that was read is checked by these: the checksum in the checkpoint is of all bytes.
        "write_page_checksum": True,
        "data_page_size": PAGE_BYTES if metrics else 2**20,
        # A file that says it has dictionaries of Arrow is not pruned by polars.
        "store_schema": False,
    }


def write_frames(target: Target, frames: Iterable[pl.DataFrame]) -> list[TableFile]:
    """Store sorted frames, one after the other, as files of a table, and return what they are."""
    writer = FileWriter(target)
    for frame in _regrouped(frames, FRAME_ROWS):
        table = frame.select(writer.schema.names).to_arrow().cast(writer.schema)
        roots = frame["root_run_id"]
        writer.write(table, roots[0], roots[-1])
    writer.finish_file()
    return writer.files


def _regrouped(frames: Iterable[pl.DataFrame], rows: int) -> Iterator[pl.DataFrame]:
    waiting: list[pl.DataFrame] = []
    count = 0
    for frame in frames:
        waiting.append(frame)
        count += frame.height
        if count >= rows:
            together = pl.concat(waiting)
            for start in range(0, count - count % rows, rows):
                yield together.slice(start, rows)
            waiting = [together.slice(count - count % rows)]
            count %= rows
    if count:
        yield pl.concat(waiting)


def write_chunks(target: Target, chunks: Iterable[Chunk]) -> list[TableFile]:
    """Store points, given in order of the table, as files of metrics, and return what they are."""
    writers = _Steps(target)
    waiting: list[Chunk] = []
    count = 0
    for chunk in chunks:
        if len(chunk):
            waiting.append(chunk)
            count += len(chunk)
        if count >= 4 * GROUP_ROWS:
            *full, rest = _grouped(concat(waiting))
            writers.write(full)
            waiting, count = [rest], len(rest)
    if count:
        writers.write(_grouped(concat(waiting)))
    return writers.finish()


def _grouped(chunk: Chunk) -> list[Chunk]:
    """Return a chunk in parts of about GROUP_ROWS, cut where a block ends if that is near."""
    whole = _short_blocks(chunk)
    ends = whole.blocks["length"].cum_sum().cast(pl.Int64)
    starts = ends - whole.blocks["length"].cast(pl.Int64)
    lengths = (starts // GROUP_ROWS).rle().struct.field("len")
    parts: list[Chunk] = []
    block = row = 0
    for length in lengths:
        rows = int(ends[block + length - 1]) - row
        parts.append(Chunk(whole.blocks.slice(block, length), whole.rows.slice(row, rows)))
        block += length
        row += rows
    return parts


def _short_blocks(chunk: Chunk) -> Chunk:
    """Return the chunk with blocks of more than GROUP_ROWS cut into several."""
    length = pl.col("length").cast(pl.Int64)
    if not (chunk.blocks["length"] > GROUP_ROWS).any():
        return chunk
    pieces = chunk.blocks.with_columns(
        (length // GROUP_ROWS).cast(pl.UInt32).alias("full"), (length % GROUP_ROWS).alias("rest")
    )
    full = pl.lit(GROUP_ROWS, pl.Int64).repeat_by("full")
    rest = (
        pl.when(pl.col("rest") > 0)
        .then(pl.concat_list("rest"))
        .otherwise(pl.lit([], pl.List(pl.Int64)))
    )
    cut = pieces.select(*BLOCK, pl.concat_list(full, rest).alias("length")).explode("length")
    return replace(chunk, blocks=cut.with_columns(pl.col("length").cast(pl.UInt32)))


class _Steps:
    """Write files whose steps are as narrow as they can be: int32, as nearly all are."""

    def __init__(self, target: Target) -> None:
        self._target = target
        self._files: list[TableFile] = []
        self._writer = FileWriter(target, _schema(pa.int32()))

    def write(self, groups: Iterable[Chunk]) -> None:
        for group in groups:
            wide = pa.int64() if _is_wide(group.rows) else pa.int32()
            if wide == pa.int64() and self._writer.schema.field("step").type != wide:
                self._files += self.finish()
                self._writer = FileWriter(self._target, _schema(wide))
            table = _table(group, self._writer.schema)
            self._writer.write(table, group.key(0)[0], group.key(-1)[0])

    def finish(self) -> list[TableFile]:
        self._writer.finish_file()
        done, self._files = [*self._files, *self._writer.files], []
        self._writer.files = []
        return done


def _schema(step: pa.DataType) -> pa.Schema:
    words = pa.dictionary(pa.int32(), pa.string())
    types = {"step": step, **dict.fromkeys(BLOCK, words)}
    return pa.schema(
        pa.field(field.name, types.get(field.name, field.type), field.name not in _NEVER_NULL)
        for field in sorted(SCHEMAS["metrics"], key=lambda field: field.name in _LARGE)
    )


_LARGE: Final = ("time", "value")
"""Columns of points that take most bytes: last, so that the others are one range of a file."""

_NEVER_NULL: Final = (*BLOCK, "offset", "time")
"""Columns of points that no null can be in: what says so for each row takes long to write."""


def _is_wide(rows: pl.DataFrame) -> bool:
    if "step" not in rows.columns:
        return False
    # By Arrow: for so few rows polars' engine takes longer to begin than to look.
    ends = pc.min_max(rows["step"].to_arrow()).as_py()
    least, most = ends["min"], ends["max"]
    return least is not None and not (least >= -(2**31) and most < 2**31)


def _table(group: Chunk, schema: pa.Schema) -> pa.Table:
    ends = ends_of(group.blocks["length"])
    columns = []
    for field in schema:
        if field.name in BLOCK:
            words = group.blocks[field.name].to_arrow().cast(pa.string()).dictionary_encode()
            indices = spread_arrow(words.indices, ends)
            columns.append(pa.DictionaryArray.from_arrays(indices, words.dictionary, safe=False))
        elif field.name in group.rows.columns:
            columns.append(group.rows[field.name].to_arrow().cast(field.type))
        else:
            columns.append(pa.nulls(len(group), field.type))
    return pa.table(columns, schema=schema)
