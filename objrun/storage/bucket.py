"""What a backend implements, and what `RemoteStore` makes a store of.

A backend speaks to one bucket in full paths (prefix and key joined) and raises whatever its client
raises; `raises` names these types. Errors, prefixes, ranges and forks are `RemoteStore`'s business.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from objrun.storage.verbs import ObjectInfo

__all__ = ["CONNECTIONS", "CONNECT_TIMEOUT", "READ_TIMEOUT", "Backend", "Bucket", "merged"]

CONNECTIONS = 100
"""Connections a client may hold open: more than the requests that `together` has in flight."""

CONNECT_TIMEOUT = 10.0
"""Seconds to wait for a connection."""

READ_TIMEOUT = 60.0
"""Seconds to wait for the next bytes of an answer: nothing hangs for ever."""


class Bucket(Protocol):
    """One bucket of one backend, through a client of this process."""

    def read(self, path: str, allow: Callable[[int], None]) -> bytes:
        """Return an object, in one request; `allow` of its bytes raises where they are too many.

        It is asked before they are there, where the client tells.
        """
        ...

    def read_range(self, path: str, start: int, length: int) -> bytes:
        """Return a part of an object, in one request; `length` is at least 1."""
        ...

    def write(self, path: str, data: bytes) -> None:
        """Store an object, in one request while it is small."""
        ...

    def write_parts(self, path: str, parts: Iterator[bytes]) -> None:
        """Store an object of two or more parts; where taking one fails, store nothing."""
        ...

    def create(self, path: str, data: bytes) -> None:
        """Store an object unless the path is taken, which the server decides in one request."""
        ...

    def objects(self, prefix: str) -> Iterable[ObjectInfo]:
        """Return all objects whose path starts with `prefix`, keys being full paths."""
        ...

    def folders(self, prefix: str) -> Iterable[str]:
        """Return the paths, up to the next slash after `prefix`, that objects share."""
        ...

    def remove(self, paths: list[str]) -> None:
        """Remove objects; those that do not exist are fine."""
        ...


class Backend(Protocol):
    """How to reach the buckets of one scheme."""

    @property
    def scheme(self) -> str:
        """The canonical scheme of its URLs."""
        ...

    @property
    def raises(self) -> tuple[type[Exception], ...]:
        """What the client may raise when a request fails."""
        ...

    def bucket(self, options: Mapping[str, Any]) -> Bucket:
        """Return a bucket with a new client, made with the caller's storage options.

        Raises:
            TypeError, ValueError: the client does not take the options.
        """
        ...


def merged(defaults: Mapping[str, Any], given: Mapping[str, Any]) -> dict[str, Any]:
    """Return `defaults` overridden by `given`, dictionaries within merged the same way.

    >>> merged({"a": 1, "config": {"pool": 100, "wait": 5}}, {"config": {"wait": 9}, "key": "k"})
    {'a': 1, 'config': {'pool': 100, 'wait': 9}, 'key': 'k'}
    """
    result = dict(defaults)
    for name, value in given.items():
        before = result.get(name)
        if isinstance(before, dict) and isinstance(value, dict):
            result[name] = merged(before, value)
        else:
            result[name] = value
    return result
