"""Metric points as a polars frame: all rows, in reading order, or summed up."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Final

import polars as pl

from objrun.errors import CorruptObjectWarning

if TYPE_CHECKING:
    from objrun.errors import CorruptObjectError

SCHEMA: Final = pl.Schema(
    {
        "run_id": pl.String(),
        "name": pl.String(),
        "kind": pl.String(),
        "step": pl.Int64(),
        "time": pl.Datetime("us", "UTC"),
        "type": pl.String(),
        "value": pl.Float64(),
        "data": pl.String(),
        "writer": pl.String(),
        "offset": pl.Int64(),
    }
)
"""Columns of a frame of metrics. `value` is every number as float64 (null for text and JSON);
`data` is text, JSON or the digits of an integer beyond 2^53; (`writer`, `offset`) name a point."""

SUMMARY: Final = ("count", "last", "min", "max", "mean", "first_step", "last_step", "nan_count")
"""What is summed up of each metric of each run; `last` is by step, then by order of logging."""


def summary_frame(frame: pl.DataFrame) -> pl.DataFrame:
    """Return one row a run and metric with the columns of SUMMARY, numbers only.

    NaN counts as a point and in `nan_count`, not in `min`, `max` and `mean`.
    """
    numbers = frame.filter(pl.col("value").is_not_null())
    finite = pl.col("value").fill_nan(None)
    return numbers.group_by("run_id", "name", maintain_order=True).agg(
        count=pl.len(),
        last=pl.col("value").last(),
        min=finite.min(),
        max=finite.max(),
        mean=finite.mean(),
        first_step=pl.col("step").min(),
        last_step=pl.col("step").max(),
        nan_count=pl.col("value").is_nan().sum(),
    )


def leave_out(error: CorruptObjectError) -> None:
    """Warn that a damaged object is left out of an answer about many runs."""
    warnings.warn(f"{error.message}: left out", CorruptObjectWarning, stacklevel=2)


def refuse(error: CorruptObjectError) -> None:
    """Raise: an answer about one run must not silently lack points."""
    raise error
