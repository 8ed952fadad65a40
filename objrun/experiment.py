"""An experiment: a named set of runs."""

from __future__ import annotations

import threading
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

from objrun import clock
from objrun.conversion import to_text
from objrun.errors import (
    CommitUnknownError,
    NotAStoreError,
    RunExistsError,
    StoreError,
    UserErrorException,
)
from objrun.format.names import check_experiment, check_key, check_run_id
from objrun.outputs import watch
from objrun.protocol.blind import begin
from objrun.protocol.chain import OLD, Chain, create, first_version, last_version, load_last
from objrun.protocol.endings import renew_after_fork
from objrun.protocol.experiments import experiment_scheme, new_experiment, unless_damaged
from objrun.protocol.live import run_scheme
from objrun.protocol.numbers import claims_on
from objrun.protocol.tombstones import is_free, place_for
from objrun.protocol.updates import CREATE, Describe, RemoveTags, SetLifecycle, SetTags
from objrun.questions import Questions
from objrun.run import Run
from objrun.source import UNASKED, start_with_snapshot
from objrun.start import Start, property_texts, tag_texts
from objrun.storage import together

if TYPE_CHECKING:
    import os
    from collections.abc import Iterable, Mapping, Sequence
    from datetime import datetime

    import polars as pl

    from objrun.format.states import ExperimentState, RunState, Version
    from objrun.protocol.numbers import Claims
    from objrun.query.filters import Filter
    from objrun.run_list import RunList
    from objrun.spool import Spool
    from objrun.storage import Store
    from objrun.workspace import Workspace


VIEWS = {"ActiveOnly": ("active",), "ArchivedOnly": ("archived",), "All": ("active", "archived")}
"""Lifecycles that each view of `Experiment.list` shows."""


class Experiment(Questions):
    """A named set of runs in a workspace, made by the first write to it.

    `name` has 1 to 255 letters, digits, `_` or `-` and begins with an ASCII letter or digit, else
    UserErrorException. Any number of processes may make it at once.

    >>> Experiment(ws, "digits").name
    'digits'
    """

    def __init__(self, workspace: Workspace, name: str) -> None:
        """Name the experiment; nothing is sent."""
        self.workspace = workspace
        self.name = check_experiment(name)
        self._chain: Chain[ExperimentState] | None = None
        self._tombstone: Version[ExperimentState] | None = None
        self._listed = 0
        self._looked = clock.now()
        self._numbers: Claims | None = None
        self.forked()
        renew_after_fork(self)

    def forked(self) -> None:
        """Have a new lock in a forked child: the parent's may be held by a thread left there."""
        self._lock = threading.RLock()

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
        folder `outputs` when this handle ends the run becomes files of the run; without it that is
        `./outputs`, and False means none.

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
            self._create_run(version, is_new=start.run_id is None)
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
        recorded = self.workspace.recorder.properties(store)
        number = self._claims(store).claim(run_id)
        start = replace(start, properties={**recorded, **start.properties})
        return first_version(start.state(self.name, run_id, number), [CREATE], place)

    def _create_run(self, version: Version[RunState], *, is_new: bool) -> None:
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

    def _claims(self, store: Store) -> Claims:
        with self._lock:
            if self._numbers is None:
                self._numbers = claims_on(store, self.name)
            return self._numbers

    def _make_sure(self) -> None:
        """Have the experiment exist, and not deleted: one LIST, once a day."""
        with self._lock:
            store = self.workspace.writing()
            if abs(clock.now() - self._looked) > OLD:
                # By now it may have been deleted, purged and made anew.
                self._chain, self._numbers, self._listed = None, None, 0
                self._looked = clock.now()
            if self.workspace.is_blind:
                self._make_blindly(store)
                return
            self._listed = self._listed or last_version(store, experiment_scheme(self.name))
            # An experiment of one version is as it was made: active.
            if not self._listed or (self._listed > 1 and self.find() is None):
                self._create(store)
            if self._chain is not None and self._chain.state.lifecycle == "deleted":
                message = f"experiment {self.name!r} is deleted: restore it or choose another name"
                raise UserErrorException(message)

    def _make_blindly(self, store: Store) -> None:
        """Have a version 1, once a day: whether the experiment is deleted cannot be read."""
        if not self._listed:
            begin(
                store,
                experiment_scheme(self.name),
                first_version(new_experiment(self.name), [CREATE]),
            )
            self._listed = 1

    def _create(self, store: Store) -> None:
        """Make version 1, or one that follows the tombstone of an experiment of this name."""
        scheme = experiment_scheme(self.name)
        if self._tombstone and not is_free(self._tombstone):
            message = f"experiment {self.name!r} is being purged: wait until `objrun gc` has ended"
            raise UserErrorException(message)
        number = self._tombstone.version + 1 if self._tombstone else 1
        version = first_version(new_experiment(self.name), [CREATE], number)
        if create(store, scheme, version):
            self._chain = Chain(store, scheme, version)
        self._listed = number

    def find(self, reader: Store | None = None) -> ExperimentState | None:
        """Return all that this handle knows last of the experiment, None if nobody has made it.

        What never changes is read by `reader`, where it is given.
        """
        with self._lock:
            if self._chain is None:
                store = self.workspace.reading()
                scheme = experiment_scheme(self.name)
                version = load_last(store, scheme, reader, self._listed)
                self._tombstone = version if version and version.purged else None
                if version is None or version.purged:
                    self._listed = 0
                    return None
                self._listed, self._chain = version.version, Chain(store, scheme, version)
            return self._chain.state

    def state(self) -> ExperimentState:
        """Return all that this handle knows last of the experiment, made if nobody has."""
        try:
            found = self.find()
        except NotAStoreError:
            found = None
        if found is None:
            self._make_sure()
            return self.state()
        return found

    def commit(self, change: Any) -> ExperimentState:
        """Apply an update of `objrun.protocol.updates` and return the state after it."""
        self._make_sure()
        self.state()
        if self._chain is None:
            raise AssertionError
        return self._chain.commit(change)

    @property
    def id(self) -> str:
        """The random id that the experiment got when it was made."""
        return self.state().experiment_id

    @property
    def tags(self) -> dict[str, str | None]:
        """The tags that this handle knows last; `refresh()` reads them again."""
        return dict(self.state().tags)

    @property
    def description(self) -> str | None:
        """What the experiment is about; assign to change it."""
        return self.state().description

    @description.setter
    def description(self, text: str | None) -> None:
        self.commit(Describe({"description": to_text(text, "description")}))

    @property
    def archived_time(self) -> datetime | None:
        """When it was archived, None if it is active."""
        return self.state().archived

    def refresh(self) -> None:
        """Read again what other processes have changed."""
        self.state()
        if self._chain is not None:
            self._chain.refresh()

    def tag(self, key: str, value: Any = None) -> None:
        """Set one tag; values become text, None stays None."""
        self.set_tags({key: value})

    def set_tags(self, tags: Mapping[str, Any] | str) -> None:
        """Set tags, of which others stay; a text is a tag without value.

        >>> Experiment(ws, "digits").set_tags({"team": "vision"})
        """
        self.commit(SetTags(tag_texts(tags)))

    def remove_tags(self, tags: Iterable[str] | str) -> dict[str, str | None]:
        """Remove tags and return those that are left; unknown keys are ignored."""
        names = (tags,) if isinstance(tags, str) else tuple(tags)
        return dict(self.commit(RemoveTags(tuple(check_key(key, "tag") for key in names))).tags)

    def archive(self) -> None:
        """Hide the experiment from listings; its runs stay readable, and logging goes on."""
        self.commit(SetLifecycle("archived", clock.now()))

    def reactivate(self, new_name: str | None = None) -> None:
        """Show an archived experiment again; it keeps its name, so `new_name` is refused."""
        if new_name is not None:
            message = "an experiment keeps its name: call reactivate() without new_name"
            raise UserErrorException(message)
        self.commit(SetLifecycle("active", clock.now()))

    @staticmethod
    def delete(workspace: Workspace, experiment_id: str, with_runs: bool = False) -> None:
        """Delete the experiment with this id or name, which must have no runs.

        `with_runs`: put all its runs into the trash, too. `restore` brings it back until `objrun
        gc` purges it; until then its name is taken. A handle looks once a day whether its
        experiment is there: one that has started runs before goes on starting them until then or
        its `refresh()`. Such runs are listed though their experiment is not, and keep it from
        being purged. Raises ExperimentNotFoundError, or UserErrorException where it has runs.
        """
        from objrun.trash import delete_experiment

        delete_experiment(workspace, experiment_id, with_runs=with_runs)

    @staticmethod
    def restore(workspace: Workspace, experiment_id: str) -> None:
        """Bring the deleted experiment with this id or name back, and all runs in its trash.

        Raises ExperimentNotFoundError where there is none, or it was purged.
        """
        from objrun.trash import restore_experiment

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

    def __repr__(self) -> str:
        """Name the experiment and its workspace."""
        return f"Experiment(Name: {self.name},\nWorkspace: {self.workspace.url})"


def _taken(run_id: str) -> RunExistsError:
    message = f"there is a run {run_id!r} already, and ids are never used twice: choose another"
    return RunExistsError(message)
