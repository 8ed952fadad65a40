"""Values that people log, as scalars objrun stores; what cannot be kept exactly is refused.

The rules are those of Azure ML's client, with every integer of numpy and every 0-d array or tensor
converted to the Python value it holds.
"""

from __future__ import annotations

import operator
import types
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, Final

from objrun.errors import UserErrorException
from objrun.format.names import check_key, check_text
from objrun.format.values import SAFE_INTEGER
from objrun.secret import Secret

if TYPE_CHECKING:
    from objrun.format.values import Scalar

LARGEST_STEP: Final = 2**63 - 1
"""Steps are 64-bit integers, down to `-LARGEST_STEP - 1`."""

_MAX_DIGITS: Final = 4300
_MANY: Final = (list, range, types.GeneratorType, types.FunctionType)


def to_step(step: Any) -> int | None:
    """Return a step as an int, None for None; UserErrorException for anything not an integer.

    >>> to_step(3), to_step(None)
    (3, None)
    """
    if step is None:
        return None
    try:
        if isinstance(step, bool):
            raise TypeError  # noqa: TRY301 - a flag in the place of a step is a slip
        whole = operator.index(step)
    except TypeError:
        message = f"step is an integer, not {step!r:.80} ({type(step).__name__})"
        raise UserErrorException(message) from None
    if not -LARGEST_STEP - 1 <= whole <= LARGEST_STEP:
        message = f"step {step} does not fit in 64 bits"
        raise UserErrorException(message)
    return whole


def to_scalar(value: Any, where: str) -> Scalar:
    """Return `value` as None, bool, int, float or str; UserErrorException naming `where` if none.

    >>> to_scalar(True, "metric 'x'"), to_scalar(2.5, "metric 'x'")
    (True, 2.5)
    """
    value = _python_value(value)
    if value is None or isinstance(value, bool | float):
        return value if value is None or isinstance(value, bool) else float(value)
    if isinstance(value, str):
        return check_text(_plain(value, where), where)
    if isinstance(value, int):
        if value.bit_length() > _MAX_DIGITS * 3:
            message = f"{where}: an integer of {value.bit_length()} bits is too long to be kept"
            raise UserErrorException(message)
        return int(value)
    message = (
        f"{where}: {type(value).__name__} cannot be logged; use None, bool, int, float, str "
        "or a numpy scalar"
    )
    raise UserErrorException(message)


def check_pair(name: object, value: object) -> None:
    """Raise UserErrorException for what other trackers take: a dict of several metrics.

    `value` is `...` where none was given.
    """
    if isinstance(name, Mapping):
        message = (
            "log takes one metric, its name and value: log_metrics({...}, step=...) logs several, "
            "log_row(name, ...) a row of a table"
        )
        raise UserErrorException(message)
    if value is ...:
        message = f"metric {name!r}: no value is given: log(name, value)"
        raise UserErrorException(message)


def to_logged_scalar(value: Any, where: str) -> Scalar:
    """Return what `log` keeps: like `to_scalar`, but other objects become their `repr`.

    An array or tensor of one element, of any shape, counts as that element. Many values at once
    (list, range, generator, larger array) are refused: they belong in `log_list`.

    >>> to_logged_scalar({"a": 1}, "metric 'x'")
    "{'a': 1}"
    """
    value = _python_value(_only_item(value))
    if isinstance(value, _MANY) or getattr(value, "shape", ()) != ():
        message = f"{where}: log takes one value, not a {type(value).__name__}; use log_list"
        raise UserErrorException(message)
    if value is None or isinstance(value, bool | int | float | str):
        return to_scalar(value, where)
    return check_text(repr(value), where)


def to_list(values: Any, where: str) -> list[Scalar]:
    """Return the items of a list, array or other iterable as scalars; ints beside floats as floats.

    Integers beyond 2^53, which a float may not hold exactly, stay what they are.

    >>> to_list([1, 2.5], "metric 'x'")
    [1.0, 2.5]
    """
    single = isinstance(values, str | bytes | Mapping) or not isinstance(values, Iterable)
    if single or getattr(values, "shape", None) == ():
        message = f"{where}: a list of values is wanted, not {type(values).__name__}"
        raise UserErrorException(message)
    items = [to_scalar(item, f"{where}[{place}]") for place, item in enumerate(_items(values))]
    kinds = set(map(type, items))
    if kinds == {int, float}:
        return [_widened(item) for item in items]
    return items


def _widened(item: Scalar) -> Scalar:
    if isinstance(item, int) and -SAFE_INTEGER <= item <= SAFE_INTEGER:
        return float(item)
    return item


def to_row(columns: Mapping[str, Any], where: str) -> dict[str, Scalar]:
    """Return a row: column name to scalar.

    >>> to_row({"x": 1}, "metric 'r'")
    {'x': 1}
    """
    return {
        check_key(name, "column"): to_scalar(value, f"{where}[{name!r}]")
        for name, value in columns.items()
    }


def to_table(value: Any, where: str) -> dict[str, list[Scalar]]:
    """Return a table: column name to list, all equally long; a scalar is a column of one row.

    >>> to_table({"x": [1, 2], "y": [0.1, 0.2]}, "metric 't'")
    {'x': [1, 2], 'y': [0.1, 0.2]}
    """
    if not isinstance(value, Mapping):
        message = f"{where}: a table is a dict of column name to list, not {type(value).__name__}"
        raise UserErrorException(message)
    table: dict[str, list[Scalar]] = {}
    for name, column in value.items():
        at = f"{where}[{name!r}]"
        single = isinstance(column, str | bytes | Mapping) or not isinstance(column, Iterable)
        single = single or getattr(column, "shape", None) == ()
        items = [column] if single else _items(column)
        table[check_key(name, "column")] = [to_scalar(x, f"{at}[{i}]") for i, x in enumerate(items)]
    lengths = {name: len(column) for name, column in table.items()}
    if len(set(lengths.values())) > 1:
        message = f"{where}: the columns are not equally long: {lengths}"
        raise UserErrorException(message)
    return table


def _items(values: Iterable[Any]) -> Iterable[Any]:
    """Return the items of a column; what is missing in a series of pandas is None."""
    if not hasattr(values, "isna") or is_float_series(values):
        return values
    return [None if missing else item for item, missing in zip(values, values.isna(), strict=True)]


def is_float_series(column: Any) -> bool:
    """Return whether this is a series of pandas in which NaN is a value.

    So it is for numpy's floats. In texts and objects of pandas NaN says that there is nothing, and
    its own types have NA for that.
    """
    dtype: Any = getattr(column, "dtype", None)
    return hasattr(column, "isna") and hasattr(dtype, "byteorder") and dtype.kind == "f"


def to_items(given: Any, what: str) -> Mapping[str, Any]:
    """Return `given` if it is a dict, else raise UserErrorException.

    >>> to_items({"lr": 0.1}, "parameter")
    {'lr': 0.1}
    """
    if not isinstance(given, Mapping):
        message = f"a dict of {what} to value is wanted, not {type(given).__name__}"
        raise UserErrorException(message)
    return given


def to_text(value: Any, what: str) -> str | None:
    """Return the value of a tag or property: text and None stay, others become text.

    >>> to_text(3, "tag 'n'"), to_text(None, "tag 'n'")
    ('3', None)
    """
    return None if value is None else check_text(_plain(value, what), what)


def _plain(value: object, what: str) -> str:
    """Return a value as text; of a text that is more than that, such as an enum's, the text."""
    if isinstance(value, Secret):
        message = f"{what}: the value of a secret is never stored"
        raise UserErrorException(message)
    return str.__str__(value) if isinstance(value, str) else str(value)


def _only_item(value: Any) -> Any:
    """Return the item of an array or tensor of one or more dimensions, each of length 1."""
    shape = getattr(value, "shape", ())
    single = isinstance(shape, tuple) and set(shape) == {1} and hasattr(value, "item")
    return value.item() if single else value


def _python_value(value: Any) -> Any:
    """Return the Python value of a 0-d array, tensor or numpy scalar; anything else as it is."""
    item = getattr(value, "item", None)
    if item is None or (getattr(value, "shape", None) != () and not hasattr(value, "dtype")):
        return value
    if getattr(value, "shape", ()) != ():
        return value
    python = item()
    # A numpy longdouble is its own item: its repr keeps all digits, a float would not.
    return repr(value) if type(python) is type(value) and not isinstance(python, float) else python
