"""Pictures of many long curves: what it takes to make and to render them, in one run."""

from __future__ import annotations

import io
from typing import Any

import numpy as np

from benchmarks.sizes import FULL
from objrun.plots import Curve, lines

CURVES, POINTS = (500, 100_000) if FULL else (50, 100_000)


def test_many_long_curves(benchmark: Any) -> None:
    """All spikes are there, of a number of points that a picture can show."""
    random = np.random.default_rng(0)
    curves = [Curve.of(f"#{number}", random.normal(size=POINTS)) for number in range(CURVES)]
    curves[0].y[POINTS // 3] = 50
    figure: Any = benchmark.pedantic(lambda: lines(curves), rounds=1)
    figure.savefig(io.BytesIO(), format="png")
    drawn = sum(len(line.get_xdata()) for line in figure.axes[0].lines)
    benchmark.extra_info.update(points=CURVES * POINTS, drawn=drawn)
    assert max(line.get_ydata().max() for line in figure.axes[0].lines) == 50
    assert drawn < 500_000
