"""Put an object that must not exist, and find out for certain whether that worked.

Clients re-send a request whose answer was lost and then report "exists" for their own write. So
"exists" is settled by reading the object back: the bytes carry a random `write_id`, and equal bytes
are our own. SPEC section 8.
"""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Final, Protocol, TypeVar

from objrun import clock
from objrun.errors import (
    AlreadyExistsError,
    CommitUnknownError,
    NotFoundError,
    StoreError,
    UnavailableError,
)
from objrun.logs import logger
from objrun.storage.parts import AT_ONCE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from objrun.storage import Get, PutIfAbsent, Upload

    class Exclusive(Get, PutIfAbsent, Protocol):
        """A store that creates and reads."""


T = TypeVar("T")

PATIENCE = 60.0
"""Seconds for which a caller's request is tried again before its error is raised."""

TRYING_AGAIN: Final = "trying again: %s"
"""What the log says meanwhile, for those who want to know what they wait for."""


def insist(request: Callable[[], T], *, patience: float | None = None) -> T:
    """Return the result of an idempotent request, trying again while the store is unavailable.

    Waits grow exponentially with full jitter. Raises the last UnavailableError after `patience`
    (default: PATIENCE) seconds, any other error at once.

    >>> insist(lambda: 1)
    1
    """
    deadline = clock.monotonic() + (PATIENCE if patience is None else patience)
    attempt = 0
    while True:
        try:
            return request()
        except UnavailableError as error:
            pause = clock.backoff(attempt)
            if clock.monotonic() + pause > deadline:
                raise
            logger().info(TRYING_AGAIN, error.message)
        clock.sleep(pause)
        attempt += 1


def upload(store: Upload, key: str, parts: Callable[[], Iterable[bytes]]) -> None:
    """Store an object in parts, insisting as long as more of them are stored than ever before.

    A large object may take longer than PATIENCE. `parts()` begins with the first one each time;
    stores go on with those that they have. Raises what `insist` does.

    >>> from objrun.storage import MemoryStore
    >>> upload(MemoryStore("large"), "a", lambda: [b"1", b"2"])
    """
    most = stored = 0

    def counted() -> Iterator[bytes]:
        nonlocal stored
        for number, part in enumerate(parts(), 1):
            # The last ones are on their way.
            stored = max(stored, number - AT_ONCE)
            yield part

    while True:
        try:
            return insist(lambda: store.upload(key, counted()))
        except UnavailableError:
            if stored == most:
                raise
            most = stored


def put_once(store: Exclusive, key: str, data: bytes, *, patience: float | None = None) -> bool:
    """Create `key` and return whether `data` is what stands there: True for the one winner.

    The same bytes go to the same name until it is known. Raises CommitUnknownError where that is
    still open after `patience` (default: PATIENCE) seconds: the object may or may not be there.
    """
    while not put_new(store, key, data, patience=patience):
        with suppress(NotFoundError):
            return _stored(store, key, patience) == data
        # It was removed between the two requests, so the name is free again.
    return True


def put_new(store: PutIfAbsent, key: str, data: bytes, *, patience: float | None = None) -> bool:
    """Create `key` and return True; False where an object is there: another's, or one's own.

    Clients send a request again when its answer was lost, so only the bytes can tell whose it is.
    The same bytes go to the same name until it is known that there is one. Raises
    CommitUnknownError where that is still open after `patience` (default: PATIENCE) seconds.

    >>> from objrun.storage import MemoryStore
    >>> store = MemoryStore("new")
    >>> put_new(store, "a", b"1"), put_new(store, "a", b"1")
    (True, False)
    """
    deadline = clock.monotonic() + (PATIENCE if patience is None else patience)
    attempt = 0
    sent = False
    while True:
        try:
            store.put_if_absent(key, data)
        except AlreadyExistsError:
            return False
        except UnavailableError as error:
            sent = True
            pause = clock.backoff(attempt)
            if clock.monotonic() + pause > deadline:
                raise _unknown(key, error) from error
            logger().info(TRYING_AGAIN, error.message)
        except StoreError as error:
            if sent:
                raise _unknown(key, error) from error
            raise
        else:
            return True
        clock.sleep(pause)
        attempt += 1


def _stored(store: Exclusive, key: str, patience: float | None) -> bytes:
    """Return what stands under `key`; where the store does not say, whose it is stays unknown."""
    try:
        return insist(lambda: store.get(key), patience=patience)
    except NotFoundError:
        raise
    except StoreError as error:
        raise _unknown(key, error) from error


def _unknown(key: str, error: StoreError) -> CommitUnknownError:
    return CommitUnknownError(f"it is not known whether {key} was stored: {error.message}")
