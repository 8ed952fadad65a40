"""The writer of a run's metrics in this process: buffers, a thread that flushes, an orderly end.

SPEC section 10. A point's identity is (writer, offset); an offset is given when a flush freezes
what was logged. The open segment is flushed cumulatively: `[a, b')` supersedes `[a, b)`. The next
object is sent only when the one before is durable, so there is never a gap below what is durable.
"""

from __future__ import annotations

import threading
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Final, Protocol

import pyarrow as pa

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
from objrun.format.segments import encode_segment
from objrun.logs import logger
from objrun.protocol import endings
from objrun.protocol.buffer import Buffer
from objrun.protocol.crew import FLUSHERS
from objrun.protocol.limits import (
    CLOSED_BYTES,
    CLOSED_ROWS,
    CLOSED_SECONDS,
    FIRST_FLUSH,
    FLUSH_PATIENCE,
    MANY_PIECES,
    MANY_ROWS,
    MAX_BYTES,
    MAX_ROWS,
    MAX_WAITING,
    MAX_WAITING_BYTES,
    SLOWEST_FLUSH,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from objrun.storage import Delete, Put

    class Target(Put, Delete, Protocol):
        """A store that a writer puts to and deletes from."""


_FASTEST_LOOK: Final = 0.01
_SLOWEST_LOOK: Final = 1.0
_LOOK_AT_A_METRIC: Final = 2e-6
_IDLE: Final = 120.0


class Writer:
    """Writes the metrics of one run from this process; made at the first point that is logged.

    Points go into `buffer`, then `started()` must have been called. Thread-safe. After a fork the
    child is another writer that has logged nothing.
    """

    def __init__(self, target: Callable[[], Target], experiment: str, run: str) -> None:
        """Write segments of `run` to the store that `target` opens: asked when they are sent."""
        self.buffer = Buffer()
        self._target = target
        self._place = (experiment, run)
        self._reset(first_flush=FIRST_FLUSH)
        endings.watch(self)

    def _reset(self, *, first_flush: float) -> None:
        self._writer = clock.random_hex(8)
        self._wake = threading.Event()
        self._turn = threading.Condition()
        self._draining = threading.Lock()
        self._stop: threading.Event | None = None
        self._open: list[pa.Table] = []
        self._taking = False
        self._start = self._durable = 0
        self._opened = clock.monotonic()
        self._wait = first_flush
        self._hurried = False
        self._asked = self._done = 0
        self._failure: ObjrunError | None = None
        self._failing = False
        self._lost = 0
        self._bulk = 0

    def started(self) -> None:
        """Make sure that the flushing thread runs, where the process can still have one.

        It cannot at the limit of threads, nor in Python 3.12 once the main thread has ended; then
        whoever calls `flush` does the work.
        """
        if self._stop is not None:
            return
        endings.unwind_on_sigterm()
        with self._turn:
            if self._stop is None:
                stop = threading.Event()
                with suppress(RuntimeError):
                    FLUSHERS.employ(partial(self._run, stop))
                    self._stop = stop

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
        return buffered + self._frozen() - self._durable or int(taking)

    def _frozen(self) -> int:
        """Return the offset behind the last frozen row."""
        rows: int = sum(table.num_rows for table in self._open)
        return self._start + rows

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
        once = threading.Event()
        once.set()
        if self._draining.acquire(timeout=patience):
            try:
                if self._drain(once):
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
        if self.waiting():
            # Another thread has logged meanwhile.
            self.started()

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
        self._hurried = False
        if self._failing:
            self._discard()
        self._take()
        while self._frozen() > self._durable:
            with endings.STEADY:
                whole = pa.concat_tables(self._open, promote_options="default")
                if whole.column(0).num_chunks > MANY_PIECES:
                    whole = whole.unify_dictionaries().combine_chunks()
                self._open = [whole]
                rows = whole.slice(0, self._length(whole))
                data = encode_segment(rows.unify_dictionaries())
            if not self._send(self._start + rows.num_rows, data, stop):
                return False
            cut = rows.num_rows < whole.num_rows
            if cut or self._is_full(rows.num_rows, len(data)):
                self._close_segment(rows.num_rows)
        self._bulk = 0
        return True

    def _length(self, whole: pa.Table) -> int:
        """Return how many frozen rows the open segment takes: more than it has so far."""
        fitting: int = whole.num_rows * MAX_BYTES // max(1, whole.nbytes)
        return min(MAX_ROWS, max(fitting, self._durable - self._start + 1))

    def _close_segment(self, rows: int) -> None:
        """Begin the next segment behind the first `rows` of what is frozen, which are durable."""
        rest = pa.concat_tables(self._open, promote_options="default").slice(rows)
        # In this order: `waiting`, asked meanwhile, may count too many, never too few.
        self._start += rows
        self._open = [rest] if rest.num_rows else []
        self._opened = clock.monotonic()

    def _take(self) -> None:
        """Freeze what was logged; until it is frozen it still counts as waiting."""
        self._taking = True
        try:
            with endings.STEADY:
                frozen = self.buffer.freeze()
            if frozen is not None:
                if not self._open:
                    self._opened = clock.monotonic()
                self._open.append(frozen)
        finally:
            self._taking = False

    def _is_full(self, rows: int, size: int) -> bool:
        age = clock.monotonic() - self._opened
        return rows >= CLOSED_ROWS or size >= CLOSED_BYTES or age >= CLOSED_SECONDS

    def _send(self, end: int, data: bytes, stop: threading.Event) -> bool:
        """Put rows `[start, end)`, trying until it works; False if stopped before that."""
        attempt = 0
        key = self._key(end)
        while True:
            try:
                self._target().put(key, data)
            except (StoreError, FormatError) as error:
                self._failed(error)
                if attempt == 1:
                    why = error.message
                    logger().warning("run %s: metrics wait in memory: %s", self._place[1], why)
            else:
                break
            if not self._may_retry(clock.backoff(attempt), stop):
                return False
            attempt += 1
        if attempt > 1:
            logger().warning("run %s: the store is back", self._place[1])
        self._failing = False
        superseded, self._durable = self._durable, end
        if superseded > self._start:
            self._forget(self._key(superseded))
        return True

    def _key(self, end: int) -> str:
        experiment, run = self._place
        return keys.segment(experiment, run, self._writer, self._start, end)

    def _failed(self, error: ObjrunError) -> None:
        """Tell whoever waits, and bound what is kept in memory."""
        self._failing = True
        self._tell(error)
        self._discard()

    def _discard(self) -> None:
        self._lost += self.buffer.discard(max(0, MAX_WAITING - self._frozen() + self._durable))

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

    def _forget(self, key: str) -> None:
        """Delete a superseded segment; readers ignore it anyway, so an error is only noted."""
        try:
            self._target().delete([key])
        except StoreError as error:
            logger().debug("%s stays: %s", key, error.message)

    def _tell(self, error: ObjrunError) -> None:
        """Give an error to those who wait in `flush`."""
        with self._turn:
            self._failure = error
            self._turn.notify_all()
