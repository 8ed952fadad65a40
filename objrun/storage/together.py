"""Ask a store for many things at once."""

from __future__ import annotations

from collections import deque
from functools import partial
from itertools import islice
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from objrun.storage.verbs import Store

__all__ = ["together"]

_Item = TypeVar("_Item")
_Answer = TypeVar("_Answer")


def together(
    store: Store, act: Callable[[_Item], _Answer], items: Iterable[_Item]
) -> Iterator[Callable[[], _Answer]]:
    """Do `act(item)` for each of `items`, `store.concurrency` at once, and yield their outcomes.

    They come in the order of the items, each as a function that returns or raises what `act` did,
    to be called once. `act` does not itself work with many threads.

    >>> from objrun.storage.memory import MemoryStore
    >>> [answer() for answer in together(MemoryStore("docs"), abs, [1, -2])]
    [1, 2]
    """
    if store.concurrency == 1:
        for item in items:
            yield partial(act, item)
        return
    from concurrent.futures import ThreadPoolExecutor  # a worker that only writes needs none

    remaining = iter(items)
    with ThreadPoolExecutor(store.concurrency, thread_name_prefix="objrun-fetch") as pool:
        waiting = deque(pool.submit(act, item) for item in islice(remaining, 2 * store.concurrency))
        try:
            while waiting:
                answer = waiting.popleft()
                yield answer.result
                for further in islice(remaining, 1):
                    waiting.append(pool.submit(act, further))
        finally:
            # The caller stopped early: do not ask for what nobody will read.
            for answer in waiting:
                answer.cancel()
