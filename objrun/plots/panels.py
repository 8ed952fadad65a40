"""All that is no curve: bars, tables, histograms over steps, and images."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from objrun.cards.texts import number_text, short_name
from objrun.errors import UserErrorException
from objrun.plots.figure import (
    COLOURS,
    GRID,
    INK,
    MUTED,
    axes_on,
    dress,
    new_picture,
    picture_of,
    plain,
    say,
    whole_steps,
)

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

ROWS: Final = 25
COLUMNS: Final = 8
"""Rows and columns of a table that are drawn."""

IMAGES: Final = 64
"""Images that one picture shows."""

_LEVELS: Final = 96


def bar(values: Mapping[str, float], *, title: str = "", ax: Axes | None = None) -> Figure:
    """Draw a bar with its number for each value; NaN and infinities have a number and no bar.

    >>> figure = bar({"accuracy": 0.9, "f1": 0.8})
    >>> [float(patch.get_width()) for patch in figure.axes[0].patches]
    [0.9, 0.8]
    """
    axes = axes_on(ax, 7, max(1.2 + 0.32 * len(values), 1.7))
    numbers = np.array([*values.values()], dtype=np.float64)
    drawn = np.where(np.isfinite(numbers), numbers, 0)
    places = range(len(numbers))
    axes.barh(places, drawn, height=0.6, color=COLOURS[0], alpha=0.85)
    dress(axes, title)
    axes.grid(visible=False, axis="y")
    for tick in axes.set_yticks(places, [short_name(name) for name in values]):
        plain(tick.label1)
    axes.invert_yaxis()
    axes.margins(x=0.12)
    for place, number, width in zip(places, numbers, drawn, strict=True):
        axes.annotate(
            number_text(number),
            (width, place),
            xytext=(4 if width >= 0 else -4, 0),
            textcoords="offset points",
            ha="left" if width >= 0 else "right",
            va="center",
            fontsize=9,
            color=INK,
        )
    if not values:
        say(axes, "no values")
    return picture_of(axes)


def table(
    columns: Mapping[str, Sequence[Any]], *, title: str = "", ax: Axes | None = None
) -> Figure:
    """Draw the first rows and columns of a table, a dict of column name to cells.

    >>> figure = table({"batch": [32, 64], "images/s": [810.5, 922.0]})
    >>> [text.get_text() for text in figure.axes[0].texts]
    ['batch', '32', '64', 'images/s', '810.5', '922']
    """
    names, height = [*columns][:COLUMNS], max(map(len, columns.values()), default=0)
    rows = min(height, ROWS)
    axes = axes_on(ax, max(1.5 * len(names), 4), 0.7 + 0.27 * (rows + 1))
    more = [f"{ROWS} of {height:,} rows"] if height > ROWS else []
    more += [f"{COLUMNS} of {len(columns):,} columns"] if len(columns) > COLUMNS else []
    dress(axes, title, note=", ".join(more))
    axes.set_axis_off()
    axes.set_xlim(0, max(len(names), 1))
    axes.set_ylim(rows + 1, 0)
    for column, name in enumerate(names):
        cells = columns[name][:rows]
        right = all(isinstance(cell, int | float) for cell in cells)
        place = column + (0.95 if right else 0.05)
        for row, cell in enumerate([name, *cells]):
            text = _cell_text(cell) if row else short_name(str(name), 20)
            style: dict[str, Any] = {"fontweight": "bold"} if not row else {}
            align = "right" if right else "left"
            plain(axes.text(place, row + 0.5, text, ha=align, va="center", fontsize=9, **style))
    for row in range(1, rows + 1):
        axes.axhline(row, color=MUTED if row == 1 else GRID, linewidth=0.8)
    if not names:
        say(axes, "no columns")
    return picture_of(axes)


def _cell_text(cell: Any) -> str:
    is_number = isinstance(cell, int | float) and not isinstance(cell, bool)
    return number_text(cell) if is_number else short_name("" if cell is None else str(cell), 20)


def histograms(
    steps: Sequence[float],
    edges: Sequence[Sequence[float]],
    counts: Sequence[Sequence[float]],
    *,
    title: str = "",
    ax: Axes | None = None,
) -> Figure:
    """Draw how a distribution moves: a column of colours for each step, one histogram each.

    `steps` rise; `edges[i]` has one more item than `counts[i]`. Histograms of other edges are put
    on common ones, each as a share of its own samples. One histogram alone is drawn as bars.
    Raises UserErrorException for shapes that do not fit.
    """
    axes = axes_on(ax, 7.6, 4.4)
    wrong = [i for i, (e, c) in enumerate(zip(edges, counts, strict=True)) if len(e) != len(c) + 1]
    if wrong or len(steps) != len(counts):
        raise UserErrorException(f"histogram {(wrong or [0])[0]}: one more edge than counts")
    if len(steps) == 1:
        axes.bar(
            edges[0][:-1], counts[0], np.diff(edges[0]), align="edge", color=COLOURS[0],
            edgecolor="white", linewidth=0.5,
        )  # fmt: skip
        dress(axes, title, "value", "count", f"step {number_text(steps[0])}")
        return picture_of(axes)
    dress(axes, title, "step", "value")
    if not len(steps):
        say(axes, "no histograms")
        return picture_of(axes)
    common = np.linspace(min(e[0] for e in edges), max(e[-1] for e in edges), _LEVELS + 1)
    shares = np.array([_rebinned(e, c, common) for e, c in zip(edges, counts, strict=True)])
    places = np.asarray(steps, dtype=np.float64)
    middles = (places[:-1] + places[1:]) / 2
    sides = np.r_[2 * places[0] - middles[0], middles, 2 * places[-1] - middles[-1]]
    mesh = axes.pcolormesh(sides, common, np.ma.masked_equal(shares.T, 0), cmap="viridis_r")
    axes.grid(visible=False)
    whole_steps(axes)
    scale = picture_of(axes).colorbar(mesh, ax=axes, pad=0.01, aspect=30)
    scale.ax.set_ylabel("share of samples", fontsize=8.5, color=MUTED)
    scale.ax.tick_params(labelsize=8, colors=MUTED)
    scale.outline.set_visible(False)
    return picture_of(axes)


def _rebinned(edges: Sequence[float], counts: Sequence[float], common: Any) -> Any:
    """Return a histogram's share of samples between each two of other edges."""
    below = np.r_[0, np.cumsum(np.asarray(counts, dtype=np.float64))]
    return np.diff(np.interp(common, edges, below)) / max(below[-1], 1e-300)


def images(pictures: Sequence[tuple[str, Any]], *, title: str = "") -> Figure:
    """Draw images side by side, each a caption and an array (height, width[, 3 or 4])."""
    shown = pictures[:IMAGES]
    columns = min(max(math.ceil(math.sqrt(len(shown))), 1), 8)
    rows = max(math.ceil(len(shown) / columns), 1)
    side = 5.0 if len(shown) == 1 else 2.6 if len(shown) <= 9 else 1.9
    shapes = [np.shape(pixels)[:2] for _, pixels in shown]
    tall = min(max((height / width for height, width in shapes), default=1), 2)
    picture = new_picture(max(side * columns, 3), (side * tall + 0.2) * rows + 0.4)
    all_axes = picture.subplots(rows, columns, squeeze=False).ravel()
    for axes in all_axes:
        axes.set_axis_off()
    for axes, (caption, pixels) in zip(all_axes, shown, strict=False):
        # Grey is what was logged, not stretched to what is in the image.
        depth = {"vmin": 0, "vmax": 255} if np.asarray(pixels).dtype == np.uint8 else {}
        axes.imshow(pixels, cmap="gray" if np.ndim(pixels) == 2 else None, **depth)
        plain(axes.set_title(short_name(caption, 24), fontsize=8.5, color=MUTED))
    if not shown:
        say(all_axes[0], "no images")
    more = f"  ({IMAGES} of {len(pictures):,})" if len(pictures) > IMAGES else ""
    if title or more:
        heading = f"{short_name(title, 60)}{more}"
        plain(picture.suptitle(heading, x=0.01, ha="left", fontsize=11, fontweight="bold"))
    return picture
