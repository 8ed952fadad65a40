"""Metric points as a polars frame: all rows, in reading order, summed up, or as Python values."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import polars as pl

from objrun.errors import CorruptObjectError, CorruptObjectWarning, Problem
from objrun.format.segments import decode_segment
from objrun.format.values import from_point

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from objrun.protocol.live import Shard

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

_DEFAULTS: Final = {"kind": "scalar", "type": "float"}


def metrics_frame(
    shards: Iterable[Shard], on_damage: Callable[[CorruptObjectError], None]
) -> pl.DataFrame:
    """Return the rows of `shards` with the columns of SCHEMA, by run, writer and offset.

    A damaged segment is handed to `on_damage`, which raises it or leaves it out.
    """
    frames = []
    for shard in shards:
        try:
            frames.append(_shard_frame(shard))
        except CorruptObjectError as error:
            on_damage(error)
    return pl.concat(frames) if frames else SCHEMA.to_frame()


def _shard_frame(shard: Shard) -> pl.DataFrame:
    table = decode_segment(shard.key, shard.data)
    frame = pl.from_arrow(table)
    if not isinstance(frame, pl.DataFrame):
        raise TypeError
    first = shard.segment.start
    frame = frame.with_columns(
        run_id=pl.lit(shard.segment.run),
        writer=pl.lit(shard.segment.writer),
        offset=pl.int_range(first, first + frame.height, dtype=pl.Int64),
        **{
            name: pl.col(name).cast(pl.String).fill_null(default)
            for name, default in _DEFAULTS.items()
        },
    )
    return frame.slice(shard.skip).select(
        pl.col(name).cast(dtype) for name, dtype in SCHEMA.items()
    )


def in_reading_order(frame: pl.DataFrame) -> pl.DataFrame:
    """Return the rows that count, run by run and metric by metric, each in the order it is read.

    Metrics come in the order of their first point. If every point of a metric has a step, by step
    and then as logged; else as logged: by offset, and between several writers by time. A name
    keeps the family (scalars and lists, rows, tables, references) of its first point.
    """
    if not frame.height:
        return frame
    # A clock may be set back: within a writer, later points never count as earlier.
    logged = frame.with_columns(
        at=pl.col("time").cum_max().over("run_id", "writer"),
        family=pl.col("kind").replace("list", "scalar"),
    ).sort("run_id", "at", "writer", "offset")
    metric = ("run_id", "name")
    ranked = logged.with_row_index("order").with_columns(
        first=pl.col("order").min().over(metric),
        stepped=pl.col("step").is_not_null().all().over(metric),
        kept=pl.col("family") == pl.col("family").first().over(metric),
    )
    by_step = pl.when("stepped").then("step")
    ordered = ranked.filter("kept").sort("run_id", "first", by_step, "order", nulls_last=False)
    return ordered.select(SCHEMA.names())


def summary_frame(frame: pl.DataFrame) -> pl.DataFrame:
    """Return one row a run and metric with the columns of SUMMARY, numbers only.

    NaN counts as a point and in `nan_count`, not in `min`, `max` and `mean`.
    """
    numbers = in_reading_order(frame).filter(pl.col("value").is_not_null())
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


def metric_values(frame: pl.DataFrame) -> dict[str, dict[str, Any]]:
    """Return {run id: {metric: value}} as `Run.get_metrics` gives it, of rows in reading order.

    A scalar logged once is that value, several times a list. Lists are lists, also of one item,
    and join with scalars of that name. One row is a dict of scalars, several a dict of lists
    padded with None; tables are dicts of lists, one after the other.
    """
    out: dict[str, dict[str, Any]] = {}
    for part in frame.partition_by("run_id", "name", maintain_order=True):
        run, name = part.row(0)[:2]
        out.setdefault(run, {})[name] = _value(part)
    return out


def _value(part: pl.DataFrame) -> Any:
    kinds = part["kind"].unique().to_list()
    values = _python_values(part)
    if kinds in (["scalar"], ["reference"]):
        return values[0] if len(values) == 1 else values
    if set(kinds) <= {"scalar", "list"}:
        listed = part["kind"] == "list"
        return [x for v, many in zip(values, listed, strict=True) for x in (v if many else [v])]
    if kinds == ["row"]:
        return values[0] if len(values) == 1 else _join(values)
    return _join(values)


def _python_values(part: pl.DataFrame) -> list[Any]:
    if part["type"].unique().to_list() == ["float"]:
        return part["value"].to_list()
    try:
        return [from_point(*row) for row in part.select("type", "value", "data").iter_rows()]
    except (ValueError, RecursionError) as error:
        run, name, writer = part.select("run_id", "name", "writer").row(0)
        problem = Problem(f"$.{name}", "bad_value", str(error)[:200])
        key = f"a segment of run {run} by writer {writer}"
        raise CorruptObjectError(key, [problem]) from None


def _join(pieces: list[dict[str, Any]]) -> dict[str, list[Any]]:
    """Put rows and tables below each other; a column that one lacks is padded with None."""
    joined: dict[str, list[Any]] = {name: [] for piece in pieces for name in piece}
    for piece in pieces:
        columns = {name: c if isinstance(c, list) else [c] for name, c in piece.items()}
        length = max(map(len, columns.values()), default=0)
        for name, cells in joined.items():
            cells.extend(columns.get(name, [None] * length))
    return joined


def leave_out(error: CorruptObjectError) -> None:
    """Warn that a damaged object is left out of an answer about many runs."""
    import warnings

    warnings.warn(f"{error.message}: left out", CorruptObjectWarning, stacklevel=2)


def refuse(error: CorruptObjectError) -> None:
    """Raise: an answer about one run must not silently lack points."""
    raise error
