"""Retries almost without waiting: these tests lose answers by the hundred."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from objrun import clock

if TYPE_CHECKING:
    from collections.abc import Iterator

    from objrun.storage import Store


@pytest.fixture(autouse=True, scope="module")
def no_waiting() -> Iterator[None]:
    """Try again after a millisecond; the waits themselves are tested with the clock."""
    patch = pytest.MonkeyPatch()
    patch.setattr(clock, "backoff", lambda _attempt, **_: 0.001)
    yield
    patch.undo()


@pytest.fixture
def store() -> Store:
    """An empty store in memory."""
    from objrun.storage import connect

    return connect(f"memory://{clock.random_hex(8)}")
