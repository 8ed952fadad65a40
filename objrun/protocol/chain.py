"""A chain: numbered versions of one state, each created with put-if-absent. SPEC sections 7 and 8.

Nothing here knows runs or experiments: keys, codec, replay and the marker that goes before each
version come in a `Scheme`.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeVar

from objrun import clock
from objrun.errors import CorruptObjectError, NotFoundError, Problem, StoreError
from objrun.format.keys import parse_version
from objrun.format.states import Version
from objrun.protocol.endings import renew_after_fork
from objrun.protocol.settle import insist, put_once

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from objrun.storage import Store

S = TypeVar("S")


class Change(Protocol[S]):
    """What a commit does: a pure function of the state and how the chain records it."""

    def op(self) -> dict[str, Any]:
        """Return the record."""

    def apply(self, state: S) -> S:
        """Return the state after the change."""


@dataclass(frozen=True)
class Scheme(Generic[S]):
    """What makes a chain one of runs or of experiments."""

    folder: str
    key: Callable[[int], str]
    encode: Callable[[Version[S]], bytes]
    decode: Callable[[str, bytes], Version[S]]
    replay: Callable[[str, S, Iterable[Mapping[str, Any]]], S]
    marker: Callable[[int], str] | None = None


def load(store: Store, scheme: Scheme[S], number: int) -> Version[S]:
    """Return version `number` with its state, replaying a blind one; NotFoundError if absent."""
    key = scheme.key(number)
    version = scheme.decode(key, insist(lambda: store.get(key)))
    if version.state is not None:
        return version
    if not version.base or version.base >= number:
        problem = Problem("$.base", "out_of_range", "a blind version needs an earlier base")
        raise CorruptObjectError(key, [problem])
    return resolve(scheme, load(store, scheme, number - 1), version)


def resolve(scheme: Scheme[S], before: Version[S], version: Version[S]) -> Version[S]:
    """Return `version` with its state, replayed onto the state before it where it is blind."""
    if version.state is not None or before.state is None:
        return version
    state = scheme.replay(scheme.key(version.version), before.state, version.ops)
    return Version(
        version=version.version,
        write_id=version.write_id,
        written=version.written,
        ops=version.ops,
        state=state,
        base=version.base,
    )


def last_version(store: Store, scheme: Scheme[S]) -> int:
    """Return the number of the last version by one LIST, 0 where there is no chain."""
    listed = insist(lambda: store.list(scheme.folder))
    return max((parse_version(info.key) or 0 for info in listed), default=0)


def first_version(state: S, ops: Iterable[Mapping[str, Any]] = ({"op": "create"},)) -> Version[S]:
    """Return version 1 of a new chain, not yet stored."""
    return Version(
        version=1,
        write_id=clock.random_hex(16),
        written=clock.now(),
        ops=tuple(ops),
        state=state,
    )


def create(store: Store, scheme: Scheme[S], version: Version[S]) -> bool:
    """Store version 1 and return whether this call made the chain; False if another exists."""
    _announce(store, scheme, version.version)
    return put_once(store, scheme.key(version.version), scheme.encode(version))


def _announce(store: Store, scheme: Scheme[S], number: int) -> None:
    if scheme.marker is not None:
        key = scheme.marker(number)
        insist(lambda: store.put(key, b""))


class Chain(Generic[S]):
    """One process's handle on a chain: the last version it knows, and the commit loop.

    Thread-safe. A commit whose outcome stayed unknown is settled before the next one begins.
    """

    def __init__(self, store: Store, scheme: Scheme[S], head: Version[S]) -> None:
        """Continue from `head`, a version with state."""
        self.store = store
        self.scheme = scheme
        self.head = head
        self._open: tuple[Version[S], bytes] | None = None
        self.forked()
        renew_after_fork(self)

    def forked(self) -> None:
        """Have a new lock in a forked child: the parent's may be held by a thread left there."""
        self._lock = threading.RLock()

    @property
    def state(self) -> S:
        """The state at the last version this handle knows."""
        state = self.head.state
        if state is None:
            message = "the head of a chain always has a state"
            raise AssertionError(message)
        return state

    def refresh(self) -> S:
        """Read forward to the last version and return its state: one GET if none is new."""
        with self._lock:
            while True:
                try:
                    self.head = load(self.store, self.scheme, self.head.version + 1)
                except NotFoundError:
                    return self.state

    def commit(self, *changes: Change[S]) -> S:
        """Apply changes, store the new version and return its state.

        A lost race is tried again on the winner's state. Where the changes change nothing, also
        after looking for newer versions, nothing is written. Errors of `apply` are raised before
        anything is written. Raises CommitUnknownError if the store never answered for certain.
        """
        with self._lock:
            self._settle()
            fresh = False
            lost = 0
            while True:
                state = self.state
                for change in changes:
                    state = change.apply(state)
                if self._differs(state):
                    if self._try(state, tuple(change.op() for change in changes)):
                        return self.state
                    fresh = False
                    lost += 1
                    if lost > 1:
                        # Others commit faster than one version a try: catch up with them first.
                        self.refresh()
                elif fresh:
                    return state
                else:
                    self.refresh()
                    fresh = True

    def _differs(self, state: S) -> bool:
        """Return whether `state` is stored otherwise: 1, 1.0 and True are equal, not the same."""
        if state is self.state:
            return False
        if state != self.state:
            return True
        bare = replace(self.head, ops=())
        return self.scheme.encode(replace(bare, state=state)) != self.scheme.encode(bare)

    def _try(self, state: S, ops: tuple[Mapping[str, Any], ...]) -> bool:
        version = Version(
            version=self.head.version + 1,
            write_id=clock.random_hex(16),
            written=clock.now(),
            ops=ops,
            state=state,
        )
        _announce(self.store, self.scheme, version.version)
        self._open = (version, self.scheme.encode(version))
        try:
            return self._settle()
        except StoreError:
            # Refused for certain, and the caller is told so: a later commit must not make it.
            self._open = None
            raise

    def _settle(self) -> bool:
        """Finish the open commit, if any: the same bytes to the same name, never another one."""
        if self._open is None:
            return True
        version, data = self._open
        won = put_once(self.store, self.scheme.key(version.version), data)
        self._open = None
        self.head = version if won else load(self.store, self.scheme, version.version)
        return won
