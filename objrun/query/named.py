"""Columns of runs by name, such as `tags.<key>` and `metrics.<name>.last`: no loop over runs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

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
    row = pl.int_range(pl.len(), dtype=pl.UInt32).alias("row")
    pairs = stored.select(row, part).explode(part, empty_as_null=False).unnest(part)
    lengths = stored[part].list.len()
    same = _same(pairs["key"], lengths)
    places = _places(pairs, lengths, same, [*dict.fromkeys(keys)])
    values = pairs.select(pl.col("value").gather(at).alias(name) for name, at in places.items())
    if part == "params":
        types = stored["param_types"].explode(empty_as_null=False)
        # Of the same keys, the types stand at the same places.
        words = dict(zip(same, _same(types, lengths), strict=False))
        kinds = (
            {words[key]} if key in words else {*types.gather(at).unique()}
            for key, at in places.items()
        )
        values = pl.DataFrame([*map(_typed, values, kinds)])
    return [column.alias(f"{part}.{column.name}") for column in values]


def metric_columns(
    runs: pl.Series, metric: str, sums: Sequence[str], summaries: pl.DataFrame
) -> list[pl.Series]:
    """Return a column `metrics.<metric>.<sum>` for each of `sums`, null where a run has none.

    `runs` are the ids of the rows; `summaries` has `run_id`, `name` and what was summed up.
    """
    of_it = summaries.filter(pl.col("name") == metric).select("run_id", *sums)
    rows = runs.to_frame().join(of_it, on="run_id", how="left", maintain_order="left")
    return [rows[each].alias(f"metrics.{metric}.{each}") for each in sums]


def _same(items: pl.Series, lengths: pl.Series) -> list[str]:
    """Return what each run has, where all runs have the same in the same order, as in a sweep.

    `items`: those of all runs, of each so many as `lengths` says.
    """
    each = int(lengths.head(1).sum()) or 1
    same = (lengths == each).all() and (items.slice(each) == items.head(-each)).all()
    return items.head(each).to_list() if same else []


def _places(
    pairs: pl.DataFrame, lengths: pl.Series, same: Sequence[str], wanted: Sequence[str]
) -> dict[str, pl.Series]:
    """Return where among all pairs each run has a key, null where it has none, by key.

    `pairs`: the `row` of their run and their `key`. `same`: the keys of each run if all are alike.
    """
    nowhere = pl.repeat(None, len(lengths), dtype=pl.UInt32, eager=True)
    if same:
        first = lengths.cum_sum() - lengths
        return {key: first + same.index(key) if key in same else nowhere for key in wanted}
    # Numbers are compared many times quicker than words.
    codes = pairs["key"].cast(pl.Enum(wanted), strict=False).to_physical()
    cells = pairs.select("row", place=pl.int_range(pl.len(), dtype=pl.UInt32))
    found = {key: cells.filter(codes == code) for code, key in enumerate(wanted)}
    return {key: nowhere.clone().scatter(*own) for key, own in found.items()}


def _typed(values: pl.Series, words: set[Any]) -> pl.Series:
    """Return values as the narrowest type that holds all; `words` are the types that they have."""
    kinds = words - {"none", None}
    if kinds == {"bool"}:
        return values == "True"
    if kinds == {"int"}:
        whole = values.cast(pl.Int64, strict=False)
        if whole.null_count() == values.null_count() and whole.min() != _LEAST:
            return whole
    if kinds and kinds <= {"int", "float"}:
        return values.cast(pl.Float64, strict=False)
    return values
