"""Metrics as Python values: numbers, lists, rows and tables, as they were logged."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any, Final

import polars as pl

from objrun.errors import CorruptObjectError, Problem, StepWarning
from objrun.format.values import from_point
from objrun.query.metrics import in_reading_order, metric_blocks, metrics_frame, refuse

if TYPE_CHECKING:
    from collections.abc import Sequence

    from objrun.protocol.live import Shard

_SHAPES: Final[dict[str, type]] = {"list": list, "row": dict, "table": dict, "reference": str}
_POINT: Final = ("kind", "type", "value", "data")


def metric_values(shards: Sequence[Shard], name: str | None = None) -> dict[str, dict[str, Any]]:
    """Return {run id: {metric: value}} as `Run.get_metrics` gives it, of all metrics or of one.

    A scalar logged once is that value, several times a list. Lists are lists, also of one item,
    and join with scalars of that name. One row is a dict of scalars, several a dict of lists
    padded with None; tables are dicts of lists, one after the other. A StepWarning names metrics of
    which only some points have a step. Raises CorruptObjectError, naming it, for a damaged segment.
    """
    points = metrics_frame(shards, refuse)
    frame = in_reading_order(points if name is None else points.filter(pl.col("name") == name))
    out: dict[str, dict[str, Any]] = {}
    start = 0
    half_stepped: dict[str, None] = {}
    for length, run, metric in metric_blocks(frame).iter_rows():
        part = frame.slice(start, length)
        out.setdefault(run, {})[metric] = _value(part, shards)
        if 0 < part["step"].null_count() < length:
            half_stepped[metric] = None
        start += length
    if half_stepped:
        _warn_of_steps([*half_stepped])
    return out


def _warn_of_steps(names: list[str]) -> None:
    few = ", ".join(map(repr, names[:3])) + (", ..." if len(names) > 3 else "")
    message = f"only some points of {few} have a step: they are read as logged, not by step"
    warnings.warn(message, StepWarning, stacklevel=4)


def _value(part: pl.DataFrame, shards: Sequence[Shard]) -> Any:
    kinds = part["kind"].unique().to_list()
    values = _python_values(part, shards)
    if kinds in (["scalar"], ["reference"]):
        return values[0] if len(values) == 1 else values
    if set(kinds) <= {"scalar", "list"}:
        listed = part["kind"] == "list"
        return [x for v, many in zip(values, listed, strict=True) for x in (v if many else [v])]
    if kinds == ["row"]:
        return values[0] if len(values) == 1 else _join(values)
    return _join(values)


def _python_values(part: pl.DataFrame, shards: Sequence[Shard]) -> list[Any]:
    plain = (pl.col("kind") == "scalar") & (pl.col("type") == "float")
    if part.select((plain & pl.col("value").is_not_null()).all()).item():
        return part["value"].to_list()
    values: list[Any] = []
    try:
        # What was done until a fault says where it is.
        values.extend(_of_kind(*row) for row in part.select(*_POINT).iter_rows())
    except (ValueError, RecursionError) as error:
        run, name, writer, offset = part.select("run_id", "name", "writer", "offset").row(
            len(values)
        )
        key = next(
            shard.key
            for shard in shards
            if (shard.segment.run, shard.segment.writer) == (run, writer)
            and shard.segment.start + shard.skip <= offset < shard.segment.stop
        )
        problem = Problem(f"$.{name}", "bad_value", str(error)[:200])
        raise CorruptObjectError(key, [problem]) from None
    return values


def _of_kind(kind: str, type_: str, value: float | None, data: str | None) -> Any:
    """Return the value of a point; ValueError where it does not fit its type, or that its kind."""
    found = from_point(type_, value, data)
    cells = [*found.values()] if isinstance(found, dict) else []
    lists = [cell for cell in cells if isinstance(cell, list)]
    if kind not in _SHAPES:
        fits = type_ != "json"
    elif kind == "table":
        fits = isinstance(found, dict) and lists == cells and len({*map(len, lists)}) < 2
    else:
        fits = isinstance(found, _SHAPES[kind]) and not lists
    if not fits:
        message = f"a value of type {type_} is no {kind}: {str(data)[:80]}"
        raise ValueError(message)
    return found


def _join(pieces: list[dict[str, Any]]) -> dict[str, list[Any]]:
    """Put rows and tables below each other; a column that one lacks is padded with None."""
    joined: dict[str, list[Any]] = {name: [] for piece in pieces for name in piece}
    for piece in pieces:
        columns = {name: c if isinstance(c, list) else [c] for name, c in piece.items()}
        length = max(map(len, columns.values()), default=0)
        for name, cells in joined.items():
            cells.extend(columns.get(name, [None] * length))
    return joined
