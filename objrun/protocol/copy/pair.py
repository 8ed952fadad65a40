"""The two stores of a copy, and what is asked of both."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, NamedTuple, TypeVar

from objrun.errors import NotFoundError
from objrun.protocol.settle import insist, put_once
from objrun.storage import Store, together

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

_Item = TypeVar("_Item")
_Answer = TypeVar("_Answer")


class Pair(NamedTuple):
    """Where objects come from and where they go."""

    source: Store
    target: Store

    def together(
        self, act: Callable[[_Item], _Answer], items: Iterable[_Item]
    ) -> Iterator[Callable[[], _Answer]]:
        """Do `act` for many items, as many at once as the better of both stores likes."""
        return together(max(self, key=lambda store: store.concurrency), act, items)

    def same(self, key: str) -> bool:
        """Return whether both have the same bytes under a key that both have."""
        return read(self.source, key) == read(self.target, key)

    def copy(self, key: str) -> tuple[int, bool]:
        """Create an object in the target: its size, and whether these bytes stand there now.

        Raises NotFoundError where the source does not have it.
        """
        data = read(self.source, key)
        return len(data), put_once(self.target, key, data)


def read(store: Store, key: str) -> bytes:
    """Return an object; NotFoundError if there is none."""
    return insist(partial(store.get, key))


def find(store: Store, key: str) -> bytes | None:
    """Return an object, None if there is none."""
    try:
        return read(store, key)
    except NotFoundError:
        return None
