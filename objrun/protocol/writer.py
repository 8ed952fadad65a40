"""The writer of a run's metrics in this process: buffers, a thread that flushes, an orderly end.

SPEC section 10. A point's identity is (writer, offset); an offset is given when a flush freezes
what was logged. The open segment is flushed cumulatively: `[a, b')` supersedes `[a, b)`. The next
object is sent only when the one before is durable, so there is never a gap below what is durable.
"""

from __future__ import annotations

import threading
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Final

from objrun import clock
from objrun.errors import (
    FlushTimeoutError,
    FormatError,
    ObjrunError,
    PointsLostError,
    StoreError,
    UnavailableError,
)
from objrun.format import keys
from objrun.logs import logger
from objrun.protocol import endings
from objrun.protocol.buffer import Buffer
from objrun.protocol.crew import FLUSHERS
from objrun.protocol.limits import (
    CLOSED_ROWS,
    FIRST_FLUSH,
    FLUSH_PATIENCE,
    MANY_ROWS,
    MAX_WAITING,
    MAX_WAITING_BYTES,
    SLOWEST_FLUSH,
)
from objrun.protocol.packs import Packs
from objrun.protocol.post import Post
from objrun.protocol.tail import Tail

if TYPE_CHECKING:
    from collections.abc import Callable

    from objrun.protocol.post import Refuge, Target
    from objrun.protocol.tail import Piece


def _at_once() -> threading.Event:
    """Return what ends a flush that has failed once."""
    once = threading.Event()
    once.set()
    return once


_FASTEST_LOOK: Final = 0.01
_RESCUE_LOOKS: Final = 300
_SLOWEST_LOOK: Final = 1.0
_LOOK_AT_A_METRIC: Final = 2e-6
_IDLE: Final = 120.0


class Writer:
    """Writes the metrics of one run from this process; made at the first point that is logged.

    Points go into `buffer`, then `started()` must have been called. Thread-safe. After a fork the
    child is another writer that has logged nothing.
    """

    def __init__(
        self, target: Callable[[], Target], experiment: str, run: str, refuge: Refuge | None = None
    ) -> None:
        """Write segments of `run` to the store that `target` opens: asked when they are sent.

        `refuge(error)` returns the store to go on with where that fails for long or for good, None
        if there is none.
        """
        self.buffer = Buffer()
        self._post = Post(target, refuge)
        self._place = (experiment, run)
        self._reset(first_flush=FIRST_FLUSH)
        endings.watch(self)

    def _reset(self, *, first_flush: float) -> None:
        self._writer = clock.random_hex(8)
        self._wake = threading.Event()
        self._turn = threading.Condition()
        self._draining = threading.Lock()
        self._stop: threading.Event | None = None
        self._taking = False
        self._tail = Tail()
        self.packs = Packs(self._writer)
        self._wait = first_flush
        self._hurried = False
        self._asked = self._done = 0
        self._failure: ObjrunError | None = None
        self._failing = False
        self._lost = 0
        self._bulk = 0
        self._rescues = 0
        self._post.asking = False

    def started(self) -> bool:
        """Make sure that the flushing thread runs, where the process can still have one.

        Returns whether it had to be started. It cannot at the limit of threads, nor in Python 3.12
        once the main thread has ended; then whoever calls `flush` does the work.
        """
        if self._stop is not None:
            return False
        endings.unwind_on_sigterm()
        with self._turn:
            if self._latest_stop() is not None:
                return False
            stop = threading.Event()
            with suppress(RuntimeError):
                FLUSHERS.employ(partial(self._run, stop))
                self._stop = stop
        return True

    def admits(self, rows: int, size: int) -> bool:
        """Return whether `rows` points of `size` bytes may be buffered; if not, they are lost.

        They are refused only while the store fails and MAX_WAITING_BYTES wait already.
        """
        if self._failing and self._bulk + size > MAX_WAITING_BYTES:
            self._lost += rows
            return False
        self._bulk += size
        return True

    def hurry(self) -> None:
        """Ask for a flush now, without waiting for it."""
        self._hurried = True
        self._wake.set()

    def waiting(self) -> int:
        """Return how many points are not durable yet; a batch not yet frozen counts as one."""
        # In this order: what has left the buffer is being taken, or is frozen already.
        buffered, taking = self.buffer.points(), self._taking
        return buffered + self._tail.end() - self._tail.durable or int(taking)

    def flush(self, timeout: float = FLUSH_PATIENCE) -> None:
        """Return when everything logged before this call is durable.

        Raises FlushTimeoutError after `timeout` seconds, at once an error of the store that
        waiting does not mend, and PointsLostError (once) if points had to be dropped.
        """
        if self.waiting():
            self._await(timeout)
        if self._lost:
            lost, self._lost = self._lost, 0
            message = (
                f"the store failed for too long: {lost} points of {self._place[1]} were dropped"
            )
            raise PointsLostError(message)

    def _await(self, timeout: float) -> None:
        deadline = clock.monotonic() + timeout
        with self._turn:
            self._asked += 1
            ticket = self._asked
            self._failure = None
            self._wake.set()
        while self._done < ticket:
            failure = self._latest_failure()
            if failure is not None and not isinstance(failure, UnavailableError):
                raise failure
            left = deadline - clock.monotonic()
            if left <= 0:
                why = f": {failure.message}" if failure else ""
                message = f"{self.waiting()} points are not durable after {timeout:g} s{why}"
                raise FlushTimeoutError(message)
            # A thread that was just told to stop may not have seen this request.
            self.started()
            if self._latest_stop() is None:
                self._flush_here(ticket, left)
            with self._turn:
                if self._done < ticket:
                    self._turn.wait(min(left, _SLOWEST_LOOK))

    def _flush_here(self, ticket: int, patience: float) -> None:
        """Send what waits from the calling thread, for want of another: one try."""
        if self._draining.acquire(timeout=patience):
            try:
                if self._drain(_at_once()):
                    self._done = max(self._done, ticket)
            finally:
                self._draining.release()

    # Other threads set these meanwhile, which a type checker cannot see.
    def _latest_failure(self) -> ObjrunError | None:
        return self._failure

    def _latest_stop(self) -> threading.Event | None:
        return self._stop

    def close(self, timeout: float = FLUSH_PATIENCE) -> None:
        """Flush and end the thread; a later point starts another under the same writer id."""
        self.flush(timeout)
        self.stop()
        self.packs.rest()
        if self.waiting():
            # Another thread has logged meanwhile.
            self.started()

    def rescue(self) -> None:
        """Put what waits into the refuge from this thread, also while another hangs in a request.

        For the end of the process. Raises the last error of the store where there is no refuge.
        """
        self.stop()
        is_mine = False
        looks = 0
        while not is_mine and not self._post.asking and looks < _RESCUE_LOOKS:
            is_mine = self._draining.acquire(timeout=_FASTEST_LOOK)
            looks += 1
        with self._turn:
            # Whoever hangs finds that what he has sent is no longer his to count.
            self._rescues += 1
            failure = self._failure or FlushTimeoutError("the store does not answer")
        try:
            free = is_mine or self._post.asking
            if not (free and self._post.flee(failure) and self._drain(_at_once())):
                raise failure
        finally:
            if is_mine:
                self._draining.release()

    def stop(self) -> None:
        """End the thread as soon as it is idle or waits to try again."""
        with self._turn:
            stop, self._stop = self._stop, None
            if stop is not None:
                stop.set()
        # After that: whoever logs under a name that is retired now starts the next thread.
        self.buffer.retire()
        self._wake.set()

    def forked(self) -> None:
        """Begin anew in a forked child: other locks, another writer id, nothing buffered.

        Its first flush comes at once, because a client of a store that is still cold when the
        process ends cannot send anything any more.
        """
        self.buffer.clear()
        self._reset(first_flush=0.0)

    def _run(self, stop: threading.Event) -> None:
        """Flush when it is due, when asked and when there is much, until `stop` is set."""
        due = clock.monotonic() + self._wait
        busy = clock.monotonic()
        look = _FASTEST_LOOK
        while not stop.is_set():
            if self._asked <= self._done:
                self._wake.wait(max(0.0, min(look, due - clock.monotonic())))
            self._wake.clear()
            asked = self._asked
            points = self.buffer.points()
            # Logging does not count points, so whoever flushes looks often while many come.
            fastest = _FASTEST_LOOK + _LOOK_AT_A_METRIC * self.buffer.metrics()
            look = fastest if points > CLOSED_ROWS // 64 else min(2 * look, _SLOWEST_LOOK)
            full = self._hurried or points >= MANY_ROWS
            now = clock.monotonic()
            if (full or now >= due or asked > self._done) and self._try_to_drain(stop):
                with self._turn:
                    self._done = max(self._done, asked)
                    self._turn.notify_all()
            if now >= due:
                self._wait = min(SLOWEST_FLUSH, max(FIRST_FLUSH, 2 * self._wait))
                due = clock.monotonic() + self._wait
            busy = now if points or self._failing else busy
            if now - busy > _IDLE and self._rest(stop):
                return

    def _rest(self, stop: threading.Event) -> bool:
        """End the thread if nothing waits; the next point of each metric starts another."""
        with self._turn:
            if self._stop is not stop:
                return True
            # In this order: who logs from now on starts another thread, or is seen here.
            self._stop = None
            self.buffer.retire()
            if self.waiting() or self._asked > self._done:
                self._stop = stop
                return False
            return True

    def _try_to_drain(self, stop: threading.Event) -> bool:
        """Drain, and go on after whatever goes wrong: without this thread points would pile up."""
        try:
            with self._draining:
                return self._drain(stop)
        except Exception as error:  # noqa: BLE001 - the top of a thread is an edge
            self._failed(StoreError(f"a flush has failed: {error!r}"))
            # A handler of the program may be what fails.
            with suppress(Exception):
                logger().exception("run %s: a flush has failed", self._place[1])
            stop.wait(_SLOWEST_LOOK)
            return False

    def _drain(self, stop: threading.Event) -> bool:
        """Make durable what was logged before this call; False if stopped on the way.

        The caller holds `_draining`.
        """
        # What is rescued from now on is no longer this call's to count.
        put = partial(self._put, stop=stop, rescues=self._rescues)
        self._hurried = False
        if self._failing:
            self._discard()
        self._take()
        while self._tail.end() > self._tail.durable:
            with endings.STEADY:
                piece = self._tail.piece()
            if not (self.packs.send(self._place[1], put) and self._send(piece, put)):
                return False
            self._tail.close_if_full(piece)
        self._bulk = 0
        return True

    def _take(self) -> None:
        """Freeze what was logged; until it is frozen it still counts as waiting."""
        self._taking = True
        try:
            with endings.STEADY:
                frozen = self.buffer.freeze()
            if frozen is not None:
                self._tail.add(frozen)
            # After that: blobs are added before the points that refer to them.
            self.packs.seal()
        finally:
            self._taking = False

    def _send(self, piece: Piece, put: Callable[[str, bytes], bool]) -> bool:
        """Have a segment put, and forget what it supersedes; False if `put` says so."""
        if not put(self._key(piece.stop), piece.data):
            return False
        before, self._tail.durable = self._tail.durable, piece.stop
        self._failing = False
        own = [self._key(before)] if before > piece.start else []
        self._post.forget([*own, *self.packs.superseded()])
        return True

    def _put(self, key: str, data: bytes, *, stop: threading.Event, rescues: int) -> bool:
        """Put an object, trying until it works.

        False if stopped before that; or rescued: somebody else has sent what this thread hung with,
        and goes on.
        """
        attempt = 0
        while True:
            try:
                self._post.put(key, data)
            except (StoreError, FormatError) as error:
                if self._post.changes_after(error):
                    attempt = 0
                    continue
                self._failed(error)
                if attempt == 1:
                    why = error.message
                    logger().warning("run %s: metrics wait in memory: %s", self._place[1], why)
            else:
                if attempt > 1:
                    logger().warning("run %s: the store is back", self._place[1])
                return rescues == self._rescues
            if not self._may_retry(clock.backoff(attempt), stop):
                return False
            attempt += 1

    def _key(self, end: int) -> str:
        experiment, run = self._place
        return keys.segment(experiment, run, self._writer, self._tail.start, end)

    def _failed(self, error: ObjrunError) -> None:
        """Tell whoever waits."""
        self._failing = True
        with self._turn:
            self._failure = error
            self._turn.notify_all()

    def _discard(self) -> None:
        frozen = self._tail.end() - self._tail.durable
        self._lost += self.buffer.discard(max(0, MAX_WAITING - frozen))

    def _may_retry(self, pause: float, stop: threading.Event) -> bool:
        """Wait before the next try, less if a flush is asked for; False if stopped meanwhile."""
        asked = self._asked
        until = clock.monotonic() + pause
        while not stop.is_set() and self._asked == asked and clock.monotonic() < until:
            self._discard()
            # What waits is smaller frozen than as Python objects.
            self._take()
            self._wake.wait(max(0.0, min(until - clock.monotonic(), _SLOWEST_LOOK)))
            self._wake.clear()
        return not stop.is_set()
