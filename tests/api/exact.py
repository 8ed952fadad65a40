"""What it means that a value came back: its type and its bits."""

from __future__ import annotations

import struct
from typing import Any


def bits(value: Any) -> Any:
    """Return something equal for two values only if they have the same type and the same bits."""
    if isinstance(value, float):
        # Which NaN it is is no promise; that it is one is.
        return ("float", "nan" if value != value else struct.pack("<d", value))  # noqa: PLR0124
    if isinstance(value, list):
        return [bits(item) for item in value]
    if isinstance(value, dict):
        return {name: bits(item) for name, item in value.items()}
    return (type(value).__name__, value)


def one_or_many(values: list[Any]) -> Any:
    """Return what `get_metrics` gives of a scalar metric: the value, or a list of several."""
    return values[0] if len(values) == 1 else values
