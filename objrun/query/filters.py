"""The filters of `Run.list`, `get_runs` and `get_children`, as Azure ML defines them: pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import polars as pl

from objrun.errors import UserErrorException
from objrun.format.states import STATUSES

Filter = str | Mapping[str, str | None] | None
"""A key that must be there, with any value; or keys that must have these values; or nothing."""


def run_filter(
    *,
    type: str | None = None,
    tags: Filter = None,
    properties: Filter = None,
    status: str | None = None,
) -> pl.Expr:
    """Return whether a run passes all filters, of the columns of the table of runs.

    Raises UserErrorException for a filter of another type or an unknown status.
    """
    check_filter("tags", tags)
    check_filter("properties", properties)
    if status is not None and status not in STATUSES:
        message = f"status {status!r} is none of {', '.join(STATUSES)}"
        raise UserErrorException(message)
    conditions = [has_pairs("tags", tags), has_pairs("properties", properties)]
    if type is not None:
        conditions.append(pl.col("type") == type)
    if status is not None:
        conditions.append(pl.col("status") == status)
    return pl.all_horizontal(conditions)


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


def has_pairs(part: str, wanted: Filter) -> pl.Expr:
    """Return whether the tags or properties of a run pass a filter, as `matches` says it.

    >>> frame = pl.DataFrame({"tags": [[{"key": "a", "value": "1"}]]})
    >>> frame.select(one=has_pairs("tags", "a"), other=has_pairs("tags", {"a": None})).row(0)
    (True, False)
    """
    key, value = (pl.element().struct.field(name) for name in ("key", "value"))
    if wanted is None:
        return pl.lit(value=True)
    if isinstance(wanted, str):
        return pl.col(part).list.eval(key == wanted).list.any()
    return pl.all_horizontal(
        pl.lit(value=True),
        *(
            pl.col(part).list.eval((key == name) & value.eq_missing(pl.lit(text))).list.any()
            for name, text in wanted.items()
        ),
    )


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
