"""Points in the order of a metrics table, a bounded number at a time.

The four columns that say whose point it is are equal in long stretches, so they are kept once a
stretch (a *block*), and everything else once a point.
"""

from __future__ import annotations

from array import array
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, NamedTuple

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from objrun.errors import CorruptObjectError
from objrun.format.segments import DECODED, decode_segment
from objrun.format.tables import METRICS
from objrun.format.values import KINDS, TYPES

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from objrun.protocol.live import Shard

BLOCK: Final = ("root_run_id", "run_id", "name", "writer")
"""The columns that are equal throughout a block."""

ROW: Final = ("offset", "kind", "step", "time", "type", "value", "data")
"""The columns of a point within its block."""

MUCH: Final = 2**20
"""Bytes of segments from which on several threads decode them; starting these takes a while."""

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
        kept = pl.DataFrame({"keep": keep, "length": self.blocks["length"]})
        points = kept.select(pl.col("keep").repeat_by("length").explode())["keep"]
        return Chunk(self.blocks.filter(keep), self.rows.filter(points))

    def key(self, block: int) -> tuple[str, str, str, str]:
        """Return the columns BLOCK of a block, which compare as the table is sorted."""
        root, run, name, writer = self.blocks.select(BLOCK).row(block)
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
    places = pl.int_range(pl.len(), dtype=pl.UInt32)
    return blocks.select(places.repeat_by("length").explode().alias("block"))["block"]


def full_frame(chunk: Chunk) -> pl.DataFrame:
    """Return the points with the columns of a metrics table, all of them."""
    places = block_places(chunk.blocks)
    whose = [chunk.blocks[name].gather(places) for name in BLOCK]
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
    kept = [source for source, _ in segments]
    table = pa.concat_tables(tables, promote_options="default").unify_dictionaries()
    lengths = [piece.num_rows for piece in tables]
    names = table.column("name").combine_chunks()
    words: list[str] = names.dictionary.to_pylist()
    order = sorted(range(len(words)), key=words.__getitem__)
    ranks = array("I", bytes(4 * len(words)))
    for position, place in enumerate(order):
        ranks[place] = position
    rank = _series(ranks).gather(pl.Series(names.indices))
    writers = [*dict.fromkeys((source.root, *source.shard.segment[1:3]) for source in kept)]
    runs = [*dict.fromkeys(writer[:2] for writer in writers)]
    run_places = {run: place for place, run in enumerate(runs)}
    writer_places = {writer: place for place, writer in enumerate(writers)}
    of_writer = [writer_places[s.root, *s.shard.segment[1:3]] for s in kept]
    writer = _repeated(of_writer, lengths)
    of_run = _series(array("I", (run_places[writer[:2]] for writer in writers)))
    rows = _rows(table, kept, lengths)
    key = of_run.gather(writer).cast(pl.UInt64) * len(words) + rank
    if not key.is_sorted():
        # Unique keys, so that points stay by writer and offset whatever the sort does.
        count = rows.height
        places = (key * count + pl.int_range(count, dtype=pl.UInt64, eager=True)).sort() % count
        rows, rank, writer = rows[places], rank.gather(places), writer.gather(places)
    stretches = (writer.cast(pl.UInt64) * len(words) + rank).rle().struct.unnest()
    whose = stretches["value"] // len(words)
    which = stretches["value"] % len(words)
    columns = zip(*writers, strict=True)
    texts = [
        pl.Series(n, c).gather(whose)
        for n, c in zip(("root_run_id", "run_id", "writer"), columns, strict=True)
    ]
    name = pl.Series("name", [words[place] for place in order]).gather(which)
    blocks = pl.DataFrame([texts[0], texts[1], name, texts[2], stretches["len"].alias("length")])
    return Chunk(blocks, rows)


def _rows(table: pa.Table, sources: Sequence[Source], lengths: Sequence[int]) -> pl.DataFrame:
    starts = (s.shard.segment.start + s.shard.skip for s in sources)
    columns = [
        pl.concat(
            [
                pl.int_range(start, start + length, dtype=pl.Int64, eager=True)
                for start, length in zip(starts, lengths, strict=True)
            ]
        ).alias("offset")
    ]
    for name in ROW[1:]:
        column = table.column(name) if name in table.column_names else None
        if column is not None and column.null_count < len(column):
            columns.append(pl.Series(name, column.cast(_PLAIN.get(name, column.type)), ROWS[name]))
    return pl.DataFrame(columns)


_PLAIN: Final = {"kind": pa.string(), "type": pa.string()}


def _series(items: array[int]) -> pl.Series:
    column = pa.Array.from_buffers(pa.uint32(), len(items), [None, pa.py_buffer(items)])
    return pl.Series(column)


def _repeated(items: Iterable[int], lengths: Iterable[int]) -> pl.Series:
    out = array("I")
    for item, length in zip(items, lengths, strict=True):
        out += array("I", [item]) * length
    return _series(out)


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
    if sum(len(shard.data) for shard in shards) > MUCH:
        # Arrow works without the lock of the interpreter.
        with ThreadPoolExecutor(pl.thread_pool_size()) as pool:
            tables = [*pool.map(_quickly, shards)]
    else:
        tables = [*map(_quickly, shards)]
    table = pa.concat_tables(tables, promote_options="default")
    table.validate(full=True)
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
    file = pq.ParquetFile(pa.BufferReader(shard.data), read_dictionary=["name"])
    table = file.read(use_threads=False)
    if table.num_rows != shard.segment.stop - shard.segment.start:
        raise ValueError(shard.key)
    for field in table.schema:
        expected = _EXPECTED.get(field.name)
        if expected is not None and field.type != expected:
            raise ValueError(field)
    return table.slice(shard.skip) if shard.skip else table


_EXPECTED: Final = {
    field.name: field.type if field.name == "name" else METRICS.field(field.name).type
    for field in DECODED
}
