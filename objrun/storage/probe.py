"""Prove that a store refuses the second of two creates; nothing in objrun is safe without it.

Many servers and file systems accept the request and do not: they ignore the condition, or check
and then write, which lets two writers win in between.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from objrun import clock
from objrun.errors import AlreadyExistsError, UnavailableError, UnsafeStoreError
from objrun.storage.limited import Limited
from objrun.storage.local import LocalStore
from objrun.storage.memory import MemoryStore

if TYPE_CHECKING:
    from concurrent.futures import ThreadPoolExecutor

    from objrun.storage.verbs import Store

__all__ = ["PROBE", "prove"]

PROBE = "objrun.probe"
"""The key of the object that stays behind in a store that was proven."""

_BODY = b"objrun creates this object to learn whether the store refuses a second create.\n"
_SAFE_BY_CONSTRUCTION = (LocalStore, MemoryStore)
_ROUNDS = 4
_RACERS = 8


def prove(store: Store) -> None:
    """Return if of two creates of one key in `store` one is refused.

    One request if the store was proven before: the create of `PROBE` is refused. Otherwise the
    create is tried again and must be refused, and threads race to create a few random keys, each
    of which must have one winner whose bytes are what is stored; these are deleted afterwards.

    >>> prove(MemoryStore("proven"))

    Raises:
        UnsafeStoreError: two creates won. Nothing but the probe was written.
        StoreError: the store cannot be asked; see `objrun.storage.verbs`.
    """
    inside = store.store if isinstance(store, Limited) else store
    if isinstance(inside, _SAFE_BY_CONSTRUCTION) or not _creates(store, PROBE, _BODY):
        return
    if _creates(store, PROBE, _BODY):
        store.delete([PROBE])
        raise UnsafeStoreError(
            f"{store.url} ignores that an object exists when it is asked to create one, "
            "so two writers would overwrite each other"
        )
    from concurrent.futures import ThreadPoolExecutor  # rarely needed: once a store

    keys = [f"{PROBE}-{clock.random_hex(8)}/{number}" for number in range(_ROUNDS)]
    try:
        with ThreadPoolExecutor(_RACERS) as pool:
            for key in keys:
                _race(store, key, pool)
    except UnsafeStoreError:
        # The next to open this store must not take the probe for a proof.
        store.delete([PROBE])
        raise
    finally:
        store.delete(keys)


def _race(store: Store, key: str, pool: ThreadPoolExecutor) -> None:
    bodies = [f"racer {racer} of {key}\n".encode() * 64 for racer in range(_RACERS)]
    start = threading.Barrier(_RACERS)

    def create(body: bytes) -> bool:
        start.wait()
        return _creates(store, key, body)

    won = list(pool.map(create, bodies))
    stored = store.get(key)
    # A client whose answer was lost asks again and is told "exists" about its own object, so the
    # winner may count itself among the losers. Two winners, or another's bytes, are never right.
    winners = [body for body, win in zip(bodies, won, strict=True) if win]
    if len(winners) > 1 or stored not in (winners or bodies):
        raise UnsafeStoreError(
            f"{store.url} let {len(winners)} of {_RACERS} simultaneous creates of one object win: "
            "it checks and then writes, so two writers would overwrite each other"
        )


def _creates(store: Store, key: str, body: bytes) -> bool:
    for attempt in range(3):
        try:
            store.put_if_absent(key, body)
        except AlreadyExistsError:
            return False
        except UnavailableError:
            if attempt == 2:
                raise
            clock.sleep(clock.backoff(attempt))
        else:
            return True
    raise AssertionError("unreachable: the last attempt returns or raises")
