"""Plans for `FaultyStore`: what goes wrong, when."""

from __future__ import annotations

import random
import threading
from typing import TYPE_CHECKING

from objrun.errors import PermissionDeniedError, UnavailableError
from objrun.storage.wrappers import Fault

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    Plan = Callable[[str, str], Exception | Fault | None]

LOST = Fault(UnavailableError("the answer was lost"), applied=True)
DOWN = Fault(UnavailableError("the request was lost"))
DENIED = Fault(PermissionDeniedError("not allowed"))


def script(verb: str, faults: Sequence[Fault | None], piece: str = "") -> Plan:
    """Give the requests of `verb` whose key holds `piece` these faults in turn, then none."""
    left = [*faults]

    def plan(asked: str, key: str) -> Fault | None:
        return left.pop(0) if asked == verb and piece in key and left else None

    return plan


def chaos(seed: int, share: float = 0.3) -> Plan:
    """Lose requests and answers at random, and now and then deny one."""
    dice = random.Random(seed)
    lock = threading.Lock()

    def plan(_verb: str, _key: str) -> Fault | None:
        with lock:
            roll = dice.random()
            kind = dice.choice([LOST, DOWN, LOST, DOWN, DENIED])
        return kind if roll < share else None

    return plan
