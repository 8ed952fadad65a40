"""A metric as one line of blocks that hides no spike. Pure.

Up to `width` points each get a block. More are put into slices of equal length, and each slice
shows its smallest and its largest value, in the order they came: so the highest and the lowest
point of the whole series are always drawn, however many points there are.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Final

BLOCKS: Final = "▁▂▃▄▅▆▇█"
PLAIN: Final = "_.-~=+*#"
"""What terminals without Unicode show."""

NAN: Final = "!"
UP: Final = "↑"
DOWN: Final = "↓"
"""Marks of values that have no height: NaN, infinity, minus infinity."""

_ASCII: Final = {NAN: NAN, UP: "^", DOWN: "v"}


def sparkline(values: Sequence[float], width: int = 24, *, plain: bool = False) -> str:
    """Return at most `width` characters (2 at least); nothing for no values.

    >>> sparkline([0, 1, 2, 3, 4, 5, 6, 7])
    '▁▂▃▄▅▆▇█'
    >>> sparkline([1.0, float("nan"), float("inf")]), sparkline([0] * 999 + [1] + [0] * 999, 8)
    ('▄!↑', '▁▁▁▁█▁▁▁')
    """
    shown = list(values) if len(values) <= width else list(_envelope(values, max(width // 2, 1)))
    finite = [v for v in shown if math.isfinite(v)]
    low, high = (min(finite), max(finite)) if finite else (0.0, 0.0)
    line = "".join(_mark(value, low, high) for value in shown)
    if not plain:
        return line
    return "".join(_ASCII.get(c) or PLAIN[BLOCKS.index(c)] for c in line)


def _envelope(values: Sequence[float], slices: int) -> Iterator[float]:
    """Yield two values a slice: its extremes, in the order they came."""
    count = len(values)
    for index in range(slices):
        part = values[index * count // slices : (index + 1) * count // slices]
        known = [v for v in part if not math.isnan(v)]
        if not known:
            yield from (math.nan, math.nan)
            continue
        low, high = min(known), max(known)
        first, second = (low, high) if known.index(low) <= known.index(high) else (high, low)
        # Where all values are one, the second mark is free to say that some are NaN.
        yield first
        yield math.nan if low == high and len(known) < len(part) else second


def _mark(value: float, low: float, high: float) -> str:
    if math.isnan(value):
        return NAN
    if math.isinf(value):
        return UP if value > 0 else DOWN
    if low == high:
        return BLOCKS[3]
    span = high - low
    # The span of two huge numbers may be beyond the largest float; that of their halves is not.
    scale = 1.0 if math.isfinite(span) else 0.5
    share = (value * scale - low * scale) / (high * scale - low * scale)
    return BLOCKS[min(int(share * len(BLOCKS)), len(BLOCKS) - 1)]
