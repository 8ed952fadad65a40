"""Time, randomness and identity: the only module that imports time or asks for random bytes.

Everything else takes these as arguments or calls them here, so tests can replace them. Random
bytes come from the system: `random`, `secrets` and `uuid` would only make a worker start later.
"""

from __future__ import annotations

import os
import time
from datetime import UTC, datetime

__all__ = ["backoff", "below", "monotonic", "nanoseconds", "new_id", "now", "random_hex", "sleep"]

nanoseconds = time.time_ns
"""Nanoseconds since the epoch by this machine's clock: the time of a metric point."""

monotonic = time.monotonic
"""Seconds of a clock that never goes back: for deadlines."""

sleep = time.sleep
"""Wait so many seconds."""


def now() -> datetime:
    """Return the time of this machine's clock, aware, in UTC.

    >>> now().tzinfo
    datetime.timezone.utc
    """
    return datetime.now(UTC)


def random_hex(count: int) -> str:
    """Return `count` random bytes as lower-case hexadecimal digits.

    >>> len(random_hex(8))
    16
    """
    return os.urandom(count).hex()


def new_id() -> str:
    """Return a random UUID (version 4) as text: the default id of a run.

    >>> new_id()[14]
    '4'
    """
    digits = os.urandom(16).hex()
    variant = "89ab"[int(digits[16], 16) & 3]
    return f"{digits[:8]}-{digits[8:12]}-4{digits[13:16]}-{variant}{digits[17:20]}-{digits[20:]}"


def backoff(attempt: int, *, first: float = 0.05, most: float = 15.0) -> float:
    """Return a wait in seconds before try `attempt` (from 0): exponential, with full jitter.

    >>> 0 <= backoff(3) <= 0.4
    True
    """
    longest: float = min(most, first * 2.0 ** min(attempt, 64))
    return longest * below(2**32) / 2**32


def below(count: int) -> int:
    """Return a random integer of 0 or more and less than `count`.

    >>> below(1)
    0
    """
    return int.from_bytes(os.urandom(8), "big") * count >> 64
