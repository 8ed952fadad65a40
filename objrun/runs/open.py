"""Runs that this process has begun and not ended, and what becomes of them when it ends.

Where an exception that nobody caught ends it, or SIGTERM, they fail with that. Where it ends in an
orderly way nobody has said how they ended, and a guess would stay for ever: they are only named.
"""

from __future__ import annotations

import sys
import threading
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from objrun.format.states import TERMINAL
from objrun.logs import logger
from objrun.protocol import endings

if TYPE_CHECKING:
    from objrun.runs.life import RunLife

_NAMED: Final = 3


class OpenRuns:
    """The runs of this process; thread-safe. A forked child has none: its end is not theirs."""

    def __init__(self) -> None:
        """Begin without any."""
        self.forked()
        endings.renew_after_fork(self)
        endings.before_end(self.end)

    def forked(self) -> None:
        """Leave all of them to the parent."""
        self._runs: dict[int, RunLife] = {}

    def add(self, run: RunLife) -> None:
        """See to the end of a run that was begun here."""
        self._runs[id(run)] = run
        endings.prepare()

    def discard(self, run: RunLife) -> None:
        """Forget a run, which has ended."""
        self._runs.pop(id(run), None)

    def end(self, patience: float, *, is_last: bool) -> None:
        """Fail what is still open where that is why the process ends, in `patience` seconds."""
        # Copying a dict is one step. Another process may have ended some.
        known = self._runs.copy().values()
        runs = [run for run in known if run.state.status not in TERMINAL]
        cause = endings.cause()
        if runs and cause is not None:
            self.forked()
            _within(patience, runs, cause)
        elif runs and is_last and not hasattr(sys, "ps1"):
            ids = [*dict.fromkeys(run.state.run_id for run in runs)]
            more = f" and {len(ids) - _NAMED} more" * (len(ids) > _NAMED)
            named = ", ".join(ids[:_NAMED]) + more
            told = f"runs {named} were" if ids[1:] else f"run {named} was"
            advice = "call complete(), or use a with block"
            logger().warning("%s not ended, so the status stays: %s", told, advice)


def _within(patience: float, runs: list[RunLife], cause: BaseException) -> None:
    """Fail runs, and wait for that at most `patience` seconds: a store may hang."""
    done = threading.Event()

    def work() -> None:
        for run in runs:
            run.fail_at_exit(cause)
        done.set()

    thread = threading.Thread(target=work, name="objrun-end", daemon=True)
    with suppress(RuntimeError):
        thread.start()
        done.wait(max(0.0, patience))
        return
    # Python 3.12 starts no thread any more.
    work()


OPEN: Final = OpenRuns()
"""Those of this process."""
