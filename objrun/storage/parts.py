"""The parts of an object that is uploaded: taken one by one, and what goes wrong with them."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from objrun.errors import ObjrunError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

__all__ = ["AT_ONCE", "BrokenSourceError", "Parts", "whole_source"]

AT_ONCE: Final = 8
"""Parts of one object that are sent at the same time."""


class BrokenSourceError(ObjrunError):
    """Taking the next part has failed; the cause is what it raised. Never leaves a store."""


@contextmanager
def whole_source() -> Iterator[None]:
    """Raise what went wrong with the source of an upload as it is."""
    try:
        yield
    except BrokenSourceError as error:
        raise error.__cause__ or error from None


class Parts:
    """An iterator over parts whose errors cannot be taken for errors of the store.

    >>> [*Parts([b"a", b"b"])]
    [b'a', b'b']
    """

    def __init__(self, parts: Iterable[bytes]) -> None:
        self._parts = iter(parts)

    def __iter__(self) -> Iterator[bytes]:
        """Return the iterator itself."""
        return self

    def __next__(self) -> bytes:
        """Return the next part; BrokenSourceError where that fails."""
        try:
            return next(self._parts)
        except StopIteration:
            raise
        except Exception as error:
            raise BrokenSourceError("the source of an upload has failed") from error
