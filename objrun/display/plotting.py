"""Pictures of what runs have logged; matplotlib is loaded by the first one."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any, Final, Literal

from objrun.errors import MissingExtraError, ServiceException, UserErrorException
from objrun.format.names import choices

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    import polars as pl
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from objrun.plots import Curve
    from objrun.run import Run

    Over = Literal["step", "time", "relative"]

CURVES: Final = ("scalar", "list")
"""Kinds of points that are drawn as lines."""

_OVER: Final = ("step", "time", "relative")


class RunPlots:
    """The part of `Run` that draws."""

    def plot(
        self: Any,
        name: str | None = None,
        *,
        smoothing: float = 0,
        over: Over = "step",
        ax: Axes | None = None,
    ) -> Figure:
        """Draw a metric, or without a name all metrics with numbers, a panel each.

        Numbers are lines, a single one a bar; tables of two columns of numbers a line, else a
        table; documents, images and histograms as what they are. `smoothing`: the weight of an
        exponential moving average, from 0 to below 1. `over`: the step where all points have one,
        else their index; wall time; or time since the first point. `ax`: matplotlib axes to draw
        on. Returns a matplotlib Figure; needs `pip install 'objrun[plot]'` (MissingExtraError).
        Raises ServiceException where there is no such metric, UserErrorException for one that
        cannot be drawn.

        >>> figure = run.plot("accuracy")
        >>> figure.savefig("accuracy.png")  # doctest: +SKIP
        """
        load_plots()
        points = self.metrics().collect() if name is None else self.metric_points(name)
        if name is not None and not points.height:
            there = self.metrics().collect()["name"].unique(maintain_order=True)
            raise ServiceException(f"run {self.id} has no metric {name!r}: {choices(name, there)}")
        if name is None:
            return _panels(points, f"{self.experiment.name} / {self.number}", smoothing, over)
        kinds = points["kind"].unique().to_list()
        if {*kinds} <= {*CURVES}:
            return _curve(points, name, smoothing, over, ax)
        return _drawn_value(kinds[0], points, self.get_metrics(name, populate=True)[name], name, ax)

    def metric_points(self: Any, name: str) -> pl.DataFrame:
        """Return the points of one metric in reading order, as `metrics()` has them."""
        from objrun.query.reading_order import in_reading_order

        return in_reading_order(self._own_points(name).chunk).frame


class ExperimentPlots:
    """The part of `Experiment` that draws."""

    def plot(
        self: Any,
        metric: str,
        runs: Iterable[Run | str] | None = None,
        *,
        by: str | None = None,
        smoothing: float = 0,
        over: Over = "step",
        ax: Axes | None = None,
    ) -> Figure:
        """Draw a metric of many runs into one picture.

        `runs`: runs or their ids; by default all that have logged it, children too. `by`: a column
        of `runs()`, such as `params.lr` or `tags.model`, that curves are coloured by. Else they
        have a legend, or beyond a dozen runs colours from the oldest to the newest. All else as in
        `Run.plot`.

        >>> from objrun import Experiment
        >>> run.flush()
        >>> figure = Experiment(ws, "digits").plot("accuracy", by="params.lr")
        """
        import polars as pl

        from objrun.query.runs import unknown_column

        load_plots()
        wanted = None if runs is None else [getattr(run, "id", run) for run in runs]
        asked = pl.col("name") == metric
        if wanted is not None:
            asked &= pl.col("run_id").is_in(wanted)
        needed = ["run_id", "kind", "step", "time", "type", "value", "data"]
        points = self.metrics().filter(asked).select(needed).collect()
        rows = self.runs([by] if by else []).collect()
        if not points.height:
            there = choices(metric, self.numeric_metrics())
            raise ServiceException(f"experiment {self.name!r} has no metric {metric!r}: {there}")
        if by and rows[by].null_count() == rows.height:
            raise unknown_column(by, rows)
        return _overlaid(points, rows, metric, by or "", smoothing, over, ax)

    def numeric_metrics(self: Any) -> list[str]:
        """Return the names of the metrics with numbers that runs have, sorted.

        >>> from objrun import Experiment
        >>> run.flush()
        >>> Experiment(ws, "digits").numeric_metrics()
        ['accuracy']
        """
        from objrun.query.listing import summaries_of

        summaries = summaries_of(self.workspace.querying(), self.runs().collect())
        return sorted(summaries["name"].unique())


def load_plots() -> None:
    """Import what draws; MissingExtraError where matplotlib is not installed."""
    try:
        import objrun.plots  # noqa: F401 - for its error
    except ImportError as error:
        raise MissingExtraError(
            f"plots need matplotlib: pip install 'objrun[plot]' ({error})"
        ) from None


def curve(points: pl.DataFrame, label: str, over: Over = "step") -> Curve:
    """Return the numbers of one metric as a curve.

    Texts are left out; lists count on from item to item. Raises UserErrorException for another
    `over`.
    """
    import polars as pl

    from objrun.format.values import from_point
    from objrun.plots import Curve

    if over not in _OVER:
        raise UserErrorException(f"over: must be one of {', '.join(_OVER)}, not {over!r}")
    if "list" in points["kind"]:
        rows = points.select("type", "value", "data").iter_rows()
        found = [from_point(*row) for row in rows]
        flat = [x for value in found for x in (value if isinstance(value, list) else [value])]
        return Curve.of(label, [float(x) for x in flat if _is_number(x)])
    numbers = points.filter(pl.col("value").is_not_null())
    values = numbers["value"].to_numpy()
    if over != "step":
        seconds = numbers["time"].dt.epoch("us").to_numpy() / 1e6
        start = seconds.min() if over == "relative" and len(seconds) else 0
        return Curve.of(label, values, seconds - start, over)
    if numbers["step"].null_count():
        return Curve.of(label, values)
    return Curve.of(label, values, numbers["step"].to_numpy())


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float)


def _curve(
    points: pl.DataFrame, name: str, smoothing: float, over: Over, ax: Axes | None
) -> Figure:
    from objrun import plots

    line = curve(points, name, over)
    if not len(line.y):
        raise UserErrorException(f"metric {name!r} holds texts: there are no numbers to draw")
    if len(line.y) == 1 and over == "step":
        return plots.bar({name: float(line.y[0])}, ax=ax)
    return plots.lines([line], title=name, smoothing=smoothing, ax=ax)


def _panels(points: pl.DataFrame, title: str, smoothing: float, over: Over) -> Figure:
    from objrun import plots

    panels = []
    for part in points.partition_by("name", maintain_order=True):
        if {*part["kind"]} <= {*CURVES}:
            line = curve(part, "", over)
            if len(line.y):
                panels.append((part["name"][0], [line]))
    return plots.grid(panels, title=title, smoothing=smoothing)


def _overlaid(
    points: pl.DataFrame,
    rows: pl.DataFrame,
    metric: str,
    by: str,
    smoothing: float,
    over: Over,
    ax: Axes | None,
) -> Figure:
    from dataclasses import replace

    from objrun import plots

    if not {*points["kind"]} <= {*CURVES}:
        kinds = ", ".join(sorted({*points["kind"]} - {*CURVES}))
        raise UserErrorException(f"metric {metric!r} is of kind {kinds}: draw it run by run")
    parts = {part["run_id"][0]: part for part in points.partition_by("run_id")}
    curves = []
    for row in rows.sort("number").iter_rows(named=True):
        if row["run_id"] in parts:
            line = curve(parts[row["run_id"]], label_of(row), over)
            if len(line.y):
                curves.append(replace(line, by=row[by] if by else None))
    if not curves:
        raise UserErrorException(f"metric {metric!r} holds texts: there are no numbers to draw")
    return plots.lines(curves, title=metric, smoothing=smoothing, by=by, ax=ax)


def label_of(row: dict[str, Any]) -> str:
    """Return how a run is named among others of its experiment: its number, and what it is called.

    >>> label_of({"number": 3, "display_name": None, "name": "baseline"})
    '3 baseline'
    """
    return f"{row['number']} {row['display_name'] or row['name'] or ''}".strip()


def _drawn_value(kind: str, points: pl.DataFrame, value: Any, name: str, ax: Axes | None) -> Figure:
    """Draw what is no curve; of several documents the last."""
    from objrun import plots

    documents: dict[str, Callable[..., Figure]] = {
        "confusion_matrix": plots.confusion,
        "residuals": plots.residual_histogram,
        "predictions": plots.predicted_vs_true,
    }
    values = value if isinstance(value, list) else [value]
    if kind in documents:
        return documents[kind](values[-1].convert_to_object(), title=name, ax=ax)
    if kind == "accuracy_table":
        return _accuracy(values[-1].convert_to_object(), name, ax)
    if kind in ("row", "table"):
        return _table(value, name, ax)
    if kind == "histogram":
        steps = points["step"].fill_null(strategy="zero").to_list()
        places = range(len(values)) if points["step"].null_count() else steps
        edges, counts = ([v[key] for v in values] for key in ("edges", "counts"))
        return plots.histograms(places, edges, counts, title=name, ax=ax)
    if kind == "image":
        steps = points["step"].to_list()
        # Of a lone image without a step there is nothing to tell beside the title.
        places = range(1, len(values) + 1) if len(values) > 1 else [""]
        named = [
            f"{place}" if step is None else f"step {step}"
            for place, step in zip(places, steps, strict=True)
        ]
        return plots.images(
            [(label, _pixels(v)) for label, v in zip(named, values, strict=True)][: plots.IMAGES],
            title=name,
        )
    raise UserErrorException(f"metric {name!r} is of kind {kind}, which cannot be drawn")


def _accuracy(document: Any, name: str, ax: Axes | None) -> Figure:
    from objrun import plots

    if ax is not None:
        return plots.roc(document, title=name, ax=ax)
    picture = plots.new_picture(12, 4.6)
    left, right = picture.subplots(1, 2)
    plots.roc(document, title=f"{name}: ROC", ax=left)
    plots.precision_recall(document, title=f"{name}: precision and recall", ax=right)
    return picture


def _table(value: dict[str, Any], name: str, ax: Axes | None) -> Figure:
    from objrun import plots

    columns = {key: cells if isinstance(cells, list) else [cells] for key, cells in value.items()}
    plain = all(_is_number(cell) for cells in columns.values() for cell in cells)
    if plain and len(columns) == 2 and len(next(iter(columns.values()))) > 1:
        (x_name, x), (y_name, y) = columns.items()
        line = plots.Curve(y_name, _floats(x), _floats(y))
        return plots.lines([line], title=name, y_label=y_name, x_label=x_name, ax=ax)
    return plots.table(columns, title=name, ax=ax)


def _floats(values: Any) -> Any:
    import numpy as np

    return np.asarray(values, dtype=np.float64)


def _pixels(artifact: Any) -> Any:
    """Return the pixels of an image that was logged; UserErrorException for SVG and the like."""
    import numpy as np
    from PIL import Image

    try:
        with Image.open(io.BytesIO(artifact.data)) as image:
            mode = image.mode if image.mode in ("L", "RGB", "RGBA") else "RGBA"
            return np.asarray(image.convert(mode))
    except OSError as error:
        raise UserErrorException(f"{artifact.filename} cannot be drawn: {error}") from None
