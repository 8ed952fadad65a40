"""Keys of heartbeats, which stand among the markers of an experiment. SPEC section 9.8."""

from __future__ import annotations

import re
from typing import Final

from objrun.format.keys import feed
from objrun.format.names import is_run_id

_NAME: Final = re.compile(r"(.+)\.heartbeat(?:-[0-9a-f]{16})?")


def heartbeat(experiment: str, run: str, nonce: str = "") -> str:
    """Return the key of the object that is put again and again while a process has a run open.

    `nonce`: 16 hexadecimal digits, for those who cannot put an object again.

    >>> heartbeat("mnist", "r1")
    'experiments/mnist/feed/r1.heartbeat'
    >>> heartbeat("mnist", "r1", "00ff00ff00ff00ff")
    'experiments/mnist/feed/r1.heartbeat-00ff00ff00ff00ff'
    """
    return f"{feed(experiment)}{run}.heartbeat{nonce and '-'}{nonce}"


def parse_heartbeat(key: str) -> str | None:
    """Return the run whose heartbeat an object is, None where it is none.

    >>> parse_heartbeat("experiments/mnist/feed/r1.heartbeat")
    'r1'
    """
    found = _NAME.fullmatch(key.rpartition("/")[2])
    return found[1] if found and is_run_id(found[1]) else None
