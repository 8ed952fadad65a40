"""Ask a store for many things at once."""

from __future__ import annotations

import threading
from collections import deque
from functools import partial
from itertools import islice
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from concurrent.futures import Future

    from objrun.storage.verbs import Store

__all__ = ["in_flight", "together"]

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
    yield from in_flight(act, items, at_once=store.concurrency, waiting=store.concurrency)


def in_flight(
    act: Callable[[_Item], _Answer], items: Iterable[_Item], *, at_once: int, waiting: int = 0
) -> Iterator[Callable[[], _Answer]]:
    """Do `act(item)` for each of `items` in `at_once` threads, and yield their outcomes in order.

    `waiting` items more are taken before their turn. Each outcome is a function that returns or
    raises what `act` did.

    >>> [answer() for answer in in_flight(abs, [1, -2], at_once=2)]
    [1, 2]
    """
    from concurrent.futures import ThreadPoolExecutor  # a worker that only writes needs none

    own: set[int] = set()

    def work(item: _Item) -> _Answer:
        own.add(threading.get_ident())
        return act(item)

    remaining = iter(items)
    pool = ThreadPoolExecutor(at_once, thread_name_prefix="objrun-fetch")
    taken: deque[Future[_Answer]] = deque()
    try:
        for item in islice(remaining, at_once + waiting):
            taken.append(pool.submit(work, item))
        while taken:
            answer = taken.popleft()
            yield answer.result
            for further in islice(remaining, 1):
                taken.append(pool.submit(work, further))
    finally:
        # The caller stopped early: do not ask for what nobody will read. If he has only dropped
        # this generator, a thread of its own may be the one that collects it.
        pool.shutdown(wait=threading.get_ident() not in own, cancel_futures=True)
