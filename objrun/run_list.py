"""Lists of runs, as they are iterated, indexed and shown."""

from __future__ import annotations

import html
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, overload

from objrun.format.checking import format_time
from objrun.protocol.chain import Chain, load
from objrun.query.listing import ids_in_order, live_runs
from objrun.run import Run

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    import polars as pl

    from objrun.experiment import Experiment
    from objrun.format.states import RunState


class RunList(Sequence[Run]):
    """Runs, newest first: a sequence, and an iterator as in Azure ML, so `next(runs)` works.

    >>> runs = run.experiment.get_runs()
    >>> len(runs), next(runs).id == runs[0].id
    (1, True)
    """

    def __init__(self, runs: list[Run]) -> None:
        """Hold `runs`."""
        self._runs = runs
        self._position = 0

    def __len__(self) -> int:
        """Count them."""
        return len(self._runs)

    @overload
    def __getitem__(self, index: int) -> Run: ...
    @overload
    def __getitem__(self, index: slice) -> RunList: ...
    def __getitem__(self, index: int | slice) -> Run | RunList:
        """Return one of them, or a part."""
        if isinstance(index, slice):
            return RunList(self._runs[index])
        return self._runs[index]

    def __next__(self) -> Run:
        """Return the next of them; StopIteration behind the last."""
        if self._position >= len(self._runs):
            raise StopIteration
        self._position += 1
        return self._runs[self._position - 1]

    def __repr__(self) -> str:
        """Show them as a list."""
        return repr(self._runs)

    def _repr_html_(self) -> str:
        """Show a table in a notebook."""
        return html_table(run.state for run in self._runs)


def list_runs(
    experiment: Experiment, passes: Callable[[RunState], bool], where: pl.Expr | None
) -> RunList:
    """Return the runs of an experiment that pass, newest first; none if it was never made."""
    workspace = experiment.workspace
    store = workspace.reading()
    versions = live_runs(store, experiment.name, workspace.known_runs(experiment.name), passes)
    of_id = {version.state.run_id: version for version in versions if version.state}
    ids = ids_in_order(store, versions, where)
    return RunList([Run.of_version(experiment, of_id[run_id]) for run_id in ids])


def descendants(experiment: Experiment, ancestor: RunState) -> set[str]:
    """Return the ids of all runs below `ancestor`, at any depth."""
    workspace = experiment.workspace
    versions = live_runs(
        workspace.reading(),
        experiment.name,
        workspace.known_runs(experiment.name),
        lambda state: state.root_run_id == ancestor.root_run_id,
    )
    children: dict[str | None, list[str]] = {}
    for version in versions:
        if version.state:
            children.setdefault(version.state.parent_run_id, []).append(version.state.run_id)
    below: set[str] = set()
    reached = [ancestor.run_id]
    while reached:
        found = children.get(reached.pop(), [])
        below.update(found)
        reached += found
    return below


def history(chain: Chain[RunState]) -> list[dict[str, Any]]:
    """Return every version of a chain, oldest first: its number, time, operations and status."""
    entries = []
    for number in range(1, chain.head.version + 1):
        version = load(chain.store, chain.scheme, number)
        entries.append(
            {
                "version": version.version,
                "time": version.written,
                "ops": [dict(op) for op in version.ops],
                "status": version.state.status if version.state else None,
            }
        )
    return entries


def html_table(states: Iterable[RunState]) -> str:
    """Return a table of runs for a notebook."""
    titles = ("Experiment", "Number", "Name", "Id", "Type", "Status", "Started", "Tags")
    head = "".join(f"<th>{title}</th>" for title in titles)
    rows = "".join(f"<tr>{_cells(state)}</tr>" for state in states)
    return f"<table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>"


def _cells(state: RunState) -> str:
    tags = ", ".join(k if v is None else f"{k}={v}" for k, v in state.tags.items())
    started = (format_time(state.started) or "")[:19].replace("T", " ")
    shown = (
        state.experiment,
        state.number,
        state.display_name or "",
        state.run_id,
        state.type or "",
        state.status,
        started,
        tags,
    )
    return "".join(f"<td>{html.escape(str(cell))}</td>" for cell in shown)
