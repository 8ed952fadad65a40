"""What a classifier did: its confusion matrix, ROC and precision-recall curves."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np
from matplotlib.ticker import PercentFormatter

from objrun.cards.texts import number_text, short_name
from objrun.plots.figure import COLOURS, INK, MUTED, axes_on, dress, legend_of, picture_of, plain
from objrun.schemas import check

if TYPE_CHECKING:
    from collections.abc import Callable

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    Points = Callable[[Any], tuple[Any, Any]]

WRITTEN: Final = 20
"""Classes up to which each cell of a matrix has its number written in it."""


def confusion(document: Any, *, title: str = "Confusion matrix", ax: Axes | None = None) -> Figure:
    """Draw a confusion matrix: counts as numbers, shares of the true class as colour.

    `document`: as of `objrun.schemas.confusion_matrix`. Raises UserErrorException for another.
    """
    data = check(document, "confusion_matrix")["data"]
    matrix, labels = np.array(data["matrix"], dtype=np.float64), data["class_labels"]
    size = len(labels)
    matrix = matrix.reshape(size, size)
    side = float(np.clip(2.4 + 0.45 * size, 4.2, 10))
    axes = axes_on(ax, side + 0.8, side)
    totals = matrix.sum(axis=1, keepdims=True)
    shares = np.divide(matrix, totals, out=np.zeros_like(matrix), where=totals > 0)
    image = axes.imshow(shares, cmap="Blues", vmin=0, vmax=1, aspect="equal")
    all_samples = float(matrix.sum())
    right = f"accuracy {float(np.trace(matrix)) / all_samples:.3f}" if all_samples else ""
    dress(axes, title, "predicted class", "true class", right)
    axes.grid(visible=False)
    _name_classes(axes, [str(label) for label in labels])
    if size <= WRITTEN:
        for row, column in np.ndindex(size, size):
            axes.text(
                column,
                row,
                number_text(float(matrix[row, column]), 3),
                ha="center",
                va="center",
                fontsize=10 if size <= 8 else 7,
                color="white" if shares[row, column] > 0.55 else INK,
            )
    bar = picture_of(axes).colorbar(
        image, ax=axes, shrink=0.8, pad=0.02, format=PercentFormatter(1)
    )
    bar.ax.tick_params(labelsize=8, colors=MUTED)
    bar.ax.set_ylabel("share of the true class", fontsize=8.5, color=MUTED)
    bar.outline.set_visible(False)
    return picture_of(axes)


def _name_classes(axes: Axes, labels: list[str]) -> None:
    every = max(len(labels) // 40, 1)
    places = range(0, len(labels), every)
    names = [short_name(labels[place], 18) for place in places]
    size = 8.5 if len(labels) <= WRITTEN else 7
    turned = max(map(len, names), default=0) > 4 or len(names) > 12
    for text in axes.set_xticks(places, names, rotation=45 if turned else 0, fontsize=size):
        _plain_tick(text, "right" if turned else "center")
    for text in axes.set_yticks(places, names, fontsize=size):
        _plain_tick(text, "right")


def _plain_tick(tick: Any, align: str) -> None:
    for label in (tick.label1, tick.label2):
        plain(label)
        label.set_horizontalalignment(align)
        label.set_rotation_mode("anchor")


def roc(document: Any, *, title: str = "ROC", ax: Axes | None = None) -> Figure:
    """Draw ROC curves of an accuracy table, one a class against all others, with their areas.

    Areas are those below the points that the table has. Of more than two classes the micro average
    is drawn, too: all decisions about all classes as if they were about one. Raises
    UserErrorException for what is no accuracy table.
    """
    axes = axes_on(ax, 6.8, 4.8)
    axes.plot([0, 1], [0, 1], color="#b8bfc7", linestyle=(0, (4, 3)), linewidth=1)
    dress(axes, title, "false positive rate", "true positive rate")
    _draw_classes(axes, document, "area", roc_points, area)
    return picture_of(axes)


def precision_recall(
    document: Any, *, title: str = "Precision and recall", ax: Axes | None = None
) -> Figure:
    """Draw precision-recall curves of an accuracy table, one a class, with average precisions.

    Thresholds at which nothing is predicted have no precision and are left out. The micro average
    and errors are as in `roc`.
    """
    axes = axes_on(ax, 6.8, 4.8)
    dress(axes, title, "recall", "precision")
    _draw_classes(axes, document, "average precision", precision_recall_points, average_precision)
    return picture_of(axes)


def _draw_classes(
    axes: Axes, document: Any, score_name: str, points: Points, score: Callable[[Any, Any], float]
) -> None:
    data = check(document, "accuracy_table")["data"]
    both = zip(data["probability_tables"], data["percentile_tables"], strict=True)
    tables = [
        np.array([*first, *second], dtype=np.float64).reshape(-1, 4) for first, second in both
    ]
    labels = [short_name(str(label), 20) for label in data["class_labels"]]
    many = len(labels) > len(COLOURS)
    style: dict[str, Any] = {"linewidth": 0.8, "alpha": 0.4} if many else {"linewidth": 1.8}
    colours = [MUTED] * len(labels) if many else COLOURS
    handles, names = [], []
    for label, table, colour in zip(labels, tables, colours, strict=False):
        x, y = points(table)
        handles += axes.plot(x, y, color=colour, **style)
        names.append(f"{label}  {number_text(score(x, y), 3)}")
    if many:
        handles, names = handles[:1], [f"{len(labels)} classes"]
    if len(labels) > 2 and len({len(table) for table in tables}) == 1:
        x, y = points(np.sum(tables, axis=0))
        handles += axes.plot(x, y, color=INK, linewidth=1.6, linestyle=(0, (5, 1.5)))
        names.append(f"micro average  {number_text(score(x, y), 3)}")
    legend_of(axes, handles, names, f"class, {score_name}")
    axes.set_xlim(-0.01, 1.01)
    axes.set_ylim(-0.01, 1.03)
    axes.set_aspect("equal")


def roc_points(table: Any) -> tuple[Any, Any]:
    """Return false and true positive rates of rows [TP, FP, TN, FN], from (0, 0) to (1, 1).

    Empty where a class has no samples, or nothing else has.
    """
    tp, fp, tn, fn = table[np.lexsort((table[:, 0], table[:, 1]))].T
    if not len(table) or not (tp + fn)[0] or not (fp + tn)[0]:
        return np.zeros(0), np.zeros(0)
    return np.r_[0, fp / (fp + tn), 1], np.r_[0, tp / (tp + fn), 1]


def precision_recall_points(table: Any) -> tuple[Any, Any]:
    """Return recall, rising, and precision of rows [TP, FP, TN, FN] that predict something."""
    tp, fp, _, fn = table[(table[:, 0] + table[:, 1] > 0) & (table[:, 0] + table[:, 3] > 0)].T
    recall, precision = tp / (tp + fn), tp / (tp + fp)
    order = np.lexsort((-precision, recall))
    return recall[order], precision[order]


def area(x: Any, y: Any) -> float:
    """Return the area below points; NaN without points."""
    return float(np.trapezoid(y, x)) if len(x) else float("nan")


def average_precision(recall: Any, precision: Any) -> float:
    """Return the mean of precisions, each weighing what recall grew by; NaN without points."""
    return float(np.sum(np.diff(recall, prepend=0) * precision)) if len(recall) else float("nan")
