"""Metrics as Python values: numbers, lists, rows and tables, as they were logged."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any, Final

import polars as pl

from objrun.errors import CorruptObjectError, Problem, StepWarning, UserErrorException
from objrun.format.media import Blob, parse_reference
from objrun.format.values import SCHEMA_KINDS, from_point
from objrun.protocol.blobs import BlobReader
from objrun.query.media import frames_of, resolved
from objrun.query.reading_order import in_reading_order

if TYPE_CHECKING:
    from objrun.storage import Store
    from objrun.tables.points import Points

_SHAPES: Final[dict[str, type]] = {
    "list": list,
    "row": dict,
    "table": dict,
    "reference": str,
    "text": str,
    "histogram": dict,
    **dict.fromkeys(("image", *SCHEMA_KINDS), Blob),
}
BLOBS: Final = ("image", "text", "table", *SCHEMA_KINDS)
"""Kinds whose values may be blobs."""

TABLES: Final = ("row", "table")
"""Kinds that are tables."""

_POINT: Final = ("kind", "type", "value", "data")
_PLAIN: Final = (
    (pl.col("kind") == "scalar") & (pl.col("type") == "float") & pl.col("value").is_not_null()
)


def metric_values(
    points: Points, store: Store, *, populate: bool = False
) -> dict[str, dict[str, Any]]:
    """Return {run id: {metric: value}} as `Run.get_metrics` gives it.

    A scalar logged once is that value, several times a list. Lists are lists, also of one item,
    and join with scalars of that name. One row is a dict of scalars, several a dict of lists
    padded with None; tables are dicts of lists, one after the other. A StepWarning names metrics of
    which only some points have a step. Of images and documents the reference, or with `populate`
    a MetricArtifact. Raises CorruptObjectError, naming it, for a damaged object.
    """
    ordered = in_reading_order(points.chunk)
    frame, metrics = ordered.frame, ordered.metrics
    if half := metrics.filter("half_stepped")["name"].unique(maintain_order=True).to_list():
        _warn_of_steps(half)
    # Most metrics are plain floats: these become Python numbers all at once.
    values = frame["value"].to_list()
    plain = frame.select(_PLAIN.not_().cum_sum().alias("odd"))["odd"]
    stops = metrics["length"].cum_sum()
    odd = plain.gather(stops - 1).to_list()
    out: dict[str, dict[str, Any]] = {}
    blobs = BlobReader(store)
    start = before = 0
    for run, metric, length, others in zip(
        metrics["run_id"], metrics["name"], metrics["length"], odd, strict=True
    ):
        if others == before:
            stop = start + length
            value = values[start] if length == 1 else values[start:stop]
        else:
            part = frame.slice(start, length)
            found = python_values(part, points)
            if any(isinstance(each, Blob) for each in found):
                found = resolved(blobs, run, part["kind"][0], found, populate=populate)
            value = _value(part, found)
        out.setdefault(run, {})[metric] = value
        start += length
        before = others
    return out


def table_frame(points: Points, store: Store, name: str) -> pl.DataFrame:
    """Return the points of a table metric as one frame, a column that some lack padded with null.

    Rows are a table, too. Raises UserErrorException for another kind, CorruptObjectError for what
    is damaged.
    """
    part = in_reading_order(points.chunk).frame
    if not {*part["kind"]} <= {*TABLES}:
        message = f"metric {name!r} is no table but a {part['kind'][0]}: get_metrics reads it"
        raise UserErrorException(message)
    frames = frames_of(store, part["run_id"][0], python_values(part, points))
    return pl.concat(frames, how="diagonal_relaxed")


def _warn_of_steps(names: list[str]) -> None:
    few = ", ".join(map(repr, names[:3])) + (", ..." if len(names) > 3 else "")
    message = f"only some points of {few} have a step: they are read as logged, not by step"
    warnings.warn(message, StepWarning, stacklevel=4)


def _value(part: pl.DataFrame, values: list[Any]) -> Any:
    kinds = part["kind"].unique().to_list()
    if "list" in kinds:
        listed = part["kind"] == "list"
        return [x for v, many in zip(values, listed, strict=True) for x in (v if many else [v])]
    if kinds == ["table"]:
        return _join(values)
    if len(values) == 1:
        return values[0]
    return _join(values) if kinds == ["row"] else values


def python_values(part: pl.DataFrame, points: Points) -> list[Any]:
    """Return the value of each point of one metric, of a blob what refers to it."""
    values: list[Any] = []
    try:
        # What was done until a fault says where it is.
        values.extend(_of_kind(*row) for row in part.select(*_POINT).iter_rows())
    except (ValueError, RecursionError) as error:
        run, name, writer, offset = part.select("run_id", "name", "writer", "offset").row(
            len(values)
        )
        problem = Problem(f"$.{name}", "bad_value", str(error)[:200])
        raise CorruptObjectError(points.key_of(run, writer, offset), [problem]) from None
    return values


def _of_kind(kind: str, type_: str, value: float | None, data: str | None) -> Any:
    """Return the value of a point; ValueError where it does not fit its type, or that its kind."""
    found = parse_reference(data or "") if type_ == "blob" else from_point(type_, value, data)
    cells = [*found.values()] if isinstance(found, dict) else []
    lists = [cell for cell in cells if isinstance(cell, list)]
    if kind not in _SHAPES:
        fits = type_ not in ("json", "blob")
    elif isinstance(found, Blob):
        fits = kind in BLOBS
    elif kind == "histogram":
        fits = isinstance(found, dict) and lists == cells
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
