"""Curves as numbers: smoothed as other trackers do it, and thinned without hiding a point.

Pure; what is drawn of them is in `objrun.plots.lines`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import polars as pl

from objrun.errors import UserErrorException

if TYPE_CHECKING:
    Array = np.ndarray[Any, np.dtype[np.float64]]

Axis = Literal["step", "index", "time", "relative"]


@dataclass(frozen=True, eq=False)
class Curve:
    """A named series: `x` and `y` are as long, float64; `y` may hold NaN and infinities.

    `axis` is what `x` is: steps, places in a list, seconds since the epoch, or since the start.
    `by` is what it is coloured by among others, a number or a text.

    >>> Curve.of("loss", [0.5, 0.25], [10, 20]).x.tolist()
    [10.0, 20.0]
    """

    name: str
    x: Array
    y: Array
    axis: Axis = "step"
    by: float | str | None = None

    @classmethod
    def of(cls, name: str, y: Any, x: Any = None, axis: Axis = "step", by: Any = None) -> Curve:
        """Return the curve of some values, over their index if there is no `x`; sorted by `x`."""
        values = np.asarray(y, dtype=np.float64)
        if x is None:
            return cls(name, np.arange(len(values), dtype=np.float64), values, "index", by)
        places = np.asarray(x, dtype=np.float64)
        if len(places) != len(values):
            raise UserErrorException(f"{name}: {len(values)} values and {len(places)} of x")
        if (places[1:] < places[:-1]).any():
            order = np.argsort(places, kind="stable")
            places, values = places[order], values[order]
        return cls(name, places, values, axis, by)


def smooth(values: Any, weight: float) -> Array:
    """Return the debiased exponential moving average, as TensorBoard and W&B draw it.

    Value n is the mean of all up to n, each weighing `weight` times what its follower weighs; so
    the first one is not pulled to 0. What is not finite is NaN in the result and counts for
    nothing. Raises UserErrorException unless 0 <= weight < 1.

    >>> smooth([1.0, 1.0, 4.0], 0.5).round(3).tolist()
    [1.0, 1.0, 2.714]
    """
    if not 0 <= weight < 1:
        raise UserErrorException(f"smoothing: must be at least 0 and below 1, not {weight}")
    y = np.asarray(values, dtype=np.float64)
    finite = np.isfinite(y)
    if weight == 0 or not finite.any():
        return np.where(finite, y, np.nan)
    known = pl.Series(y).set(pl.Series(~finite), None)
    mean = known.ewm_mean(alpha=1 - weight, adjust=True, ignore_nulls=True, min_samples=1)
    return np.where(finite, mean.cast(pl.Float64).to_numpy(), np.nan)


def envelope(x: Any, y: Any, buckets: int) -> np.ndarray[Any, np.dtype[np.intp]]:
    """Return which points to draw so that the picture is that of all of them.

    The range of `x`, which rises, is cut into `buckets` of equal width, a pixel each. Of each the
    first, the last, the least and the greatest point are kept, and the first one that is not
    finite, where the line has a gap. So any spike stays. Indices, rising.

    >>> y = [0.0] * 1000
    >>> y[567] = 9.0
    >>> kept = envelope(range(1000), y, 10)
    >>> 567 in kept, len(kept) <= 40
    (True, True)
    """
    places, values = np.asarray(x, dtype=np.float64), np.asarray(y, dtype=np.float64)
    if len(places) <= 4 * buckets:
        return np.arange(len(places))
    first, last = places[0], places[-1]
    if last == first:
        bucket = np.zeros(len(places), dtype=np.int64)
    else:
        # Halves, since the span of two huge numbers may be beyond the largest float.
        share = (places / 2 - first / 2) / (last / 2 - first / 2)
        bucket = np.minimum((share * buckets).astype(np.int64), buckets - 1)
    finite = np.isfinite(values)
    odd = np.flatnonzero(~finite)
    known = np.flatnonzero(finite)
    kept = [odd[_starts(bucket[odd])], known[_extremes(bucket[known], values[known])]]
    return np.unique(np.concatenate(kept))


def _starts(bucket: Any) -> Any:
    """Return where each bucket begins in a rising list of buckets."""
    return np.flatnonzero(np.diff(bucket, prepend=-1))


def _extremes(bucket: Any, values: Any) -> Any:
    """Return the places of the first, last, least and greatest value of each bucket."""
    starts = _starts(bucket)
    if not starts.size:
        return starts
    lengths = np.diff(starts, append=len(values))
    places = [starts, starts + lengths - 1]
    for least in (np.minimum, np.maximum):
        hits = np.flatnonzero(values == np.repeat(least.reduceat(values, starts), lengths))
        places.append(hits[_starts(bucket[hits])])
    return np.concatenate(places)
