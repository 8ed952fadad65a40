"""What a regression did: its residuals, and its predictions against the truth."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from objrun.cards.texts import number_text
from objrun.plots.figure import COLOURS, INK, MUTED, axes_on, dress, legend_of, picture_of, say
from objrun.schemas import check

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


def residual_histogram(
    document: Any, *, title: str = "Residuals", ax: Axes | None = None
) -> Figure:
    """Draw the histogram of residuals, with their mean and spread where the document has them.

    `document`: as of `objrun.schemas.residuals`. Raises UserErrorException for another.
    """
    data = check(document, "residuals")["data"]
    edges, counts = np.array(data["bin_edges"], float), np.array(data["bin_counts"], float)
    axes = axes_on(ax, 7.2, 4.4)
    axes.bar(
        edges[:-1], counts, np.diff(edges), align="edge", color=COLOURS[0], edgecolor="white",
        linewidth=0.8, alpha=0.85,
    )  # fmt: skip
    if edges[0] <= 0 <= edges[-1]:
        axes.axvline(0, color=INK, linewidth=1)
    mean, spread = data.get("mean"), data.get("stddev")
    if mean is not None:
        axes.axvline(mean, color=COLOURS[1], linewidth=1.4, linestyle=(0, (4, 2)))
        if spread is not None:
            axes.axvspan(mean - spread, mean + spread, color=COLOURS[1], alpha=0.12, linewidth=0)
    told = {"mean": mean, "std": spread, "n": data.get("res_count")}
    note = "   ".join(f"{k} {number_text(v)}" for k, v in told.items() if v is not None)
    dress(axes, title, "predicted - true", "samples", note)
    return picture_of(axes)


def predicted_vs_true(
    document: Any, *, title: str = "Predicted and true", ax: Axes | None = None
) -> Figure:
    """Draw the mean prediction in each bin of true values, its spread as a bar, and the ideal.

    `document`: as of `objrun.schemas.predictions`; how many samples a bin has stands as grey
    columns at the bottom. Raises UserErrorException for another.
    """
    data = check(document, "predictions")["data"]
    edges = np.array(data["bin_edges"], float)
    means = np.array([np.nan if v is None else v for v in data["bin_averages"]], float)
    errors = np.array([np.nan if v is None else v for v in data["bin_errors"]], float)
    axes = axes_on(ax, 6.8, 4.8)
    centres = (edges[:-1] + edges[1:]) / 2
    ends = [edges[0], edges[-1]]
    ideal = axes.plot(ends, ends, color="#b8bfc7", linestyle=(0, (4, 3)), linewidth=1.2)[0]
    known = np.isfinite(means)
    if known.any():
        line = axes.errorbar(
            centres[known], means[known], errors[known], color=COLOURS[0], marker="o",
            markersize=4.5, linewidth=1.6, elinewidth=1.1, capsize=3,
        )  # fmt: skip
        legend_of(axes, [line, ideal], ["mean ± std", "ideal"])
    dress(axes, title, "true value", "predicted value")
    if not known.any():
        say(axes, "no samples")
    elif data.get("bin_counts"):
        _count_columns(axes, edges, np.array(data["bin_counts"], float))
    return picture_of(axes)


def _count_columns(axes: Axes, edges: Any, counts: Any) -> None:
    """Draw counts as grey columns of at most a fifth of the height, behind all else."""
    heights = 0.2 * counts / max(counts.max(), 1)
    axes.bar(
        edges[:-1], heights, np.diff(edges), align="edge", color=MUTED, alpha=0.18, linewidth=0,
        transform=axes.get_xaxis_transform(), zorder=0.5,
    )  # fmt: skip
    axes.set_title(f"n {number_text(counts.sum())}", loc="right", fontsize=8.5, color=MUTED)
