"""Looks now and then whether somebody has canceled a run."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from objrun import clock
from objrun.errors import ObjrunError
from objrun.format.states import TERMINAL
from objrun.logs import logger

if TYPE_CHECKING:
    from collections.abc import Callable

FIRST_LOOK: Final = 0.5
"""Seconds until the first look whether the run is to be canceled; each later wait is longer."""

SLOWEST_LOOK: Final = 5.0
"""Seconds between two such looks at most: one GET each, 720 an hour."""


class Looks:
    """Asks now and then whether a run is to go on."""

    def __init__(self, status: Callable[[], str]) -> None:
        """Look at `status()`, for the first time after FIRST_LOOK seconds."""
        self._status = status
        self._pause = FIRST_LOOK
        self._next = clock.monotonic() + FIRST_LOOK
        self._is_wanted = True

    def is_wanted(self) -> bool:
        """Return whether the run is to go on, as far as is known."""
        if self._is_wanted and clock.monotonic() >= self._next:
            try:
                self._is_wanted = self._status() not in (*TERMINAL, "CancelRequested")
            except ObjrunError as error:
                logger().info("a run is not read: %s", error.message)
            self._pause = min(SLOWEST_LOOK, 1.2 * self._pause)
            self._next = clock.monotonic() + self._pause
        return self._is_wanted
