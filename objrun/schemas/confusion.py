"""Confusion matrices: rows are true classes, columns predicted ones, cells count samples."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from objrun.errors import UserErrorException
from objrun.schemas.arrays import as_long, classes, column, positions
from objrun.schemas.shapes import a_list, labels, length, numbers

if TYPE_CHECKING:
    from collections.abc import Iterator


def confusion_matrix(y_true: Any, y_pred: Any, labels: Any = None) -> dict[str, Any]:
    """Count how often each class was predicted as each, as `log_confusion_matrix` takes it.

    `y_true`, `y_pred`: one class per sample. `labels`: the classes, in the order of the rows;
    samples of others are left out; by default all that occur, sorted. The matrix is that of
    `sklearn.metrics.confusion_matrix`. Raises UserErrorException.

    >>> confusion_matrix([0, 1, 1], [0, 1, 0])["data"]
    {'class_labels': ['0', '1'], 'matrix': [[1, 0], [1, 1]]}
    """
    import numpy as np

    truth, predicted = column(y_true, "y_true"), column(y_pred, "y_pred")
    as_long(truth, predicted, "y_true, y_pred")
    order = classes(labels, truth, predicted)
    rows, columns = positions(truth, order), positions(predicted, order)
    if (rows < 0).all():
        raise UserErrorException("labels: none of them occurs in y_true")
    known = (rows >= 0) & (columns >= 0)
    matrix = np.zeros((len(order), len(order)), dtype=np.int64)
    np.add.at(matrix, (rows[known], columns[known]), 1)
    data = {"class_labels": [str(label) for label in order.tolist()], "matrix": matrix.tolist()}
    return {"schema_type": "confusion_matrix", "schema_version": "1.0.0", "data": data}


def confusion_problems(data: dict[str, Any]) -> Iterator[str]:
    """Yield what is wrong with the data of a confusion matrix: square, counts or shares."""
    yield from labels(data.get("class_labels"), "data.class_labels")
    size = length(data.get("class_labels"))
    matrix = data.get("matrix")
    yield from a_list(matrix, "data.matrix", size)
    for index, row in enumerate(matrix if isinstance(matrix, list) else ()):
        yield from numbers(row, f"data.matrix[{index}]", size, least=0)
