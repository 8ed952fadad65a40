"""Tombstones: what a chain ends in that was purged, and what may follow one. SPEC 9.5."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from objrun import clock
from objrun.errors import FormatError, NotFoundError
from objrun.format.states import Version
from objrun.protocol.chain import last_version, load

if TYPE_CHECKING:
    from objrun.protocol.chain import Scheme
    from objrun.storage import Store

FREE: Final = "free"
"""The op of a tombstone of which nothing is left: its name may be used again."""


def tombstone(number: int, experiment: str, op: str) -> Version[Any]:
    """Return the version that ends a chain, not yet stored; `op` says how far the purge has come.

    >>> tombstone(3, "mnist", "purge").ops
    ({'op': 'purge'},)
    """
    now = clock.now()
    return Version(
        version=number,
        write_id=clock.random_hex(16),
        written=now,
        ops=({"op": op},),
        state=None,
        purged=now,
        experiment=experiment,
    )


def is_free(tombstone: Version[Any]) -> bool:
    """Return whether nothing is left of what a tombstone stands for: a chain may go on behind it.

    >>> is_free(tombstone(3, "mnist", FREE)), is_free(tombstone(3, "mnist", "purge"))
    (True, False)
    """
    return any(op.get("op") == FREE for op in tombstone.ops)


def place_for(store: Store, scheme: Scheme[Any]) -> int:
    """Return the version that a new chain begins with, 0 where there is a chain: one LIST.

    It is 1, or follows a tombstone that says that the name is free, which costs a GET.
    """
    number = last_version(store, scheme)
    if not number:
        return 1
    try:
        head = load(store, scheme, number)
    except (FormatError, NotFoundError):
        return 0
    return number + 1 if head.purged and is_free(head) else 0
