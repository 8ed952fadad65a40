"""Lists of runs, as they are iterated, indexed and shown."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, overload

from objrun.protocol.chain import Chain, resolve
from objrun.protocol.heartbeat import LOST
from objrun.protocol.settle import insist
from objrun.protocol.updates import CREATE
from objrun.query.listing import descendants, read_runs_at, where_true
from objrun.run import Run
from objrun.storage import together
from objrun.tables.run_rows import version_of

if TYPE_CHECKING:
    import polars as pl

    from objrun.experiment import Experiment
    from objrun.format.checkpoints import Checkpoint
    from objrun.format.states import RunState, Version
    from objrun.query.listing import RunsAt
    from objrun.storage import Store


class RunList(Sequence[Run]):
    """Runs, newest first: a sequence, and an iterator as in Azure ML, so `next(runs)` works.

    >>> runs = run.experiment.get_runs()
    >>> len(runs), next(runs).id == runs[0].id
    (1, True)
    """

    def __init__(self, experiment: Experiment, rows: pl.DataFrame, places: pl.Series) -> None:
        """List the runs of `experiment` at these places of `rows`, which the table of runs has."""
        self._experiment = experiment
        self._rows = rows
        self._places = places
        self._made: dict[str, Run] = {}
        self._position = 0

    def __len__(self) -> int:
        """Count them."""
        return len(self._places)

    @overload
    def __getitem__(self, index: int) -> Run: ...
    @overload
    def __getitem__(self, index: slice) -> RunList: ...
    def __getitem__(self, index: int | slice) -> Run | RunList:
        """Return one of them, always the same object, or a part."""
        if not isinstance(index, slice):
            return self._run(self._places[range(len(self))[index]])
        part = RunList(self._experiment, self._rows, self._places[index])
        part._made = self._made
        return part

    def _run(self, place: int) -> Run:
        run_id = self._rows["run_id"][place]
        run = self._made.get(run_id)
        if run is None:
            version = self._version(run_id, place)
            is_lost = self._rows["status"][place] == LOST
            run = Run.of_version(self._experiment, version, is_lost=is_lost)
            run = self._made.setdefault(run_id, run)
        return run

    def _version(self, run_id: str, place: int) -> Version[RunState]:
        """Return the version as it was read, which also tells what was done, or as its row does."""
        known = self._experiment.workspace.known_runs(self._experiment.name)
        read = known.versions.get(run_id)
        if read is not None and read.version == self._rows["version"][place]:
            return read
        return version_of(self._rows.row(place, named=True))

    def __next__(self) -> Run:
        """Return the next of them; StopIteration behind the last."""
        if self._position >= len(self):
            raise StopIteration
        self._position += 1
        return self[self._position - 1]

    def __repr__(self) -> str:
        """Show them as a list."""
        return repr([*self])

    def _repr_html_(self) -> str:
        """Show a table of the first runs in a notebook, with what they logged last."""
        from objrun.display.showing import list_html

        return list_html(self._experiment.workspace, self, len(self))


def list_runs(experiment: Experiment, passes: pl.Expr, where: pl.Expr | None) -> RunList:
    """Return the runs of an experiment that pass, newest first; none if it was never made."""
    return _chosen(experiment, _read(experiment).rows, passes, where)


def list_descendants(
    experiment: Experiment, ancestor: RunState, passes: pl.Expr, where: pl.Expr | None
) -> RunList:
    """Return the runs below `ancestor`, at any depth, that pass, newest first."""
    return _chosen(experiment, descendant_rows(experiment, ancestor), passes, where)


def descendant_rows(experiment: Experiment, ancestor: RunState) -> pl.DataFrame:
    """Return the rows of the table of runs that are below `ancestor`, in no particular order."""
    return descendants_at(experiment, ancestor)[0]


def descendants_at(
    experiment: Experiment, ancestor: RunState
) -> tuple[pl.DataFrame, Checkpoint | None]:
    """Return the rows of the runs below `ancestor`, and the checkpoint that says so."""
    found = _read(experiment, ancestor.root_run_id)
    rows = descendants(found.rows, ancestor.run_id, ancestor.root_run_id)
    return rows, found.checkpoints[experiment.name]


def _read(experiment: Experiment, root: str | None = None) -> RunsAt:
    workspace, name = experiment.workspace, experiment.name
    return read_runs_at(workspace.querying(), {name: workspace.known_runs(name)}, root)


def _chosen(
    experiment: Experiment, rows: pl.DataFrame, passes: pl.Expr, where: pl.Expr | None
) -> RunList:
    passing = rows.filter(passes)
    places = where_true(experiment.workspace.querying(), passing, where)
    return RunList(experiment, passing, places)


def history(chain: Chain[RunState], store: Store) -> list[dict[str, Any]]:
    """Return every version of a chain, oldest first: its number, time, operations and status.

    What a run began with is told as operations of its first version.
    """
    scheme = chain.scheme
    # A version that was made of a row does not tell what was done.
    last = [chain.head] if chain.head.write_id else []
    names = [scheme.key(number) for number in range(1, chain.head.version + 1 - len(last))]
    versions: list[Version[RunState]] = []
    for key, data in zip(
        names, together(store, lambda key: insist(lambda: store.get(key)), names), strict=True
    ):
        version = scheme.decode(key, data())
        earlier = {each.write_id for each in versions[version.base or 0 :]}
        versions.append(resolve(scheme, versions[-1], version, earlier) if versions else version)
    versions += last
    # What is behind a tombstone is another chain.
    first = max((n for n, version in enumerate(versions, 1) if version.purged), default=0)
    return [
        {
            "version": version.version,
            "time": version.written,
            "ops": [*(dict(op) for op in version.ops), *_beginning(version)],
            "status": version.state.status if version.state else None,
        }
        for version in versions[first:]
    ]


def _beginning(version: Version[RunState]) -> list[dict[str, Any]]:
    state = version.state
    if state is None or not (version.version == 1 or CREATE in version.ops):
        return []
    tags, properties = dict(state.tags), dict(state.properties)
    ops = [{"op": "set_tags", "tags": tags}] if tags else []
    return [*ops, {"op": "add_properties", "properties": properties}] if properties else ops
