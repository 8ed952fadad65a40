"""Compact an experiment by itself when a run ends, as `git gc --auto` does.

One run in ONE_IN looks how much is live, by one LIST. What is done then never counts for anything:
it may fail, end in the middle, or be done by several at once.
"""

from __future__ import annotations

import os
import threading
from datetime import timedelta
from typing import TYPE_CHECKING, Final

from objrun import clock
from objrun.errors import ObjrunError, PermissionDeniedError, UserErrorException
from objrun.format import keys
from objrun.logs import logger
from objrun.protocol.post import keeps_all, note_refusal
from objrun.protocol.settle import insist

if TYPE_CHECKING:
    from objrun.storage import Store

VARIABLE: Final = "OBJRUN_AUTO_COMPACT"
"""The environment variable with the seconds that the end of a run may wait; 0 or off: never."""

PATIENCE: Final = 10.0
"""Seconds that the end of a run waits for a compaction, unless told otherwise."""

ONE_IN: Final = 50
"""Of so many runs one looks."""

MUCH: Final = 1000
"""Markers, or segments, that make a compaction worth it."""

AT_IT: Final = timedelta(minutes=2)
"""How long somebody who has just written a table is taken to be compacting."""

_JITTER: Final = 0.5


def patience_of(option: object) -> float:
    """Return the seconds that the end of a run may wait, from the option or the environment.

    Raises UserErrorException for what is neither a number nor on or off.

    >>> patience_of(option=False), patience_of(2.5), patience_of("off")
    (0.0, 2.5, 0.0)
    """
    given = os.environ.get(VARIABLE) if option is None else option
    told = str(PATIENCE if given is None else given).strip().lower()
    if told in ("off", "false", "no"):
        return 0.0
    if told in ("", "on", "true", "yes"):
        return PATIENCE
    try:
        seconds = float(told)
    except ValueError:
        seconds = -1.0
    if not 0 <= seconds < threading.TIMEOUT_MAX:
        message = f"auto_compact ({VARIABLE}) is on, off or seconds, not {given!r}"
        raise UserErrorException(message)
    return seconds


def tidy(store: Store, experiment: str, number: int, patience: float) -> None:
    """Compact and vacuum an experiment if it is time, waiting for it `patience` seconds at most.

    `number` is that of the run that has ended: each ONE_IN-th looks. What does not work out is only
    logged, and not tried again where the credentials do not allow it.
    """
    if not patience or number % ONE_IN or keeps_all(store):
        return
    done = threading.Event()

    def work() -> None:
        try:
            _tidy(store, experiment)
        except (ObjrunError, RuntimeError, OSError) as error:
            if isinstance(error, PermissionDeniedError):
                note_refusal(store)
            # Of a thread whose process ends, too.
            logger().debug("experiment %s was not compacted: %s", experiment, error)
        finally:
            done.set()

    threading.Thread(target=work, name="objrun-tidy", daemon=True).start()
    done.wait(patience)


def _tidy(store: Store, experiment: str) -> None:
    if not _is_much(store, experiment):
        return
    # Many runs of a sweep end together: let one of them begin.
    clock.sleep(_JITTER * clock.below(1000) / 1000)
    if _somebody_is_at_it(store, experiment):
        return
    from objrun.tables.compaction import compact
    from objrun.tables.vacuum import vacuum

    compact(store, experiment)
    vacuum(store, experiment)


def _is_much(store: Store, experiment: str) -> bool:
    if len(insist(lambda: store.list(keys.feed(experiment)))) >= MUCH:
        return True
    return len(insist(lambda: store.list(keys.shards(experiment)))) >= MUCH


def _somebody_is_at_it(store: Store, experiment: str) -> bool:
    tables = insist(lambda: store.list(keys.tables(experiment)))
    if not tables:
        return False
    return insist(store.now) - max(info.modified for info in tables) < AT_IT
