"""Runs as trees: parents before their children. Pure."""

from __future__ import annotations

from typing import Final

import polars as pl

_PLACE: Final = "place in the tree"


def in_tree_order(runs: pl.DataFrame) -> pl.DataFrame:
    """Return a frame of runs, each followed by all below it, siblings by number, with `depth`.

    A run whose parent is not among them stands at the top, as does one of a damaged circle.
    """
    known = pl.col("parent_run_id").is_in(runs["run_id"].implode()).fill_null(value=False)
    place = pl.col("number").cast(pl.String).str.zfill(9) + pl.col("run_id") + "/"
    rows = runs.with_columns(known.alias("has parent"), place.alias(_PLACE))
    level = rows.filter(~pl.col("has parent")).with_columns(depth=pl.lit(0, pl.Int64))
    levels = []
    left = rows.filter("has parent")
    while level.height:
        levels.append(level)
        above = level.select(
            pl.col("run_id").alias("parent_run_id"), "depth", pl.col(_PLACE).alias("above")
        )
        level = (
            left.join(above, on="parent_run_id")
            .with_columns(pl.col("depth") + 1, (pl.col("above") + pl.col(_PLACE)).alias(_PLACE))
            .drop("above")
        )
        left = left.join(level, on="run_id", how="anti")
    levels.append(left.with_columns(depth=pl.lit(0, pl.Int64)))
    columns = [*runs.columns, "depth"]
    return pl.concat(each.select(*columns, _PLACE) for each in levels).sort(_PLACE).select(columns)
