"""What a caller hands over as truth and prediction, as numpy arrays that fit each other."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from objrun.errors import UserErrorException

if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray[Any, Any]


def column(values: Any, name: str) -> Array:
    """Return one value per sample as an array; a matrix of one column is one too."""
    import numpy as np

    array = np.asarray(values)
    if array.ndim == 2 and array.shape[1] == 1:
        array = array[:, 0]
    if array.ndim != 1:
        raise UserErrorException(f"{name}: must be a list of values, not of shape {array.shape}")
    if not array.size:
        raise UserErrorException(f"{name}: is empty")
    return array


def finite(values: Any, name: str) -> Array:
    """Return numbers as float64; raise where one is no number, NaN or infinite."""
    import numpy as np

    try:
        array = np.asarray(values).astype(np.float64)
    except (TypeError, ValueError) as error:
        raise UserErrorException(f"{name}: must hold numbers: {error}") from None
    if not np.isfinite(array).all():
        place = np.argwhere(~np.isfinite(array))[0].tolist()
        raise UserErrorException(f"{name}{place}: is {array[tuple(place)]}, no finite number")
    return array


def as_long(first: Array, second: Array, names: str) -> None:
    """Raise UserErrorException unless there are as many samples in both."""
    if len(first) != len(second):
        raise UserErrorException(f"{names}: have {len(first)} and {len(second)} samples")


def classes(labels: Any, *columns: Array) -> Array:
    """Return the classes in order: `labels` as they stand, or all that occur, sorted."""
    import numpy as np

    if labels is not None:
        given = column(labels, "labels")
        if len(set(given.tolist())) != len(given):
            raise UserErrorException("labels: one stands there twice")
        return given
    if len({array.dtype.kind in "US" for array in columns}) > 1:
        raise UserErrorException("y_true, y_pred: hold texts and numbers; make them one type")
    try:
        return np.unique(np.concatenate(columns))
    except TypeError as error:
        message = f"y_true, y_pred: hold classes of several types: {error}"
        raise UserErrorException(message) from None


def positions(values: Array, labels: Array) -> Array:
    """Return for each value which of `labels` it is; -1 if none.

    >>> positions(column(["b", "a", "x"], "y"), column(["a", "b"], "labels")).tolist()
    [1, 0, -1]
    """
    import numpy as np

    place = {label: index for index, label in enumerate(labels.tolist())}
    return np.array([place.get(value, -1) for value in values.tolist()], dtype=np.intp)
