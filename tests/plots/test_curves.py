"""Curves are smoothed as other trackers smooth them, and thinned without hiding a point."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from objrun.errors import UserErrorException
from objrun.plots import Curve, envelope, smooth

ODD = st.sampled_from([math.nan, math.inf, -math.inf])
VALUES = st.lists(st.floats(-1e6, 1e6) | ODD, max_size=80)


def slowly_smoothed(values: list[float], weight: float) -> list[float]:
    """The loop as TensorBoard has it: a running mean, divided by what its weights add up to."""
    last, count, out = 0.0, 0, []
    for value in values:
        if not math.isfinite(value):
            out.append(math.nan)
            continue
        last = last * weight + (1 - weight) * value
        count += 1
        out.append(last / (1 - weight**count))
    return out


@given(VALUES, st.floats(0, 0.99))
def test_smoothing_is_the_debiased_moving_average(values: list[float], weight: float) -> None:
    found = smooth(values, weight)
    np.testing.assert_allclose(found, slowly_smoothed(values, weight), rtol=1e-6, atol=1e-6)


@given(st.floats(-1e6, 1e6), st.integers(1, 50), st.floats(0, 0.999))
def test_a_constant_stays_what_it_is(value: float, count: int, weight: float) -> None:
    np.testing.assert_allclose(smooth([value] * count, weight), value, rtol=1e-9)


@pytest.mark.parametrize("weight", [-0.1, 1, 2, math.nan])
def test_a_weight_that_is_none_is_refused(weight: float) -> None:
    with pytest.raises(UserErrorException, match="smoothing"):
        smooth([1.0], weight)


@given(
    st.lists(st.tuples(st.floats(-1e300, 1e300), st.floats() | ODD), min_size=1, max_size=200),
    st.integers(1, 20),
)
def test_thinning_keeps_ends_extremes_and_what_is_not_finite(points: Any, buckets: int) -> None:
    points.sort(key=lambda point: point[0])
    x, y = (np.array(side) for side in zip(*points, strict=True))
    kept = envelope(x, y, buckets)
    assert (np.diff(kept) > 0).all()
    assert len(kept) <= max(5 * buckets, 4 * buckets)
    known, odd = y[np.isfinite(y)], y[~np.isfinite(y)]
    if known.size:
        assert y[kept][np.isfinite(y[kept])].min() == known.min()
        assert y[kept][np.isfinite(y[kept])].max() == known.max()
        ends = np.flatnonzero(np.isfinite(y))[[0, -1]]
        assert {*ends} <= {*kept}
    assert (~np.isfinite(y[kept])).any() == bool(odd.size)


@given(st.lists(st.floats(-10, 10), min_size=50, max_size=300), st.integers(2, 10))
def test_each_bucket_keeps_its_own_extremes(values: list[float], buckets: int) -> None:
    y = np.array(values)
    x = np.arange(len(y), dtype=float)
    kept = envelope(x, y, buckets)
    bucket = np.minimum((x / x[-1] * buckets).astype(int), buckets - 1)
    for index in range(buckets):
        whole, drawn = y[bucket == index], y[kept][bucket[kept] == index]
        assert (drawn.min(), drawn.max()) == (whole.min(), whole.max())


def test_a_curve_is_in_order_of_x() -> None:
    line = Curve.of("a", [3.0, 1.0, 2.0], [3, 1, 1])
    assert (line.x.tolist(), line.y.tolist()) == ([1, 1, 3], [1, 2, 3])
    assert Curve.of("a", [5, 6]).axis == "index"
    with pytest.raises(UserErrorException, match="2 values and 1 of x"):
        Curve.of("a", [1, 2], [1])
