"""Checkpoints and tables, read from layout/SPEC.md, section 11, alone: a part of `reader`."""

from __future__ import annotations

import json
import re
import zlib
from dataclasses import dataclass, field
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq

from objrun.format.checkpoints import decode_checkpoint

if TYPE_CHECKING:
    from collections.abc import Mapping

    Row = dict[str, Any]

KEYS = {
    "runs": ("root_run_id", "run_id"),
    "metrics": ("root_run_id", "run_id", "name", "writer", "offset"),
    "coverage": ("root_run_id", "run_id", "writer"),
    "cuts": ("root_run_id", "run_id", "writer"),
    "summary": ("root_run_id", "run_id", "name", "writer", "first_offset"),
}
PLAIN = (
    "run_id", "experiment", "number", "root_run_id", "parent_run_id", "name", "display_name",
    "description", "type", "status", "lifecycle",
)  # fmt: skip


@dataclass
class Tables:
    """What the tables of the current checkpoint mean; empty where there is none.

    `states` are versions and states by run, `stops` and `cuts` by (run, writer), `points` by
    (run, writer) in order of offset, `parts` by (run, name, writer) in order of first_offset.
    """

    states: dict[str, tuple[int, Row]] = field(default_factory=dict)
    stops: dict[tuple[str, str], int] = field(default_factory=dict)
    cuts: dict[tuple[str, str], int] = field(default_factory=dict)
    points: dict[tuple[str, str], list[Row]] = field(default_factory=dict)
    parts: dict[tuple[str, str, str], list[Row]] = field(default_factory=dict)


def current_checkpoint(objects: Mapping[str, bytes], folder: str) -> str | None:
    """11.1: the key of the checkpoint with the greatest number."""
    name = re.compile(rf"experiments/{re.escape(folder)}/checkpoints/[0-9]{{8}}\.json")
    return max(filter(name.fullmatch, objects), default=None)


def read_tables(objects: Mapping[str, bytes], key: str | None) -> Tables:
    """11.3: what the rows of all files of a checkpoint come to."""
    tables = Tables()
    if key is None:
        return tables
    decode_checkpoint(key, objects[key])
    rows: dict[str, list[Row]] = {kind: [] for kind in KEYS}
    for told in json.loads(objects[key])["files"]:
        place = key.replace("/checkpoints/", "/tables/").rpartition("/")[0]
        kind = told["name"].rpartition("-")[2].removesuffix(".parquet")
        rows[kind] += _rows(objects[f"{place}/{told['name']}"], told, kind)
    for row in rows["runs"]:
        if row["version"] > tables.states.get(row["run_id"], (0, row))[0]:
            tables.states[row["run_id"]] = row["version"], _state(row)
    for row in rows["coverage"]:
        whose = row["run_id"], row["writer"]
        tables.stops[whose] = max(row["stop"], tables.stops.get(whose, 0))
    for row in rows["cuts"]:
        whose = row["run_id"], row["writer"]
        tables.cuts[whose] = min(row["step"], tables.cuts.get(whose, row["step"]))
    for row in sorted(rows["metrics"], key=lambda row: row["offset"]):
        tables.points.setdefault((row["run_id"], row["writer"]), []).append(row)
    for row in sorted(rows["summary"], key=lambda row: row["first_offset"]):
        whole = row["run_id"], row["name"], row["writer"]
        tables.parts.setdefault(whole, []).append(row)
    for whose, points in tables.points.items():
        assert [point["offset"] for point in points] == [*range(tables.stops[whose])]
    assert {*tables.stops} == {*tables.points}
    return tables


def _rows(data: bytes, told: Row, kind: str) -> list[Row]:
    """11.1, 11.2: the rows of one file, which are as many, and in the order, as they must be."""
    assert (len(data), zlib.crc32(data)) == (told["size"], told["crc32"])
    assert int.from_bytes(data[-8:-4], "little") + 8 == told["footer"]
    rows: list[Row] = pq.read_table(pa.BufferReader(data)).to_pylist()
    assert len(rows) == told["rows"]
    assert (rows[0]["root_run_id"], rows[-1]["root_run_id"]) == (told["first"], told["last"])
    keys = [tuple(row[name] for name in KEYS[kind]) for row in rows]
    assert all(one < next_ for one, next_ in pairwise(keys))
    return rows


def _state(row: Row) -> Row:
    """11.2: the state that a row of `runs` stands for, as a document has it."""
    rest = json.loads(row["rest"] or "{}")
    state = {name: row[name] for name in PLAIN}
    state |= {name: shown_time(row[name]) for name in ("created", "started", "ended")}
    state |= {name: {p["key"]: p["value"] for p in row[name]} for name in ("tags", "properties")}
    params = zip(row["params"], row["param_types"], strict=True)
    state["params"] = {pair["key"]: _scalar(word, pair["value"]) for pair, word in params}
    state["error"] = None
    extra = rest.pop("extra", {})
    state |= rest | extra
    error = state["error"] or {}
    assert (row["error_code"], row["error_message"]) == (error.get("code"), error.get("message"))
    return state


def shown_time(time: Any) -> str | None:
    """5.2: a time as documents have it."""
    return f"{time:%Y-%m-%dT%H:%M:%S.%fZ}" if time else None


def _scalar(word: str, text: str) -> Any:
    """6.1: a parameter as JSON."""
    if word == "none":
        return None
    if word == "bool":
        return {"True": True, "False": False}[text]
    if word == "int":
        return int(text) if abs(int(text)) <= 2**53 else {"int": text}
    return shown_float(float(text)) if word == "float" else text


def shown_float(value: float | None) -> Any:
    """6.1: a float as JSON."""
    names = {"nan": "NaN", "inf": "Infinity", "-inf": "-Infinity"}
    return {"float": names[str(value)]} if str(value) in names else value
