"""Runs as a polars frame: one row a run, columns by name on request."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

import polars as pl

from objrun.errors import UserErrorException
from objrun.format.states import type_of
from objrun.format.values import nearest
from objrun.query.metrics import SUMMARY

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from objrun.format.states import RunState, Version

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
values as text. Columns by name: `tags.<key>`, `properties.<key>` (text), `params.<key>` (typed)
and `metrics.<name>.<last|min|max|...>` (numbers)."""

_PARTS: Final = ("tags", "params", "properties")
_METRIC: Final = re.compile(rf"metrics\.(.+)\.({'|'.join(SUMMARY)})", re.DOTALL)


def runs_frame(versions: Iterable[Version[RunState]]) -> pl.DataFrame:
    """Return one row a run with the columns of SCHEMA, newest first by start, then by number."""
    rows = [_row(version.version, version.state) for version in versions if version.state]
    frame = pl.DataFrame(rows, schema=SCHEMA, orient="row")
    started = pl.coalesce("started", "created")
    return frame.sort(started, "number", descending=True)


def _row(version: int, state: RunState) -> tuple[Any, ...]:
    error = state.error or {}
    return (
        state.run_id,
        state.number,
        state.experiment,
        state.name,
        state.display_name,
        state.description,
        type_of(state),
        state.status,
        state.parent_run_id,
        state.root_run_id,
        state.created,
        state.started,
        state.ended,
        error.get("code"),
        error.get("message"),
        state.lifecycle,
        version,
        _pairs(state.tags),
        _pairs({key: None if v is None else str(v) for key, v in state.params.items()}),
        _pairs(state.properties),
    )


def _pairs(items: Any) -> list[dict[str, str | None]]:
    return [{"key": key, "value": value} for key, value in items.items()]


def metric_names(columns: Iterable[str]) -> set[str]:
    """Return the metrics that columns such as `metrics.loss.min` speak of.

    >>> metric_names(["status", "metrics.val.loss.min"])
    {'val.loss'}
    """
    return {found[1] for column in columns if (found := _METRIC.fullmatch(column))}


def with_columns(
    frame: pl.DataFrame,
    columns: Sequence[str],
    versions: Iterable[Version[RunState]],
    summaries: pl.DataFrame,
) -> pl.DataFrame:
    """Return a frame of runs with the columns by name that `columns` asks for, null where absent.

    `summaries` are the rows of `summary_frame`. Raises UserErrorException for unknown columns.
    """
    states = {v.state.run_id: v.state for v in versions if v.state}
    for column in dict.fromkeys(columns):
        part, _, key = column.partition(".")
        if column in frame.columns:
            continue
        if found := _METRIC.fullmatch(column):
            which = summaries.filter(pl.col("name") == found[1])
            which = which.select("run_id", pl.col(found[2]).alias(column))
            frame = frame.join(which, on="run_id", how="left", maintain_order="left")
        elif part in _PARTS and key:
            cells = [getattr(states[run], part).get(key) for run in frame["run_id"]]
            frame = frame.with_columns(_typed(column, cells))
        else:
            message = (
                f"there is no column {column!r}: runs have {', '.join(SCHEMA)}, tags.<key>, "
                f"params.<key>, properties.<key> and metrics.<name>.<{'|'.join(SUMMARY)}>"
            )
            raise UserErrorException(message)
    return frame


def _typed(name: str, cells: list[Any]) -> pl.Series:
    """Return a column of the narrowest type that holds all cells: bool, int, float, else text."""
    kinds = {type(cell) for cell in cells if cell is not None}
    if kinds == {bool}:
        return pl.Series(name, cells, pl.Boolean)
    if kinds == {int} and all(cell is None or abs(cell) < 2**63 for cell in cells):
        return pl.Series(name, cells, pl.Int64)
    if kinds and kinds <= {int, float}:
        return pl.Series(name, [None if c is None else nearest(c) for c in cells], pl.Float64)
    return pl.Series(name, [None if cell is None else str(cell) for cell in cells], pl.String)
