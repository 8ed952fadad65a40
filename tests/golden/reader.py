"""A small reader of stores, written from layout/SPEC.md alone, to hold the SPEC to its word.

Documents and segments are decoded by objrun.format; everything else (keys, chains, replay, tables,
which rows count and in which order) is done here again, in the plainest way. Section numbers are
those of the SPEC.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote_to_bytes

from objrun.errors import CorruptObjectError, NotAStoreError, Problem, UnsupportedFormatError
from objrun.format.documents import decode_experiment, decode_header, decode_run
from objrun.format.segments import decode_segment
from tests.golden.files import files_of, models_of
from tests.golden.sums import part_of, sums_of
from tests.golden.tables import (
    Tables,
    current_checkpoint,
    read_tables,
    shown_float,
    shown_time,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

RUN = r"[A-Za-z0-9][A-Za-z0-9_.-]{0,199}"
TERMINAL = ("Completed", "Failed", "Canceled")


@dataclass
class Answer:
    """What a reader says about a store, in the form of expected/*.json."""

    experiments: list[dict[str, Any]] = field(default_factory=list)
    runs: list[dict[str, Any]] = field(default_factory=list)
    metrics: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    summaries: dict[str, dict[str, dict[str, Any]]] = field(default_factory=dict)
    files: dict[str, dict[str, dict[str, Any]]] = field(default_factory=dict)
    models: list[dict[str, Any]] = field(default_factory=list)
    errors: list[dict[str, Any]] = field(default_factory=list)


def read(objects: Mapping[str, bytes]) -> Answer:
    """Read everything; an UnsupportedFormatError or NotAStoreError refuses the store (4.1)."""
    if "objrun.json" not in objects:
        raise NotAStoreError("no header")
    decode_header("objrun.json", objects["objrun.json"])
    answer = Answer()
    for folder in sorted({key.split("/")[1] for key in objects if key.startswith("experiments/")}):
        name = _read_experiment(objects, folder, answer)
        if name is None:
            continue
        checkpoint = current_checkpoint(objects, folder)
        try:
            tables = read_tables(objects, checkpoint)
        except (CorruptObjectError, UnsupportedFormatError) as error:
            _failed(answer, str(checkpoint), error)
            continue
        _read_runs(_Folder(objects, folder, tables, answer), name)
    for run in {key.split("/")[1] for key in objects if re.fullmatch(f"runs/{RUN}/.*", key)}:
        if found := files_of(objects, run):
            answer.files[run] = found
    answer.models = models_of(objects)
    return answer


def _failed(answer: Answer, key: str, error: Exception) -> None:
    problems = [Problem("", "unsupported_format", "")]
    if isinstance(error, CorruptObjectError):
        problems = error.problems
    answer.errors += [
        {"key": key, "code": p.code, "location": p.location or None} for p in problems
    ]


@dataclass(frozen=True)
class _Folder:
    """An experiment's folder in a store, its tables, and what is said about it."""

    objects: Mapping[str, bytes]
    name: str
    tables: Tables
    answer: Answer


def _read_experiment(objects: Mapping[str, bytes], folder: str, answer: Answer) -> str | None:
    """10.1, 7: the last version of the chain below this folder."""
    prefix = f"experiments/{folder}/state/"
    found = [re.fullmatch(rf"{re.escape(prefix)}([0-9]{{8}})\.json", key) for key in objects]
    last = max((int(match[1]) for match in found if match), default=0)
    if not last:
        return None
    key = f"{prefix}{last:08d}.json"
    if decode_experiment(key, objects[key]).purged:
        return None
    state = json.loads(objects[key])["state"]
    name: str = state["name"]
    # 3.3: a piece without ~ is the name itself.
    assert "~" in folder or unquote_to_bytes(folder).decode() == name
    answer.experiments.append(state | {"version": last})
    return name


def _read_runs(folder: _Folder, name: str) -> None:
    """10.2: markers say which version is the last; a missing one means the version before."""
    objects, states = folder.objects, folder.tables.states
    marker = re.compile(rf"experiments/{re.escape(folder.name)}/feed/({RUN})\.([0-9]{{8}})")
    last = {run: version for run, (version, _) in states.items()}
    for match in filter(None, map(marker.fullmatch, objects)):
        last[match[1]] = max(last.get(match[1], 0), int(match[2]))
    for run, number in last.items():
        known, state = states.get(run, (0, None))
        version = number
        while version > known and f"runs/{run}/state/{version:08d}.json" not in objects:
            version -= 1
        try:
            state = _state(objects, run, version) if version > known else state
        except (CorruptObjectError, UnsupportedFormatError) as error:
            _failed(folder.answer, f"runs/{run}/state/{version:08d}.json", error)
            continue
        if state is not None and state["experiment"] == name:
            folder.answer.runs.append(state | {"version": version})
            _read_metrics(folder, run)


def _state(objects: Mapping[str, bytes], run: str, version: int) -> dict[str, Any] | None:
    """7.3: the state of a version; a blind one is replayed onto the one before, each write once."""
    key = f"runs/{run}/state/{version:08d}.json"
    if decode_run(key, objects[key]).purged:
        return None
    document = json.loads(objects[key])
    if document["state"] is not None:
        found: dict[str, Any] = document["state"]
        return found
    state = _state(objects, run, version - 1)
    if state is None:
        return None
    between = range(document["base"] + 1, version)
    others = (f"runs/{run}/state/{number:08d}.json" for number in between)
    if document["write_id"] in {json.loads(objects[other])["write_id"] for other in others}:
        return state
    for position, op in enumerate(document["ops"]):
        if op["op"] not in _APPLY:
            problem = Problem(f"$.ops[{position}]", "unknown_op", "")
            raise CorruptObjectError(key, [problem])
        _APPLY[op["op"]](state, op)
    return state


def _set_status(state: dict[str, Any], op: Mapping[str, Any]) -> None:
    is_late = (op.get("attempt") or 1) < (state.get("attempt") or 1)
    is_asked = state["status"] == "CancelRequested" and op["status"] not in TERMINAL
    if is_late or is_asked or state["status"] in (*TERMINAL, op["status"]):
        return
    state["status"] = op["status"]
    if op["status"] == "Running" and state["started"] is None:
        state["started"] = op["time"]
    if op["status"] in TERMINAL:
        state |= {"ended": op["time"], "error": op.get("error")}


def _resume(state: dict[str, Any], op: Mapping[str, Any]) -> None:
    if (state.get("attempt") or 1) < op["attempt"]:
        started = state["started"] or op["time"]
        state |= {"attempt": op["attempt"], "status": "Running", "started": started}
        state |= {"ended": None, "error": None}


def _merge(name: str, state: dict[str, Any], op: Mapping[str, Any]) -> None:
    state[name] = state[name] | op[name]


def _remove(state: dict[str, Any], op: Mapping[str, Any]) -> None:
    state["tags"] = {k: v for k, v in state["tags"].items() if k not in op["keys"]}


def _add_properties(state: dict[str, Any], op: Mapping[str, Any]) -> None:
    state["properties"] = op["properties"] | state["properties"]


def _describe(state: dict[str, Any], op: Mapping[str, Any]) -> None:
    state |= {name: op[name] for name in ("display_name", "description") if name in op}


def _set_lifecycle(state: dict[str, Any], op: Mapping[str, Any]) -> None:
    state["lifecycle"] = op["lifecycle"]


_APPLY: dict[str, Callable[[dict[str, Any], Mapping[str, Any]], None]] = {
    "set_status": _set_status,
    "resume": _resume,
    "set_tags": partial(_merge, "tags"),
    "remove_tags": _remove,
    "set_params": partial(_merge, "params"),
    "add_properties": _add_properties,
    "describe": _describe,
    "set_lifecycle": _set_lifecycle,
}


def _read_metrics(folder: _Folder, run: str) -> None:
    """10.4, 10.5, 10.8: the points of a run, in order, and what they come to."""
    tables = folder.tables
    segments = _segments(folder, run)
    cuts = _cuts(folder, run)
    # 10.4: sums in tables do not know of it.
    is_cut_anew = any(step < tables.cuts.get((run, w), step + 1) for w, step in cuts.items())
    points: list[dict[str, Any]] = []
    parts: dict[str, list[list[dict[str, Any]]]] = {}
    damaged = False
    for writer in {*segments, *(w for r, w in tables.points if r == run)}:
        stop = tables.stops.get((run, writer), 0)
        try:
            live = _live_rows(folder.objects, segments.get(writer, []), stop)
        except CorruptObjectError as error:
            _failed(folder.answer, error.key, error)
            damaged = True
            continue
        until = min(cuts.get(writer, 2**63), tables.cuts.get((run, writer), 2**63))
        compacted = [r for r in tables.points.get((run, writer), []) if _counts(r, until)]
        named: dict[str, list[dict[str, Any]]] = {}
        for offset, row in enumerate(live, stop):
            if not _counts(row, until):
                continue
            named.setdefault(row["name"], []).append(row | {"writer": writer, "offset": offset})
        points += _timed(compacted + [row for rows in named.values() for row in rows])
        for name in {row["name"] for row in compacted} | named.keys():
            known = tables.parts.get((run, name, writer), [])
            if is_cut_anew:
                old = [row for row in compacted if row["name"] == name]
                known = [part_of(old)] if old else []
            new = [part_of(named[name])] if name in named else []
            parts.setdefault(name, []).append([*known, *new])
    if points and not damaged:
        folder.answer.metrics[run] = _in_order(points)
        sums = {name: sums for name, each in parts.items() if (sums := sums_of(each))}
        folder.answer.summaries |= {run: sums} if sums else {}


def _counts(row: Mapping[str, Any], until: int) -> bool:
    """10.9: rows without a step, and those before the rewind."""
    return row["step"] is None or row["step"] < until


def _cuts(folder: _Folder, run: str) -> dict[str, int]:
    """10.9: the least step of the live cuts of each writer."""
    prefix = f"experiments/{re.escape(folder.name)}/shards/{re.escape(run)}/"
    name = re.compile(rf"{prefix}rewind-([0-9a-f]{{16}})-(0|-?[1-9][0-9]*)")
    found: dict[str, int] = {}
    for match in filter(None, map(name.fullmatch, folder.objects)):
        found[match[1]] = min(int(match[2]), found.get(match[1], int(match[2])))
    return found


def _segments(folder: _Folder, run: str) -> dict[str, list[tuple[int, int, str]]]:
    prefix = f"experiments/{re.escape(folder.name)}/shards/{re.escape(run)}/"
    name = re.compile(rf"{prefix}([0-9a-f]{{16}})-([0-9]{{12}})-([0-9]{{12}})\.parquet")
    writers: dict[str, list[tuple[int, int, str]]] = {}
    for match in filter(None, map(name.fullmatch, folder.objects)):
        if int(match[2]) < int(match[3]):
            writers.setdefault(match[1], []).append((int(match[2]), int(match[3]), match[0]))
    return writers


def _live_rows(
    objects: Mapping[str, bytes], segments: list[tuple[int, int, str]], position: int
) -> list[dict[str, Any]]:
    """10.4, step 4: the rows from `position` on that count, up to a gap."""
    rows: list[dict[str, Any]] = []
    while here := [s for s in segments if s[0] <= position < s[1]]:
        start, stop, key = max(here, key=lambda s: s[1])
        rows += decode_segment(key, objects[key]).to_pylist()[position - start :]
        position = stop
    return rows


def _timed(rows: list[dict[str, Any]]) -> Iterable[dict[str, Any]]:
    """10.5: rows of one writer with their logging time, by which they are ordered."""
    clocks: dict[str, Any] = {}
    for row in sorted(rows, key=lambda row: row["offset"]):
        clock = max(clocks.get(row["name"], row["time"]), row["time"])
        clocks[row["name"]] = clock
        logged = clock, row["writer"], row["offset"]
        yield row | {"time": shown_time(row["time"]), "logged": logged}


def _in_order(points: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """10.5: metrics by their first points, points in reading order, first family only."""
    metrics: dict[str, list[dict[str, Any]]] = {}
    for point in sorted(points, key=lambda p: p["logged"]):
        metrics.setdefault(point["name"], []).append(point)
    out = []
    for name, logged in metrics.items():
        family = _family(logged[0])
        ordered = logged
        if all(point["step"] is not None for point in logged):
            ordered = sorted(logged, key=lambda p: p["step"])
        kept = [_shown(point) for point in ordered if _family(point) == family]
        out.append({"name": name, "family": family, "points": kept})
    return out


def _family(point: Mapping[str, Any]) -> str:
    kind = point["kind"] or "scalar"
    return "scalar" if kind == "list" else str(kind)


def _shown(point: Mapping[str, Any]) -> dict[str, Any]:
    shown = {name: point[name] for name in ("writer", "offset", "step", "time")}
    return shown | {"kind": point["kind"] or "scalar", "value": _value(point)}


def _value(point: Mapping[str, Any]) -> Any:
    """6.3: the value as JSON, scalars as in 6.1."""
    type_, value, data = point["type"] or "float", point["value"], point["data"]
    if type_ == "json":
        return json.loads(data)
    if type_ == "int" and data is not None:
        return {"int": data}
    if type_ == "float":
        return shown_float(value)
    if type_ == "int":
        return int(value)
    return {"none": None, "str": data, "blob": data, "bool": value != 0}.get(type_, value)
