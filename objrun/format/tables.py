"""Compacted tables: their columns, their order, and how they are written. SPEC section 11; no I/O.

Every table is sorted by root run and run first, so that a run, or a run with all below it, is one
range of rows.
"""

from __future__ import annotations

from typing import Final

import pyarrow as pa

from objrun.format.segments import SCHEMA as POINT

_TIME: Final = pa.timestamp("us", tz="UTC")
_PAIRS: Final = pa.list_(pa.struct({"key": pa.string(), "value": pa.string()}))

RUNS: Final = pa.schema(
    {
        "root_run_id": pa.string(),
        "run_id": pa.string(),
        "parent_run_id": pa.string(),
        "experiment": pa.string(),
        "number": pa.int64(),
        "version": pa.int64(),
        "written": _TIME,
        "name": pa.string(),
        "display_name": pa.string(),
        "description": pa.string(),
        "type": pa.string(),
        "status": pa.string(),
        "created": _TIME,
        "started": _TIME,
        "ended": _TIME,
        "error_code": pa.string(),
        "error_message": pa.string(),
        "lifecycle": pa.string(),
        "tags": _PAIRS,
        "params": _PAIRS,
        "param_types": pa.list_(pa.string()),
        "properties": _PAIRS,
        "rest": pa.string(),
    }
)
"""One row a run, its state at `version`, sorted by (root_run_id, run_id). Of several rows of a run
that of the greatest version counts. `param_types` are the types of `params`, in their order (words
of section 6.3), whose values stand as text; `rest` is a JSON object of those fields of the state
that no column gives back exactly, null where there are none."""

METRICS: Final = pa.schema(
    [
        pa.field("root_run_id", pa.string()),
        pa.field("run_id", pa.string()),
        pa.field("name", pa.string()),
        pa.field("writer", pa.string()),
        pa.field("offset", pa.int64()),
        *(POINT.field(name) for name in ("kind", "step", "time", "type", "value", "data")),
    ]
)
"""One row a point, sorted by (root_run_id, run_id, name, writer, offset). A file whose steps fit
has them as int32. As in segments, `kind` null means scalar, `type` null means float."""

SUMMARY: Final = pa.schema(
    {
        "root_run_id": pa.string(),
        "run_id": pa.string(),
        "name": pa.string(),
        "writer": pa.string(),
        "first_offset": pa.int64(),
        "family": pa.string(),
        "first_time": _TIME,
        "last_time": _TIME,
        "points": pa.int64(),
        "unstepped": pa.int64(),
        "count": pa.int64(),
        "nan_count": pa.int64(),
        "min": pa.float64(),
        "max": pa.float64(),
        "sum": pa.float64(),
        "first_step": pa.int64(),
        "last_step": pa.int64(),
        "last": pa.float64(),
        "last_at": _TIME,
        "last_offset": pa.int64(),
        "step_last": pa.float64(),
        "step_last_at": _TIME,
        "step_last_offset": pa.int64(),
    }
)
"""Points of one run, metric and writer summed up, sorted by (root_run_id, run_id, name, writer,
first_offset). Several rows of one writer, of different levels, follow each other by first_offset
and are put together by the reader."""

COVERAGE: Final = pa.schema(
    {
        "root_run_id": pa.string(),
        "run_id": pa.string(),
        "writer": pa.string(),
        "stop": pa.int64(),
    }
)
"""Rows [0, stop) of a writer are in the tables, sorted by (root_run_id, run_id, writer). The
greatest `stop` counts, for ever."""

CUTS: Final = pa.schema(
    {
        "root_run_id": pa.string(),
        "run_id": pa.string(),
        "writer": pa.string(),
        "step": pa.int64(),
    }
)
"""Rows of a writer from `step` on were superseded, sorted by (root_run_id, run_id, writer). They
are in metrics, and not in summary. The least `step` counts, for ever."""

SCHEMAS: Final = {
    "runs": RUNS,
    "summary": SUMMARY,
    "metrics": METRICS,
    "coverage": COVERAGE,
    "cuts": CUTS,
}
"""The columns of each kind of table."""

KEYS: Final = {
    "runs": ("root_run_id", "run_id"),
    "summary": ("root_run_id", "run_id", "name", "writer", "first_offset"),
    "metrics": ("root_run_id", "run_id", "name", "writer", "offset"),
    "coverage": ("root_run_id", "run_id", "writer"),
    "cuts": ("root_run_id", "run_id", "writer"),
}
"""The columns by which each kind of table is sorted."""
