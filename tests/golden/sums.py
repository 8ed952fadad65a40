"""What metrics come to, put together of parts as layout/SPEC.md, 11.6, says: a part of `reader`."""

from __future__ import annotations

import math
from functools import reduce
from typing import TYPE_CHECKING, Any

from tests.golden.tables import shown_float

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    Row = dict[str, Any]


def part_of(rows: Sequence[Mapping[str, Any]]) -> Row:
    """Return what rows of one run, name and writer, in order of offset, come to."""
    clock = rows[0]["time"]
    numbers = []
    for row in rows:
        clock = max(clock, row["time"])
        if row["value"] is not None:
            numbers.append((row["value"], row["step"], clock, row["offset"]))
    finite = [value for value, *_ in numbers if not math.isnan(value)]
    steps = [step for _, step, *_ in numbers if step is not None]
    last = numbers[-1] if numbers else (None, None, None, None)
    highest = [n for n in numbers if steps and n[1] == max(steps)] or [(None, None, None, None)]
    kind = rows[0]["kind"] or "scalar"
    return {
        "writer": rows[0]["writer"],
        "first_offset": rows[0]["offset"],
        "family": "scalar" if kind == "list" else kind,
        "first_time": rows[0]["time"],
        "last_time": clock,
        "points": len(rows),
        "unstepped": sum(row["step"] is None for row in rows),
        "count": len(numbers),
        "nan_count": len(numbers) - len(finite),
        "min": min(finite, default=None),
        "max": max(finite, default=None),
        "sum": sum(finite, 0.0),
        "first_step": min(steps, default=None),
        "last_step": max(steps, default=None),
        **dict(zip(("last", "last_at", "last_offset"), (last[0], *last[2:]), strict=True)),
        "step_last": highest[-1][0],
        "step_last_at": highest[-1][2],
        "step_last_offset": highest[-1][3],
    }


def put_together(a: Row, b: Row) -> Row:
    """Return two parts of one writer, `a` before `b`, as one."""
    raised = {
        name: max(b[name], a["last_time"])
        for name in ("last_time", "last_at", "step_last_at")
        if b[name] is not None
    }
    b = b | raised
    out = {name: a[name] for name in ("writer", "first_offset", "family", "first_time")}
    out["last_time"] = b["last_time"]
    for name in ("points", "unstepped", "count", "nan_count", "sum"):
        out[name] = a[name] + b[name]
    for name, choose in (("min", min), ("max", max), ("first_step", min), ("last_step", max)):
        out[name] = choose((x[name] for x in (a, b) if x[name] is not None), default=None)
    last = a if b["last"] is None else b
    out |= {name: last[name] for name in ("last", "last_at", "last_offset")}
    steps = [-math.inf if x["last_step"] is None else x["last_step"] for x in (a, b)]
    highest = b if steps[1] >= steps[0] else a
    return out | {name: highest[name] for name in ("step_last", "step_last_at", "step_last_offset")}


def sums_of(writers: Iterable[Sequence[Row]]) -> dict[str, Any] | None:
    """Return the sums of a metric from the parts of each writer; None if it has none."""
    parts = [reduce(put_together, parts) for parts in writers]
    family = min(parts, key=lambda part: (part["first_time"], part["writer"]))["family"]
    having = [part for part in parts if part["count"]]
    if family != "scalar" or not having:
        return None
    count = sum(part["count"] for part in parts)
    finite = count - sum(part["nan_count"] for part in parts)
    mean = sum(part["sum"] for part in parts) / finite if finite else None
    if any(part["unstepped"] for part in parts):
        last = max(having, key=lambda part: (part["last_at"], part["writer"]))["last"]
    else:
        order = ("last_step", "step_last_at", "writer")
        last = max(having, key=lambda part: [part[name] for name in order])["step_last"]
    return {
        "count": count,
        "nan_count": count - finite,
        "last": shown_float(last),
        "min": shown_float(_of_all(min, parts, "min")),
        "max": shown_float(_of_all(max, parts, "max")),
        "mean": None if mean is None or math.isnan(mean) else shown_float(mean),
        "first_step": _of_all(min, parts, "first_step"),
        "last_step": _of_all(max, parts, "last_step"),
    }


def _of_all(choose: Any, parts: Sequence[Row], name: str) -> Any:
    return choose((part[name] for part in parts if part[name] is not None), default=None)
