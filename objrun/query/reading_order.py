"""Put points in the order in which they are read. SPEC section 10.5.

They come as a table has them, by (root, run, name, writer, offset), so what decides is looked at
once a block, and points move only where the two orders differ.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import polars as pl

from objrun.query.metrics import SCHEMA
from objrun.tables.chunks import BLOCK, Chunk, block_places
from objrun.tables.spread import count_up

_METRIC: Final = ("run_id", "name")
_METRICS: Final = {
    "run_id": pl.String(),
    "name": pl.String(),
    "length": pl.Int64(),
    "half_stepped": pl.Boolean(),
}


@dataclass(frozen=True)
class Ordered:
    """Points in reading order, and the metrics that they make up, one after the other.

    `frame`: the columns of `objrun.query.metrics.SCHEMA`. `metrics`: run_id, name, `length` (rows)
    and `half_stepped`, whether only some of the points have a step.
    """

    frame: pl.DataFrame
    metrics: pl.DataFrame


def in_reading_order(chunk: Chunk) -> Ordered:
    """Return points run by run in order of id, metrics in the order of their first point.

    If every point of a metric has a step, by step and then as logged; else as logged. A name keeps
    the family (scalars and lists, rows, tables, references) of its first point.
    """
    if not len(chunk):
        return Ordered(SCHEMA.to_frame(), pl.DataFrame(schema=_METRICS))
    blocks = _described(chunk)
    metrics = _metrics(blocks)
    blocks = blocks.join(metrics.drop("length"), on=_METRIC, maintain_order="left")
    if _is_simple(chunk, blocks):
        if not blocks["metric"].is_sorted():
            # Blocks as they are, in another order.
            blocks = blocks.sort("metric")
            moved = count_up(blocks["start"], blocks["length"])
            chunk = Chunk(blocks.select(*BLOCK, "length"), chunk.rows[moved])
        return Ordered(_frame(chunk), metrics.select(*_METRICS))
    moved = _sorted(chunk, blocks)
    frame = _frame(chunk)[moved]
    if frame.height < len(chunk):
        place = blocks["metric"].gather(block_places(chunk.blocks).gather(moved))
        lengths = place.rle().struct.unnest().select(metric="value", length="len")
        metrics = metrics.drop("length").join(lengths, on="metric", maintain_order="left")
    return Ordered(frame, metrics.select(*_METRICS))


def _described(chunk: Chunk) -> pl.DataFrame:
    """Return the blocks with their place among the rows, their first point, and their steps."""
    lengths = chunk.blocks["length"].cast(pl.Int64)
    stops = lengths.cum_sum()
    starts = stops - lengths
    rows = chunk.rows
    first = rows.select("time", "offset").select(pl.all().gather(starts))
    described = chunk.blocks.select(BLOCK).with_columns(
        starts.alias("start"),
        lengths.alias("length"),
        first["time"].alias("first_time"),
        first["offset"].alias("first_offset"),
    )
    if "kind" in rows.columns:
        family = rows["kind"].gather(starts).fill_null("scalar").replace("list", "scalar")
        described = described.with_columns(family.alias("family"))
    else:
        described = described.with_columns(pl.lit("scalar").alias("family"))
    if "step" not in rows.columns:
        return described.with_columns(unstepped=pl.col("length"), rising=pl.lit(value=True))
    unstepped = pl.repeat(0, len(starts), dtype=pl.Int64, eager=True)
    if rows["step"].has_nulls():
        missing = pl.concat([pl.Series([0]), rows["step"].is_null().cast(pl.Int64).cum_sum()])
        unstepped = missing.gather(stops) - missing.gather(starts)
    falls = (rows["step"] < rows["step"].shift()).fill_null(value=False).cast(pl.Int64).cum_sum()
    return described.with_columns(
        unstepped.alias("unstepped"),
        (falls.gather(stops - 1) == falls.gather(starts)).alias("rising"),
    )


def _metrics(blocks: pl.DataFrame) -> pl.DataFrame:
    """Return one row a metric: its place in reading order, its family, and how it is ordered."""
    firsts = blocks.sort("run_id", "first_time", "writer", "first_offset")
    metrics = firsts.group_by(_METRIC, maintain_order=True).agg(
        pl.col("family").first().alias("metric_family"),
        (pl.col("unstepped").sum() == 0).alias("stepped"),
        (pl.len() == 1).alias("one_writer"),
        pl.col("length").sum(),
        pl.col("unstepped").sum().is_between(1, pl.col("length").sum() - 1).alias("half_stepped"),
    )
    return metrics.with_row_index("metric")


def _is_simple(chunk: Chunk, blocks: pl.DataFrame) -> bool:
    """Return whether each metric is of one writer and family, and its points stand in order."""
    if "kind" in chunk.rows.columns and not _of_one_family(chunk, blocks):
        return False
    in_order = pl.col("one_writer") & (pl.col("rising") | ~pl.col("stepped"))
    return bool(blocks.select(in_order.all()).item())


def _of_one_family(chunk: Chunk, blocks: pl.DataFrame) -> bool:
    family = chunk.rows["kind"].fill_null("scalar").replace("list", "scalar")
    places = block_places(chunk.blocks)
    return bool((family == blocks["metric_family"].gather(places)).all())


def _sorted(chunk: Chunk, blocks: pl.DataFrame) -> pl.Series:
    """Return the places of the rows in reading order."""
    places = block_places(chunk.blocks)
    rows = chunk.rows.select("time", "offset").with_columns(
        (chunk.rows["step"] if "step" in chunk.rows.columns else pl.lit(None, pl.Int64)).alias(
            "step"
        ),
        places.alias("block"),
        blocks["metric"].gather(places),
        blocks["stepped"].gather(places),
        blocks["writer"].gather(places),
        pl.int_range(len(chunk), eager=True).alias("place"),
    )
    # A clock may be set back: within a writer and metric, later points never count as earlier.
    rows = rows.with_columns(
        pl.col("time").cum_max().over("block").alias("at"),
        pl.when("stepped").then("step").alias("rank"),
    )
    if "kind" in chunk.rows.columns:
        family = chunk.rows["kind"].fill_null("scalar").replace("list", "scalar")
        rows = rows.filter(family == blocks["metric_family"].gather(places))
    return rows.sort("metric", "rank", "at", "writer", "offset")["place"]


def _frame(chunk: Chunk) -> pl.DataFrame:
    blocks = chunk.blocks
    places = block_places(chunk.blocks)
    constant = {"kind": "scalar", "type": "float"}
    columns = []
    for name, dtype in SCHEMA.items():
        if name in blocks.columns:
            columns.append(blocks[name].gather(places))
        elif name in chunk.rows.columns:
            column = chunk.rows[name]
            columns.append(column.fill_null(constant[name]) if name in constant else column)
        else:
            columns.append(
                pl.repeat(constant.get(name), len(chunk), dtype=dtype, eager=True).alias(name)
            )
    return pl.DataFrame(columns)
