"""An upload that breaks off, and is begun again by another process."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from objrun.errors import UnavailableError
from objrun.testing.conformance import PART

if TYPE_CHECKING:
    from collections.abc import Callable

    from objrun.testing.conformance import Place


def goes_on(place: Place, counted: Callable[[Any, Callable[[], None]], None]) -> None:
    """Break an upload off at its last part, and see what the next one sends.

    `counted(bucket, tell)` has the bucket call `tell` before it sends a part.
    """
    parts = [bytes([number]) * PART for number in range(4)]

    def refuse() -> None:
        sent.append(1)
        if len(sent) >= len(parts):
            raise ConnectionError("the line is dead")

    sent: list[int] = []
    store: Any = place.connect()
    counted(store._bucket(), refuse)  # noqa: SLF001 - where requests are counted
    with pytest.raises(UnavailableError):
        store.upload("k", iter(parts))
    assert store.list("") == []

    again: list[int] = []
    other: Any = place.connect()
    counted(other._bucket(), lambda: again.append(1))  # noqa: SLF001
    # What stands at the place of a part must be that part.
    parts[1] = b"other" * (PART // 5)
    other.upload("k", iter(parts))
    assert other.get("k") == b"".join(parts)
    # One, where the part that was refused is the one that changed.
    assert 1 <= len(again) < len(parts)
