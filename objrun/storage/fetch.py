"""Read many objects at once."""

from __future__ import annotations

from collections import deque
from itertools import islice
from typing import TYPE_CHECKING

from objrun.errors import StoreError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from objrun.storage.verbs import Store

__all__ = ["fetch"]


def fetch(store: Store, keys: Iterable[str]) -> Iterator[tuple[str, bytes | StoreError]]:
    """Yield (key, bytes) for each of `keys`, in their order, `store.concurrency` in flight.

    An error of the store takes the place of the bytes; it is not raised, so that one lost object
    does not hide the others. Keys are taken from the iterable as they are needed, and at most
    about twice `store.concurrency` results wait to be taken.

    >>> from objrun.storage.memory import MemoryStore
    >>> store = MemoryStore("fetched")
    >>> store.put("a", b"1")
    >>> list(fetch(store, ["a", "b"]))
    [('a', b'1'), ('b', NotFoundError('b is not in memory://fetched'))]
    """
    if store.concurrency == 1:
        for key in keys:
            yield key, _get(store, key)
        return
    from concurrent.futures import ThreadPoolExecutor  # a worker that only writes needs none

    remaining = iter(keys)
    with ThreadPoolExecutor(store.concurrency, thread_name_prefix="objrun-fetch") as pool:
        waiting = deque(
            (key, pool.submit(_get, store, key)) for key in islice(remaining, 2 * store.concurrency)
        )
        try:
            while waiting:
                key, answer = waiting.popleft()
                yield key, answer.result()
                for further in islice(remaining, 1):
                    waiting.append((further, pool.submit(_get, store, further)))
        finally:
            # The caller stopped early: do not ask for what nobody will read.
            for _, answer in waiting:
                answer.cancel()


def _get(store: Store, key: str) -> bytes | StoreError:
    try:
        return store.get(key)
    except StoreError as error:
        return error
