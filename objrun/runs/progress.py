"""A bar on the terminal for bytes that take long to come or go."""

from __future__ import annotations

import sys
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, BinaryIO, Final

from objrun import clock
from objrun.provenance.environment import is_off

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

SWITCH: Final = "OBJRUN_PROGRESS"
"""The environment variable that switches bars off: `off`."""

PATIENCE: Final = 3.0
"""Seconds that may pass before there is a bar."""

_terminal = threading.Lock()
"""Held by the bar that is shown: there is room for one."""


class Bar:
    """Counts bytes, and shows them on a terminal from PATIENCE seconds on; thread-safe.

    `total` is 0 where nobody knows it.

    >>> bar = Bar("sending", 3)
    >>> bar.advance(2)
    >>> bar.done
    2
    """

    def __init__(self, what: str, total: int = 0) -> None:
        """Show nothing yet."""
        self.done = 0
        self._what = what
        self._total = total
        self._begun = clock.monotonic()
        self._shown: Any = None
        self._lock = threading.Lock()

    def advance(self, size: int) -> None:
        """Count `size` more bytes."""
        with self._lock:
            self.done += size
            is_late = clock.monotonic() > self._begun + PATIENCE
            if self._shown is None and is_late and _terminal.acquire(blocking=False):
                self._show()
            if self._shown is not None:
                self._shown.update(self._task, completed=self.done)

    def count(self, parts: Iterable[bytes]) -> Iterator[bytes]:
        """Yield parts and count them when they are asked for the next."""
        for part in parts:
            yield part
            self.advance(len(part))

    def _show(self) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, DownloadColumn, Progress, TransferSpeedColumn

        shown = Progress(
            "{task.description}",
            BarColumn(),
            DownloadColumn(),
            TransferSpeedColumn(),
            console=Console(stderr=True),
            transient=True,
        )
        self._task = shown.add_task(self._what, total=self._total or None)
        shown.start()
        self._shown = shown

    def end(self) -> None:
        """Remove what is shown."""
        with self._lock:
            if self._shown is not None:
                self._shown.stop()
                _terminal.release()


class Counted:
    """A file that is read from front to back, perhaps again: what is read first is counted."""

    def __init__(self, file: BinaryIO, bar: Bar) -> None:
        """Count from the front of the file."""
        self._file = file
        self._bar = bar
        self._furthest = 0

    def seek(self, offset: int, whence: int = 0) -> int:
        """Go on reading elsewhere."""
        return self._file.seek(offset, whence)

    def read(self, size: int = -1) -> bytes:
        """Return the next bytes."""
        data = self._file.read(size)
        at = self._file.tell()
        if at > self._furthest:
            self._bar.advance(at - self._furthest)
            self._furthest = at
        return data


@contextmanager
def bar_of(what: str, total: int = 0) -> Iterator[Bar | None]:
    """Yield a bar where somebody sits at a terminal and has not switched it off, else None.

    >>> with bar_of("sending") as bar:
    ...     print(bar)
    None
    """
    if is_off(SWITCH) or sys.stderr is None or not sys.stderr.isatty():
        yield None
        return
    bar = Bar(what, total)
    try:
        yield bar
    finally:
        bar.end()
