"""Heartbeats: while a process has a run open it says so every few minutes. SPEC section 9.8.

The heart is one daemon thread of the process, whatever the number of its runs. It never raises and
nobody waits for it: a heartbeat that fails is left out.
"""

from __future__ import annotations

import threading
import weakref
from contextlib import suppress
from datetime import timedelta
from typing import TYPE_CHECKING, Final

from objrun import clock
from objrun.format.heartbeat_keys import heartbeat as heartbeat_key
from objrun.logs import logger
from objrun.protocol.endings import renew_after_fork
from objrun.storage.creating import CreateOnly

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from objrun.format.states import RunState
    from objrun.storage import Put

INTERVAL: Final = 300.0
"""Seconds from one heartbeat of a run to the next, at most."""

GRACE: Final = timedelta(minutes=15)
"""How long a run may give no sign of life before readers say that it does not respond."""

EXPECTED: Final = ("Starting", "Running", "CancelRequested", "Finalizing", "Pausing")
"""Statuses in which a process has the run open, so that it gives signs of life."""

ATTENDED: Final = "objrun.attended"
"""The property of a run for which a process gives signs of life while it is Queued, too."""

LOST: Final = "NotResponding"
"""The status that readers show where one of EXPECTED is stored and the signs of life have ended."""


def is_expected(state: RunState) -> bool:
    """Return whether a run is to give signs of life."""
    return state.status in EXPECTED or (state.status == "Queued" and ATTENDED in state.properties)


def is_late(seen: datetime, now: datetime) -> bool:
    """Return whether a run that is to give signs of life is lost, `seen` being its last one.

    So is one that was last seen in the future: that says a wrong clock, and nothing else does.

    >>> from datetime import datetime
    >>> noon = datetime(2026, 1, 31, 12)
    >>> is_late(noon, noon + GRACE), is_late(noon, noon + 2 * GRACE)
    (False, True)
    """
    return abs(now - seen) > GRACE


class Heartbeat:
    """That of one run in this process. `begin` and `end` cost no request, and may come twice."""

    def __init__(self, target: Callable[[], Put | None], experiment: str, run: str) -> None:
        """Put it to the store that `target` returns; None: not now."""
        self._target = target
        self._run = (experiment, run)

    def begin(self) -> None:
        """Have it put every INTERVAL seconds, for the first time after one of them at most."""
        HEART.take(self)

    def end(self) -> None:
        """Have it put no more."""
        HEART.leave(self)

    @property
    def is_beating(self) -> bool:
        """Whether this process says that the run is alive."""
        return HEART.has(self)

    def store(self) -> Put | None:
        """Return where it is put now."""
        return self._target()

    def put(self, store: Put) -> None:
        """Put it once: one request, not tried again."""
        # Who may only create cannot put it again.
        nonce = clock.random_hex(8) if isinstance(store, CreateOnly) else ""
        store.put(heartbeat_key(*self._run, nonce), b"")


class Heart:
    """Puts the heartbeats of this process; thread-safe. A forked child begins without any."""

    def __init__(self) -> None:
        """Start no thread before there is a run."""
        self.forked()
        renew_after_fork(self)

    def forked(self) -> None:
        """Leave all runs to the parent, and its thread, which is not here."""
        # A signal handler may log, and so come here, while its own thread holds it.
        self._lock = threading.RLock()
        self._beats: weakref.WeakSet[Heartbeat] = weakref.WeakSet()
        self._is_running = False

    def take(self, beat: Heartbeat) -> None:
        """Put it from now on."""
        with self._lock:
            self._beats.add(beat)
            if not self._is_running:
                # At the limit of threads, or at the end of the process, there is none.
                with suppress(RuntimeError):
                    threading.Thread(target=self._run, name="objrun-heart", daemon=True).start()
                    self._is_running = True

    def leave(self, beat: Heartbeat) -> None:
        """Put it no more."""
        with self._lock:
            self._beats.discard(beat)

    def has(self, beat: Heartbeat) -> bool:
        """Return whether it is being put."""
        with self._lock:
            return beat in self._beats

    def _run(self) -> None:
        pause = threading.Event()
        while True:
            # Of many processes that start together each has its own moment.
            pause.wait(INTERVAL * (0.8 + 0.2 * clock.below(1000) / 1000))
            if not self._beat_once():
                return

    def _beat_once(self) -> bool:
        """Put all heartbeats, one by one; False, and the thread ends, where there are none."""
        with self._lock:
            beats = [*self._beats]
            self._is_running = bool(beats)
        failed: set[int] = set()
        for beat in beats:
            try:
                store = beat.store()
                if store is not None and id(store) not in failed:
                    failed.add(id(store))
                    beat.put(store)
                    failed.discard(id(store))
            except Exception as error:  # noqa: BLE001 - the top of a thread is an edge
                # The next one may come through; of a store that hangs one a round is enough.
                logger().debug("a heartbeat is left out: %r", error)
        return bool(beats)


HEART: Final = Heart()
"""The one of this process."""
