"""What goes wrong between the processes of a soak and S3: faults now and then, and outages."""

from __future__ import annotations

import random
import threading
import time
from collections import Counter
from typing import TYPE_CHECKING, Final

from objrun.testing.proxy import Answer, Delay, DropAnswer, Reset, Trickle

if TYPE_CHECKING:
    from objrun.testing.proxy import Act, Request


def told(status: int, code: str) -> Answer:
    """An error as S3 puts it."""
    body = f"<Error><Code>{code}</Code><Message>{code}</Message></Error>"
    return Answer(status, body.encode())


CONFLICT: Final = told(409, "ConditionalRequestConflict")

FAULTS: Final[dict[str, Act]] = {
    "resets": Reset(),
    "lost answers": DropAnswer(),
    "errors (500)": told(500, "InternalError"),
    "slow down (503)": told(503, "SlowDown"),
    "late requests": Delay(1.0),
    "trickles": Trickle(40, 0.01),
}
OUTAGES: Final[dict[str, Act]] = {
    "resets": Reset(),
    "slow down (503)": told(503, "SlowDown"),
    "expired credentials": told(403, "ExpiredToken"),
    "nothing is answered": Delay(15.0),
}
SHARE: Final = 0.03
"""Of the requests so many go wrong in good weather."""


class Weather:
    """A plan for a proxy: what becomes of each request, and how often what did."""

    def __init__(self, seed: int, pause: tuple[float, float], length: tuple[float, float]) -> None:
        """Have outages of `length` seconds, `pause` seconds apart; each is a range."""
        self.faults: Counter[str] = Counter()
        self.outages = 0
        self._chance = random.Random(seed)
        self._pause, self._length = pause, length
        self._lock = threading.Lock()
        self._begin = time.monotonic() + self._chance.uniform(*pause)
        self._end = self._begin + self._chance.uniform(*length)
        self._what = self._chance.choice([*OUTAGES])

    def plan(self, request: Request) -> Act | None:
        """Say what becomes of a request."""
        with self._lock:
            now = time.monotonic()
            if now > self._end:
                self.outages += 1
                self._begin = now + self._chance.uniform(*self._pause)
                self._end = self._begin + self._chance.uniform(*self._length)
                self._what = self._chance.choice([*OUTAGES])
            if now > self._begin:
                self.faults[f"in outages: {self._what}"] += 1
                return OUTAGES[self._what]
            if self._chance.random() > SHARE:
                return None
            if request.method == "PUT" and self._chance.random() < 0.2:
                self.faults["conflicts (409)"] += 1
                return CONFLICT
            name = self._chance.choice([*FAULTS])
            self.faults[name] += 1
            return FAULTS[name]
