"""Run numbers: claimed with put-if-absent, unique for ever. SPEC section 9."""

from __future__ import annotations

import threading
from contextlib import suppress
from typing import TYPE_CHECKING

from objrun import clock
from objrun.errors import AlreadyExistsError
from objrun.format import keys
from objrun.format.documents import encode_number
from objrun.format.states import NumberClaim
from objrun.protocol.endings import renew_after_fork
from objrun.protocol.settle import insist, put_new, put_once
from objrun.storage.creating import CreateOnly

if TYPE_CHECKING:
    from typing import Protocol

    from objrun.storage import Store

    class Claims(Protocol):
        """What claims the run numbers of one experiment."""

        def claim(self, run_id: str) -> int:
            """Return a number that from now on belongs to `run_id` alone."""


def last_number(store: Store, experiment: str) -> int:
    """Return the largest number claimed in order, 0 if none.

    One LIST below 1000 runs, three above.
    """
    largest = _largest(store, experiment, 0)
    if largest < keys.BUCKET_SIZE - 1:
        return largest
    folders = insist(lambda: store.folders(keys.numbers(experiment)))
    buckets = (int(name) for name in folders if name.isdecimal())
    last = max(bucket for bucket in buckets if bucket < keys.DRAWN // keys.BUCKET_SIZE)
    return max(largest, _largest(store, experiment, last))


def _largest(store: Store, experiment: str, bucket: int) -> int:
    listed = insist(lambda: store.list(keys.number_bucket(experiment, bucket)))
    return max((keys.parse_version(info.key) or 0 for info in listed), default=0)


def claim_again(store: Store, experiment: str, number: int, run_id: str) -> None:
    """Claim in a second store the number that a run has; nothing happens where it is taken."""
    claim = NumberClaim(number=number, run_id=run_id, write_id=clock.random_hex(16))
    with suppress(AlreadyExistsError):
        store.put_if_absent(keys.number(experiment, number), encode_number(claim))


def claims_on(store: Store, experiment: str) -> Claims:
    """Return what claims numbers as it can be done in this store."""
    kind = DrawnNumbers if isinstance(store, CreateOnly) else Numbers
    return kind(store, experiment)


class DrawnNumbers:
    """Claims run numbers for those who may not list: drawn at random from `keys.DRAWN` on."""

    def __init__(self, store: Store, experiment: str) -> None:
        """Claim below `experiment`."""
        self._store = store
        self._experiment = experiment

    def claim(self, run_id: str) -> int:
        """Return a number that from now on belongs to `run_id` alone.

        One that is taken, perhaps by an own try, stays a gap.
        """
        while True:
            number = keys.DRAWN + clock.below(keys.DRAWN)
            claim = NumberClaim(number=number, run_id=run_id, write_id=clock.random_hex(16))
            if put_new(self._store, keys.number(self._experiment, number), encode_number(claim)):
                return number


class Numbers:
    """Claims the run numbers of one experiment for one process; thread-safe.

    After the first claim the next number is tried at once, without a LIST.
    """

    def __init__(self, store: Store, experiment: str) -> None:
        """Claim below `experiment`, beginning with whatever number is next."""
        self._store = store
        self._experiment = experiment
        self.forked()
        renew_after_fork(self)

    def forked(self) -> None:
        """Begin anew in a forked child, with a LIST: the next number is the parent's."""
        self._lock = threading.Lock()
        self._next: int | None = None

    def claim(self, run_id: str) -> int:
        """Return a number that from now on belongs to `run_id` alone."""
        races = 0
        while True:
            number, is_listed = self._candidate(races)
            claim = NumberClaim(number=number, run_id=run_id, write_id=clock.random_hex(16))
            if put_once(self._store, keys.number(self._experiment, number), encode_number(claim)):
                return number
            with self._lock:
                self._next = None
            # A number remembered for long says nothing of others who claim right now.
            races += is_listed

    def _candidate(self, races: int) -> tuple[int, bool]:
        """Return the next number to try, and whether it was listed just now.

        After lost races it is a random few further on, but never past the last number of a bucket:
        `last_number` takes a free one there for the end.
        """
        with self._lock:
            is_listed = self._next is None
            if self._next is None:
                following = last_number(self._store, self._experiment) + 1
                jump = clock.below(2 ** min(races, 6))
                border = following - following % keys.BUCKET_SIZE + keys.BUCKET_SIZE - 1
                self._next = min(following + jump, border)
            number = self._next
            # A claim of the last of a bucket may still fail, so what follows it is listed.
            is_last = number % keys.BUCKET_SIZE == keys.BUCKET_SIZE - 1
            self._next = None if is_last else number + 1
            return number, is_listed
