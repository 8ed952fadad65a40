"""The chain of an experiment: made by the first write to it, found, and what is noted there."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

from objrun import clock
from objrun.errors import NotAStoreError, UserErrorException
from objrun.format.names import check_experiment, check_key
from objrun.protocol.blind import begin
from objrun.protocol.chain import OLD, Chain, create, first_version, last_version, load_last
from objrun.protocol.endings import renew_after_fork
from objrun.protocol.experiments import experiment_scheme, new_experiment
from objrun.protocol.numbers import claims_on
from objrun.protocol.tombstones import is_free
from objrun.protocol.updates import CREATE, Describe, RemoveTags, SetLifecycle, SetTags
from objrun.runs.start import tag_texts
from objrun.values.conversion import to_text

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from datetime import datetime

    from objrun.format.states import ExperimentState, Version
    from objrun.protocol.numbers import Claims
    from objrun.storage import Store
    from objrun.workspace import Workspace


class ExperimentChain:
    """The part of `Experiment` that makes and finds its chain, and commits to it."""

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

    def _claims(self, store: Store) -> Claims:
        with self._lock:
            if self._numbers is None:
                self._numbers = claims_on(store, self.name)
            return self._numbers

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

        >>> from objrun import Experiment
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
