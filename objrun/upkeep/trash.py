"""The trash: runs and experiments that are marked deleted, brought back, and purged."""

from __future__ import annotations

import warnings
from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING, Any

from objrun import clock
from objrun.errors import (
    CorruptObjectWarning,
    ExperimentNotFoundError,
    RunNotFoundError,
    UserErrorException,
)
from objrun.protocol.chain import Chain, load_last
from objrun.protocol.experiments import experiment_scheme, unless_damaged
from objrun.protocol.live import read_changed, run_scheme
from objrun.protocol.purge import list_markers, plan_runs, purge_runs
from objrun.protocol.purge_experiment import plan_experiment, purge_experiment
from objrun.protocol.purge_models import collect_models
from objrun.protocol.settle import insist
from objrun.protocol.updates import SetLifecycle
from objrun.storage import together

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from datetime import datetime

    import polars as pl

    from objrun.format.states import ExperimentState, RunState, Version
    from objrun.protocol.purge import Freed
    from objrun.storage import Store
    from objrun.workspace import Workspace

    Row = dict[str, Any]

DELETED = "deleted"
ACTIVE = "active"


def mark_run(store: Store, chain: Chain[RunState], lifecycle: str) -> None:
    """Mark a run and all runs below it deleted, or active again.

    Children are deleted before their parents, and brought back after them: whoever is killed in
    between finds the rest again.
    """
    change = SetLifecycle(lifecycle, clock.now())
    experiment = chain.state.experiment
    below = _generations(_read(store, experiment)[0], chain.state.run_id)
    if lifecycle == ACTIVE:
        chain.commit(change)
    for generation in below if lifecycle == ACTIVE else reversed(below):
        _mark(store, generation, change)
    if lifecycle != ACTIVE:
        chain.commit(change)


def _generations(runs: pl.DataFrame, ancestor: str) -> list[list[Row]]:
    """Return the children of a run, then theirs, and so on."""
    children: dict[str | None, list[Row]] = {}
    for row in runs.iter_rows(named=True):
        children.setdefault(row["parent_run_id"], []).append(row)
    found: list[list[Row]] = []
    generation = children.pop(ancestor, [])
    while generation:
        found.append(generation)
        generation = [c for row in generation for c in children.pop(row["run_id"], [])]
    return found


def _mark(store: Store, rows: Iterable[Row], change: SetLifecycle) -> None:
    from objrun.tables.run_rows import version_of

    def commit(row: Row) -> None:
        scheme = run_scheme(row["experiment"], row["run_id"])
        Chain(store, scheme, version_of(row)).commit(change)

    changed = (row for row in rows if row["lifecycle"] != change.lifecycle)
    gone: RunNotFoundError | None = None
    for done in together(store, commit, changed):
        try:
            done()
        except RunNotFoundError as error:
            gone = error
    if gone:
        # Purged at this moment; the others are marked all the same.
        raise gone


def delete_experiment(workspace: Workspace, named: str, *, with_runs: bool) -> None:
    """Mark an experiment deleted, and before it all its runs, if it may have any."""
    name = _find(workspace, named, deleted=False)
    store = workspace.writing()
    rows = _read(store, name)[0].filter(lifecycle=ACTIVE)
    if rows.height and not with_runs:
        message = f"experiment {name!r} has runs: only empty ones are deleted, or all with_runs"
        raise UserErrorException(message)
    change = SetLifecycle(DELETED, clock.now())
    _mark(store, rows.iter_rows(named=True), change)
    _commit(store, name, change)


def restore_experiment(workspace: Workspace, named: str) -> None:
    """Mark an experiment active again, and after it all its runs."""
    name = _find(workspace, named, deleted=True)
    store = workspace.writing()
    change = SetLifecycle(ACTIVE, clock.now())
    _commit(store, name, change)
    _mark(store, _read(store, name)[0].iter_rows(named=True), change)


def _commit(store: Store, name: str, change: SetLifecycle) -> None:
    scheme = experiment_scheme(name)
    version = load_last(store, scheme)
    if version is None or version.purged:
        raise scheme.purged()
    Chain(store, scheme, version).commit(change)


def _find(workspace: Workspace, named: str, *, deleted: bool) -> str:
    """Return the name of the experiment that has this id or name, and is deleted or is not."""
    store = workspace.reading()

    def read(name: str) -> Version[ExperimentState] | None:
        return load_last(store, experiment_scheme(name))

    for answer in together(store, read, workspace.experiment_names()):
        version = unless_damaged(answer)
        state = version.state if version else None
        is_meant = state and named in (state.experiment_id, state.name)
        if state and is_meant and (state.lifecycle == DELETED) == deleted:
            return state.name
    what = "deleted experiment" if deleted else "experiment"
    message = f"there is no {what} {named!r} in {workspace.url}"
    raise ExperimentNotFoundError(message)


def _read(store: Store, experiment: str) -> tuple[pl.DataFrame, set[str], int]:
    """Return the runs of an experiment, deleted ones too, as rows of the table of runs.

    Then the ids of those that are known to be purged, and how many are damaged.
    """
    import polars as pl

    from objrun.tables.run_rows import last_rows, stored_frame
    from objrun.tables.runs import list_runs

    listed = list_runs(store, experiment, {})
    read = read_changed(store, listed.changed(experiment, {}))
    for error in read.damaged.values():
        warnings.warn(f"{error.message}: left alone", CorruptObjectWarning, stacklevel=4)
    rows = last_rows([listed.rows, stored_frame(read.versions.values())])
    purged = {one.run for one in read.purged}
    without = [*purged, *(one.run for one in read.damaged)]
    return rows.filter(~pl.col("run_id").is_in(without)), purged, len(read.damaged)


def collect(workspace: Workspace, older_than: timedelta, *, dry_run: bool) -> Iterator[Freed]:
    """Purge what was deleted that long ago, and yield what each run, experiment and model frees."""
    if older_than < timedelta():
        message = f"older_than is a time of zero or more, not {older_than}"
        raise UserErrorException(message)
    store = workspace.reading()
    if not dry_run:
        store = workspace.writing()
    now = insist(store.now)
    limit = now - older_than
    for name in workspace.experiment_names():
        yield from _collect(store, name, limit, dry_run=dry_run)
    yield from collect_models(store, limit, now, dry_run=dry_run)


def _collect(store: Store, name: str, limit: datetime, *, dry_run: bool) -> Sequence[Freed]:
    markers = list_markers(store, name)
    rows, purged, damaged = _read(store, name)
    deleted = rows.filter(lifecycle=DELETED)["run_id"].to_list()
    runs = plan_runs(store, name, sorted({*deleted, *purged}), markers, limit)
    all_runs = not damaged and len(runs) == rows.height + len(purged)
    whole = plan_experiment(store, name, runs, limit, all_runs=all_runs)
    if dry_run:
        planned = [run.freed() for run in runs]
        return [*planned, whole.freed()] if whole else planned
    drop = partial(_drop, store, name)
    if whole:
        return purge_experiment(store, whole, drop) or []
    return [run.freed() for run in purge_runs(store, runs, drop)]


def _drop(store: Store, experiment: str, runs: set[str]) -> None:
    from objrun.tables.compaction import drop_runs

    drop_runs(store, experiment, runs)
