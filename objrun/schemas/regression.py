"""What is drawn of a regression: a histogram of residuals, and predictions by true value."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from objrun.errors import UserErrorException
from objrun.schemas.arrays import as_long, column, finite
from objrun.schemas.shapes import is_number, length, numbers, rising

if TYPE_CHECKING:
    from collections.abc import Iterator

    from objrun.schemas.arrays import Array


def residuals(y_true: Any, y_pred: Any, bins: Any = 10) -> dict[str, Any]:
    """Count residuals, predicted minus true, in bins, as `log_residuals` takes it.

    `y_true`, `y_pred`: one number per sample. `bins`: how many, their edges, or a rule of
    `numpy.histogram_bin_edges`; a bin has its lower edge, the last one both. Raises
    UserErrorException.

    >>> residuals([1, 2, 3], [1, 3, 3], bins=2)["data"]["bin_counts"]
    [2, 1]
    """
    import numpy as np

    truth, predicted = _pair(y_true, y_pred)
    residual = predicted - truth
    counts, edges = np.histogram(residual, _edges(residual, bins))
    data = {
        "bin_edges": edges.tolist(),
        "bin_counts": counts.tolist(),
        "mean": float(residual.mean()),
        "stddev": float(residual.std()),
        "res_count": len(residual),
    }
    return {"schema_type": "residuals", "schema_version": "1.0.0", "data": data}


def predictions(y_true: Any, y_pred: Any, bins: Any = 10) -> dict[str, Any]:
    """Average predictions in bins of the true value, as `log_predictions` takes it.

    `y_true`, `y_pred`: one number per sample. `bins`: how many, their edges, or a rule of
    `numpy.histogram_bin_edges`, of the true values. `bin_averages` are means of the predictions,
    `bin_errors` their standard deviations; both are None in a bin without samples. Raises
    UserErrorException.

    >>> predictions([0, 0, 1, 1], [0.0, 0.5, 1.0, 1.0], bins=2)["data"]["bin_averages"]
    [0.25, 1.0]
    """
    import numpy as np

    truth, predicted = _pair(y_true, y_pred)
    edges = _edges(truth, bins)
    last = len(edges) - 2
    which = np.searchsorted(edges, truth, side="right") - 1
    which[truth == edges[-1]] = last
    inside = [predicted[which == index] for index in range(last + 1)]
    data = {
        "bin_averages": [float(some.mean()) if some.size else None for some in inside],
        "bin_errors": [float(some.std()) if some.size else None for some in inside],
        "bin_counts": [len(some) for some in inside],
        "bin_edges": edges.tolist(),
    }
    return {"schema_type": "predictions", "schema_version": "1.0.0", "data": data}


def _pair(y_true: Any, y_pred: Any) -> tuple[Array, Array]:
    truth = finite(column(y_true, "y_true"), "y_true")
    predicted = finite(column(y_pred, "y_pred"), "y_pred")
    as_long(truth, predicted, "y_true, y_pred")
    return truth, predicted


def _edges(values: Array, bins: Any) -> Array:
    import numpy as np

    try:
        edges = np.histogram_bin_edges(values, bins)
    except (TypeError, ValueError) as error:
        raise UserErrorException(f"bins: {error}") from None
    if len(edges) < 2 or (np.diff(edges) <= 0).any():
        raise UserErrorException("bins: must be edges that rise, at least two")
    return edges


def residual_problems(data: dict[str, Any]) -> Iterator[str]:
    """Yield what is wrong with the data of residuals: one more edge than there are counts."""
    edges = data.get("bin_edges")
    yield from _edge_problems(edges)
    yield from numbers(data.get("bin_counts"), "data.bin_counts", _bins(edges), least=0)
    for name in ("mean", "stddev", "res_count"):
        value = data.get(name)
        if value is not None and not is_number(value):
            yield f"data.{name}: must be a number, not {type(value).__name__}"


def prediction_problems(data: dict[str, Any]) -> Iterator[str]:
    """Yield what is wrong with the data of predictions: an average and an error for each bin."""
    edges, counts = data.get("bin_edges"), data.get("bin_counts")
    yield from _edge_problems(edges)
    size = _bins(edges)
    if counts is not None:
        yield from numbers(counts, "data.bin_counts", size, least=0)
    averages, errors = data.get("bin_averages"), data.get("bin_errors")
    yield from numbers(_filled(averages, counts), "data.bin_averages", size)
    yield from numbers(_filled(errors, counts), "data.bin_errors", size, least=0)


def _edge_problems(edges: Any) -> Iterator[str]:
    yield from numbers(edges, "data.bin_edges")
    yield from rising(edges, "data.bin_edges")
    if length(edges) in {0, 1}:
        yield f"data.bin_edges: must have at least 2 items, not {len(edges)}"


def _bins(edges: Any) -> int | None:
    return max(len(edges) - 1, 1) if isinstance(edges, list) else None


def _filled(values: Any, counts: Any) -> Any:
    """Return the values with 0 for the None of empty bins, which is right there."""
    if length(values) is None or length(values) != length(counts):
        return values
    return [
        0 if value is None and count == 0 else value
        for value, count in zip(values, counts, strict=True)
    ]
