"""What is noted about a run: names, tags, parameters, properties, and their history."""

from __future__ import annotations

import warnings
from itertools import takewhile
from typing import TYPE_CHECKING, Any, TypeVar

from objrun import clock
from objrun.errors import CommitUnknownError, PropertyConflictError, SpoolWarning, StoreError
from objrun.format import keys
from objrun.format.documents import decode_property, encode_property
from objrun.format.names import check_key
from objrun.format.states import TERMINAL, Property, RunState, Version
from objrun.logs import logger
from objrun.protocol.blind import BlindChain
from objrun.protocol.chain import follow
from objrun.protocol.settle import insist, put_new, put_once
from objrun.protocol.updates import (
    AddProperties,
    Describe,
    RemoveTags,
    SetParams,
    SetTags,
    check_property,
)
from objrun.runs.start import property_texts, tag_texts
from objrun.values.conversion import to_items, to_scalar, to_text

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from objrun.errors import ObjrunError
    from objrun.experiment import Experiment
    from objrun.protocol.chain import Chain
    from objrun.spool import Spool
    from objrun.storage import Store


T = TypeVar("T")


class RunAnnotations:
    """The part of `Run` that reads and commits what is noted in its chain."""

    _experiment: Experiment
    _chain: Chain[RunState]

    _spooled: bool
    _left: Version[RunState] | None

    @property
    def is_spooled(self) -> bool:
        """Whether the run goes on in the spool, since its store fails."""
        return self._spooled

    def _commit(self, change: Any) -> RunState:
        try:
            return self._record(lambda chain: chain.commit(change))
        except StoreError as error:
            if not self._spooled:
                raise
            # Store and spool fail: what is noted of a run is not worth to end its training.
            logger().error("run %s: a change is lost: %s", self._chain.state.run_id, error.message)
            return self._chain.state

    def _record(self, act: Callable[[Chain[RunState]], T]) -> T:
        """Return what `act` does to the chain; where the store fails, to its copy in the spool."""
        workspace = self._experiment.workspace
        spool = workspace.spool
        if not self._spooled and not (spool and spool.away):
            try:
                workspace.writing()
                return act(self._chain)
            except (StoreError, CommitUnknownError) as error:
                if spool is None or not spool.open(error):
                    raise
        if spool:
            with spool.opening:
                self._move_to(spool)
        return act(self._chain)

    def _move_to(self, spool: Spool) -> None:
        """Go on in the spool; one thread of the run at a time."""
        if not self._spooled:
            store = spool.admit(self._chain.state)
            self._left, self._chain = self._chain.head, self._chain.moved(store)
            self._spooled = True

    def _writable(self) -> Store:
        """Return the store that this run writes to."""
        return self._chain.store if self._spooled else self._experiment.workspace.writing()

    def _readable(self) -> Store:
        """Return the store that files are read from: the spool while that has what it lacks."""
        is_home = not self._warn_of_spool()
        workspace = self._experiment.workspace
        return workspace.querying() if is_home or not self._spooled else self._chain.store

    def _questions(self) -> Store:
        """Return the store that metrics are read from."""
        self._warn_of_spool()
        return self._experiment.workspace.querying()

    def _warn_of_spool(self) -> bool:
        """Return whether something waits in the spool, which an answer from the store lacks."""
        workspace = self._experiment.workspace
        spool = workspace.spool
        if spool is None or not spool.waiting():
            return False
        message = (
            f"{workspace.url} fails, and what was logged since is in {spool.folder}: until it is "
            "back, what is read is only one part of both"
        )
        warnings.warn(message, SpoolWarning, stacklevel=4)
        return True

    def _home(self) -> Store | None:
        """Return the store where the run can say that it is alive, None where it cannot now."""
        workspace = self._experiment.workspace
        ended = self._chain.state.status in TERMINAL
        is_known = workspace.has_written and not self._spooled
        return workspace.writing() if is_known and not ended else None

    def _find_refuge(self, error: ObjrunError) -> Store | None:
        """Return the spool, for what the store does not take; None where there is none."""
        spool = self._experiment.workspace.spool
        if spool is None or not spool.open(error):
            return None
        chain = self._chain
        store = spool.admit(chain.state)
        follow(store, chain.scheme, chain.head)
        return store

    @property
    def display_name(self) -> str | None:
        """The name that people read; assign to change it."""
        return self._chain.state.display_name

    @display_name.setter
    def display_name(self, text: str | None) -> None:
        self._commit(Describe({"display_name": to_text(text, "display_name")}))

    @property
    def description(self) -> str | None:
        """What the run is about; assign to change it."""
        return self._chain.state.description

    @description.setter
    def description(self, text: str | None) -> None:
        self._commit(Describe({"description": to_text(text, "description")}))

    @property
    def tags(self) -> dict[str, str | None]:
        """The tags that this handle knows last."""
        return dict(self._chain.state.tags)

    def get_tags(self) -> dict[str, str | None]:
        """Return the tags, read again."""
        return dict(self._chain.refresh().tags)

    def tag(self, key: str, value: Any = None) -> None:
        """Set one tag; values become text, None stays None.

        >>> run.tag("model", "cnn")
        """
        self.set_tags({key: value})

    def set_tags(self, tags: Mapping[str, Any] | str) -> None:
        """Set tags, of which others stay; a text is a tag without value.

        >>> run.set_tags({"stage": "test"})
        """
        self._commit(SetTags(tag_texts(tags)))

    def remove_tags(self, tags: Iterable[str] | str) -> dict[str, str | None]:
        """Remove tags and return those that are left; unknown keys are ignored.

        >>> run.remove_tags(["stage"])
        {'model': 'cnn'}
        """
        keys_ = (tags,) if isinstance(tags, str) else tuple(tags)
        return dict(self._commit(RemoveTags(tuple(check_key(key, "tag") for key in keys_))).tags)

    @property
    def properties(self) -> dict[str, str | None]:
        """The properties that this handle knows last."""
        return dict(self._chain.state.properties)

    def get_properties(self) -> dict[str, str | None]:
        """Return the properties, read again."""
        return dict(self._chain.refresh().properties)

    def add_properties(self, properties: Mapping[str, Any]) -> None:
        """Add properties, which never change: another value is a PropertyConflictError.

        It is raised before anything is written, but where another process takes one of several at
        the same moment: then the error names those that were added.

        >>> run.add_properties({"data": "v3"})
        """
        wanted = property_texts(properties)
        if not wanted:
            return
        self._record(lambda chain: self._add_properties(chain, wanted))

    def _add_properties(self, chain: Chain[RunState], wanted: Mapping[str, str | None]) -> None:
        state = last_known(chain)
        new = {key: v for key, v in wanted.items() if not check_property(state, key, v)}
        if not new:
            return
        if isinstance(chain, BlindChain):
            self._add_blindly(chain, new)
            return
        store = chain.store
        held: dict[str, str | None] = {}
        for key, value in new.items():
            held[key] = self._claim_property(store, key, value)
            if held[key] != value:
                break
        # With what another writer has claimed, who may not have come to copy it into the state.
        state = chain.commit(AddProperties(held))
        added = ", ".join(repr(key) for key in held if held[key] == new[key])
        for key in held:
            check_property(state, key, new[key], f" ({added} was added)" if added else "")

    def _add_blindly(self, chain: Chain[RunState], new: Mapping[str, str | None]) -> None:
        """Add properties until one is there already, whose value may not be read."""
        free = list(
            takewhile(lambda key: put_new(chain.store, *self._property(key, new[key])), new)
        )
        if free:
            chain.commit(AddProperties({key: new[key] for key in free}))
        if len(free) < len(new):
            added = f" ({', '.join(map(repr, free))} was added)" if free else ""
            message = (
                f"there may be a property {[*new][len(free)]!r} of run {chain.state.run_id}, "
                f"and these credentials may not read its value{added}"
            )
            raise PropertyConflictError(message)

    def _property(self, key: str, value: str | None) -> tuple[str, bytes]:
        """Return the key of a property's object, and its bytes."""
        run_id = self._chain.state.run_id
        wanted = Property(run_id=run_id, key=key, value=value, write_id=clock.random_hex(16))
        return keys.run_property(run_id, key), encode_property(wanted)

    def _claim_property(self, store: Any, key: str, value: str | None) -> str | None:
        """Create the one object of a property; return the value that it holds, then or before."""
        place, data = self._property(key, value)
        if put_once(store, place, data):
            return value
        return decode_property(place, insist(lambda: store.get(place))).value

    def log_params(self, params: Mapping[str, Any]) -> None:
        """Set parameters: None, bool, int, float or text, kept exactly; history stays in the chain.

        >>> run.log_params({"lr": 0.1, "layers": 3})
        """
        scalars = {
            check_key(name, "parameter"): to_scalar(value, f"parameter {name!r}")
            for name, value in to_items(params, "parameter").items()
        }
        if scalars:
            self._commit(SetParams(scalars))

    def get_params(self) -> dict[str, Any]:
        """Return the parameters, read again.

        >>> run.get_params()
        {'lr': 0.1, 'layers': 3}
        """
        return dict(self._chain.refresh().params)

    def history(self) -> Sequence[dict[str, Any]]:
        """Return what was done to the run, oldest first: version, time and operations.

        >>> [entry["version"] for entry in run.history()][:2]
        [1, 2]
        """
        from objrun.runs.lists import history

        self._chain.refresh()
        return history(self._chain, self._experiment.workspace.querying())


def last_known(chain: Chain[RunState]) -> RunState:
    """Return the state of a run, read again where that is allowed."""
    return chain.state if isinstance(chain, BlindChain) else chain.refresh()
