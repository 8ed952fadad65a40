"""Runs as a polars frame: one row a run, columns by name on request."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

import polars as pl

from objrun.errors import UserErrorException
from objrun.query.metrics import SUMMARY
from objrun.query.named import PARTS, keys_of, metric_columns, named_columns
from objrun.tables.run_rows import version_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from objrun.format.states import RunState

_TIME: Final = pl.Datetime("us", "UTC")
_PAIRS: Final = pl.List(pl.Struct({"key": pl.String(), "value": pl.String()}))

SCHEMA: Final = pl.Schema(
    {
        "run_id": pl.String(),
        "number": pl.Int64(),
        "experiment": pl.String(),
        "name": pl.String(),
        "display_name": pl.String(),
        "description": pl.String(),
        "type": pl.String(),
        "status": pl.String(),
        "parent_run_id": pl.String(),
        "root_run_id": pl.String(),
        "created": _TIME,
        "started": _TIME,
        "ended": _TIME,
        "last_seen": _TIME,
        "error_code": pl.String(),
        "error_message": pl.String(),
        "lifecycle": pl.String(),
        "version": pl.Int64(),
        "tags": _PAIRS,
        "params": _PAIRS,
        "properties": _PAIRS,
    }
)
"""Columns of a frame of runs; times in UTC; tags, params and properties as lists of (key, value),
values as text. `status` is NotResponding where a run should give signs of life and gives none;
`last_seen` is the last one, null for runs that need not. Columns by name: `tags.<key>`,
`properties.<key>` (text), `params.<key>` (typed) and `metrics.<name>.<last|min|max|...>`
(numbers)."""

_METRIC: Final = re.compile(rf"metrics\.(.+)\.({'|'.join(SUMMARY)})", re.DOTALL)

NO_SUMMARIES: Final = pl.DataFrame(schema={"run_id": pl.String, "name": pl.String})
"""What `runs_frame` is given where no metric is asked for."""


def shown_state(row: Mapping[str, Any]) -> RunState:
    """Return the state that is shown of a run: that of its row, NotResponding if it is lost."""
    state = version_of(row).state
    if state is None:
        raise AssertionError
    return replace(state, status=row["status"])


def newest_first(stored: pl.DataFrame) -> pl.Series:
    """Return the places of the rows of a frame of runs, ordered by start, then by number."""
    by = (pl.coalesce("started", "created"), "number", "run_id")
    return stored.select(pl.arg_sort_by(*by, descending=True).alias("place")).to_series()


def rows_at(stored: pl.DataFrame, places: pl.Series) -> pl.DataFrame:
    """Return the rows at these places."""
    # From one piece lists are taken in a tenth of the time.
    return stored.rechunk()[places]


def metric_names(columns: Iterable[str]) -> set[str]:
    """Return the metrics that columns such as `metrics.loss.min` speak of.

    >>> metric_names(["status", "metrics.val.loss.min"])
    {'val.loss'}
    """
    return {found[1] for column in columns if (found := _METRIC.fullmatch(column))}


def runs_frame(
    stored: pl.DataFrame, columns: Iterable[str] = (), summaries: pl.DataFrame = NO_SUMMARIES
) -> pl.DataFrame:
    """Return the columns of SCHEMA, and by name those that `columns` asks for, null where absent.

    `stored` has the columns of the table of runs, `summaries` are the rows of `summary_frame`.
    Raises UserErrorException for unknown columns.
    """
    named = [name for name in dict.fromkeys(columns) if name not in SCHEMA]
    parts: dict[str, list[str]] = {}
    metrics: dict[str, list[str]] = {}
    for name in named:
        part, _, key = name.partition(".")
        if found := _METRIC.fullmatch(name):
            metrics.setdefault(found[1], []).append(found[2])
        elif part in PARTS and key:
            parts.setdefault(part, []).append(key)
        else:
            raise unknown_column(name, stored)
    added = [column for part, keys in parts.items() for column in named_columns(stored, part, keys)]
    for metric, sums in metrics.items():
        added += metric_columns(stored["run_id"], metric, sums, summaries)
    return stored.select(*SCHEMA).hstack(added).select(*SCHEMA, *named)


def unknown_column(column: str, stored: pl.DataFrame) -> UserErrorException:
    """Return the error for a column that runs have not; it names those that are perhaps meant."""
    pairs = [(part, key) for part in PARTS for key in keys_of(stored, part)]
    meant = [f"{part}.{key}" for part, key in pairs if column == key or column.startswith(part)]
    if meant:
        told = f"there is no column {column!r}; perhaps {' or '.join(meant[:5])}"
        return UserErrorException(told)
    return UserErrorException(
        f"there is no column {column!r}: runs have {', '.join(SCHEMA)}, tags.<key>, "
        f"params.<key>, properties.<key> and metrics.<name>.<{'|'.join(SUMMARY)}>"
    )
