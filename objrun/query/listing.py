"""One way in for everything that lists runs: the last versions, then filters, then columns."""

from __future__ import annotations

import warnings
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING, NamedTuple

import polars as pl

from objrun import clock
from objrun.errors import CorruptObjectWarning, FormatError, UserErrorException
from objrun.protocol import heartbeat
from objrun.protocol.live import list_logged, read_changed
from objrun.query.filters import has_pairs
from objrun.query.metrics import leave_out
from objrun.query.runs import (
    NO_SUMMARIES,
    SCHEMA,
    metric_names,
    newest_first,
    rows_at,
    runs_frame,
)
from objrun.storage import together
from objrun.tables.points import Moment, read_parts
from objrun.tables.reading import Rows
from objrun.tables.run_rows import STORED, last_rows, stored_frame
from objrun.tables.runs import FEW, list_runs
from objrun.tables.summing import PARTS, summed

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from objrun.format.checkpoints import Checkpoint
    from objrun.format.states import RunState, Version
    from objrun.protocol.live import Feed
    from objrun.storage import Store
    from objrun.tables.runs import ListedRuns


@dataclass(eq=False)
class Known:
    """What has been read of an experiment's runs: versions and tables never change.

    `versions`: those that were read one by one, the last of each run, by its id. `tables`:
    compacted tables, by name. `rows`: the runs of the last reading, also deleted ones. Threads may
    share it: what one of them does not find, it reads.
    """

    versions: dict[str, Version[RunState]] = field(default_factory=dict)
    tables: dict[str, pl.DataFrame] = field(default_factory=dict)
    rows: pl.DataFrame = field(default_factory=STORED.to_frame)


class RunsAt(NamedTuple):
    """Runs, as `read_runs_frame` gives them, and by experiment the checkpoint of their tables."""

    rows: pl.DataFrame
    checkpoints: dict[str, Checkpoint | None]


def read_runs_frame(
    store: Store, known: Mapping[str, Known], root: str | None = None
) -> pl.DataFrame:
    """Return the last version of every run of some experiments that is not deleted.

    One row a run, with the columns of `objrun.tables.run_rows.STORED`, in no particular order, and
    behind them `last_seen` and `stored_status`: `status` is NotResponding where that is lost.
    `root`: only this run and those below it are wanted; others may be among them. `known` holds
    the experiments and is brought up to date. Damaged runs, and of several experiments those whose
    tables are damaged or too new, are left out with a CorruptObjectWarning each.
    """
    return read_runs_at(store, known, root).rows


def read_runs_at(store: Store, known: Mapping[str, Known], root: str | None = None) -> RunsAt:
    """Return what `read_runs_frame` does, and the checkpoints that say so."""
    answers = together(store, lambda name: list_runs(store, name, known[name].tables, root), known)
    listed: dict[str, ListedRuns] = {}
    for name, answer in zip(known, answers, strict=True):
        try:
            listed[name] = answer()
        except FormatError as error:
            if len(known) == 1:
                raise
            warnings.warn(
                f"experiment {name!r}: {error.message}: left out",
                CorruptObjectWarning,
                stacklevel=5,
            )
    asked = [
        marked for name, runs in listed.items() for marked in runs.changed(name, _seen(known[name]))
    ]
    read = read_changed(store, asked)
    for fault in read.damaged.values():
        warnings.warn(f"{fault.message}: left out", CorruptObjectWarning, stacklevel=5)
    for one, version in (read.versions | read.purged).items():
        known[one.experiment].versions[one.run] = version
    damaged = {name: [one.run for one in read.damaged if one.experiment == name] for name in listed}
    frames = [_last(known[name], runs, damaged[name]) for name, runs in listed.items()]
    rows = pl.concat([STORED.to_frame(), *frames]).filter(pl.col("lifecycle") != "deleted")
    rows = with_signs_of_life(rows, [runs.feed for runs in listed.values()])
    return RunsAt(rows, {name: runs.checkpoint for name, runs in listed.items()})


def with_signs_of_life(rows: pl.DataFrame, feeds: Sequence[Feed]) -> pl.DataFrame:
    """Add the last sign of life of each run that is to give some, and show who gives none.

    "Now" is by this machine's clock, or by the store's where that is seen to be ahead.
    """
    seen = {run: at for feed in feeds for run, at in feed.seen.items()}
    schema = {"run_id": pl.String(), "seen": rows.schema["written"]}
    signs = pl.DataFrame({"run_id": [*seen], "seen": [*seen.values()]}, schema)
    # Few are Queued, and of them alone properties are looked at.
    queued = rows.filter(pl.col("status") == "Queued")
    attended = queued.filter(has_pairs("properties", heartbeat.ATTENDED))["run_id"].to_list()
    expected = pl.col("status").is_in(heartbeat.EXPECTED) | pl.col("run_id").is_in(attended)
    # A run of which nothing is listed was folded long ago; when, only its writer's clock says.
    last = pl.when(expected).then(pl.coalesce("seen", "written"))
    lost = (max([clock.now(), *seen.values()]) - last).abs() > heartbeat.GRACE
    signed = rows.join(signs, on="run_id", how="left", maintain_order="left")
    return signed.with_columns(
        last_seen=last,
        stored_status="status",
        status=pl.when(lost).then(pl.lit(heartbeat.LOST)).otherwise("status"),
    ).drop("seen")


def _seen(known: Known) -> dict[str, int]:
    # Another thread may be adding to it: copying a dict is one step.
    return {run: version.version for run, version in known.versions.copy().items()}


def _last(known: Known, listed: ListedRuns, damaged: Sequence[str]) -> pl.DataFrame:
    """Return the last rows of an experiment; a run without marker and table was purged."""
    versions = {r: v for r, v in known.versions.copy().items() if r in listed.markers}
    for run in known.versions.copy().keys() - versions.keys():
        known.versions.pop(run, None)
    purged = [run for run, version in versions.items() if version.purged]
    rows = last_rows([listed.rows, stored_frame(versions.values())])
    without = [*damaged, *purged]
    rows = rows.filter(~pl.col("run_id").is_in(without)) if without else rows
    known.rows = rows
    return rows


def all_runs(
    store: Store, known: Mapping[str, Known], columns: Sequence[str] | str
) -> pl.DataFrame:
    """Return the runs of many experiments as one frame, newest first; one column may be a text."""
    named = [columns] if isinstance(columns, str) else columns
    if not metric_names(named):
        stored = read_runs_frame(store, known)
        return frame_of(store, rows_at(stored, newest_first(stored)), named)
    # Before the checkpoints, so that these are listed once for runs and points.
    answers = together(store, lambda name: list_logged(store, name), known)
    logged = {name: answer() for name, answer in zip(known, answers, strict=True)}
    stored, checkpoints = read_runs_at(store, known)
    moments = {name: Moment(logged[name], found) for name, found in checkpoints.items()}
    return frame_of(store, rows_at(stored, newest_first(stored)), named, moments)


def frame_of(
    store: Store,
    stored: pl.DataFrame,
    columns: Sequence[str] = (),
    moments: Mapping[str, Moment] = MappingProxyType({}),
) -> pl.DataFrame:
    """Return stored rows as a frame of runs, in their order, with further columns by name.

    `moments`: what was listed just now of experiments.
    """
    names = metric_names(columns)
    summaries = summaries_of(store, stored, names, moments) if names else NO_SUMMARIES
    return runs_frame(stored, columns, summaries)


def summaries_of(
    store: Store,
    stored: pl.DataFrame,
    names: Collection[str] | None = None,
    moments: Mapping[str, Moment] = MappingProxyType({}),
) -> pl.DataFrame:
    """Return what the metrics of these runs come to, all or some: run_id, name and SUMMARY.

    Without runs nothing is read. `moments`: what was listed just now of experiments.
    """
    rows = Rows(
        runs=frozenset(stored["run_id"]),
        names=None if names is None else frozenset(names),
        roots=frozenset(stored["root_run_id"]) if stored.height <= FEW else None,
    )
    experiments = sorted(stored["experiment"].unique())
    parts = [read_parts(store, each, rows, leave_out, moments.get(each)) for each in experiments]
    return summed(pl.concat([PARTS.to_frame(), *parts]))


def where_true(store: Store, stored: pl.DataFrame, where: object) -> pl.Series:
    """Return the places of the rows for which `where` is true, newest first; None: of all.

    `where` may use every column of a frame of runs, also those by name, which are added for it.
    Raises UserErrorException where it is no expression of such columns or not a condition.
    """
    places = newest_first(stored)
    if where is None:
        return places
    if not isinstance(where, pl.Expr):
        message = (
            f"where is a polars expression such as pl.col('status') == 'Failed', not {where!r}"
        )
        raise UserErrorException(message)
    named = [name for name in where.meta.root_names() if name not in SCHEMA]
    frame = frame_of(store, rows_at(stored, places), named)
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
            return places.filter(frame["run_id"].is_in(ids.implode()))
    message = f"where cannot be applied to runs: {errors[0]}"
    raise UserErrorException(message)


def best_row(
    store: Store, stored: pl.DataFrame, column: str, where: object, *, greatest: bool
) -> pl.Series:
    """Return the place of the row whose `column` is least, or greatest; none if none has a number.

    Of equal ones that which started first. `where` as in `where_true`.
    """
    places = where_true(store, stored, where).reverse()
    value = (
        frame_of(store, rows_at(stored, places), [column])[column].cast(pl.Float64).fill_nan(None)
    )
    if value.null_count() == len(value):
        return places.clear()
    best = value.arg_max() if greatest else value.arg_min()
    return places.slice(best or 0, 1)


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
