"""A store around a store that takes so many bytes and no more."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, TypeVar

from objrun.errors import StoreFullError
from objrun.storage.wrappers import Around

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from objrun.storage.verbs import Store

__all__ = ["Limited"]

T = TypeVar("T")


class Limited(Around):
    """A store that takes `limit` bytes at most, then StoreFullError.

    `puts` counts its writes; before each one `told()` is called. `name` is what sets the limit.

    >>> from objrun.storage.memory import MemoryStore
    >>> store = Limited(MemoryStore("limited"), 3, "--size", lambda: None)
    >>> store.put("a", b"123"), store.puts
    (None, 1)
    """

    def __init__(self, store: Store, limit: int, name: str, told: Callable[[], None]) -> None:
        """Count nothing yet."""
        super().__init__(store)
        self.limit = limit
        self.puts = 0
        self._name = name
        self._told = told
        self._sizes: dict[str, int] = {}
        self._used = 0
        self.forked()

    def forked(self) -> None:
        """Have a new lock in a forked child: the parent's may be held by a thread left there."""
        self._lock = threading.Lock()

    def put(self, key: str, data: bytes) -> None:
        """Write an object; see `Put`."""
        self._make_room(key, len(data))
        super().put(key, data)
        self._stored()

    def put_if_absent(self, key: str, data: bytes) -> None:
        """Create an object; see `PutIfAbsent`."""
        self._make_room(key, len(data))
        super().put_if_absent(key, data)
        self._stored()

    def upload(self, key: str, parts: Iterable[bytes]) -> None:
        """Write an object in parts; see `Upload`."""
        super().upload(key, self._fitting(key, parts))
        self._stored()

    def delete(self, keys: Iterable[str]) -> None:
        """Remove objects; see `Delete`."""
        named = [*keys]
        super().delete(named)
        with self._lock:
            self._used -= sum(self._sizes.pop(key, 0) for key in named)

    def _fitting(self, key: str, parts: Iterable[bytes]) -> Iterator[bytes]:
        size = 0
        for part in parts:
            size += len(part)
            self._make_room(key, size)
            yield part

    def _make_room(self, key: str, size: int) -> None:
        self._told()
        with self._lock:
            used = self._used + size - self._sizes.get(key, 0)
            if used > self.limit:
                message = f"{self.url} would take more than {self.limit} bytes ({self._name})"
                raise StoreFullError(message)
            self._used = used
            self._sizes[key] = size

    def _stored(self) -> None:
        # After it is there: whoever sees the number finds the object.
        with self._lock:
            self.puts += 1

    def _ask(self, verb: str, key: str, call: Callable[[], T]) -> T:  # noqa: ARG002
        return call()
