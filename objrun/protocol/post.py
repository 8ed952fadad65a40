"""Where a writer sends its segments: to its store, or to a refuge where that fails."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol
from weakref import WeakSet

from objrun import clock
from objrun.errors import ObjrunError, PermissionDeniedError, StoreError, UnavailableError
from objrun.logs import logger
from objrun.protocol.limits import ESCAPE

if TYPE_CHECKING:
    from collections.abc import Callable

    from objrun.storage import Delete, Put

    class Target(Put, Delete, Protocol):
        """A store that a writer puts to and deletes from."""

    Refuge = Callable[[ObjrunError], Target | None]


_keeping: WeakSet[object] = WeakSet()


def keeps_all(store: object) -> bool:
    """Return whether this process may not delete in a store, as far as is known."""
    return store in _keeping


def note_refusal(store: object) -> None:
    """Note that a store has refused to delete, so that it need not be asked again."""
    _keeping.add(store)


class Post:
    """A store that `target` opens when something is sent, and perhaps a refuge.

    `refuge(error)` returns the store to go on with, None if there is none. `asking`: a request is
    on the way.

    >>> from objrun.storage import MemoryStore
    >>> post = Post(lambda: MemoryStore("post"), None)
    >>> post.put("a", b"1"), post.flee(UnavailableError("gone"))
    (None, False)
    """

    def __init__(self, target: Callable[[], Target], refuge: Refuge | None) -> None:
        """Open nothing yet."""
        self._target = target
        self._refuge = refuge
        self._failing_since: float | None = None
        self.asking = False

    def put(self, key: str, data: bytes) -> None:
        """Store an object: one try."""
        self.asking = True
        try:
            self._target().put(key, data)
        finally:
            self.asking = False
        self._failing_since = None

    def forget(self, keys: list[str]) -> None:
        """Delete what is superseded; readers do without it, so an error is only noted."""
        if not keys or keeps_all(store := self._target()):
            return
        try:
            store.delete(keys)
        except StoreError as error:
            if isinstance(error, PermissionDeniedError):
                note_refusal(store)
            logger().debug("%s and others stay: %s", keys[0], error.message)

    def changes_after(self, error: ObjrunError) -> bool:
        """Flee where the store fails for ESCAPE seconds, or for good; return whether it did."""
        now = clock.monotonic()
        self._failing_since = self._failing_since or now
        if isinstance(error, UnavailableError) and now < self._failing_since + ESCAPE:
            return False
        return self.flee(error)

    def flee(self, error: ObjrunError) -> bool:
        """Go on with the refuge; return whether there is one that was not taken before."""
        target = self._refuge(error) if self._refuge else None
        if target is None:
            return False
        self._target, self._refuge, self._failing_since = lambda: target, None, None
        return True
