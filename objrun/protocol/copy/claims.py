"""Run numbers on the move: a run keeps its number, and claims it in the target where it is free."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, NamedTuple

from objrun.format import keys
from objrun.format.documents import decode_number
from objrun.protocol.copy.pair import find
from objrun.protocol.settle import insist

if TYPE_CHECKING:
    from objrun.protocol.copy.pair import Pair


class Claim(NamedTuple):
    """A claim of the source that the target lacks: its bytes go there as they are."""

    key: str
    data: bytes


class Claims:
    """What the target lacks of an experiment's claims; thread-safe.

    A bucket of numbers in the target is listed once, when it is first needed.
    """

    def __init__(self, pair: Pair, experiment: str) -> None:
        """Read nothing yet."""
        self._pair = pair
        self._experiment = experiment
        self._buckets: dict[int, set[str]] = {}
        self._lock = threading.Lock()

    def lacking(self, run: str, number: int) -> tuple[list[Claim], bool]:
        """Return what is to be claimed for `run`, and whether its number is another run's there.

        The last number of each earlier bucket goes first, or whoever looks for the next number
        would miss this one (SPEC 9.1).
        """
        key = keys.number(self._experiment, number)
        claim = find(self._pair.source, key)
        if claim is None or decode_number(key, claim).run_id != run:
            # Taken already where it was copied from, which the result of that copy said.
            return [], False
        if self._has(key, number):
            return [], find(self._pair.target, key) not in (claim, None)
        return [*self._borders(number), Claim(key, claim)], False

    def _borders(self, number: int) -> list[Claim]:
        lacking: list[Claim] = []
        if number >= keys.DRAWN:
            return lacking
        for bucket in range(1, number // keys.BUCKET_SIZE + 1):
            last = bucket * keys.BUCKET_SIZE - 1
            key = keys.number(self._experiment, last)
            if not self._has(key, last) and (data := find(self._pair.source, key)) is not None:
                lacking.append(Claim(key, data))
        return lacking

    def _has(self, key: str, number: int) -> bool:
        bucket = number // keys.BUCKET_SIZE
        with self._lock:
            if bucket not in self._buckets:
                prefix = keys.number_bucket(self._experiment, bucket)
                listed = insist(lambda: self._pair.target.list(prefix))
                self._buckets[bucket] = {info.key for info in listed}
            return key in self._buckets[bucket]
