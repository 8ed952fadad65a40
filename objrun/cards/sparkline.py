"""A metric as a small SVG line that hides no spike; NaN and infinities are marks. Pure."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Sequence

WIDTH: Final = 132
HEIGHT: Final = 30

_PAD: Final = 3


def thinned(values: Sequence[float], slices: int) -> list[int]:
    """Return which points of a series to draw: the extremes of each slice, in order.

    Of slices with values that are not finite the first of these stays, too.

    >>> thinned([0.0, 0.0, 9.0, 0.0, 0.0, 0.0, 1.0, 2.0], 2)
    [0, 2, 4, 7]
    """
    count = len(values)
    if count <= 2 * slices:
        return [*range(count)]
    kept: set[int] = set()
    for index in range(slices):
        part = range(index * count // slices, (index + 1) * count // slices)
        finite = [place for place in part if math.isfinite(values[place])]
        if finite:
            kept |= {min(finite, key=values.__getitem__), max(finite, key=values.__getitem__)}
        if len(finite) < len(part):
            kept.add(next(place for place in part if not math.isfinite(values[place])))
    return sorted(kept | {0, count - 1})


def sparkline(values: Sequence[float]) -> str:
    """Return the SVG of a series; nothing for fewer than two values.

    >>> sparkline([1.0, 2.0]).count("<path"), sparkline([1.0])
    (1, '')
    """
    if len(values) < 2:
        return ""
    finite = [value for value in values if math.isfinite(value)]
    low, high = (min(finite), max(finite)) if finite else (0.0, 0.0)
    step = (WIDTH - 2 * _PAD) / (len(values) - 1)
    pieces, marks, is_down = [], [], False
    for place in thinned(values, WIDTH):
        x, value = _PAD + place * step, values[place]
        if math.isfinite(value):
            y = _PAD + (HEIGHT - 2 * _PAD) * (1 - _share(value, low, high))
            pieces.append(f"{'L' if is_down else 'M'}{x:.1f} {y:.1f}")
        else:
            y = _PAD if value > 0 else HEIGHT - _PAD
            marks.append(f'<circle class="odd" cx="{x:.1f}" cy="{y:.1f}" r="1.8"/>')
        is_down = math.isfinite(value)
    return (
        f'<svg class="spark" width="{WIDTH}" height="{HEIGHT}" viewBox="0 0 {WIDTH} {HEIGHT}">'
        f'<path d="{"".join(pieces)}"/>{"".join(marks)}</svg>'
    )


def _share(value: float, low: float, high: float) -> float:
    if low == high:
        return 0.5
    # Halves: the span of two huge numbers may be beyond the largest float.
    return (value / 2 - low / 2) / (high / 2 - low / 2)
