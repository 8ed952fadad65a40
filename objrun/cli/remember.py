"""A store around a store that fetches every object once.

Objects of a store are written once and never change, so an object read before is not fetched
again; listings always are. What a redraw costs is then its LISTs and what is new.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime

    from objrun.storage import ObjectInfo, Store

MOST: Final = 256 << 20
"""Bytes remembered at most; then it begins anew."""


class RememberingStore:
    """A store that fetches an object once; everything else goes through."""

    def __init__(self, store: Store) -> None:
        """Remember what is read from `store`."""
        self._store = store
        self._read: dict[str, bytes] = {}
        self._size = 0
        self.url = store.url
        self.concurrency = store.concurrency

    def get(self, key: str) -> bytes:
        """Read an object, at most once."""
        data = self._read.get(key)
        if data is None:
            data = self._store.get(key)
            if self._size > MOST:
                self._read, self._size = {}, 0
            self._read[key] = data
            self._size += len(data)
        return data

    def get_range(self, key: str, start: int, length: int) -> bytes:
        """Read a part of an object."""
        return self._store.get_range(key, start, length)

    def list(self, prefix: str) -> list[ObjectInfo]:
        """Find objects."""
        return self._store.list(prefix)

    def folders(self, prefix: str) -> list[str]:  # type: ignore[valid-type]
        """Find folders."""
        return self._store.folders(prefix)

    def put(self, key: str, data: bytes) -> None:
        """Write an object."""
        self._read.pop(key, None)
        self._store.put(key, data)

    def upload(self, key: str, parts: Iterable[bytes]) -> None:
        """Write an object in parts."""
        self._read.pop(key, None)
        self._store.upload(key, parts)

    def put_if_absent(self, key: str, data: bytes) -> None:
        """Create an object."""
        self._store.put_if_absent(key, data)

    def delete(self, keys: Iterable[str]) -> None:
        """Delete objects."""
        self._store.delete(keys)

    def now(self) -> datetime:
        """Tell the store's time."""
        return self._store.now()
