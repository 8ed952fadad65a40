"""Asking for many things at once, and stopping early."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

from objrun.storage import in_flight

if TYPE_CHECKING:
    from collections.abc import Iterator


def test_who_is_dropped_may_be_collected_by_one_of_its_own_threads() -> None:
    left: list[Iterator[Any]] = []
    begun, closed = threading.Event(), threading.Event()

    def act(item: int) -> int:
        if item:
            begun.wait()
            left.pop().close()  # type: ignore[attr-defined]  # it is a generator
            closed.set()
        return item

    flight = in_flight(act, [0, 1], at_once=2)
    assert next(flight)() == 0
    left.append(flight)
    begun.set()
    assert closed.wait(60)
