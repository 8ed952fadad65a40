"""What a store can do: one small protocol per verb, and `Store`, which is all of them.

There is no rename, no append, no compare-and-swap and no lock. `put_if_absent` is the only means of
exclusion, and every backend gives it exactly one winner.

A key is text such as `runs/<run>/state/00000001.json`; `objrun.storage.keys` says which text. All
keys are relative to the store's URL. Every verb may raise, besides what its own docstring names:

- `UserErrorException` for a malformed key (nothing was sent);
- `UnavailableError` when the store could not answer: trying again may succeed;
- `PermissionDeniedError`, `CredentialsError`, `BucketNotFoundError`, `StoreFullError`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime

__all__ = [
    "Delete",
    "Folders",
    "Get",
    "GetRange",
    "List",
    "Now",
    "ObjectInfo",
    "Put",
    "PutIfAbsent",
    "Store",
    "Upload",
]


@dataclass(frozen=True, slots=True)
class ObjectInfo:
    """One row of a listing: `size` in bytes, `modified` aware, in UTC, by the store's clock.

    >>> from datetime import UTC, datetime
    >>> ObjectInfo("objrun.json", 120, datetime(2026, 1, 1, tzinfo=UTC)).key
    'objrun.json'
    """

    key: str
    size: int
    modified: datetime


class Get(Protocol):
    """Read a whole object."""

    def get(self, key: str) -> bytes:
        """Return the object's bytes, never a mixture of two versions.

        Raises:
            NotFoundError: no object has this key.
            CorruptObjectError: it is too large to be one of a store; see `keys.check_size`.
        """
        ...


class GetRange(Protocol):
    """Read a part of an object."""

    def get_range(self, key: str, start: int, length: int) -> bytes:
        """Return up to `length` bytes from offset `start`; fewer, or none, past the end.

        Raises:
            NotFoundError: no object has this key.
            UserErrorException: `start` or `length` is negative.
        """
        ...


class Put(Protocol):
    """Write an object, replacing what was there."""

    def put(self, key: str, data: bytes) -> None:
        """Store `data` under `key`; readers see the old object or the new one, never a part.

        Raises:
            UnavailableError: it is unknown whether the object was stored.
        """
        ...


class Upload(Protocol):
    """Write an object that need not fit into memory."""

    def upload(self, key: str, parts: Iterable[bytes]) -> None:
        """Store the bytes of `parts`, one after the other, replacing what was there.

        Readers see nothing before the last part was taken and stored; an error that `parts` raises
        stores nothing, and is raised as it is. Some parts are taken while others are sent. All
        but the last have one size, a multiple of 256 KiB of at least 5 MiB; at most 10,000 parts.

        Raises:
            UnavailableError: it is unknown whether the object was stored.
        """
        ...


class PutIfAbsent(Protocol):
    """Create an object: the one means of exclusion."""

    def put_if_absent(self, key: str, data: bytes) -> None:
        """Store `data` under `key` unless an object has this key; one of all callers wins.

        Raises:
            AlreadyExistsError: an object has this key. It may be the caller's own: clients send a
                request again when its answer was lost. Only the body can tell.
            UnavailableError: it is unknown whether the object was stored.
        """
        ...


class List(Protocol):
    """Find objects."""

    def list(self, prefix: str) -> list[ObjectInfo]:
        """Return every object below `prefix` ("" or text ending in "/"), sorted by key.

        Strongly consistent: what was stored before the call is there. It is no snapshot: what is
        stored or deleted during the call may or may not be.
        """
        ...


class Folders(Protocol):
    """Find the names one level down."""

    def folders(self, prefix: str) -> list[str]:
        """Return the names, without "/", directly below `prefix` that hold objects, sorted."""
        ...


class Delete(Protocol):
    """Remove objects."""

    def delete(self, keys: Iterable[str]) -> None:
        """Remove these objects; a key that no object has is fine.

        Not atomic: after an error any of the objects may be gone.
        """
        ...


class Now(Protocol):
    """Ask the store for the time."""

    def now(self) -> datetime:
        """Return the store's clock, aware, in UTC: the one that `ObjectInfo.modified` comes from.

        It costs a write, since a store tells the time only by what it stamps on an object. The
        resolution is that of the store: a second on S3.
        """
        ...


class Store(Get, GetRange, Put, Upload, PutIfAbsent, List, Folders, Delete, Now, Protocol):
    """Every verb, safe to call from many threads, and from a child after a fork."""

    @property
    def url(self) -> str:
        """The store's URL in canonical form, never with credentials."""
        ...

    @property
    def concurrency(self) -> int:
        """How many requests are worth having in flight: 1 where there is no network."""
        ...
