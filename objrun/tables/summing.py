"""Sum points up, and put sums together: pure. SPEC section 11 defines the columns.

A *part* is what a stretch of one writer's points of one metric comes to. Parts of one writer follow
each other by offset and can be put together in any grouping; those of all writers of a run give
what a person asks for: count, last, min, max, mean.
"""

from __future__ import annotations

from typing import Final

import polars as pl

from objrun.format.tables import SUMMARY
from objrun.tables.chunks import BLOCK, Chunk, block_places

PARTS: Final = pl.DataFrame(SUMMARY.empty_table()).schema
"""The columns of parts as polars has them."""

KEY: Final = BLOCK
METRIC: Final = ("run_id", "name")


def parts_of(chunk: Chunk) -> pl.DataFrame:
    """Return one part a block of a chunk, with the columns of a summary table, sorted as it is."""
    rows = _prepared(chunk)
    parts = rows.group_by("block", maintain_order=True).agg(
        first_offset=pl.col("offset").first(),
        family=pl.col("family").first(),
        first_time=pl.col("time").first(),
        last_time=pl.col("at").last(),
        points=pl.len().cast(pl.Int64),
        unstepped=pl.col("step").null_count().cast(pl.Int64),
        count=pl.col("value").count().cast(pl.Int64),
        nan_count=pl.col("value").is_nan().sum().cast(pl.Int64),
        min=pl.col("finite").min(),
        max=pl.col("finite").max(),
        sum=pl.col("finite").sum(),
        first_step=pl.col("number_step").min(),
        last_step=pl.col("number_step").max(),
        last=pl.col("value").last(ignore_nulls=True),
        last_at=pl.col("number_at").last(ignore_nulls=True),
        last_offset=pl.col("number_offset").last(ignore_nulls=True),
        step_last=pl.col("highest").last(ignore_nulls=True),
        step_last_at=pl.col("highest_at").last(ignore_nulls=True),
        step_last_offset=pl.col("highest_offset").last(ignore_nulls=True),
    )
    return chunk.blocks.select(BLOCK).hstack(parts.drop("block")).select(SUMMARY.names)


def _prepared(chunk: Chunk) -> pl.DataFrame:
    rows = chunk.rows.with_columns(block_places(chunk.blocks))
    missing = {"step": pl.Int64, "value": pl.Float64}
    rows = rows.with_columns(
        pl.lit(None, dtype).alias(name)
        for name, dtype in missing.items()
        if name not in rows.columns
    )
    kind = pl.col("kind").fill_null("scalar") if "kind" in rows.columns else pl.lit("scalar")
    starts = pl.col("block") != pl.col("block").shift()
    # A clock may be set back: within a writer and metric, later points never count as earlier.
    steady = rows.select((starts | (pl.col("time") >= pl.col("time").shift())).all()).item()
    at = pl.col("time") if steady else pl.col("time").cum_max().over("block")
    number = pl.col("value").is_not_null()
    rows = rows.with_columns(
        at.alias("at"),
        kind.replace("list", "scalar").alias("family"),
        pl.col("value").fill_nan(None).alias("finite"),
        pl.when(number).then("step").alias("number_step"),
        pl.when(number).then("offset").alias("number_offset"),
    ).with_columns(pl.when(number).then("at").alias("number_at"))
    step = pl.col("number_step")
    rising = rows.select((starts | (step >= step.shift())).all() & step.is_not_null().all()).item()
    highest = pl.lit(value=True) if rising else step == step.max().over("block")
    return rows.with_columns(
        pl.when(highest).then("value").alias("highest"),
        pl.when(highest).then("number_at").alias("highest_at"),
        pl.when(highest).then("number_offset").alias("highest_offset"),
    )


def joined(parts: pl.DataFrame) -> pl.DataFrame:
    """Return parts with those of one writer and metric put together, sorted as a summary table."""
    parts = parts.sort(*KEY, "first_offset")
    several = _several(parts, KEY)
    if not several.any():
        return parts
    together = _together(parts.filter(several))
    return pl.concat([parts.filter(~several), together]).sort(KEY)


def _several(frame: pl.DataFrame, key: tuple[str, ...]) -> pl.Series:
    """Return which rows, sorted by `key`, have a neighbour with the same."""
    same = pl.all_horizontal(pl.col(name) == pl.col(name).shift() for name in key)
    again = frame.select(same.fill_null(value=False).alias("again"))["again"]
    return again | again.shift(-1, fill_value=False)


def _together(parts: pl.DataFrame) -> pl.DataFrame:
    before = pl.col("last_time").cum_max().shift().over(KEY)
    later = parts.with_columns(
        pl.when(pl.col(name).is_not_null()).then(pl.max_horizontal(name, before)).alias(name)
        for name in ("last_time", "last_at", "step_last_at")
    )
    sums = later.group_by(KEY, maintain_order=True).agg(
        pl.col("first_offset", "family", "first_time").first(),
        pl.col("last_time").last(),
        pl.col("points", "unstepped", "count", "nan_count").sum(),
        pl.col("min").min(),
        pl.col("max").max(),
        pl.col("sum").sum(),
        pl.col("first_step").min(),
        pl.col("last_step").max(),
        pl.col("last", "last_at", "last_offset").last(ignore_nulls=True),
    )
    # The sort is stable, so of equal steps the later part comes last.
    highest = later.filter(pl.col("last_step").is_not_null()).sort("last_step", maintain_order=True)
    last = highest.group_by(KEY).agg(pl.col("^step_last.*$").last())
    return sums.join(last, on=KEY, how="left").select(SUMMARY.names)


def summed(parts: pl.DataFrame) -> pl.DataFrame:
    """Return one row a run and metric that has numbers, from all parts of them.

    Columns: run_id, name, count, last, min, max, mean, first_step, last_step, nan_count. `last` is
    that in reading order: by step if all points of the metric have one, else as logged.
    """
    parts = joined(parts)
    several = _several(parts, METRIC)
    single = parts.filter(~several) if several.any() else parts
    frames = [single.filter(pl.col("family") == "scalar").pipe(_told)]
    if several.any():
        frames.append(_over_writers(parts.filter(several)).pipe(_told))
    return pl.concat(frames)


def _over_writers(parts: pl.DataFrame) -> pl.DataFrame:
    def last_of(column: str, *order: str) -> pl.DataFrame:
        having = parts.filter(pl.col("count") > 0).sort(*order, "writer")
        return having.group_by(METRIC).agg(pl.col(column).last())

    first = parts.sort("first_time", "writer").group_by(METRIC).agg(pl.col("family").first())
    sums = parts.group_by(METRIC, maintain_order=True).agg(
        pl.col("unstepped", "count", "nan_count", "sum").sum(),
        pl.col("min").min(),
        pl.col("max").max(),
        pl.col("first_step").min(),
        pl.col("last_step").max(),
    )
    numbers = sums.join(first.filter(pl.col("family") == "scalar"), on=METRIC)
    numbers = numbers.join(last_of("last", "last_at"), on=METRIC)
    return numbers.join(last_of("step_last", "last_step", "step_last_at"), on=METRIC)


def _told(sums: pl.DataFrame) -> pl.DataFrame:
    stepped = pl.col("unstepped") == 0
    return sums.filter(pl.col("count") > 0).select(
        *METRIC,
        pl.col("count").cast(pl.UInt32),
        pl.when(stepped).then("step_last").otherwise("last").alias("last"),
        "min",
        "max",
        (pl.col("sum") / (pl.col("count") - pl.col("nan_count"))).fill_nan(None).alias("mean"),
        "first_step",
        "last_step",
        pl.col("nan_count").cast(pl.UInt32),
    )
