"""Columns of runs by name, such as `tags.<key>` and `metrics.<name>.last`: no loop over runs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import polars as pl

if TYPE_CHECKING:
    from collections.abc import Sequence

PARTS: Final = ("tags", "params", "properties")
"""Columns of pairs, whose keys make columns by name."""

_LEAST: Final = -(2**63)


def keys_of(stored: pl.DataFrame, part: str) -> dict[str, int]:
    """Return the keys that runs have in a column of pairs, first seen first, with their number."""
    keys = stored[part].explode().struct.field("key").drop_nulls().alias("key")
    return dict(keys.to_frame().group_by("key", maintain_order=True).len().rows())


def named_columns(stored: pl.DataFrame, part: str, keys: Sequence[str]) -> list[pl.Series]:
    """Return a column `<part>.<key>` for each key, null where a run has none.

    `stored` has the columns of the table of runs. Parameters have the narrowest type that holds all
    of them: bool, int, float, else text; everything else is text.
    """
    words = ["param_types"] if part == "params" else []
    row = pl.int_range(pl.len(), dtype=pl.UInt32).alias("row")
    pairs = stored.select(row, part, *words).explode(part, *words)
    cells = pairs.select("row", *words, pl.col(part).struct.field("value"))
    wanted = [*dict.fromkeys(keys)]
    # Numbers are compared many times quicker than words.
    key = pairs[part].struct.field("key").cast(pl.Enum(wanted), strict=False).to_physical()
    return [
        _column(f"{part}.{name}", cells.filter(key == place), stored.height)
        for place, name in enumerate(wanted)
    ]


def metric_columns(
    runs: pl.Series, metric: str, sums: Sequence[str], summaries: pl.DataFrame
) -> list[pl.Series]:
    """Return a column `metrics.<metric>.<sum>` for each of `sums`, null where a run has none.

    `runs` are the ids of the rows; `summaries` has `run_id`, `name` and what was summed up.
    """
    of_it = summaries.filter(pl.col("name") == metric).select("run_id", *sums)
    rows = runs.to_frame().join(of_it, on="run_id", how="left", maintain_order="left")
    return [rows[each].alias(f"metrics.{metric}.{each}") for each in sums]


def _column(name: str, cells: pl.DataFrame, height: int) -> pl.Series:
    values = _typed(cells) if "param_types" in cells.columns else cells["value"]
    if cells.height == height:
        # A run has a key once at most: all of them have it, in their order.
        return values.alias(name)
    places = pl.repeat(None, height, dtype=pl.UInt32, eager=True)
    places.scatter(cells["row"], pl.int_range(cells.height, dtype=pl.UInt32, eager=True))
    return values.gather(places).alias(name)


def _typed(cells: pl.DataFrame) -> pl.Series:
    """Return values as the narrowest type that holds all."""
    values, kinds = cells["value"], {*cells["param_types"].unique()} - {"none"}
    if kinds == {"bool"}:
        return values == "True"
    if kinds == {"int"}:
        whole = values.cast(pl.Int64, strict=False)
        if whole.null_count() == values.null_count() and whole.min() != _LEAST:
            return whole
    if kinds and kinds <= {"int", "float"}:
        return values.cast(pl.Float64, strict=False)
    return values
