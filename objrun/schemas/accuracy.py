"""Accuracy tables: for each class and threshold, how many samples are TP, FP, TN and FN.

ROC, precision-recall, lift and calibration curves are drawn from them. A class is predicted where
its probability is at least the threshold, each class against all others.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from objrun.errors import UserErrorException
from objrun.schemas.arrays import as_long, classes, column, finite, positions
from objrun.schemas.shapes import a_list, all_numbers, labels, length, numbers

if TYPE_CHECKING:
    from collections.abc import Iterator

    from objrun.schemas.arrays import Array

KINDS: Final = ("probability", "percentile")


def accuracy_table(
    y_true: Any, y_prob: Any, labels: Any = None, points: int = 100
) -> dict[str, Any]:
    """Count TP, FP, TN and FN of each class at `points` thresholds, for `log_accuracy_table`.

    `y_true`: one class per sample. `y_prob`: probabilities from 0 to 1, of shape (samples,
    classes) in the order of `labels`, or (samples,) for the second of two classes. `labels`: the
    classes; by default all of `y_true`, sorted, as scikit-learn orders them. Probability thresholds
    are `points` numbers from 0 to 1, equally far apart; percentile thresholds are such percentiles
    of all probabilities. Raises UserErrorException.

    >>> table = accuracy_table([0, 0, 1, 1], [0.1, 0.6, 0.4, 0.9], points=3)["data"]
    >>> table["probability_thresholds"], table["probability_tables"][1]
    ([0.0, 0.5, 1.0], [[2, 2, 0, 0], [1, 1, 1, 1], [0, 0, 2, 2]])
    """
    import numpy as np

    if points < 2:
        raise UserErrorException(f"points: must be at least 2, not {points}")
    truth = column(y_true, "y_true")
    order = classes(labels, truth)
    which = positions(truth, order)
    if (which < 0).any():
        raise UserErrorException(f"y_true: {truth[which < 0][0]!s} is not one of the labels")
    scores = _scores(y_prob, len(order))
    as_long(truth, scores, "y_true, y_prob")
    thresholds = {
        "probability": np.linspace(0, 1, points),
        "percentile": np.percentile(scores, np.linspace(0, 100, points)),
    }
    data: dict[str, Any] = {"class_labels": [str(label) for label in order.tolist()]}
    for kind, values in thresholds.items():
        data[f"{kind}_tables"] = [
            _table(which == index, scores[:, index], values) for index in range(len(order))
        ]
        data[f"{kind}_thresholds"] = values.tolist()
    return {"schema_type": "accuracy_table", "schema_version": "1.0.0", "data": data}


def _scores(y_prob: Any, count: int) -> Array:
    """Return the probabilities as (samples, classes)."""
    import numpy as np

    scores = finite(y_prob, "y_prob")
    if scores.ndim == 1 and count == 2:
        scores = np.column_stack([1 - scores, scores])
    if scores.ndim != 2 or scores.shape[1] != count:
        raise UserErrorException(
            f"y_prob: must be of shape (samples, {count}), a column for each class, "
            f"not {scores.shape}; name classes that do not occur with `labels`"
        )
    if scores.size and (scores.min() < 0 or scores.max() > 1):
        raise UserErrorException("y_prob: must be from 0 to 1")
    return scores


def _table(positive: Array, score: Array, thresholds: Array) -> list[list[int]]:
    """Return [TP, FP, TN, FN] at each threshold."""
    import numpy as np

    below_true = np.searchsorted(np.sort(score[positive]), thresholds, side="left")
    below_false = np.searchsorted(np.sort(score[~positive]), thresholds, side="left")
    positives, negatives = int(positive.sum()), int((~positive).sum())
    counts = (positives - below_true, negatives - below_false, below_false, below_true)
    return np.column_stack(counts).tolist()  # type: ignore[no-any-return]  # numpy says Any


def accuracy_problems(data: dict[str, Any]) -> Iterator[str]:
    """Yield what is wrong with the data of an accuracy table.

    The tables are of shape (classes, rows, 4). All four counts of any row add up to the number of
    samples; TP + FN and TN + FP are the same in all rows of a class. There may be fewer thresholds
    than rows, as in what Microsoft's own examples log: curves need none.
    """
    yield from labels(data.get("class_labels"), "data.class_labels")
    size = length(data.get("class_labels"))
    samples: set[float] = set()
    for kind in KINDS:
        thresholds, tables = data.get(f"{kind}_thresholds"), data.get(f"{kind}_tables")
        yield from numbers(thresholds, f"data.{kind}_thresholds")
        yield from a_list(tables, f"data.{kind}_tables", size)
        for index, table in enumerate(found := tables if isinstance(tables, list) else []):
            path = f"data.{kind}_tables[{index}]"
            yield from a_list(table, path, length(found[0]))
            yield from _row_problems(table if isinstance(table, list) else [], path, samples)


def _row_problems(table: list[Any], path: str, samples: set[float]) -> Iterator[str]:
    """Yield what is wrong with the rows of one class; `samples` is filled by the first row."""
    positives: set[float] = set()
    for index, row in enumerate(table):
        place = f"{path}[{index}]"
        faults = list(numbers(row, place, 4, least=0))
        yield from faults
        if faults or not all_numbers(row):
            continue
        tp, fp, tn, fn = row
        if any(count != int(count) for count in row):
            yield f"{place}: must be four whole counts, not {row}"
        elif tp + fp + tn + fn not in (samples or {tp + fp + tn + fn}):
            yield f"{place}: TP + FP + TN + FN is {sum(row)}, elsewhere {next(iter(samples))}"
        elif tp + fn not in (positives or {tp + fn}):
            yield f"{place}: TP + FN is {tp + fn}, in rows above {next(iter(positives))}"
        if not samples:
            samples.add(tp + fp + tn + fn)
        if not positives:
            positives.add(tp + fn)
