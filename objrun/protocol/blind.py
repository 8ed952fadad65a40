"""Commits by those who may only create: nothing is read, so nothing can be compared. SPEC 8.3.

As long as every name that was tried was free, all versions are one's own and their state is known.
From the first name that is taken on it is not: then versions tell what was done, and whoever reads
applies it. A name may have been taken by one's own try, whose answer was lost. That cannot be read,
so the next try has the same write id, and readers count the first of them.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, TypeVar

from objrun.errors import CommitUnknownError, StoreError
from objrun.protocol.chain import Chain, announce, new_version
from objrun.protocol.settle import put_new
from objrun.storage.creating import CreateOnly

if TYPE_CHECKING:
    from objrun.format.states import Version
    from objrun.protocol.chain import Change, Scheme
    from objrun.storage import Store

S = TypeVar("S")


def chain_on(store: Store, scheme: Scheme[S], head: Version[S]) -> Chain[S]:
    """Return a handle on a chain for what may be done in this store."""
    kind = BlindChain if isinstance(store, CreateOnly) else Chain
    return kind(store, scheme, head)


def begin(store: Store, scheme: Scheme[S], version: Version[S]) -> bool:
    """Store version 1 of a chain; False where there is one, which may be this one."""
    announce(store, scheme, version.version)
    return put_new(store, scheme.key(version.version), scheme.encode(version))


class BlindChain(Chain[S]):
    """A handle on a chain that nobody else is known to have changed; its state is what it did.

    Thread-safe. `refresh` raises PermissionDeniedError.
    """

    _is_alone = True

    def commit(self, *changes: Change[S]) -> S:
        """Apply changes, store the new version and return the state as far as it is known here.

        A version is written also where the changes change nothing: others may have changed it.
        Errors of `apply` are raised before anything is written. Raises CommitUnknownError if the
        store never answered for certain.
        """
        with self._lock:
            self._settle()
            state = self.state
            for change in changes:
                state = change.apply(state)
            version = new_version(
                self.head.version + 1,
                state if self._is_alone else None,
                (change.op() for change in changes),
                None if self._is_alone else self.head.version,
            )
            self._open = (version, self.scheme.encode(version))
            self._settle()
            return self.state

    def _settle(self) -> bool:
        """Finish the open commit, if any, under the first name that is free."""
        tried = False
        while self._open is not None:
            version, data = self._open
            try:
                announce(self.store, self.scheme, version.version)
                created = put_new(self.store, self.scheme.key(version.version), data)
            except StoreError as error:
                if not tried:
                    # Refused for certain, and the caller is told so.
                    self._open = None
                    raise
                message = f"it is not known whether a change was stored: {error.message}"
                raise CommitUnknownError(message) from error
            if created:
                state = self.scheme.replay(
                    self.scheme.key(version.version), self.state, version.ops
                )
                self.head, self._open = replace(version, state=state, base=None), None
            else:
                tried, self._is_alone = True, False
                self._open = self._next(version)
        return True

    def _next(self, version: Version[S]) -> tuple[Version[S], bytes]:
        """Return the same commit under the next name."""
        number = version.version + 1
        base = version.base or version.version - 1
        following = replace(version, version=number, state=None, base=base)
        return following, self.scheme.encode(following)
