"""What a script prints, on its way into the log of its run."""

from __future__ import annotations

import json
import os
import select
import threading
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from objrun.errors import ObjrunError
from objrun.logs import logger
from objrun.protocol.log_writer import LARGEST, LogWriter
from objrun.submission.masking import Masker

if TYPE_CHECKING:
    from collections.abc import Callable

FIRST_FLUSH: Final = 0.5
"""Seconds from what is printed first to its PUT; each later wait is longer by half."""

SLOWEST_FLUSH: Final = 10.0
"""Seconds between two PUTs at most, and in the end at least: 360 an hour, if so much is printed."""

MOST: Final = 64 << 20
"""Bytes that are kept in memory while the store takes none; what comes then is counted and lost."""

TAIL: Final = 16_384
"""Bytes at the end that tell why a script failed."""

_READ: Final = 1 << 20
_LOOK: Final = 0.1


class Secrets:
    """The pipe through which scripts tell which values to take out of what they print."""

    def __init__(self, folder: str) -> None:
        """Make the pipe, which nobody else can open, in a private folder."""
        self.path = os.path.join(folder, "secrets")  # noqa: PTH118 - goes into an environment
        os.mkfifo(self.path, 0o600)
        # Open for writing, too, so that it never ends.
        self._pipe = os.open(self.path, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
        self._rest = b""

    def drain(self, masker: Masker) -> None:
        """Have all values that were told by now taken out."""
        with suppress(BlockingIOError):
            while data := os.read(self._pipe, _READ):
                *lines, self._rest = (self._rest + data).split(b"\n")
                for line in lines:
                    with suppress(ValueError):
                        masker.add(str(json.loads(line)))

    def close(self) -> None:
        """Close the pipe."""
        os.close(self._pipe)


class Pump:
    """Reads a pipe at once, so that no script waits for a store, and stores what came at times.

    One thread reads, one stores: `send(writer)` flushes it. Values that a script has told of before
    it printed them are taken out.
    """

    def __init__(self, log: LogWriter, secrets: Secrets, send: Callable[[LogWriter], None]) -> None:
        """Make the pipe; `output` is the end for the script."""
        self._source, self.output = os.pipe()
        self._log = log
        self._secrets = secrets
        self._send = send
        self.masker = Masker()
        self._lock = threading.Lock()
        self._waiting = bytearray()
        self._lost = 0
        self._tail = b""
        self._ended = threading.Event()
        self._due = threading.Event()
        self._reading = threading.Thread(target=self._read, name="objrun-log-in", daemon=True)
        self._storing = threading.Thread(target=self._store, name="objrun-log-out", daemon=True)

    def start(self) -> None:
        """Begin, once the script has its end of the pipe."""
        os.close(self.output)
        os.set_blocking(self._source, False)
        self._reading.start()
        self._storing.start()

    def finish(self) -> str:
        """Store all that the script has printed, and return the end of it."""
        self._ended.set()
        self._reading.join()
        self._due.set()
        self._storing.join()
        self._flush()
        os.close(self._source)
        return self._tail.decode("utf-8", "replace")

    def _read(self) -> None:
        while True:
            # What is in the pipe when the script has ended is read at once, whoever still writes.
            is_last = self._ended.is_set()
            select.select([self._source], [], [], 0 if is_last else _LOOK)
            try:
                data = os.read(self._source, _READ)
            except BlockingIOError:
                data = None
            # Whether it prints or not: a script waits when the pipe of secrets is full.
            self._secrets.drain(self.masker)
            if data:
                self._take(self.masker.feed(data))
            if is_last or data == b"":
                self._take(self.masker.rest())
                break
        while not self._ended.wait(_LOOK):  # it has closed its output and works on
            self._secrets.drain(self.masker)

    def _take(self, data: bytes) -> None:
        self._tail = (self._tail + data)[-TAIL:]
        with self._lock:
            if len(self._waiting) + len(data) + self._log.waiting > MOST:
                self._lost += len(data)
                return
            self._waiting += data
            if len(self._waiting) >= LARGEST:
                self._due.set()

    def _store(self) -> None:
        pause = FIRST_FLUSH
        while not self._ended.is_set():
            self._due.wait(pause)
            self._due.clear()
            if self._flush():
                pause = min(SLOWEST_FLUSH, 1.5 * pause)

    def _flush(self) -> bool:
        """Store what waits; return whether there was anything. What fails waits on."""
        with self._lock:
            data, self._waiting = self._waiting, bytearray()
            if self._lost:
                data += b"\n[objrun: %d bytes were not kept: the store failed]\n" % self._lost
                self._lost = 0
        self._log.add(bytes(data))
        if not self._log.waiting:
            return False
        try:
            self._send(self._log)
        except ObjrunError as error:
            logger().warning("the log is not stored: %s", error.message)
        return True
