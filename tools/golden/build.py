"""Parts that golden stores are built of: fixed ids and times, documents and segments as bytes.

What a reader must answer is written down from the values that go in, never by reading them back.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

import orjson
import pyarrow as pa

from objrun.format import file_keys, keys
from objrun.format.checking import format_time
from objrun.format.documents import (
    encode_experiment,
    encode_file,
    encode_header,
    encode_number,
    encode_property,
    encode_run,
)
from objrun.format.segments import SCHEMA, encode_segment
from objrun.format.states import (
    ExperimentState,
    FileEntry,
    Header,
    NumberClaim,
    Property,
    RunState,
    Version,
)
from objrun.format.values import PREFIX, Point, dumps, to_json, to_point

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from objrun.format.values import Scalar

NOON: Final = datetime(2026, 1, 31, 12, tzinfo=UTC)
WRITER: Final = "00000000000000a1"
CREATE: Final = {"op": "create"}


def at(seconds: float) -> datetime:
    """Return the time so many seconds after noon."""
    return NOON + timedelta(seconds=seconds)


def write_id(key: str) -> str:
    """Return the 32 hexadecimal digits that stand for a random write id."""
    return hashlib.sha256(key.encode()).hexdigest()[:32]


def pretty(value: Any) -> bytes:
    """Return JSON for people: two spaces, keys sorted, one newline at the end."""
    return orjson.dumps(
        value, option=orjson.OPT_INDENT_2 | orjson.OPT_SORT_KEYS | orjson.OPT_APPEND_NEWLINE
    )


@dataclass(frozen=True)
class Row:
    """One point as it is logged; `value` is a scalar, or what `kind` says."""

    name: str
    value: Any
    step: int | None = None
    kind: str = "scalar"
    seconds: float = 0.0
    in_words: bool = False
    """Say "scalar" and "float" in words, where null would do."""

    def point(self) -> Point:
        """Return type, value and data of the row."""
        if str(self.value).startswith(PREFIX):
            return Point("blob", None, str(self.value))
        if self.kind in ("reference", "text"):
            return Point("str", None, str(self.value))
        if self.kind == "scalar":
            return to_point(self.value)
        return Point("json", None, dumps(self.value))

    def typed(self) -> Any:
        """Return the value as expected/metrics.json holds it."""
        return to_json(self.value) if self.kind == "scalar" else _typed(self.value)


def _typed(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _typed(cell) for name, cell in value.items()}
    return [to_json(cell) for cell in value] if isinstance(value, list) else to_json(value)


def table(rows: Sequence[Row]) -> pa.Table:
    """Return rows as the Arrow table that becomes a segment."""
    points = [row.point() for row in rows]
    columns = {
        "name": [row.name for row in rows],
        "kind": [None if row.kind == "scalar" and not row.in_words else row.kind for row in rows],
        "step": [row.step for row in rows],
        "time": [at(row.seconds) for row in rows],
        "type": [
            None if point.type == "float" and not row.in_words else point.type
            for row, point in zip(rows, points, strict=True)
        ],
        "value": [point.value for point in points],
        "data": [point.data for point in points],
    }
    return pa.table([pa.array(columns[f.name], f.type) for f in SCHEMA], schema=SCHEMA)


@dataclass
class Case:
    """One golden store: its objects by key, and what a reader must answer."""

    name: str
    shows: str
    sections: tuple[str, ...]
    refused: bool = False
    objects: dict[str, bytes] = field(default_factory=dict)
    experiments: dict[str, dict[str, Any]] = field(default_factory=dict)
    runs: dict[str, dict[str, Any]] = field(default_factory=dict)
    metrics: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    summaries: dict[str, dict[str, dict[str, Any]]] = field(default_factory=dict)
    stored: dict[str, dict[str, dict[str, Any]]] = field(default_factory=dict)
    blobs: dict[str, dict[str, str]] = field(default_factory=dict)
    models: list[dict[str, Any]] = field(default_factory=list)
    errors: list[dict[str, Any]] = field(default_factory=list)
    _logged: dict[tuple[str, str, int], Row] = field(default_factory=dict)

    def header(self, **changes: Any) -> None:
        """Put objrun.json."""
        header = Header(store_id="golden", created=NOON, write_id=write_id(keys.HEADER))
        self.objects[keys.HEADER] = encode_header(replace(header, **changes))

    def experiment(
        self,
        name: str = "digits",
        *changes: tuple[Mapping[str, Any], Mapping[str, Any]],
        **first: Any,
    ) -> None:
        """Put an experiment's chain: version 1, then one version for each (op, changed fields)."""
        state = ExperimentState(
            experiment_id=f"id-{len(self.experiments)}", name=name, created=NOON
        )
        state = replace(state, **first)
        self.experiment_version(1, state, CREATE)
        for number, (op, changed) in enumerate(changes, 2):
            state = replace(state, **changed)
            self.experiment_version(number, state, op)

    def experiment_version(
        self, number: int, state: ExperimentState, op: Mapping[str, Any]
    ) -> None:
        """Put one version of an experiment's chain."""
        key = keys.experiment_state(state.name, number)
        version = Version(
            version=number, write_id=write_id(key), written=at(number), ops=(op,), state=state
        )
        self.objects[key] = encode_experiment(version)
        self.experiments[state.name] = {
            **state.extra,
            "version": number,
            "experiment_id": state.experiment_id,
            "name": state.name,
            "created": format_time(state.created),
            "description": state.description,
            "lifecycle": state.lifecycle,
            "archived": format_time(state.archived),
            "tags": dict(state.tags),
        }

    def run(
        self,
        run_id: str,
        *changes: tuple[Mapping[str, Any], Mapping[str, Any]],
        experiment: str = "digits",
        number: int = 1,
        **first: Any,
    ) -> RunState:
        """Put number, markers and chain of a run; `changes` as for an experiment.

        Returns the last state.
        """
        began = at(number % keys.DRAWN)
        running: dict[str, Any] = {"status": "Running", "started": began}
        state = RunState(
            run_id=run_id,
            experiment=experiment,
            number=number,
            root_run_id=run_id,
            created=began,
        )
        state = replace(state, **running | first)
        key = keys.number(experiment, number)
        claim = NumberClaim(number=number, run_id=run_id, write_id=write_id(key))
        self.objects[key] = encode_number(claim)
        self.run_version(1, state, CREATE)
        for version, (op, changed) in enumerate(changes, 2):
            state = replace(state, **changed)
            self.run_version(version, state, op)
        return state

    def run_version(
        self,
        number: int,
        state: RunState,
        *ops: Mapping[str, Any],
        blind_base: int | None = None,
        write: int | None = None,
    ) -> None:
        """Put one version and its marker; where `blind_base` is given, without the state.

        `write`: the number of the version that it tells again.
        """
        key = keys.run_state(state.run_id, number)
        version = Version(
            version=number,
            write_id=write_id(keys.run_state(state.run_id, write or number)),
            written=at(state.number % keys.DRAWN + number),
            ops=ops,
            state=None if blind_base else state,
            base=blind_base,
        )
        self.marker(state, number)
        self.objects[key] = encode_run(version)
        self.expect_run(number, state)

    def marker(self, state: RunState, number: int) -> None:
        """Put a marker alone."""
        self.objects[keys.marker(state.experiment, state.run_id, number)] = b""

    def expect_run(self, number: int, state: RunState) -> None:
        """Note the state a reader must find as the last one of the run."""
        attempt = {} if state.attempt == 1 else {"attempt": state.attempt}
        self.runs[state.run_id] = {
            **state.extra,
            **attempt,
            "version": number,
            "run_id": state.run_id,
            "experiment": state.experiment,
            "number": state.number,
            "root_run_id": state.root_run_id,
            "parent_run_id": state.parent_run_id,
            "name": state.name,
            "display_name": state.display_name,
            "description": state.description,
            "type": state.type,
            "status": state.status,
            "created": format_time(state.created),
            "started": format_time(state.started),
            "ended": format_time(state.ended),
            "error": state.error,
            "lifecycle": state.lifecycle,
            "tags": dict(state.tags),
            "params": {name: to_json(value) for name, value in state.params.items()},
            "properties": dict(state.properties),
        }

    def property(self, run_id: str, name: str, value: str | None) -> None:
        """Put the object of a property."""
        key = keys.run_property(run_id, name)
        prop = Property(run_id=run_id, key=name, value=value, write_id=write_id(key))
        self.objects[key] = encode_property(prop)

    def entry(self, run_id: str, name: str, data: bytes, version: int = 1) -> str:
        """Put the entry of a file, and return the key under which its bytes belong."""
        key = file_keys.run_file(run_id, name, version)
        entry = FileEntry(
            run_id=run_id,
            name=name,
            version=version,
            size=len(data),
            sha256=hashlib.sha256(data).hexdigest(),
            written=at(version),
            write_id=write_id(key),
        )
        self.objects[key] = encode_file(entry)
        return file_keys.artifact(run_id, name, version)

    def file(self, run_id: str, name: str, data: bytes, version: int = 1) -> None:
        """Put a file, which a reader must find."""
        self.objects[self.entry(run_id, name, data, version)] = data
        self.expect_file(run_id, name, data, hashlib.sha256(data).hexdigest())

    def expect_file(self, run_id: str, name: str, data: bytes, digest: str | None) -> None:
        """Note a file that a reader must find; the text that it holds is what is expected."""
        told = {"size": len(data), "sha256": digest, "text": data.decode()}
        self.stored.setdefault(run_id, {})[name] = told

    def expect_blob(self, run_id: str, reference: str, data: bytes) -> None:
        """Note the text that a reader must find behind a reference."""
        self.blobs.setdefault(run_id, {})[reference] = data.decode()

    def segment(
        self,
        run_id: str,
        rows: Sequence[Row],
        *,
        start: int = 0,
        writer: str = WRITER,
        experiment: str = "digits",
    ) -> None:
        """Put a segment; a row that an earlier segment put at this offset must be the same."""
        key = keys.segment(experiment, run_id, writer, start, start + len(rows))
        self.objects[key] = encode_segment(table(rows))
        for offset, row in enumerate(rows, start):
            if self._logged.setdefault((run_id, writer, offset), row) != row:
                message = f"{key}: row {offset} was another before"
                raise ValueError(message)

    def expect_metric(
        self, run_id: str, name: str, *offsets: int | tuple[str, int], family: str = "scalar"
    ) -> None:
        """Note that a metric's points, in order: offsets of WRITER or (writer, offset)."""
        points = []
        for place in offsets:
            writer, offset = place if isinstance(place, tuple) else (WRITER, place)
            row = self._logged[run_id, writer, offset]
            assert row.name == name
            points.append(
                {
                    "writer": writer,
                    "offset": offset,
                    "step": row.step,
                    "time": format_time(at(row.seconds)),
                    "kind": row.kind,
                    "value": row.typed(),
                }
            )
        metric = {"name": name, "family": family, "points": points}
        self.metrics.setdefault(run_id, []).append(metric)
        rows = [
            self._logged[run_id, point["writer"], point["offset"]]
            for point in points
            if family == "scalar"
        ]
        if summary := _summary(rows):
            self.summaries.setdefault(run_id, {})[name] = summary

    def expect_error(self, key: str, code: str, location: str | None = "$") -> None:
        """Note that reading must report this problem of this object."""
        self.errors.append({"key": key, "code": code, "location": location})

    def files(self) -> dict[str, bytes]:
        """Return every file of the case by its path below the case's folder."""
        case = {
            "name": self.name,
            "shows": self.shows,
            "sections": self.sections,
            "refused": self.refused,
        }
        files = {"case.json": pretty(case), "expected/errors.json": pretty(self.errors)}
        if not self.refused:
            files["expected/experiments.json"] = pretty(list(self.experiments.values()))
            files["expected/runs.json"] = pretty(list(self.runs.values()))
            files["expected/metrics.json"] = pretty(self.metrics)
            if self.stored:
                files["expected/files.json"] = pretty(self.stored)
            if self.blobs:
                files["expected/blobs.json"] = pretty(self.blobs)
            if self.models:
                files["expected/models.json"] = pretty(self.models)
            told = {run: self.summaries[run] for run in self.summaries if run in self.metrics}
            files["expected/summaries.json"] = pretty(told)
        return files | {f"store/{key}": data for key, data in self.objects.items()}


def _summary(rows: Sequence[Row]) -> dict[str, Any] | None:
    """Return what the points of a metric, in reading order, come to; None without numbers."""
    numbers = [(value, row.step) for row in rows if (value := row.point().value) is not None]
    if not numbers:
        return None
    finite = [value for value, _ in numbers if value == value]  # noqa: PLR0124 - not NaN
    steps = [step for _, step in numbers if step is not None]
    mean = sum(finite) / len(finite) if finite else None
    return {
        "count": len(numbers),
        "nan_count": len(numbers) - len(finite),
        "last": to_json(numbers[-1][0]),
        "min": to_json(min(finite, default=None)),
        "max": to_json(max(finite, default=None)),
        "mean": to_json(mean),
        "first_step": min(steps, default=None),
        "last_step": max(steps, default=None),
    }


def scalars(**values: Scalar) -> list[Row]:
    """Return one row for each value, in order, without steps."""
    return [Row(name, value) for name, value in values.items()]
