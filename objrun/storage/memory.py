"""Stores in the memory of this process, by name: for tests and for trying things out.

Every `MemoryStore` of one name shares one bucket, for as long as the process lives. One lock makes
each verb atomic; it is held across a fork, so a child finds the buckets whole and the lock free,
and then has its own copy of them.
"""

from __future__ import annotations

import bisect
import os
import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NoReturn

from objrun import clock
from objrun.errors import AlreadyExistsError, NotFoundError, UserErrorException
from objrun.storage.keys import check_key, check_prefix, check_range, check_size
from objrun.storage.verbs import ObjectInfo

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime

__all__ = ["MemoryStore"]


@dataclass(slots=True)
class _Bucket:
    objects: dict[str, tuple[bytes, datetime]] = field(default_factory=dict)
    keys: list[str] = field(default_factory=list)  # sorted
    latest: datetime | None = None

    def stamp(self) -> datetime:
        # The clock of a machine may be set back; the clock of a store is not.
        now = clock.now()
        self.latest = now if self.latest is None else max(self.latest, now)
        return self.latest

    def below(self, prefix: str) -> list[str]:
        first = bisect.bisect_left(self.keys, prefix)
        after = bisect.bisect_left(self.keys, prefix[:-1] + "0", first) if prefix else None
        return self.keys[first:after]  # "0" is the character after "/"


_LOCK = threading.Lock()
_BUCKETS: dict[str, _Bucket] = {}

os.register_at_fork(
    before=_LOCK.acquire, after_in_parent=_LOCK.release, after_in_child=_LOCK.release
)


class MemoryStore:
    """The bucket `name` of this process.

    >>> MemoryStore("doc").put_if_absent("a/b", b"1")
    >>> MemoryStore("doc").get("a/b")
    b'1'
    """

    concurrency = 1

    def __init__(self, name: str) -> None:
        self.url = f"memory://{name}"
        with _LOCK:
            self._bucket = _BUCKETS.setdefault(name, _Bucket())

    def get(self, key: str) -> bytes:
        """Return the object's bytes; see `Get`."""
        check_key(key)
        try:
            data = self._bucket.objects[key][0]
        except KeyError:
            raise NotFoundError(f"{key} is not in {self.url}") from None
        check_size(key, len(data))
        return data

    def get_range(self, key: str, start: int, length: int) -> bytes:
        """Return a part of the object; see `GetRange`."""
        check_range(start, length)
        return self.get(key)[start : start + length]

    def put(self, key: str, data: bytes) -> None:
        """Write the object; see `Put`."""
        check_key(key)
        with _LOCK:
            self._set(key, data)

    def upload(self, key: str, parts: Iterable[bytes]) -> None:
        """Write the object; see `Upload`."""
        self.put(key, b"".join(parts))

    def put_if_absent(self, key: str, data: bytes) -> None:
        """Create the object; see `PutIfAbsent`."""
        check_key(key)
        with _LOCK:
            if key in self._bucket.objects:
                raise AlreadyExistsError(f"{key} exists in {self.url}")
            self._set(key, data)

    def folders(self, prefix: str) -> list[str]:
        """Return the names directly below `prefix` that hold objects; see `Folders`."""
        check_prefix(prefix)
        with _LOCK:
            rests = [key[len(prefix) :] for key in self._bucket.below(prefix)]
        return sorted({rest.partition("/")[0] for rest in rests if "/" in rest})

    def list(self, prefix: str) -> list[ObjectInfo]:
        """Return the objects below `prefix`; see `List`."""
        check_prefix(prefix)
        with _LOCK:
            objects = self._bucket.objects
            return [
                ObjectInfo(key, len(objects[key][0]), objects[key][1])
                for key in self._bucket.below(prefix)
            ]

    def delete(self, keys: Iterable[str]) -> None:
        """Remove the objects; see `Delete`."""
        for key in keys:
            check_key(key)
            with _LOCK:
                if self._bucket.objects.pop(key, None) is not None:
                    del self._bucket.keys[bisect.bisect_left(self._bucket.keys, key)]

    def now(self) -> datetime:
        """Return the time that an object stored now would bear; see `Now`."""
        with _LOCK:
            return self._bucket.stamp()

    def __reduce__(self) -> NoReturn:
        """Refuse: what another process writes would be in its own memory."""
        message = f"{self.url} is in the memory of this process: no other can have it"
        raise UserErrorException(message)

    def _set(self, key: str, data: bytes) -> None:
        if key not in self._bucket.objects:
            bisect.insort(self._bucket.keys, key)
        # A copy, so that a caller's buffer can change afterwards.
        self._bucket.objects[key] = (bytes(data), self._bucket.stamp())
