"""The filters of `Run.list`, `get_runs` and `get_children`, as Azure ML defines them: pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, TypeVar

from objrun.errors import UserErrorException
from objrun.format.states import STATUSES, type_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from objrun.format.states import ExperimentState, RunState

    S = TypeVar("S", RunState, ExperimentState)

Filter = str | Mapping[str, str | None] | None
"""A key that must be there, with any value; or keys that must have these values; or nothing."""


def run_filter(
    *,
    type: str | None = None,
    tags: Filter = None,
    properties: Filter = None,
    status: str | None = None,
) -> Callable[[RunState], bool]:
    """Return a function that says whether a run passes all filters; checks them at once.

    Raises UserErrorException for a filter of another type or an unknown status.
    """
    check_filter("tags", tags)
    check_filter("properties", properties)
    if status is not None and status not in STATUSES:
        message = f"status {status!r} is none of {', '.join(STATUSES)}"
        raise UserErrorException(message)

    def passes(state: RunState) -> bool:
        return (
            (type is None or type_of(state) == type)
            and (status is None or state.status == status)
            and matches(state.tags, tags)
            and matches(state.properties, properties)
        )

    return passes


def check_filter(name: str, wanted: Any) -> None:
    """Raise UserErrorException where a filter is neither text nor a dict of texts."""
    if wanted is None or isinstance(wanted, str):
        return
    if not isinstance(wanted, Mapping):
        message = f"{name} is a key or a dict of key to value, not a {type(wanted).__name__}"
        raise UserErrorException(message)
    for key, value in wanted.items():
        if not isinstance(key, str) or not (value is None or isinstance(value, str)):
            message = f"{name} maps text to text or None, not {key!r} to {value!r}"
            raise UserErrorException(message)


def matches(actual: Mapping[str, str | None], wanted: Filter) -> bool:
    """Return whether tags or properties pass a filter.

    >>> matches({"a": "1"}, "a"), matches({"a": "1"}, {"a": None})
    (True, False)
    """
    if wanted is None:
        return True
    if isinstance(wanted, str):
        return wanted in actual
    return all(key in actual and actual[key] == value for key, value in wanted.items())
