"""Runs as rows of the table `runs`: of versions that were read, and back to versions, exactly."""

from __future__ import annotations

from datetime import UTC
from functools import reduce
from itertools import accumulate
from types import NoneType
from typing import TYPE_CHECKING, Any, Final

import orjson
import polars as pl
import pyarrow as pa

from objrun.errors import CorruptObjectError, Problem
from objrun.format import keys
from objrun.format.names import MAX_RUN_ID
from objrun.format.states import LIFECYCLES, STATUSES, RunState, Version, type_of
from objrun.format.tables import RUNS

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from datetime import datetime

    from objrun.format.values import Scalar

STORED: Final = pl.DataFrame(RUNS.empty_table()).schema
"""The columns of `objrun.format.tables.RUNS` as polars has them."""

_PLAIN: Final = (
    "root_run_id",
    "run_id",
    "parent_run_id",
    "experiment",
    "name",
    "display_name",
    "description",
    "status",
    "created",
    "started",
    "ended",
    "lifecycle",
)
"""Columns that are fields of a state as they are."""

_REST: Final = {"error", "type", "number", "attempt", "extra"}
"""What can stand in `rest`."""

_NEVER_NULL: Final = [name for name in RUNS.names if name in (
    "root_run_id", "run_id", "experiment", "version", "written", "status", "created",
    "lifecycle", "tags", "params", "param_types", "properties",
)]  # fmt: skip
_RUN_ID: Final = rf"^[A-Za-z0-9][A-Za-z0-9_.-]{{0,{MAX_RUN_ID - 1}}}$"

_WORDS: Final = {NoneType: "none", bool: "bool", int: "int", float: "float", str: "str"}
_MOST: Final = 2**63 - 1


def stored_frame(versions: Iterable[Version[RunState]]) -> pl.DataFrame:
    """Return one row for each version that has a state, with the columns of STORED, as they come.

    >>> from objrun.format.states import RunState, Version
    >>> from datetime import datetime, UTC
    >>> now = datetime(2026, 1, 31, tzinfo=UTC)
    >>> state = RunState(run_id="a", experiment="e", number=1, root_run_id="a", created=now)
    >>> version = Version(version=1, write_id="w", written=now, ops=(), state=state)
    >>> frame = stored_frame([version])
    >>> frame.schema == STORED, version_of(frame.row(0, named=True)).state == state
    (True, True)
    """
    kept = [version for version in versions if version.state is not None]
    states = [version.state for version in kept if version.state is not None]
    errors = [state.error or {} for state in states]
    params = [state.params for state in states]
    columns: dict[str, Any] = {name: [getattr(s, name) for s in states] for name in _PLAIN}
    columns |= {
        "version": [version.version for version in kept],
        "written": [version.written for version in kept],
        "number": [state.number if state.number <= _MOST else None for state in states],
        "type": [type_of(state) for state in states],
        "error_code": [_text(error.get("code")) for error in errors],
        "error_message": [_text(error.get("message")) for error in errors],
        "tags": _pairs([state.tags for state in states]),
        "params": _pairs([{k: _text_of(v) for k, v in each.items()} for each in params]),
        "param_types": [[_WORDS[type(v)] for v in each.values()] for each in params],
        "properties": _pairs([state.properties for state in states]),
        "rest": [_rest(state) for state in states],
    }
    arrays = [
        cells if isinstance(cells, pa.Array) else pa.array(cells, RUNS.field(name).type)
        for name in RUNS.names
        for cells in [columns[name]]
    ]
    return pl.DataFrame(pa.Table.from_arrays(arrays, schema=RUNS))


def _pairs(maps: Sequence[Mapping[str, str | None]]) -> pa.ListArray:
    """Return a list of (key, value) for each mapping; one by one they would take ten times long."""
    stops = accumulate((len(each) for each in maps), initial=0)
    texts = [key for each in maps for key in each], [v for each in maps for v in each.values()]
    items = [pa.array(column, pa.string()) for column in texts]
    pairs = pa.StructArray.from_arrays(items, ["key", "value"])
    return pa.ListArray.from_arrays(pa.array(stops, pa.int32()), pairs)


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) else None


def _text_of(scalar: Scalar) -> str | None:
    return None if scalar is None else str(scalar)


def _rest(state: RunState) -> str | None:
    """Return as JSON what no column gives back; None for nothing, as nearly always."""
    rest: dict[str, Any] = {}
    if state.error is not None:
        rest["error"] = dict(state.error)
    if state.type != type_of(state):
        rest["type"] = state.type
    if state.number > _MOST:
        rest["number"] = state.number
    if state.attempt > 1:
        rest["attempt"] = state.attempt
    if state.extra:
        rest["extra"] = dict(state.extra)
    return orjson.dumps(rest).decode() if rest else None


def check_rows(frame: pl.DataFrame) -> None:
    """Raise ValueError where rows of a stored frame cannot be of runs.

    Of their ids keys are made, so they are looked at as those of documents are.
    """
    ids = pl.col("run_id", "root_run_id", "parent_run_id").str.contains(_RUN_ID).all()
    words = {"status": STATUSES, "lifecycle": LIFECYCLES}
    known = [pl.col(name).is_in([*allowed]).all() for name, allowed in words.items()]
    nulls = pl.sum_horizontal(pl.col(_NEVER_NULL).null_count()) == 0
    if frame.height and not all(frame.select(ids, *known, nulls.alias("null")).row(0)):
        message = "it has a row that is not of a run"
        raise ValueError(message)


def version_of(row: Mapping[str, Any]) -> Version[RunState]:
    """Return the version that a row of a stored frame was made of: `frame.row(i, named=True)`.

    Where the row has a column `stored_status`, that is its status. Its state is exact. What was
    done (`ops`) is not in a row, nor who wrote it: `write_id` is "".
    Raises CorruptObjectError where a value does not fit its type.
    """
    try:
        return _version_of(row)
    except (ValueError, TypeError, LookupError) as error:
        problem = Problem("$", "bad_value", f"the row of run {row['run_id']!r}: {error}"[:200])
        raise CorruptObjectError(keys.tables(row["experiment"]), [problem]) from None


def _version_of(row: Mapping[str, Any]) -> Version[RunState]:
    rest = orjson.loads(row["rest"]) if row["rest"] else {}
    params = zip(row["params"], row["param_types"], strict=True)
    if unknown := rest.keys() - _REST:
        raise ValueError(f"{sorted(unknown)} in its rest")
    fields = {
        "created": _utc(row["created"]),
        "started": _utc(row["started"]),
        "ended": _utc(row["ended"]),
        "tags": _mapping(row["tags"]),
        "params": {pair["key"]: _scalar(word, pair["value"]) for pair, word in params},
        "properties": _mapping(row["properties"]),
        "number": row["number"],
        "type": row["type"],
        **rest,
    }
    if "stored_status" in row:
        fields["status"] = row["stored_status"]
    state = RunState(**{name: row[name] for name in _PLAIN} | fields)
    written = _utc(row["written"])
    return Version(version=row["version"], write_id="", written=written, ops=(), state=state)


def _utc(time: datetime | None) -> Any:
    """Return a time in the zone that documents give, which is equal but another object."""
    return None if time is None else time.replace(tzinfo=UTC)


def _mapping(pairs: Iterable[Mapping[str, Any]]) -> dict[str, str | None]:
    return {pair["key"]: pair["value"] for pair in pairs}


def _scalar(word: str, text: str) -> Scalar:
    if word == "bool":
        return text == "True"
    if word == "int":
        return int(text)
    if word == "float":
        return float(text)
    return None if word == "none" else text


def last_rows(frames: Sequence[pl.DataFrame]) -> pl.DataFrame:
    """Return the rows of stored frames, of each run that of the greatest version alone.

    No frame has two rows of a run. Quick where the first is large and those behind it are small.
    """
    return reduce(_replaced, frames, STORED.to_frame())


def _replaced(older: pl.DataFrame, newer: pl.DataFrame) -> pl.DataFrame:
    if not older.height or not newer.height:
        return newer if newer.height else older
    known = older.select("run_id", pl.col("version").alias("known"))
    known = newer.select("run_id", "version").join(known, on="run_id", how="inner")
    stale = known.filter(pl.col("known") >= pl.col("version"))
    newer = newer.join(stale, on="run_id", how="anti", maintain_order="left")
    return pl.concat([older.filter(~pl.col("run_id").is_in(newer["run_id"].implode())), newer])
