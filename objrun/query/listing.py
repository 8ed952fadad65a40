"""One way in for everything that lists runs: the last versions, then filters, then columns."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING

import polars as pl

from objrun.errors import CorruptObjectWarning, UserErrorException
from objrun.protocol.live import read_runs, read_shards
from objrun.query.metrics import leave_out, metrics_frame, summary_frame
from objrun.query.runs import SCHEMA, metric_names, runs_frame, with_columns

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from objrun.format.states import RunState, Version
    from objrun.storage import Store

    Known = dict[str, dict[str, Version[RunState]]]


def live_runs(
    store: Store,
    experiment: str,
    known: dict[str, Version[RunState]],
    passes: Callable[[RunState], bool] = lambda _: True,
) -> list[Version[RunState]]:
    """Return the last version of every run of an experiment that is not deleted and passes.

    `known` is brought up to date. Damaged runs are left out with a CorruptObjectWarning each.
    """
    return _live_runs(store, {experiment: known}, passes)


def _live_runs(
    store: Store, known: Known, passes: Callable[[RunState], bool]
) -> list[Version[RunState]]:
    live = []
    for experiment, found in read_runs(store, known).items():
        for error in found.damaged:
            warnings.warn(f"{error.message}: left out", CorruptObjectWarning, stacklevel=4)
        known[experiment].update(found.versions)
        live += [
            version
            for version in found.versions.values()
            if version.state and version.state.lifecycle != "deleted" and passes(version.state)
        ]
    return live


def frame_of(
    store: Store, versions: Sequence[Version[RunState]], columns: Sequence[str] = ()
) -> pl.DataFrame:
    """Return runs as a frame, newest first, with further columns by name."""
    summaries = pl.DataFrame(schema={"run_id": pl.String, "name": pl.String})
    if names := metric_names(columns):
        states = [version.state for version in versions if version.state]
        ids = {state.run_id for state in states}
        shards = [
            shard
            for name in sorted({state.experiment for state in states})
            for shard in read_shards(store, name, among=ids)
        ]
        points = metrics_frame(shards, leave_out).filter(pl.col("name").is_in(names))
        summaries = summary_frame(points)
    return with_columns(runs_frame(versions), columns, versions, summaries)


def all_runs(
    store: Store, experiments: Iterable[str], known: Known, columns: Sequence[str] | str
) -> pl.DataFrame:
    """Return the runs of many experiments as one frame, newest first; one column may be a text."""
    wanted = {experiment: known.setdefault(experiment, {}) for experiment in experiments}
    versions = _live_runs(store, wanted, lambda _: True)
    return frame_of(store, versions, [columns] if isinstance(columns, str) else columns)


def ids_in_order(
    store: Store, versions: Sequence[Version[RunState]], where: pl.Expr | None
) -> list[str]:
    """Return the ids of runs, newest first, for which the expression `where` is true.

    `where` may use every column of a frame of runs, also those by name, which are added for it.
    Raises UserErrorException where it is no expression of such columns or not a condition.
    """
    if where is None:
        return runs_frame(versions)["run_id"].to_list()
    return filtered(store, versions, where)["run_id"].to_list()


def filtered(
    store: Store,
    versions: Sequence[Version[RunState]],
    where: object,
    columns: Sequence[str] = (),
) -> pl.DataFrame:
    """Return a frame of the runs for which `where` is true, with `columns` by name."""
    if not isinstance(where, pl.Expr):
        message = (
            f"where is a polars expression such as pl.col('status') == 'Failed', not {where!r}"
        )
        raise UserErrorException(message)
    named = [name for name in where.meta.root_names() if name not in SCHEMA]
    frame = frame_of(store, versions, [*named, *columns])
    # A parameter that no run has yet is of whatever type `where` takes it for.
    unset = [name for name in named if _is_unset(name, frame)]
    errors = []
    for dtype in (pl.String, pl.Float64, pl.Boolean) if unset else (pl.String,):
        try:
            return frame.with_columns(pl.col(unset).cast(dtype)).filter(where)
        except pl.exceptions.PolarsError as error:
            errors.append(error)
    message = f"where cannot be applied to runs: {errors[0]}"
    raise UserErrorException(message)


def _is_unset(name: str, frame: pl.DataFrame) -> bool:
    return name.startswith("params.") and frame[name].null_count() == frame.height
