"""What is in a store, byte by byte, and proof that a refused call left it alone."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from objrun import Workspace
from objrun.storage import connect
from tests.protocol.turns import Program

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from objrun.storage import Store


def store_of(ws: Workspace) -> Store:
    """Return a store of its own for the place of a workspace."""
    return connect(ws.url, **ws.storage_options)


def another(ws: Workspace) -> Workspace:
    """Return another handle on a workspace, which has read nothing yet."""
    return Workspace(ws.url, storage_options=ws.storage_options)


def contents(ws: Workspace) -> dict[str, bytes]:
    """Return every object of a store."""
    store = store_of(ws)
    return {info.key: store.get(info.key) for info in store.list("")}


def on(ws: Workspace, act: Callable[[Workspace], object]) -> Program:
    """Return a program that does something through a workspace of its own, which is open."""

    def work(store: Store) -> object:
        own = another(ws)
        own.writing()
        own._store = store  # noqa: SLF001 - the requests of opening are not what is tested
        return act(own)

    return Program(work)


@contextmanager
def refused(ws: Workspace, error: type[Exception], *words: str) -> Iterator[None]:
    """Expect `error`, with all `words` in its message, and not one byte changed in the store."""
    before = contents(ws)
    with pytest.raises(error) as caught:
        yield
    assert type(caught.value) is error
    missing = [word for word in words if word not in str(caught.value)]
    assert not missing, f"{caught.value} does not say {missing}"
    assert contents(ws) == before
