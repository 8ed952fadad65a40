"""Columns of stretches become columns of rows: pure. Much faster than polars' lists, exploded."""

from __future__ import annotations

import polars as pl
import pyarrow as pa
import pyarrow.compute as pc


def spread(values: pl.Series, lengths: pl.Series) -> pl.Series:
    """Return each of `values` as often as `lengths` says, which are all at least one.

    >>> spread(pl.Series([5, 7]), pl.Series([1, 2])).to_list()
    [5, 7, 7]
    """
    found = spread_arrow(values.to_arrow(), ends_of(lengths))
    return pl.Series(values.name, found, values.dtype)


def spread_arrow(values: pa.Array, ends: pa.Array) -> pa.Array:
    """Return each of `values` up to the row that `ends` says: `spread` for many columns.

    >>> spread_arrow(pa.array(["a", "b"]), ends_of(pl.Series([1, 2]))).to_pylist()
    ['a', 'b', 'b']
    """
    return pc.run_end_decode(pa.RunEndEncodedArray.from_arrays(ends, values))


def ends_of(lengths: pl.Series) -> pa.Array:
    """Return the row at which each of stretches that are so long ends.

    >>> ends_of(pl.Series([1, 2])).to_pylist()
    [1, 3]
    """
    # By Arrow: each step of polars goes through its engine, which takes long for a few rows.
    return pc.cumulative_sum(lengths.to_arrow().cast(pa.int64()))


def count_up(first: pl.Series, lengths: pl.Series) -> pl.Series:
    """Return numbers that rise by one, from each of `first` on, as many as `lengths` says.

    >>> count_up(pl.Series([10, 3]), pl.Series([2, 3])).to_list()
    [10, 11, 3, 4, 5]
    """
    long = lengths.cast(pl.Int64)
    ahead = first.cast(pl.Int64) - (long.cum_sum() - long)
    return spread(ahead, long) + pl.int_range(int(long.sum()), eager=True)


def places(lengths: pl.Series) -> pl.Series:
    """Return, for each row of stretches that are so long, the place of its stretch.

    >>> places(pl.Series([1, 2])).to_list()
    [0, 1, 1]
    """
    stretches = pl.int_range(len(lengths), dtype=pl.UInt32, eager=True)
    return spread(stretches, lengths).set_sorted()
