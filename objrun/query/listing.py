"""One way in for everything that lists runs: the last versions, then filters, then columns."""

from __future__ import annotations

import warnings
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import polars as pl

from objrun.errors import CorruptObjectWarning, UserErrorException
from objrun.protocol.live import read_runs, read_shards
from objrun.query.metrics import leave_out, metrics_frame, summary_frame
from objrun.query.runs import NO_SUMMARIES, SCHEMA, metric_names, newest_first, runs_frame
from objrun.tables.run_rows import STORED, last_rows, stored_frame

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from objrun.format.states import RunState, Version
    from objrun.storage import Store


@dataclass(eq=False)
class Known:
    """What has been read of an experiment's runs: versions and tables never change.

    `versions`: those that were read one by one, the last of each run, by its id. `tables`:
    compacted tables, by name. `rows`: all runs as of the last reading, also deleted ones.
    """

    versions: dict[str, Version[RunState]] = field(default_factory=dict)
    tables: dict[str, pl.DataFrame] = field(default_factory=dict)
    rows: pl.DataFrame = field(default_factory=STORED.to_frame)


def read_runs_frame(store: Store, known: Mapping[str, Known]) -> pl.DataFrame:
    """Return the last version of every run of some experiments that is not deleted.

    One row a run, with the columns of `objrun.tables.run_rows.STORED`, in no particular order.
    `known` holds the experiments and is brought up to date. Damaged runs are left out with a
    CorruptObjectWarning each.
    """
    found = read_runs(store, {name: each.versions for name, each in known.items()})
    for name, runs in found.items():
        for error in runs.damaged:
            warnings.warn(f"{error.message}: left out", CorruptObjectWarning, stacklevel=4)
        each = known[name]
        each.versions.update(runs.versions)
        each.rows = last_rows([*each.tables.values(), stored_frame(runs.versions.values())])
    rows = pl.concat([STORED.to_frame(), *(each.rows for each in known.values())])
    return rows.filter(pl.col("lifecycle") != "deleted")


def all_runs(
    store: Store, known: Mapping[str, Known], columns: Sequence[str] | str
) -> pl.DataFrame:
    """Return the runs of many experiments as one frame, newest first; one column may be a text."""
    stored = newest_first(read_runs_frame(store, known))
    return frame_of(store, stored, [columns] if isinstance(columns, str) else columns)


def frame_of(store: Store, stored: pl.DataFrame, columns: Sequence[str] = ()) -> pl.DataFrame:
    """Return stored rows as a frame of runs, in their order, with further columns by name."""
    names = metric_names(columns)
    summaries = summaries_of(store, stored, names) if names else NO_SUMMARIES
    return runs_frame(stored, columns, summaries)


def summaries_of(
    store: Store, stored: pl.DataFrame, names: Collection[str] | None = None
) -> pl.DataFrame:
    """Return what is summed up of the metrics of these runs, all or some, as `summary_frame` does.

    Without runs nothing is read.
    """
    ids = {*stored["run_id"]}
    shards = [
        shard
        for name in sorted({*stored["experiment"]})
        for shard in read_shards(store, name, among=ids)
    ]
    points = metrics_frame(shards, leave_out)
    return summary_frame(points if names is None else points.filter(pl.col("name").is_in(names)))


def where_true(store: Store, stored: pl.DataFrame, where: object) -> pl.DataFrame:
    """Return the rows for which the expression `where` is true, newest first; None: all.

    `where` may use every column of a frame of runs, also those by name, which are added for it.
    Raises UserErrorException where it is no expression of such columns or not a condition.
    """
    ordered = newest_first(stored)
    if where is None:
        return ordered
    if not isinstance(where, pl.Expr):
        message = (
            f"where is a polars expression such as pl.col('status') == 'Failed', not {where!r}"
        )
        raise UserErrorException(message)
    named = [name for name in where.meta.root_names() if name not in SCHEMA]
    frame = frame_of(store, ordered, named)
    # A parameter that no run has yet is of whatever type `where` takes it for.
    unset = [name for name in named if _is_unset(name, frame)]
    errors = []
    for dtype in (pl.String, pl.Float64, pl.Boolean) if unset else (pl.String,):
        try:
            found = frame.lazy().with_columns(pl.col(unset).cast(dtype)).filter(where)
            ids = found.select("run_id").collect()["run_id"]
        except pl.exceptions.PolarsError as error:
            errors.append(error)
        else:
            return ordered.filter(pl.col("run_id").is_in(ids.implode()))
    message = f"where cannot be applied to runs: {errors[0]}"
    raise UserErrorException(message)


def _is_unset(name: str, frame: pl.DataFrame) -> bool:
    return name.startswith("params.") and frame[name].null_count() == frame.height


def descendants(stored: pl.DataFrame, ancestor: str, root: str) -> pl.DataFrame:
    """Return the rows of the runs below `ancestor`, at any depth; `root` is its root run."""
    tree = stored.filter(pl.col("root_run_id") == root)
    waiting = tree.select("run_id", "parent_run_id").filter(pl.col("run_id") != ancestor)
    reached = pl.DataFrame({"run_id": [ancestor]})
    below = reached.clear()
    while reached.height:
        is_next = pl.col("parent_run_id").is_in(reached["run_id"].implode())
        reached = waiting.filter(is_next).select("run_id")
        below.extend(reached)
        waiting = waiting.filter(is_next.not_().fill_null(value=True))
    return tree.filter(pl.col("run_id").is_in(below["run_id"].implode()))
