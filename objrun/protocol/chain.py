"""A chain: numbered versions of one state, each created with put-if-absent. SPEC sections 7 and 8.

Nothing here knows runs or experiments: keys, codec, replay and the marker that goes before each
version come in a `Scheme`.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass, replace
from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING, Any, Final, Generic, Protocol, TypeVar

from objrun import clock
from objrun.errors import NotFoundError, StoreError
from objrun.format.keys import parse_version
from objrun.format.states import Version
from objrun.protocol.endings import renew_after_fork
from objrun.protocol.settle import insist, put_once

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Mapping

    from objrun.storage import Store

S = TypeVar("S")

OLD: Final = timedelta(days=1)
"""Age of a version from which a handle makes sure that what it continues was not purged."""


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
    purged: Callable[[], Exception]
    marker: Callable[[int], str] | None = None


def load(store: Store, scheme: Scheme[S], number: int) -> Version[S]:
    """Return version `number` with its state, replaying a blind one; NotFoundError if absent.

    A tombstone is returned as it is, without a state.
    """
    version = _read(store, scheme, number)
    blind: list[Version[S]] = []
    while version.state is None and not version.purged:
        blind.append(version)
        version = _read(store, scheme, version.version - 1)
    written = {each.version: each.write_id for each in (version, *blind)}
    for each in reversed(blind):
        after = range((each.base or 0) + 1, each.version)
        earlier = {written.get(n) or _write_id(store, scheme, n) for n in after}
        version = resolve(scheme, version, each, earlier)
    return version


def _write_id(store: Store, scheme: Scheme[Any], number: int) -> str:
    """Return by what write a version was made, "" where it is gone with a purge."""
    try:
        return _read(store, scheme, number).write_id
    except NotFoundError:
        return ""


def _read(store: Store, scheme: Scheme[S], number: int) -> Version[S]:
    """Return a version as it is stored; NotFoundError if absent."""
    key = scheme.key(number)
    return scheme.decode(key, insist(lambda: store.get(key)))


def resolve(
    scheme: Scheme[S], before: Version[S], version: Version[S], earlier: Collection[str]
) -> Version[S]:
    """Return `version` with its state, replayed onto the state before it where it is blind.

    `earlier` are the write ids of the versions between its base and itself. Where its own is among
    them its writer could not tell that it was done there: then it changes nothing.
    """
    if version.state is not None or version.purged:
        return version
    if before.state is None:
        # A tombstone: its writer could not read that there was nothing left to change.
        return replace(version, purged=before.purged, experiment=before.experiment)
    if version.write_id in earlier:
        return replace(version, state=before.state, ops=())
    state = scheme.replay(scheme.key(version.version), before.state, version.ops)
    return replace(version, state=state)


def last_version(store: Store, scheme: Scheme[S]) -> int:
    """Return the number of the last version by one LIST, 0 where there is no chain."""
    listed = insist(lambda: store.list(scheme.folder))
    return max((parse_version(info.key) or 0 for info in listed), default=0)


def load_last(
    store: Store, scheme: Scheme[S], reader: Store | None = None, listed: int = 0
) -> Version[S] | None:
    """Return the last version, which may be a tombstone; None where there is no chain.

    `listed`: its number, if it was listed before. What never changes is read by `reader`.
    """
    tried = 0
    while number := listed or last_version(store, scheme):
        try:
            return load(reader or store, scheme, number)
        except NotFoundError:
            # It was purged between the LIST and the GET; what it ends in is there by now.
            if number == tried:
                raise
            tried, listed = number, 0
    return None


def first_version(
    state: S, ops: Iterable[Mapping[str, Any]] = ({"op": "create"},), number: int = 1
) -> Version[S]:
    """Return version 1 of a new chain, or the one behind a tombstone, not yet stored."""
    return new_version(number, state, ops)


def new_version(
    number: int, state: S | None, ops: Iterable[Mapping[str, Any]], base: int | None = None
) -> Version[S]:
    """Return a version that is made now, under a write id of its own, and not yet stored."""
    return Version(
        version=number,
        write_id=clock.random_hex(16),
        written=clock.now(),
        ops=tuple(ops),
        state=state,
        base=base,
    )


def create(store: Store, scheme: Scheme[S], version: Version[S]) -> bool:
    """Store a version and return whether this call did; False if there is another one."""
    announce(store, scheme, version.version)
    return put_once(store, scheme.key(version.version), scheme.encode(version))


def follow(store: Store, scheme: Scheme[S], head: Version[S]) -> Version[S]:
    """Return the last version of a chain in another store, begun there with what `head` says.

    Version 1 there keeps the write id of `head`, by which a copy knows that the chains are one.
    """
    first = replace(head, version=1, ops=({"op": "create"},), base=None)
    if create(store, scheme, first):
        return first
    last = load_last(store, scheme)
    if last is None:
        raise scheme.purged()
    return last


def append(store: Store, scheme: Scheme[S], version: Version[S]) -> tuple[Version[S], bytes]:
    """Commit what `version` did as the next one of this store's chain; return it and its bytes.

    It keeps its write id, its time and its operations. Where the chain was purged it stays so, and
    what the scheme says is raised.
    """
    while True:
        last = load_last(store, scheme)
        if last is None or last.state is None:
            raise scheme.purged()
        number = last.version + 1
        state = scheme.replay(scheme.key(number), last.state, version.ops)
        again = replace(version, version=number, base=None, state=state)
        data = scheme.encode(again)
        announce(store, scheme, number)
        if put_once(store, scheme.key(number), data):
            return again, data


def announce(store: Store, scheme: Scheme[S], number: int) -> None:
    """Put the marker that goes before a version, where the chain has markers."""
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
        """Read forward to the last version and return its state: one GET if none is new.

        Raises what the scheme says where the chain was purged; that costs one GET more for a head
        of more than a day.
        """
        with self._lock:
            while True:
                try:
                    self._advance(self.head.version + 1)
                except NotFoundError:
                    self._check_head()
                    return self.state

    def _advance(self, number: int) -> None:
        version = load(self.store, self.scheme, number)
        if version.purged:
            raise self.scheme.purged()
        self.head = version

    def _check_head(self) -> None:
        """Raise if the head is gone, so that "no version follows" says nothing."""
        key = self.scheme.key(self.head.version)
        if self._is_old():
            try:
                insist(lambda: self.store.get_range(key, 0, 1))
            except NotFoundError:
                raise self.scheme.purged() from None

    def _is_old(self) -> bool:
        return abs(clock.now() - self.head.written) > OLD

    def commit(self, *changes: Change[S]) -> S:
        """Apply changes, store the new version and return its state.

        A lost race is tried again on the winner's state. Where the changes change nothing, also
        after looking for newer versions, nothing is written. Errors of `apply` are raised before
        anything is written. Raises CommitUnknownError if the store never answered for certain, and
        what the scheme says where the chain was purged; to find that out costs a LIST where the
        head is older than a day.
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
        version = new_version(self.head.version + 1, state, ops)
        announce(self.store, self.scheme, version.version)
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
        if won:
            if self._is_old():
                self._check_name(version.version)
            self.head = version
        else:
            try:
                self._advance(version.version)
            except NotFoundError:
                # It was there a moment ago, and only a purge removes versions.
                raise self.scheme.purged() from None
        return won

    def moved(self, store: Store) -> Chain[S]:
        """Return a handle that goes on in another store, with the commit that is still open.

        It keeps its write id there, so it counts once, also where it has reached the first store.
        """
        with self._lock:
            head = follow(store, self.scheme, self.head)
            if self._open is not None:
                head, _ = append(store, self.scheme, self._open[0])
            return Chain(store, self.scheme, head)

    def _check_name(self, number: int) -> None:
        """Undo a commit whose name was free because a purge had freed it, and say so.

        A purge puts its tombstone first, behind all names that it frees.
        """
        listed = insist(lambda: self.store.list(self.scheme.folder))
        numbers = {parse_version(info.key) or 0 for info in listed}
        last = max(numbers)
        is_last = last == number or not load(self.store, self.scheme, last).purged
        if number - 1 in numbers and is_last:
            return
        keys = [self.scheme.key(number)]
        keys += [self.scheme.marker(number)] if self.scheme.marker else []
        insist(partial(self.store.delete, keys))
        raise self.scheme.purged()
