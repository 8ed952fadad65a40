"""What documents are made of: lists of numbers and labels, and what is wrong with them and where.

A check yields a sentence for each problem, which begins with the path of the value.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator


def to_json(value: Any) -> Any:
    """Turn arrays, tensors, series and tuples into lists, and their scalars into numbers.

    >>> to_json({"matrix": ((1, 2), (3, 4))})
    {'matrix': [[1, 2], [3, 4]]}
    """
    if hasattr(value, "tolist"):
        return value.tolist()
    if hasattr(value, "to_list"):
        return value.to_list()
    if isinstance(value, dict):
        return {key: to_json(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [to_json(item) for item in value]
    return value


def is_number(value: Any) -> bool:
    """Tell whether `value` is a number that JSON knows: no bool, NaN or infinity."""
    if isinstance(value, float):
        return math.isfinite(value)
    return isinstance(value, int) and not isinstance(value, bool)


def all_numbers(value: Any) -> bool:
    """Tell whether `value` is a list of nothing but numbers."""
    return isinstance(value, list) and all(map(is_number, value))


def a_list(value: Any, path: str, size: int | None = None) -> Iterator[str]:
    """Yield what keeps `value` from being a list (of `size` items, where that is known)."""
    if value is None:
        yield f"{path}: is missing"
    elif not isinstance(value, list):
        yield f"{path}: must be a list, not {_kind(value)}"
    elif size is not None and len(value) != size:
        yield f"{path}: must have {size} items, not {len(value)}"


def numbers(
    value: Any, path: str, size: int | None = None, least: float = -math.inf
) -> Iterator[str]:
    """Yield what keeps `value` from being a list of numbers, none below `least`."""
    yield from a_list(value, path, size)
    for index, item in enumerate(value if isinstance(value, list) else ()):
        if not is_number(item):
            yield f"{path}[{index}]: must be a number, not {_kind(item)}"
        elif item < least:
            yield f"{path}[{index}]: must be at least {least:g}, not {item}"


def labels(value: Any, path: str) -> Iterator[str]:
    """Yield what keeps `value` from being the labels of classes: texts or numbers, each once."""
    yield from a_list(value, path)
    first: dict[Any, int] = {}
    for index, item in enumerate(value if isinstance(value, list) else ()):
        if not isinstance(item, str | bool) and not is_number(item):
            yield f"{path}[{index}]: must be a text, not {_kind(item)}"
        elif first.setdefault(str(item), index) != index:
            yield f"{path}[{index}]: is {item!r}, as {path}[{first[str(item)]}] is"


def rising(value: Any, path: str) -> Iterator[str]:
    """Yield where a list of numbers does not rise."""
    if all_numbers(value):
        for index in range(1, len(value)):
            if value[index] <= value[index - 1]:
                yield f"{path}[{index}]: must be above {value[index - 1]}, not {value[index]}"


def length(value: Any) -> int | None:
    """Return how many items a list has; None for what is no list."""
    return len(value) if isinstance(value, list) else None


def _kind(value: Any) -> str:
    return repr(value) if isinstance(value, float) else type(value).__name__
