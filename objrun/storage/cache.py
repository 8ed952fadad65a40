"""A store that keeps what it read of objects that never change in a folder of this machine.

Which objects never change is the caller's to say. Only those are kept, and only their bytes: that
an object is not there is asked anew each time, and so is every listing. A store made anew at the
same URL has another `store_id` and shares nothing with the one before.

Ranges are kept as they were asked for, each by itself; one within an object that was read as a
whole is answered from that.
"""

# Paths are text here: pathlib would cost more than the file does.
# ruff: noqa: PTH100, PTH111, PTH117
from __future__ import annotations

import os
import re
from hashlib import sha256
from typing import TYPE_CHECKING, Final, TypeVar

from objrun.errors import UserErrorException
from objrun.storage.cache_folder import CacheFolder
from objrun.storage.keys import check_key, check_range
from objrun.storage.wrappers import Around

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from objrun.storage.verbs import Store

__all__ = ["FOLDER", "LIMIT", "SIZE", "CachingStore", "cached", "parse_size"]

FOLDER: Final = "OBJRUN_CACHE"
"""The environment variable that names the folder, else `objrun` in the user's folder of caches."""

SIZE: Final = "OBJRUN_CACHE_SIZE"
"""The environment variable for the bytes of it, such as 500MB; 0 means no cache."""

LIMIT: Final = 1 << 30
"""Bytes of the folder where `OBJRUN_CACHE_SIZE` is not set."""

_Answer = TypeVar("_Answer")
_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*([kmgt]?)(i?)b?", re.IGNORECASE | re.ASCII)


def cached(store: Store, store_id: str, immutable: Callable[[str], bool]) -> Store:
    """Return `store` behind the cache of this user, or as it is where a cache is of no use.

    That is a store without a network, `OBJRUN_CACHE_SIZE=0`, or a user without a home.

    >>> from objrun.storage.memory import MemoryStore
    >>> cached(MemoryStore("docs"), "an id", lambda key: True)
    <objrun.storage.memory.MemoryStore object at ...>

    Raises:
        UserErrorException: `OBJRUN_CACHE_SIZE` is no size.
    """
    if store.concurrency == 1:
        return store
    limit = parse_size(os.environ.get(SIZE) or str(LIMIT))
    root = _root()
    if not limit or not os.path.isabs(root):
        return store
    return CachingStore(store, store_id, immutable, CacheFolder(root, limit))


def parse_size(text: str, variable: str = SIZE) -> int:
    """Return the bytes that a text such as `0`, `500MB` or `1.5 GiB` means.

    `variable` is where it stood.

    >>> parse_size("0"), parse_size("500MB"), parse_size("1.5 GiB"), parse_size("2k")
    (0, 500000000, 1610612736, 2000)

    Raises:
        UserErrorException: it means none.
    """
    found = _SIZE.fullmatch(text.strip())
    if found is None:
        raise UserErrorException(f"{variable} is a size such as 500MB, 2GiB or 0, not {text!r}")
    power = " kmgt".index(found[2].lower() or " ")
    return int(float(found[1]) * (1024 if found[3] else 1000) ** power)


def _root() -> str:
    """Return the folder; no absolute path where the user has no home."""
    if named := os.environ.get(FOLDER):
        return os.path.abspath(os.path.expanduser(named))
    caches = os.environ.get("XDG_CACHE_HOME", "")
    # A relative path there counts as none, by the specification.
    return f"{caches if os.path.isabs(caches) else os.path.expanduser('~/.cache')}/objrun"


class CachingStore(Around):
    """A store that answers `get` and `get_range` of immutable keys from `folder` where it can.

    `store_id` tells stores at one URL apart; `immutable` tells of a key whether its object never
    changes. Everything else goes through, and the folder never makes a request fail.

    >>> import tempfile
    >>> from objrun.storage import CountingStore, MemoryStore
    >>> counting = CountingStore(MemoryStore("cached"))
    >>> folder = CacheFolder(tempfile.mkdtemp(), 10**6)
    >>> store = CachingStore(counting, "an id", lambda key: key.endswith(".parquet"), folder)
    >>> store.put("a.parquet", b"1234")
    >>> store.get("a.parquet"), store.get("a.parquet"), store.get_range("a.parquet", 1, 2)
    (b'1234', b'1234', b'23')
    >>> counting.counts["get"], counting.counts["get_range"]
    (1, 0)
    """

    def __init__(
        self, store: Store, store_id: str, immutable: Callable[[str], bool], folder: CacheFolder
    ) -> None:
        super().__init__(store)
        self.immutable = immutable
        self.folder = folder
        self._place = f"store-{_digest(f'{store.url} {store_id}')[:32]}"

    def get(self, key: str) -> bytes:
        """Read an object, from the folder if it is there; see `Get`."""
        if not self.immutable(key):
            return self.store.get(key)
        name = self._name(key)
        data = self.folder.read(name)
        if data is None:
            data = self.store.get(key)
            self.folder.write(name, data)
        return data

    def get_range(self, key: str, start: int, length: int) -> bytes:
        """Read a part of an object, from the folder if it is there; see `GetRange`."""
        check_range(start, length)
        if not self.immutable(key):
            return self.store.get_range(key, start, length)
        name = self._name(key)
        part = f"{name}.{start}-{length}"
        data = self.folder.read(name, start, length)
        if data is None:
            data = self.folder.read(part)
        if data is None:
            data = self.store.get_range(key, start, length)
            self.folder.write(part, data)
        return data

    def put(self, key: str, data: bytes) -> None:
        """Write an object, which is then not in the folder; see `Put`."""
        try:
            self.store.put(key, data)
        finally:
            self._drop([key])

    def delete(self, keys: Iterable[str]) -> None:
        """Remove objects, also from the folder; see `Delete`."""
        named = [*keys]
        try:
            self.store.delete(named)
        finally:
            self._drop(named)

    def _drop(self, keys: list[str]) -> None:
        self.folder.drop([self._name(key) for key in keys if self.immutable(key)])

    def _name(self, key: str) -> str:
        check_key(key)
        digest = _digest(key)
        return f"{self._place}/{digest[:2]}/{digest[2:]}"

    def _ask(self, verb: str, key: str, call: Callable[[], _Answer]) -> _Answer:  # noqa: ARG002
        return call()


def _digest(text: str) -> str:
    return sha256(text.encode()).hexdigest()
