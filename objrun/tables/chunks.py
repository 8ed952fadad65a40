"""Points in the order of a metrics table, a bounded number at a time.

The four columns that say whose point it is are equal in long stretches, so they are kept once a
stretch (a *block*), and everything else once a point.
"""

from __future__ import annotations

from collections.abc import Hashable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, NamedTuple, TypeVar

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from objrun.errors import CorruptObjectError
from objrun.format.bounds import MOST_BYTES, check_times
from objrun.format.segments import DECODED, SCHEMA, decode_segment, weigh_segment
from objrun.format.tables import METRICS
from objrun.format.values import KINDS, TYPES
from objrun.tables.spread import count_up, places, spread

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from objrun.protocol.live import Shard

BLOCK: Final = ("root_run_id", "run_id", "name", "writer")
"""The columns that are equal throughout a block."""

ROW: Final = ("offset", "kind", "step", "time", "type", "value", "data")
"""The columns of a point within its block."""

LARGE: Final = 2**17
"""Bytes of a segment from which on several threads decode them; small ones take longer to hand
over than to decode."""

_TIME: Final = pl.Datetime("us", "UTC")
ROWS: Final = pl.Schema(
    {
        "offset": pl.Int64(),
        "kind": pl.String(),
        "step": pl.Int64(),
        "time": _TIME,
        "type": pl.String(),
        "value": pl.Float64(),
        "data": pl.String(),
    }
)


@dataclass(frozen=True)
class Chunk:
    """Points sorted by (root, run, name, writer, offset).

    `blocks`: the columns BLOCK and `length`, one row a stretch of points, each pair of neighbours
    different. `rows`: the columns ROW, one row a point, without those that hold only null.
    """

    blocks: pl.DataFrame
    rows: pl.DataFrame

    def __len__(self) -> int:
        """Count the points."""
        return self.rows.height

    def slice_blocks(self, start: int, stop: int) -> Chunk:
        """Return the points of the blocks `[start, stop)`."""
        before = int(self.blocks["length"][:start].sum())
        blocks = self.blocks[start:stop]
        return Chunk(blocks, self.rows.slice(before, int(blocks["length"].sum())))

    def where(self, condition: pl.Expr) -> Chunk:
        """Return the points of the blocks for which a condition on BLOCK is true."""
        keep = self.blocks.select(condition.alias("keep"))["keep"].fill_null(value=False)
        if keep.all():
            return self
        points = spread(keep, self.blocks["length"])
        return Chunk(self.blocks.filter(keep), self.rows.filter(points))

    def filter(self, keep: pl.Series) -> Chunk:
        """Return the points for which `keep`, a boolean each, is true."""
        if keep.all():
            return self
        left = (
            keep.cast(pl.UInt32)
            .to_frame("length")
            .group_by(block_places(self.blocks), maintain_order=True)
        )
        blocks = self.blocks.with_columns(left.agg(pl.col("length").sum())["length"])
        return Chunk(blocks.filter(pl.col("length") > 0), self.rows.filter(keep))

    def key(self, block: int) -> tuple[str, str, str, str]:
        """Return the columns BLOCK of a block, which compare as the table is sorted."""
        root, run, name, writer = (self.blocks[column][block] for column in BLOCK)
        return root, run, name, writer


EMPTY: Final = Chunk(
    pl.DataFrame(schema=dict.fromkeys(BLOCK, pl.String()) | {"length": pl.UInt32()}),
    pl.DataFrame(schema={"offset": pl.Int64(), "time": ROWS["time"]}),
)
"""No points."""


class Source(NamedTuple):
    """Rows of one segment that count, and the root of its run."""

    root: str
    shard: Shard


def concat(chunks: Sequence[Chunk]) -> Chunk:
    """Return chunks that follow each other as one; blocks that meet and are equal are joined."""
    if len(chunks) == 1:
        return chunks[0]
    rows = pl.concat([chunk.rows for chunk in chunks], how="diagonal")
    blocks = pl.concat([chunk.blocks for chunk in chunks])
    return Chunk(_joined(blocks), rows)


def _joined(blocks: pl.DataFrame) -> pl.DataFrame:
    new = pl.any_horizontal(pl.col(name) != pl.col(name).shift() for name in BLOCK)
    ids = blocks.select(new.fill_null(value=True).cum_sum().alias("id"))["id"]
    if ids.is_empty() or ids[-1] == blocks.height:
        return blocks
    grouped = blocks.group_by(ids, maintain_order=True)
    return grouped.agg(pl.col(BLOCK).first(), pl.col("length").sum()).drop("id")


def block_places(blocks: pl.DataFrame) -> pl.Series:
    """Return, a point, the place of its block."""
    return places(blocks["length"]).alias("block")


def full_frame(chunk: Chunk) -> pl.DataFrame:
    """Return the points with the columns of a metrics table, all of them."""
    blocks = block_places(chunk.blocks)
    whose = [chunk.blocks[name].gather(blocks) for name in BLOCK]
    rows = chunk.rows.with_columns(
        pl.lit(None, dtype).alias(name)
        for name, dtype in ROWS.items()
        if name not in chunk.rows.columns
    )
    return pl.DataFrame(whose).hstack(rows).select(METRICS.names)


class Decoded(NamedTuple):
    """A segment and its rows that count."""

    source: Source
    table: pa.Table


def chunk_of_segments(segments: Sequence[Decoded]) -> Chunk:
    """Return the points of segments, which are given by root, run, writer and offset."""
    if not segments:
        return EMPTY
    tables = [table for _, table in segments]
    table = pa.concat_tables(tables, promote_options="default")
    table = table.unify_dictionaries().combine_chunks()
    ends = pl.Series([piece.num_rows for piece in tables], dtype=pl.Int64).cum_sum()
    names = table.column("name").chunk(0)
    words = pl.Series("name", names.dictionary, pl.String)
    writers, of_segment = _numbered((s.root, *s.shard.segment[1:3]) for s, _ in segments)
    _runs, of_writer = _numbered(writer[:2] for writer in writers)
    # What decides is the same for a stretch of one metric's points in a segment.
    stretches = _stretches(pl.Series(names.indices), ends, [s.shard for s, _ in segments])
    writer = of_segment.gather(stretches["segment"])
    rows = _rows(table)
    rank = words.arg_sort().arg_sort().gather(stretches["word"])
    key = of_writer.gather(writer).cast(pl.UInt64) * len(words) + rank
    if not key.is_sorted():
        # Unique keys, so that points stay by writer and offset whatever the sort does.
        count = len(key)
        order = (key * count + pl.int_range(count, dtype=pl.UInt64, eager=True)).sort() % count
        stretches, writer = stretches[order], writer.gather(order)
        rows = rows[count_up(stretches["start"], stretches["length"])]
    whose = pl.DataFrame(writers, ("root_run_id", "run_id", "writer"), orient="row")[writer]
    name = words.gather(stretches["word"])
    length = stretches["length"].cast(pl.UInt32)
    blocks = whose.with_columns(name, length).select(*BLOCK, "length")
    offset = count_up(stretches["offset"], length).alias("offset")
    return Chunk(_joined(blocks), rows.insert_column(0, offset))


_Item = TypeVar("_Item", bound=Hashable)


def _numbered(items: Iterable[_Item]) -> tuple[list[_Item], pl.Series]:
    """Return different items in the order of their first, and of each its place among them."""
    listed = [*items]
    different = [*dict.fromkeys(listed)]
    places = {item: place for place, item in enumerate(different)}
    return different, pl.Series([places[item] for item in listed], dtype=pl.UInt32)


def _stretches(word: pl.Series, ends: pl.Series, shards: Sequence[Shard]) -> pl.DataFrame:
    """Return `start`, `length`, `word`, `segment` and `offset` of stretches of one name."""
    begins = (word != word.shift()).fill_null(value=True)
    begins.scatter(ends[:-1], values=True)
    start = begins.arg_true().cast(pl.Int64)
    segment = ends.search_sorted(start, side="right")
    first = pl.Series([s.segment.start + s.skip for s in shards], dtype=pl.Int64)
    ahead = first - ends.shift(1, fill_value=0)
    return pl.DataFrame(
        {
            "start": start,
            "length": start.shift(-1, fill_value=len(word)) - start,
            "word": word.gather(start),
            "segment": segment,
            "offset": start + ahead.gather(segment),
        }
    )


def _rows(table: pa.Table) -> pl.DataFrame:
    """Return the columns ROW, but for the offset, that are not all null."""
    return pl.DataFrame(
        [
            pl.Series(name, column.cast(SCHEMA.field(name).type), ROWS[name])
            for name, column in zip(table.column_names, table.columns, strict=True)
            if name in ROW and column.null_count < len(column)
        ]
    )


def decoded(
    sources: Sequence[Source], on_damage: Callable[[CorruptObjectError], None]
) -> list[Decoded]:
    """Return the rows of segments; a damaged one is handed to `on_damage` and left out."""
    try:
        return [*map(Decoded, sources, _all_at_once(sources))]
    except (pa.ArrowException, OSError, ValueError, LookupError):
        pass
    # One of them is damaged, or not written as this code does: look at each.
    found: list[Decoded] = []
    for source in sources:
        shard = source.shard
        try:
            table = decode_segment(shard.key, shard.data).slice(shard.skip)
        except CorruptObjectError as error:
            on_damage(error)
        else:
            found.append(Decoded(source, table))
    return found


def _all_at_once(sources: Sequence[Source]) -> list[pa.Table]:
    """Return the rows of segments that this code has written; an error where one looks otherwise.

    Ten thousand segments are read in half the time that `decode_segment` takes, whose checks are
    made here for all together.
    """
    shards = [source.shard for source in sources]
    if sum(len(shard.data) for shard in shards) > LARGE * max(2, len(shards)):
        # Arrow works without the lock of the interpreter.
        with ThreadPoolExecutor(pl.thread_pool_size()) as pool:
            tables = [*pool.map(_quickly, shards)]
    else:
        tables = [*map(_quickly, shards)]
    before: pa.Schema | None = None
    for table in tables:
        # Looking at each field takes longer than at the whole, which is nearly always as before.
        if before is None or not table.schema.equals(before):
            _refuse_other_types(before := table.schema)
    table = pa.concat_tables(tables, promote_options="default")
    table.validate(full=True)
    check_times(table)
    for name, known in (("kind", KINDS), ("type", TYPES)):
        if name in table.column_names and not {*table.column(name).unique().to_pylist()} <= {
            None,
            *known,
        }:
            raise ValueError(name)
    if table.column("name").null_count or table.column("time").null_count:
        raise ValueError(table)
    return tables


def _quickly(shard: Shard) -> pa.Table:
    # Of bytes in memory nothing is to be fetched ahead, for which Arrow would use its threads.
    source = pa.BufferReader(shard.data)
    file = pq.ParquetFile(
        source, read_dictionary=["name"], pre_buffer=False, page_checksum_verification=True
    )
    if weigh_segment(shard.data, file.metadata.schema).repeated > MOST_BYTES:
        raise ValueError(shard.key)
    table = file.read(use_threads=False)
    if table.num_rows != shard.segment.stop - shard.segment.start:
        raise ValueError(shard.key)
    return table.slice(shard.skip) if shard.skip else table


def _refuse_other_types(schema: pa.Schema) -> None:
    for field in schema:
        if field.type != _EXPECTED.get(field.name, field.type):
            raise ValueError(field)


_EXPECTED: Final = {
    field.name: field.type if field.name == "name" else METRICS.field(field.name).type
    for field in DECODED
}
