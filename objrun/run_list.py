"""Lists of runs, as they are iterated, indexed and shown."""

from __future__ import annotations

import html
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, overload

from objrun.format.checking import format_time
from objrun.protocol.chain import Chain, resolve
from objrun.protocol.settle import insist
from objrun.query.listing import ids_in_order, live_runs
from objrun.run import Run
from objrun.storage import together

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    import polars as pl

    from objrun.experiment import Experiment
    from objrun.format.states import RunState, Version
    from objrun.storage import Store


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
    return _chosen(experiment, _live(experiment, passes), where)


def list_descendants(
    experiment: Experiment,
    ancestor: RunState,
    passes: Callable[[RunState], bool],
    where: pl.Expr | None,
) -> RunList:
    """Return the runs below `ancestor`, at any depth, that pass, newest first."""
    tree = _live(experiment, lambda state: state.root_run_id == ancestor.root_run_id)
    children: dict[str | None, list[Version[RunState]]] = {}
    for version in tree:
        if version.state:
            children.setdefault(version.state.parent_run_id, []).append(version)
    below: list[Version[RunState]] = []
    reached = [ancestor.run_id]
    while reached:
        found = children.get(reached.pop(), [])
        below += [version for version in found if version.state and passes(version.state)]
        reached += [version.state.run_id for version in found if version.state]
    return _chosen(experiment, below, where)


def _live(experiment: Experiment, passes: Callable[[RunState], bool]) -> list[Version[RunState]]:
    workspace = experiment.workspace
    known = workspace.known_runs(experiment.name)
    return live_runs(workspace.querying(), experiment.name, known, passes)


def _chosen(
    experiment: Experiment, versions: list[Version[RunState]], where: pl.Expr | None
) -> RunList:
    of_id = {version.state.run_id: version for version in versions if version.state}
    ids = ids_in_order(experiment.workspace.querying(), versions, where)
    return RunList([Run.of_version(experiment, of_id[run_id]) for run_id in ids])


def history(chain: Chain[RunState], store: Store) -> list[dict[str, Any]]:
    """Return every version of a chain, oldest first: its number, time, operations and status.

    What a run began with is told as operations of its first version.
    """
    scheme = chain.scheme
    names = [scheme.key(number) for number in range(1, chain.head.version)]
    versions: list[Version[RunState]] = []
    for key, data in zip(
        names, together(store, lambda key: insist(lambda: store.get(key)), names), strict=True
    ):
        version = scheme.decode(key, data())
        versions.append(resolve(scheme, versions[-1], version) if versions else version)
    return [
        {
            "version": version.version,
            "time": version.written,
            "ops": [*(dict(op) for op in version.ops), *_beginning(version)],
            "status": version.state.status if version.state else None,
        }
        for version in [*versions, chain.head]
    ]


def _beginning(version: Version[RunState]) -> list[dict[str, Any]]:
    state = version.state
    if version.version > 1 or state is None:
        return []
    tags, properties = dict(state.tags), dict(state.properties)
    ops = [{"op": "set_tags", "tags": tags}] if tags else []
    return [*ops, {"op": "add_properties", "properties": properties}] if properties else ops


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
