"""Pictures of values: each function draws on matplotlib axes of its own, or on those it is given.

They take numbers and documents of `objrun.schemas`, know no store, and return a Figure; pyplot and
its global state are left alone. matplotlib is an extra: pip install 'objrun[plot]'.

>>> from objrun import plots, schemas
>>> figure = plots.confusion(schemas.confusion_matrix(["cat", "dog"], ["cat", "cat"]))
>>> figure.savefig("confusion.png")  # doctest: +SKIP
"""

from __future__ import annotations

from objrun.errors import MissingExtraError

try:
    import matplotlib as mpl  # noqa: F401 - told here, not where it is first used
except ImportError as error:
    raise MissingExtraError(
        f"plots need matplotlib: pip install 'objrun[plot]' ({error})"
    ) from None

from objrun.plots.classification import confusion, precision_recall, roc
from objrun.plots.curves import Curve, envelope, smooth
from objrun.plots.figure import Picture, new_picture
from objrun.plots.lines import grid, lines
from objrun.plots.panels import IMAGES, bar, histograms, images, table
from objrun.plots.regression import predicted_vs_true, residual_histogram

__all__ = [
    "IMAGES",
    "Curve",
    "Picture",
    "bar",
    "confusion",
    "envelope",
    "grid",
    "histograms",
    "images",
    "lines",
    "new_picture",
    "precision_recall",
    "predicted_vs_true",
    "residual_histogram",
    "roc",
    "smooth",
    "table",
]
