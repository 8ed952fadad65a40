"""A store as those see it who may only create objects."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Final, TypeVar

from objrun.errors import AlreadyExistsError, CreateOnlyError
from objrun.storage.wrappers import Around

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

__all__ = ["CreateOnly"]

_Answer = TypeVar("_Answer")

_NEEDS: Final = {
    "get": "cannot read {} in {}: that takes the permission to read (s3:GetObject)",
    "get_range": "cannot read {} in {}: that takes the permission to read (s3:GetObject)",
    "list": "cannot list {!r} of {}: that takes the permission to list (s3:ListBucket)",
    "folders": "cannot list {!r} of {}: that takes the permission to list (s3:ListBucket)",
    "delete": "cannot delete {}... from {}: that takes the permission to delete (s3:DeleteObject)",
    "upload": "cannot store the file {} in {}: that takes the permission to read (s3:GetObject)",
    "now": "cannot ask{} {} for the time: that takes the permission to list (s3:ListBucket)",
}


class CreateOnly(Around):
    """Create objects, and refuse to read, list and delete without asking the store.

    What exists stays as it is: `put` is for objects whose bytes follow from their keys. So it works
    also where a permission to write is not one to overwrite.

    >>> from objrun.storage.memory import MemoryStore
    >>> store = CreateOnly(MemoryStore("created"))
    >>> store.put("a", b"1")
    >>> store.get("a")
    Traceback (most recent call last):
    objrun.errors.CreateOnlyError: cannot read a in memory://created: ...
    """

    def put(self, key: str, data: bytes) -> None:
        """Create an object; where one has this key, it is taken for the same."""
        with suppress(AlreadyExistsError):
            self.store.put_if_absent(key, data)

    def upload(self, key: str, parts: Iterable[bytes]) -> None:
        """Create an object of one part: one that came in several could replace another."""
        source = iter(parts)
        first = next(source, b"")
        if next(source, None) is not None:
            super().upload(key, ())
        self.put(key, first)

    def _ask(self, verb: str, key: str, call: Callable[[], _Answer]) -> _Answer:
        if verb in _NEEDS:
            what = _NEEDS[verb].format(key, self.url)
            message = f"{what}; these credentials may only create objects"
            raise CreateOnlyError(message)
        return call()
