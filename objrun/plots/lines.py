"""Metrics as lines: one or many in one picture, or each in its own panel."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from matplotlib import colormaps
from matplotlib.cm import ScalarMappable
from matplotlib.colors import LogNorm, Normalize, to_hex
from matplotlib.dates import AutoDateLocator, ConciseDateFormatter
from matplotlib.lines import Line2D

from objrun.cards.texts import number_text, short_name
from objrun.plots.curves import Axis, Curve, envelope, smooth
from objrun.plots.figure import (
    COLOURS,
    MUTED,
    axes_on,
    dress,
    legend_of,
    new_picture,
    picture_of,
    plain,
    say,
    whole_steps,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.axes import Axes
    from matplotlib.colors import Colormap
    from matplotlib.figure import Figure

BUCKETS: Final = 80_000
"""Buckets of all curves of a picture: of up to a hundred curves each pixel is one."""

PANELS: Final = 36
"""Panels that a grid has at most."""

_UNITS: Final = ((86_400 * 2, 86_400.0, "days"), (7_200, 3_600.0, "hours"), (180, 60.0, "minutes"))
_HUGE: Final = 1e300


def lines(
    curves: Sequence[Curve],
    *,
    title: str = "",
    y_label: str = "",
    x_label: str = "",
    smoothing: float = 0,
    by: str = "",
    ax: Axes | None = None,
) -> Figure:
    """Draw curves over their steps, with a legend if there are several.

    `x_label`: what `x` is where no `Curve.axis` tells.

    `smoothing`: the weight of `smooth`, from 0 to below 1; the line as logged then stands faintly
    behind. More points than pixels are drawn as `envelope` chooses. NaN and infinities are gaps,
    with a mark at the edge and a count in the corner. `by`: what `Curve.by` is, the title of the
    legend; numbers are shown as a scale of colours, and so are more than a dozen curves.

    >>> figure = lines([Curve.of("loss", [0.5, 0.25, 0.2])], title="loss", smoothing=0.6)
    >>> len(figure.axes[0].lines)
    2
    """
    axes = axes_on(ax)
    kinds = {curve.axis for curve in curves if len(curve.y)}
    axis: Axis = kinds.pop() if len(kinds) == 1 else "index"
    unit, x_name = _unit(curves, axis)
    palette = _Palette.of(curves, by)
    width = max(int(axes.get_window_extent().width), 200)
    width = min(width, max(BUCKETS // max(len(curves), 1), 50))
    handles = []
    for position, curve in enumerate(curves):
        x, colour = curve.x * unit, palette.colours[position]
        drawn, means = np.isfinite(curve.y), smooth(curve.y, smoothing)
        thin = len(curves) > len(COLOURS)
        style: dict[str, Any] = {"color": colour, "linewidth": 1 if thin else 1.6}
        if drawn.sum() == 1 or len(curve.y) == 1:
            style |= {"marker": "o", "markersize": 5}
        if smoothing:
            _line(axes, x, curve.y, width, style | {"alpha": 0.25, "linewidth": 1, "zorder": 1.9})
        handles.append(_line(axes, x, means, width, style | {"alpha": 0.75 if thin else 1}))
        _marks(axes, x, curve.y, colour)
    dress(axes, title, x_label or x_name, y_label, _note(curves))
    if not x_label:
        _x_axis(axes, axis)
    palette.explain(axes, handles, curves)
    if not any(np.isfinite(curve.y).any() for curve in curves):
        _say_nothing(axes, curves)
    return picture_of(axes)


def grid(
    panels: Sequence[tuple[str, Sequence[Curve]]],
    *,
    title: str = "",
    smoothing: float = 0,
) -> Figure:
    """Draw panels, each a title and its curves, side by side; the first 36 of them.

    Where panels have several curves, these are those of the first, whose legend explains all.

    >>> figure = grid([("loss", [Curve.of("", [2, 1])]), ("accuracy", [Curve.of("", [0.9])])])
    >>> len(figure.axes)
    2
    """
    shown = panels[:PANELS]
    columns = min(max(len(shown), 1), 3 if len(shown) > 4 else 2)
    rows = max(math.ceil(len(shown) / columns), 1)
    picture = new_picture(max(4.1 * columns, 5), 2.5 * rows + (0.4 if title else 0))
    all_axes = picture.subplots(rows, columns, squeeze=False).ravel()
    for axes, (name, curves) in zip(all_axes, shown, strict=False):
        lines(curves, smoothing=smoothing, ax=axes)
        if axes is not all_axes[0] and (legend := axes.get_legend()):
            legend.remove()
        note = axes.get_title("right")
        dress(axes, short_name(name, 34 if note else 44), axes.get_xlabel(), note=note)
        _tell_last(axes, curves)
    for axes in all_axes[max(len(shown), 1) :]:
        axes.set_visible(False)
    if not shown:
        dress(all_axes[0])
        say(all_axes[0], "no metric with numbers")
    more = f"  (and {len(panels) - PANELS} more)" if len(panels) > PANELS else ""
    if title or more:
        heading = picture.suptitle(
            f"{short_name(title, 80)}{more}", x=0.01, ha="left", fontsize=12, fontweight="bold"
        )
        plain(heading)
    return picture


class _Palette:
    """The colours of curves, and what explains them: a legend, or a scale."""

    def __init__(self, colours: Sequence[str], title: str, scale: ScalarMappable | None) -> None:
        self.colours = colours
        self.title = title
        self.scale = scale

    @classmethod
    def of(cls, curves: Sequence[Curve], by: str) -> _Palette:
        values = [curve.by for curve in curves]
        if by and all(isinstance(value, int | float) for value in values) and len({*values}) > 2:
            return cls._scaled([float(value or 0) for value in values], by)
        if by:
            names = [*dict.fromkeys(map(str, values))]
            colour = {name: COLOURS[i % len(COLOURS)] for i, name in enumerate(names)}
            return cls([colour[str(value)] for value in values], by, None)
        if len(curves) > len(COLOURS):
            return cls._scaled([float(i) for i in range(len(curves))], "")
        return cls(COLOURS, "", None)

    @classmethod
    def _scaled(cls, values: Sequence[float], by: str) -> _Palette:
        colours: Colormap = colormaps["viridis"]
        low, high = min(values), max(values)
        is_wide = low > 0 and high / low >= 100
        norm = LogNorm(low, high) if is_wide else Normalize(low, high)
        scale = ScalarMappable(norm, colours.resampled(256))
        # The brightest end is hard to see on white.
        shown = [to_hex(colours(float(norm(value)) * 0.92)) for value in values]
        return cls(shown, by, scale)

    def explain(self, axes: Axes, handles: Sequence[Any], curves: Sequence[Curve]) -> None:
        if self.scale is not None and self.title:
            bar = picture_of(axes).colorbar(self.scale, ax=axes, pad=0.01, aspect=30)
            plain(bar.ax.set_ylabel(short_name(self.title), fontsize=9, color=MUTED))
            bar.ax.tick_params(labelsize=8.5)
            bar.outline.set_visible(False)
        elif self.title:
            groups = {
                str(curve.by): colour for curve, colour in zip(curves, self.colours, strict=False)
            }
            chosen = [Line2D([], [], color=colour, linewidth=2) for colour in groups.values()]
            legend_of(axes, chosen, [*groups], self.title)
        elif self.scale is not None:
            ends = [handles[0], handles[len(handles) // 2], handles[-1]]
            names = [curves[0].name, curves[len(curves) // 2].name, curves[-1].name]
            legend_of(axes, ends, names, f"{len(curves)} runs, such as")
        elif len(curves) > 1:
            legend_of(axes, handles, [curve.name for curve in curves])


def _line(axes: Axes, x: Any, y: Any, width: int, style: dict[str, Any]) -> Line2D:
    kept = envelope(x, y, width)
    values = np.where(np.isfinite(y[kept]), np.clip(y[kept], -_HUGE, _HUGE), np.nan)
    return axes.plot(x[kept], values, solid_joinstyle="bevel", **style)[0]


def _marks(axes: Axes, x: Any, y: Any, colour: str) -> None:
    """Mark what has no height at the edge: NaN and -∞ at the bottom, ∞ at the top."""
    for places, marker, height in (
        (np.isnan(y), "x", 0.015),
        (np.isposinf(y), "^", 0.985),
        (np.isneginf(y), "v", 0.015),
    ):
        if places.any():
            shown = x[places][envelope(x[places], np.zeros(places.sum()), 100)]
            axes.plot(
                shown,
                np.full(len(shown), height),
                linestyle="none",
                marker=marker,
                markersize=4.5,
                color=colour,
                transform=axes.get_xaxis_transform(),
                clip_on=False,
                label="_mark",
            )


def _note(curves: Sequence[Curve]) -> str:
    """Count what is not finite."""
    counts = {
        "✕ NaN": sum(int(np.isnan(curve.y).sum()) for curve in curves),
        "▲ ∞": sum(int(np.isposinf(curve.y).sum()) for curve in curves),
        "▼ -∞": sum(int(np.isneginf(curve.y).sum()) for curve in curves),
    }
    return "   ".join(f"{name}: {count:,}" for name, count in counts.items() if count)


def _unit(curves: Sequence[Curve], axis: Axis) -> tuple[float, str]:
    """Return what x is multiplied with, and what it is then called."""
    if axis == "time":
        return 1 / 86_400, "time (UTC)"
    if axis == "relative":
        longest = max((float(c.x.max()) for c in curves if len(c.x)), default=0.0)
        for least, size, name in _UNITS:
            if longest >= least:
                return 1 / size, f"{name} since the first point"
        return 1.0, "seconds since the first point"
    return 1.0, axis


def _x_axis(axes: Axes, axis: Axis) -> None:
    if axis == "time":
        locator = AutoDateLocator(maxticks=7)  # type: ignore[no-untyped-call]  # matplotlib
        axes.xaxis.set_major_locator(locator)
        axes.xaxis.set_major_formatter(ConciseDateFormatter(locator))  # type: ignore[no-untyped-call]  # as above
    elif axis != "relative":
        whole_steps(axes)


def _tell_last(axes: Axes, curves: Sequence[Curve]) -> None:
    """Write the last value of a lone curve beside it, outside of the axes."""
    known = [y for curve in curves for y in curve.y[np.isfinite(curve.y)][-1:]]
    if len(curves) == 1 and known:
        axes.annotate(
            number_text(float(known[0])),
            (1, float(np.clip(known[0], -_HUGE, _HUGE))),
            xycoords=axes.get_yaxis_transform(),
            xytext=(4, 0),
            textcoords="offset points",
            annotation_clip=False,
            va="center",
            fontsize=8.5,
            color=MUTED,
        )


def _say_nothing(axes: Axes, curves: Sequence[Curve]) -> None:
    if not any(len(curve.y) for curve in curves):
        say(axes, "no points")
    else:
        axes.set_yticks([])
        plain(
            axes.text(
                0.5, 0.5, "no finite value", transform=axes.transAxes, ha="center", color=MUTED
            )
        )
