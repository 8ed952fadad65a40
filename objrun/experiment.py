"""An experiment: a named set of runs."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

from objrun import clock
from objrun.display.plotting import ExperimentPlots
from objrun.errors import (
    CommitUnknownError,
    RunExistsError,
    StoreError,
    UserErrorException,
)
from objrun.experiments.chain import ExperimentChain
from objrun.experiments.questions import Questions
from objrun.experiments.submitting import Submitting
from objrun.format.names import check_key, check_run_id
from objrun.protocol.blind import begin
from objrun.protocol.chain import create, first_version
from objrun.protocol.experiments import unless_damaged
from objrun.protocol.live import run_scheme
from objrun.protocol.tombstones import place_for
from objrun.protocol.updates import CREATE
from objrun.run import Run
from objrun.runs.outputs import watch
from objrun.runs.source import UNASKED, start_with_snapshot
from objrun.runs.start import Start, property_texts, tag_texts
from objrun.storage import together
from objrun.values.conversion import to_text

if TYPE_CHECKING:
    import os
    from collections.abc import Mapping, Sequence

    import polars as pl

    from objrun.format.states import RunState, Version
    from objrun.query.filters import Filter
    from objrun.runs.lists import RunList
    from objrun.spool import Spool
    from objrun.workspace import Workspace


VIEWS = {"ActiveOnly": ("active",), "ArchivedOnly": ("archived",), "All": ("active", "archived")}
"""Lifecycles that each view of `Experiment.list` shows."""


class Experiment(ExperimentChain, Questions, ExperimentPlots, Submitting):
    """A named set of runs in a workspace, made by the first write to it.

    `name` has 1 to 255 letters, digits, `_` or `-` and begins with an ASCII letter or digit, else
    UserErrorException. Any number of processes may make it at once.

    >>> Experiment(ws, "digits").name
    'digits'
    """

    def start_logging(
        self,
        name: str | None = None,
        run_id: str | None = None,
        outputs: Any = None,
        snapshot_directory: str | os.PathLike[str] | None = UNASKED,
        display_name: str | None = None,
        description: str | None = None,
        tags: Mapping[str, Any] | None = None,
        properties: Mapping[str, Any] | None = None,
    ) -> Run:
        """Start a run and return it; its status is Running.

        `run_id` is random unless given, and never used twice (RunExistsError). The commit, host,
        program and environment are added as properties. `snapshot_directory`: a folder to take a
        snapshot of (see `Run.take_snapshot`); unless it is named, none is taken. What is new in the
        folder `outputs`, or the folders of a list, when this handle ends the run becomes files of
        the run; without it that is `./outputs`, made at once, and `./logs`; False means none.

        >>> Experiment(ws, "digits").start_logging(tags={"model": "cnn"}).tags
        {'model': 'cnn'}
        """
        start = Start(
            name=None if name is None else check_key(name, "run"),
            run_id=run_id,
            display_name=to_text(display_name, "display_name"),
            description=to_text(description, "description"),
            tags=tag_texts(tags),
            properties=property_texts(properties),
            outputs=watch(outputs),
        )
        if snapshot_directory is None or snapshot_directory is UNASKED:
            return self.start_run(start)
        return start_with_snapshot(self, start, snapshot_directory)

    def start_run(self, start: Start) -> Run:
        """Start a run from what is known of it: three PUTs, and a LIST in a new process.

        Where the store is not available it starts in the spool, if there is one.
        """
        if start.run_id is not None:
            check_run_id(start.run_id)
        spool = self.workspace.spool
        if spool and spool.away:
            return self._start_in(spool, start)
        version = None
        try:
            version = self.first_version(start)
            self.create_run(version, is_new=start.run_id is None)
        except (StoreError, CommitUnknownError) as error:
            if spool is None or not spool.open(error):
                raise
            return self._start_in(spool, start, version)
        return Run.begun(self, version, outputs=start.outputs)

    def first_version(self, start: Start) -> Version[RunState]:
        """Return version 1 of a new run, whose number is claimed; it is not stored yet."""
        run_id = clock.new_id() if start.run_id is None else start.run_id
        store = self.workspace.writing()
        is_new = start.run_id is None or self.workspace.is_blind
        place = 1 if is_new else place_for(store, run_scheme(self.name, run_id))
        if not place:
            raise _taken(run_id)
        self._make_sure()
        recorder = self.workspace.recorder
        # What is done elsewhere, its launcher records.
        is_here = start.status != "Queued"
        recorded = recorder.properties(store) if is_here else recorder.changes(store)
        number = self._claims(store).claim(run_id)
        start = replace(start, properties={**recorded, **start.properties})
        return first_version(start.state(self.name, run_id, number), [CREATE], place)

    def create_run(self, version: Version[RunState], *, is_new: bool) -> None:
        """Store version 1 of a run; RunExistsError for an id that is not `is_new` and is taken."""
        run_id = version.state.run_id if version.state else ""
        store, scheme = self.workspace.writing(), run_scheme(self.name, run_id)
        if self.workspace.is_blind:
            # What has a new id already is this run, and the answer that said so was lost.
            created = begin(store, scheme, version) or is_new
        else:
            created = create(store, scheme, version)
        if not created:
            raise _taken(run_id)

    def _start_in(
        self, spool: Spool, start: Start, version: Version[RunState] | None = None
    ) -> Run:
        """Start a run in the spool; `version`: the one that may have reached the store already."""
        version = version or Experiment(spool.workspace, self.name).first_version(start)
        return Run.begun(self, version, spool, start.outputs)

    @staticmethod
    def delete(workspace: Workspace, experiment_id: str, with_runs: bool = False) -> None:
        """Delete the experiment with this id or name, which must have no runs.

        `with_runs`: put all its runs into the trash, too. `restore` brings it back until `objrun
        gc` purges it; until then its name is taken. A handle looks once a day whether its
        experiment is there: one that has started runs before goes on starting them until then or
        its `refresh()`. Such runs are listed though their experiment is not, and keep it from
        being purged. Raises ExperimentNotFoundError, or UserErrorException where it has runs.
        """
        from objrun.upkeep.trash import delete_experiment

        delete_experiment(workspace, experiment_id, with_runs=with_runs)

    @staticmethod
    def restore(workspace: Workspace, experiment_id: str) -> None:
        """Bring the deleted experiment with this id or name back, and all runs in its trash.

        Raises ExperimentNotFoundError where there is none, or it was purged.
        """
        from objrun.upkeep.trash import restore_experiment

        restore_experiment(workspace, experiment_id)

    @staticmethod
    def list(
        workspace: Workspace,
        experiment_name: str | None = None,
        view_type: str = "ActiveOnly",
        tags: Filter = None,
    ) -> Sequence[Experiment]:
        """Return the experiments of a view, by name: ActiveOnly, ArchivedOnly or All.

        Damaged ones are left out with a CorruptObjectWarning each.

        >>> [experiment.name for experiment in Experiment.list(ws)]
        ['digits']
        """
        from objrun.query.filters import check_filter, matches

        check_filter("tags", tags)
        if view_type not in VIEWS:
            message = f"view_type {view_type!r} is none of {', '.join(VIEWS)}"
            raise UserErrorException(message)
        names = workspace.experiment_names() if experiment_name is None else [experiment_name]
        found = [Experiment(workspace, name) for name in names]
        reader = workspace.querying()
        states = together(reader, partial(Experiment.find, reader=reader), found)
        return [
            experiment
            for experiment, read in zip(found, states, strict=True)
            if (state := unless_damaged(read))
            and state.lifecycle in VIEWS[view_type]
            and matches(state.tags, tags)
        ]

    def get_runs(
        self,
        type: str | None = None,
        tags: Filter = None,
        properties: Filter = None,
        include_children: bool = False,
        status: str | None = None,
        where: pl.Expr | None = None,
    ) -> RunList:
        """Return the runs that pass all filters, newest first; see `Run.list`.

        >>> len(Experiment(ws, "digits").get_runs(tags="model"))
        1
        """
        return Run.list(self, type, tags, properties, status, include_children, where)

    def _experiment(self) -> Experiment:
        return self

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle as workspace and name."""
        return type(self), (self.workspace, self.name)

    def _repr_html_(self) -> str:
        """Show a card in a notebook: how many runs have which status, and the newest of them."""
        from objrun.display.showing import experiment_html

        return experiment_html(self)

    def __repr__(self) -> str:
        """Name the experiment and its workspace."""
        return f"Experiment(Name: {self.name},\nWorkspace: {self.workspace.url})"


def _taken(run_id: str) -> RunExistsError:
    message = f"there is a run {run_id!r} already, and ids are never used twice: choose another"
    return RunExistsError(message)
