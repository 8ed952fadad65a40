"""What notebooks show: runs, lists, experiments and workspaces as cards of HTML.

A card costs a bounded number of requests: none for what a list has read already, one reading of
its own points for a run, and for many runs one reading of those that few objects tell of.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from objrun import clock
from objrun.cards.markup import card, element
from objrun.cards.model import RunRow, RunView, Series
from objrun.cards.pages import counts_line, run_card, runs_table
from objrun.cards.texts import kind_text, short_name
from objrun.display.thumbnails import thumbnails
from objrun.errors import ObjrunError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import polars as pl

    from objrun.experiment import Experiment
    from objrun.format.states import RunState
    from objrun.run import Run
    from objrun.workspace import Workspace

ROWS: Final = 25
"""Runs that a table shows."""

SEGMENTS: Final = 60
"""Objects that are read at most for the metrics of a table of runs."""


def row_of(state: RunState, metrics: Mapping[str, float]) -> RunRow:
    """Return a run as a row of a table."""
    end = state.ended or clock.now()
    return RunRow(
        experiment=state.experiment,
        number=state.number,
        run_id=state.run_id,
        title=state.display_name or state.name or "",
        status=state.status,
        started=state.started,
        ended=state.ended,
        seconds=(end - state.started).total_seconds() if state.started else None,
        tags=dict(state.tags),
        params=dict(state.params),
        metrics=metrics,
    )


def run_view(run: Run, *, pictures: bool = False) -> RunView:
    """Read all that is shown of a run, with small images if wanted: one more request.

    What of it cannot be read is told in `note`.
    """
    state = run.state
    error = state.error or {}
    told = ": ".join(str(error[key]) for key in ("code", "message") if error.get(key))
    series: Sequence[Series] = ()
    others: Mapping[str, str] = {}
    shown: Mapping[str, str] = {}
    note = ""
    try:
        points = run.metrics().collect()
        series, others = series_of(points)
        if pictures:
            shown = thumbnails(run.experiment.workspace.querying(), run.id, points)
    except ObjrunError as fault:
        note = f"not all could be read: {fault.message}"
    return RunView(
        row=row_of(replace(state, status=run.status), {}),
        metrics=series,
        others=others,
        pictures=shown,
        description=state.description or "",
        error=told,
        note=note,
    )


def series_of(points: pl.DataFrame) -> tuple[list[Series], dict[str, str]]:
    """Return the metrics with numbers of one run, and what those without are, by name."""
    found, others = [], {}
    for part in points.partition_by("name", maintain_order=True):
        numbers = part.drop_nulls("value")
        if numbers.height:
            steps = None if numbers["step"].null_count() else numbers["step"].to_list()
            found.append(Series(part["name"][0], numbers["value"].to_list(), steps))
        else:
            name, kind, type_, data = part.select("name", "kind", "type", "data").row(-1)
            is_text = kind in ("scalar", "text") and type_ != "blob"
            others[name] = short_name(str(data)) if is_text else kind_text(kind, part.height)
    return found, others


def run_html(run: Run) -> str:
    """Return the card of a run: one reading of its points, and one of small images."""
    return run_card(run_view(run, pictures=True))


def list_html(workspace: Workspace, runs: Sequence[Run], total: int) -> str:
    """Return a table of the first of `total` runs: one reading of what they logged."""
    states = [replace(run.state, status=run.status) for run in runs[:ROWS]]
    return card(_table(workspace, states, total))


def experiment_html(experiment: Experiment) -> str:
    """Return the card of an experiment: how many runs have which status, and its newest runs."""
    return _overview(experiment.workspace, experiment.name, [experiment.name])


def workspace_html(workspace: Workspace) -> str:
    """Return the card of a workspace: what runs there are, and the newest of all experiments."""
    names = workspace.experiment_names()
    count = "1 experiment" if len(names) == 1 else f"{len(names):,} experiments"
    return _overview(workspace, f"{workspace.url}: {count}", names)


def _overview(workspace: Workspace, title: str, names: Sequence[str]) -> str:
    from objrun.query.listing import read_runs_frame
    from objrun.query.runs import newest_first, rows_at, shown_state

    heading = element("h3", title, most=120)
    if not names:
        return card(heading)
    rows = read_runs_frame(workspace.querying(), {n: workspace.known_runs(n) for n in names})
    counts = dict(rows.group_by("status").len().sort("len", descending=True).rows())
    first = rows_at(rows, newest_first(rows).head(ROWS))
    states = [shown_state(row) for row in first.iter_rows(named=True)]
    return card(heading, counts_line(counts), _table(workspace, states, rows.height))


def _table(workspace: Workspace, states: Sequence[RunState], total: int) -> str:
    """Return a table of runs with what they logged last, and a word on what is left out."""
    last: dict[str, dict[str, float]] = {}
    note = ""
    try:
        last, skipped = last_values(workspace, states, SEGMENTS)
        note = f"metrics of {skipped} runs would take too long to read" if skipped else ""
    except ObjrunError as fault:
        note = f"metrics could not be read: {fault.message}"
    rows = [row_of(state, last.get(state.run_id, {})) for state in states]
    return runs_table(rows, total, note)


def last_values(
    workspace: Workspace, states: Sequence[RunState], most: int | None
) -> tuple[dict[str, dict[str, float]], int]:
    """Return the last number of each metric of runs, by run and name, and how many were skipped.

    Only what at most `most` live objects tell of is read, of the first runs first; None: all.
    """
    from objrun.query.metrics import leave_out
    from objrun.tables.points import moment_of, read_parts
    from objrun.tables.reading import Rows
    from objrun.tables.summing import summed

    found: dict[str, dict[str, float]] = {}
    left, skipped = math.inf if most is None else most, 0
    store = workspace.querying()
    for name in dict.fromkeys(state.experiment for state in states):
        moment = moment_of(store, name)
        wanted: list[RunState] = []
        for state in states:
            if state.experiment == name:
                left -= sum(segment.run == state.run_id for segment in moment.logged.segments)
                wanted += [state] if left >= 0 else []
                skipped += left < 0
        rows = Rows(
            runs=frozenset(state.run_id for state in wanted),
            roots=frozenset(state.root_run_id for state in wanted),
        )
        sums = summed(read_parts(store, name, rows, leave_out, moment))
        for run, metric, value in sums.select("run_id", "name", "last").iter_rows():
            found.setdefault(run, {})[metric] = value
    return found, skipped
