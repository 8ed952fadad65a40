"""From a URL to a store."""

# Paths are text here: pathlib would cost more than the file does.
# ruff: noqa: PTH110, PTH112
from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from objrun.errors import InvalidURLError
from objrun.storage.local import LocalStore
from objrun.storage.location import LOCAL, MEMORY, locate
from objrun.storage.memory import MemoryStore
from objrun.storage.probe import prove

if TYPE_CHECKING:
    from objrun.storage.verbs import Store

__all__ = ["connect", "open_store"]


def connect(url: str | os.PathLike[str], **storage_options: Any) -> Store:
    """Return the store that `url` names. Nothing is sent; only the URL is checked.

    Local stores take `durability="fsync"` (the default: what was acknowledged survives a power
    cut) or `"none"`; memory stores take no option; all others pass their options to the fsspec
    file system of their scheme, where they win over those that objrun sets.

    >>> connect("memory://docs").url
    'memory://docs'

    Raises:
        InvalidURLError: the URL or an option is malformed, or an extra is not installed.
    """
    location = locate(url)
    if location.scheme == MEMORY:
        _check_options(storage_options, MEMORY, known=())
        return MemoryStore(location.path)
    if location.scheme == LOCAL:
        return _connect_local(location.path, **storage_options)
    # A local run must not pay for importing fsspec and its clients.
    from objrun.storage.remote import connect_remote

    return connect_remote(location, storage_options)


def open_store(url: str | os.PathLike[str], **storage_options: Any) -> Store:
    """Connect to a store and prove that it refuses the second of two creates.

    >>> open_store("memory://docs").concurrency
    1

    Raises:
        InvalidURLError: see `connect`.
        UnsafeStoreError: the store lets both win; see `prove`.
        StoreError: the store cannot be reached or refuses.
    """
    store = connect(url, **storage_options)
    prove(store)
    return store


def _connect_local(root: str, durability: str = "fsync", **unknown: Any) -> LocalStore:
    _check_options(unknown, LOCAL, known=("durability",))
    if durability not in ("fsync", "none"):
        raise InvalidURLError(f"durability is 'fsync' or 'none', not {durability!r}")
    if os.path.exists(root) and not os.path.isdir(root):
        raise InvalidURLError(f"{root} is a file; a local store is a folder")
    return LocalStore(root, durable=durability == "fsync")


def _check_options(given: dict[str, Any], scheme: str, *, known: tuple[str, ...]) -> None:
    if given:
        names = ", ".join(sorted(given))
        told = f"it knows {', '.join(known)}" if known else "it knows none"
        raise InvalidURLError(f"a {scheme} store does not know the options {names}; {told}")
