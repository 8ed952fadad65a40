"""Stores around a store: count what is asked, wait before it, or let it fail.

They are stores themselves and can be nested. `prove` treats them as unknown stores.
"""

from __future__ import annotations

import threading
from abc import abstractmethod
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple, TypeVar

from objrun import clock

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from datetime import datetime

    from objrun.storage.verbs import ObjectInfo, Store

__all__ = ["Around", "Asked", "CountingStore", "Fault", "FaultyStore", "LatencyStore"]

_Answer = TypeVar("_Answer")


class Around:
    """The base of stores around a store: every verb goes to `store` by `_ask(verb, key, call)`."""

    def __init__(self, store: Store) -> None:
        self.store = store

    @property
    def url(self) -> str:
        """The URL of the store inside."""
        return self.store.url

    @property
    def concurrency(self) -> int:
        """The concurrency of the store inside."""
        return self.store.concurrency

    @abstractmethod
    def _ask(self, verb: str, key: str, call: Callable[[], _Answer]) -> _Answer: ...

    def get(self, key: str) -> bytes:
        """Read an object; see `Get`."""
        return self._ask("get", key, lambda: self.store.get(key))

    def get_range(self, key: str, start: int, length: int) -> bytes:
        """Read a part of an object; see `GetRange`."""
        return self._ask("get_range", key, lambda: self.store.get_range(key, start, length))

    def put(self, key: str, data: bytes) -> None:
        """Write an object; see `Put`."""
        self._ask("put", key, lambda: self.store.put(key, data))

    def upload(self, key: str, parts: Iterable[bytes]) -> None:
        """Write an object in parts; see `Upload`."""
        self._ask("upload", key, lambda: self.store.upload(key, parts))

    def put_if_absent(self, key: str, data: bytes) -> None:
        """Create an object; see `PutIfAbsent`."""
        self._ask("put_if_absent", key, lambda: self.store.put_if_absent(key, data))

    def folders(self, prefix: str) -> list[str]:
        """Find folders; see `Folders`."""
        return self._ask("folders", prefix, lambda: self.store.folders(prefix))

    def list(self, prefix: str) -> list[ObjectInfo]:
        """Find objects; see `List`."""
        return self._ask("list", prefix, lambda: self.store.list(prefix))

    def delete(self, keys: Iterable[str]) -> None:
        """Remove objects; see `Delete`. The key passed on is that of the first."""
        named = [*keys]
        self._ask("delete", named[0] if named else "", lambda: self.store.delete(named))

    def now(self) -> datetime:
        """Ask for the time; see `Now`."""
        return self._ask("now", "", self.store.now)


class Asked(NamedTuple):
    """One entry of a log: the verb and its key or prefix ("" for `now`)."""

    verb: str
    key: str


class CountingStore(Around):
    """Count the calls of each verb, the bytes moved, and keep a log of them in order.

    Counted is what was asked, also when it failed. `counts` maps a verb to a number; `log` holds
    `Asked` entries; `bytes_read` and `bytes_written` are sums over bodies.

    >>> from objrun.storage.memory import MemoryStore
    >>> store = CountingStore(MemoryStore("counted"))
    >>> store.put("a", b"123")
    >>> store.counts["put"], store.bytes_written, store.log
    (1, 3, [Asked(verb='put', key='a')])
    """

    def __init__(self, store: Store) -> None:
        super().__init__(store)
        self.counts: Counter[str] = Counter()
        self.log: list[Asked] = []
        self.bytes_read = 0
        self.bytes_written = 0
        self._lock = threading.Lock()

    def reset(self) -> None:
        """Start counting anew."""
        with self._lock:
            self.counts.clear()
            self.log.clear()
            self.bytes_read = self.bytes_written = 0

    def put(self, key: str, data: bytes) -> None:
        """Write an object; see `Put`."""
        self._wrote(data)
        super().put(key, data)

    def put_if_absent(self, key: str, data: bytes) -> None:
        """Create an object; see `PutIfAbsent`."""
        self._wrote(data)
        super().put_if_absent(key, data)

    def upload(self, key: str, parts: Iterable[bytes]) -> None:
        """Write an object in parts; see `Upload`."""
        super().upload(key, map(self._wrote, parts))

    def _wrote(self, data: bytes) -> bytes:
        with self._lock:
            self.bytes_written += len(data)
        return data

    def _ask(self, verb: str, key: str, call: Callable[[], _Answer]) -> _Answer:
        with self._lock:
            self.counts[verb] += 1
            self.log.append(Asked(verb, key))
        answer = call()
        if isinstance(answer, bytes):
            with self._lock:
                self.bytes_read += len(answer)
        return answer


class LatencyStore(Around):
    """Wait `seconds` before every request, as a distant bucket would.

    >>> from objrun.storage.memory import MemoryStore
    >>> LatencyStore(MemoryStore("distant"), 0.001).list("")
    []
    """

    def __init__(self, store: Store, seconds: float) -> None:
        super().__init__(store)
        self.seconds = seconds

    @property
    def concurrency(self) -> int:
        """At least 64: waiting is done best together."""
        return max(64, self.store.concurrency)

    def _ask(self, verb: str, key: str, call: Callable[[], _Answer]) -> _Answer:  # noqa: ARG002
        clock.sleep(self.seconds)
        return call()


@dataclass(frozen=True, slots=True)
class Fault:
    """Raise `error`, after the request took effect if `applied`: its answer was lost."""

    error: Exception
    applied: bool = False


class FaultyStore(Around):
    """Let requests fail: `plan(verb, key)` returns None, an error, or a `Fault`.

    An error that stands alone is raised before the request takes effect.

    >>> from objrun.errors import UnavailableError
    >>> from objrun.storage.memory import MemoryStore
    >>> lost = Fault(UnavailableError("the answer was lost"), applied=True)
    >>> plan = lambda verb, key: lost if verb == "put" else None
    >>> store = FaultyStore(MemoryStore("faulty"), plan)
    >>> store.put("a", b"1")
    Traceback (most recent call last):
    objrun.errors.UnavailableError: the answer was lost
    >>> store.get("a")
    b'1'
    """

    def __init__(self, store: Store, plan: Callable[[str, str], Exception | Fault | None]) -> None:
        super().__init__(store)
        self.plan = plan

    def _ask(self, verb: str, key: str, call: Callable[[], _Answer]) -> _Answer:
        planned = self.plan(verb, key)
        if planned is None:
            return call()
        fault = planned if isinstance(planned, Fault) else Fault(planned)
        if fault.applied:
            call()
        raise fault.error
