"""A bucket in memory that can be copied, tells what is done to it, and has the world's clock."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, NamedTuple

from objrun.errors import AlreadyExistsError, NotFoundError
from objrun.storage import ObjectInfo
from objrun.storage.keys import check_key, check_prefix, check_range

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

__all__ = ["Bucket", "Written"]

TICK = timedelta(milliseconds=1)
"""How far the bucket's clock goes on with each write."""


class Written(NamedTuple):
    """What a request has done to one key; None stands for no object."""

    key: str
    before: bytes | None
    after: bytes | None


class Bucket:
    """Objects by key. `watchers` are called after each change; `time` is the bucket's clock.

    >>> bucket = Bucket()
    >>> bucket.put_if_absent("a/b", b"1")
    >>> bucket.copy().get("a/b"), [info.key for info in bucket.list("a/")]
    (b'1', ['a/b'])
    """

    url = "memory://simulated"
    concurrency = 1

    def __init__(self) -> None:
        self.objects: dict[str, tuple[bytes, datetime]] = {}
        self.time = datetime(2026, 1, 31, tzinfo=UTC)
        self.watchers: list[Callable[[Written], None]] = []

    def copy(self) -> Bucket:
        """Return another bucket with the same objects and time, which nobody watches."""
        other = Bucket()
        other.objects, other.time = dict(self.objects), self.time
        return other

    def get(self, key: str) -> bytes:
        """Return the object's bytes; see `Get`."""
        check_key(key)
        if key not in self.objects:
            raise NotFoundError(f"{key} is not in {self.url}")
        return self.objects[key][0]

    def get_range(self, key: str, start: int, length: int) -> bytes:
        """Return a part of the object; see `GetRange`."""
        check_range(start, length)
        return self.get(key)[start : start + length]

    def put(self, key: str, data: bytes) -> None:
        """Write the object; see `Put`."""
        check_key(key)
        self._write(key, bytes(data))

    def upload(self, key: str, parts: Iterable[bytes]) -> None:
        """Write the object; see `Upload`."""
        self.put(key, b"".join(parts))

    def put_if_absent(self, key: str, data: bytes) -> None:
        """Create the object; see `PutIfAbsent`."""
        check_key(key)
        if key in self.objects:
            raise AlreadyExistsError(f"{key} exists in {self.url}")
        self._write(key, bytes(data))

    def folders(self, prefix: str) -> list[str]:
        """Return the names directly below `prefix` that hold objects; see `Folders`."""
        rests = [info.key[len(prefix) :] for info in self.list(prefix)]
        return sorted({rest.partition("/")[0] for rest in rests if "/" in rest})

    def list(self, prefix: str) -> list[ObjectInfo]:
        """Return the objects below `prefix`; see `List`."""
        check_prefix(prefix)
        return [
            ObjectInfo(key, len(self.objects[key][0]), self.objects[key][1])
            for key in sorted(self.objects)
            if key.startswith(prefix)
        ]

    def delete(self, keys: Iterable[str]) -> None:
        """Remove the objects; see `Delete`."""
        for key in keys:
            check_key(key)
            self._write(key, None)

    def now(self) -> datetime:
        """Return the bucket's clock; see `Now`."""
        self.time += TICK
        return self.time

    def _write(self, key: str, data: bytes | None) -> None:
        before = self.objects.pop(key, (None, None))[0]
        if data is not None:
            self.objects[key] = (data, self.now())
        for watch in self.watchers:
            watch(Written(key, before, data))
