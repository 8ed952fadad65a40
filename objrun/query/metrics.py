"""Metric points as a polars frame: all rows, in reading order, or summed up."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TYPE_CHECKING, Final

import polars as pl
import pyarrow as pa

from objrun.errors import CorruptObjectError, CorruptObjectWarning
from objrun.format.segments import decode_segment

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

MUCH: Final = 2**20
"""Bytes of segments from which on several threads decode them; starting these takes a while."""

_DEFAULTS: Final = {"kind": "scalar", "type": "float"}


def metrics_frame(
    shards: Iterable[Shard], on_damage: Callable[[CorruptObjectError], None]
) -> pl.DataFrame:
    """Return the rows of `shards` with the columns of SCHEMA, run by run as they were logged.

    One writer's rows are in order of their offset; those of several writers of a run by time. A
    damaged segment is handed to `on_damage`, which raises it or leaves it out.
    """
    found = [*shards]
    reads: list[Callable[[], pl.DataFrame]]
    reads = [partial(_stored_columns, shard) for shard in found]
    if sum(len(shard.data) for shard in found) > MUCH:
        # Arrow and polars work without the lock of the interpreter.
        with ThreadPoolExecutor(pl.thread_pool_size()) as pool:
            reads = [pool.submit(read).result for read in reads]
    runs: dict[str, dict[str, list[pl.DataFrame]]] = {}
    for shard, read in zip(found, reads, strict=True):
        try:
            frame = read()
        except CorruptObjectError as error:
            on_damage(error)
        else:
            writers = runs.setdefault(shard.segment.run, {})
            writers.setdefault(shard.segment.writer, []).append(frame)
    frames = [_as_logged(run, writers) for run, writers in runs.items()]
    return pl.concat(frames) if frames else SCHEMA.to_frame()


def _as_logged(run: str, writers: dict[str, list[pl.DataFrame]]) -> pl.DataFrame:
    frame = pl.concat([_all_columns(run, writer, pieces) for writer, pieces in writers.items()])
    if len(writers) == 1:
        return frame
    # A clock may be set back: within a writer and metric, later points never count as earlier.
    at = pl.col("time").cum_max().over("writer", "name")
    return frame.sort(at, "writer", "offset")


def _stored_columns(shard: Shard) -> pl.DataFrame:
    """Return the rows of one segment that count, without the columns that hold only null.

    Not read by polars: a damaged file may abort the process there, which nobody can catch.
    """
    table = decode_segment(shard.key, shard.data).slice(shard.skip)
    first, last = shard.segment.start + shard.skip, shard.segment.stop
    offset = pl.int_range(first, last, dtype=pl.Int64, eager=True).alias("offset")
    columns = zip(table.column_names, table.columns, strict=True)
    return pl.DataFrame([offset, *(_series(*c) for c in columns if c[1].null_count < len(c[1]))])


def _series(name: str, column: pa.ChunkedArray) -> pl.Series:
    """Return a column as polars has it; no more is copied than dictionaries of words."""
    if not pa.types.is_dictionary(column.type):
        return pl.Series(name, column, SCHEMA[name])
    pieces = (
        pl.Series(name, piece.dictionary).gather(pl.Series(piece.indices))
        for piece in column.chunks
    )
    return pl.concat(pieces)


def _all_columns(run: str, writer: str, pieces: list[pl.DataFrame]) -> pl.DataFrame:
    """Return the rows of one writer with the columns of SCHEMA; one value alone takes no room."""
    stored = pl.concat(pieces, how="diagonal")
    constant = _DEFAULTS | {"run_id": run, "writer": writer}
    return stored.select(
        pl.lit(constant.get(name), dtype).alias(name)
        if name not in stored.columns
        else pl.col(name).fill_null(_DEFAULTS[name])
        if name in _DEFAULTS
        else pl.col(name)
        for name, dtype in SCHEMA.items()
    )


def in_reading_order(logged: pl.DataFrame) -> pl.DataFrame:
    """Return the rows that count, run by run and metric by metric, each in the order it is read.

    `logged` is what `metrics_frame` gives. Metrics come in the order of their first point. If
    every point of a metric has a step, by step and then as logged; else as logged. A name keeps
    the family (scalars and lists, rows, tables, references) of its first point.
    """
    if not logged.height:
        return logged
    blocks = metric_blocks(logged)
    metrics = _first_points(logged, blocks)
    ordered = metrics.sort("run", "time", "writer", "offset").drop("run")
    one_family = logged.select((pl.col("kind") == "scalar").all()).item()
    as_logged = blocks.height == metrics.height and ordered.equals(metrics.drop("run"))
    if one_family and as_logged and _steps_rise(logged["step"], blocks):
        return logged
    of_block = ordered.select("run_id", "name").with_row_index("metric")
    numbers = blocks.join(of_block, on=("run_id", "name"), how="left", maintain_order="left")
    frame = logged.with_columns(
        numbers.select(pl.col("metric").repeat_by("len").explode())["metric"]
    )
    stepped = pl.col("step").null_count().over("metric") == 0
    frame = frame.with_columns(pl.when(stepped).then("step").alias("rank"))
    if not one_family:
        family = pl.col("kind").replace("list", "scalar")
        frame = frame.filter(family == family.first().over("metric"))
    return frame.sort("metric", "rank", maintain_order=True).drop("metric", "rank")


def _first_points(logged: pl.DataFrame, blocks: pl.DataFrame) -> pl.DataFrame:
    """Return the first point of each metric, and the place of its `run` among the runs."""
    starts = blocks["len"].cum_sum().shift(1, fill_value=0)
    firsts = logged.select("run_id", "name", "time", "writer", "offset")[starts]
    metrics = firsts.unique(("run_id", "name"), maintain_order=True)
    return metrics.with_columns(pl.col("run_id").rle_id().alias("run"))


def _steps_rise(steps: pl.Series, blocks: pl.DataFrame) -> bool:
    """Return whether steps fall nowhere but where the next metric begins."""
    if steps.is_sorted():
        return True
    falls = (steps < steps.shift()).arg_true()
    starts = blocks["len"].cum_sum()
    return bool(falls.is_in(starts.cast(falls.dtype).implode()).all())


def metric_blocks(frame: pl.DataFrame) -> pl.DataFrame:
    """Return the stretches of rows of one run and metric: `len`, `run_id`, `name`, in order."""
    first, last = pl.col("run_id").first().alias("first"), pl.col("run_id").last().alias("last")
    run, other = frame.select(first, last).row(0)
    if frame.height and run == other:
        # The rows of a run stand together, so this is a frame of one run.
        names = frame["name"].rle().struct.unnest()
        return names.select("len", pl.lit(run).alias("run_id"), pl.col("value").alias("name"))
    stretches = frame.select(pl.struct("run_id", "name").rle().alias("stretch"))
    return stretches.unnest("stretch").unnest("value")


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


def leave_out(error: CorruptObjectError) -> None:
    """Warn that a damaged object is left out of an answer about many runs."""
    import warnings

    warnings.warn(f"{error.message}: left out", CorruptObjectWarning, stacklevel=2)


def refuse(error: CorruptObjectError) -> None:
    """Raise: an answer about one run must not silently lack points."""
    raise error
