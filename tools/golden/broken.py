"""Damaged objects, each with every problem a reader must report."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import orjson
import pyarrow as pa
import pyarrow.parquet as pq

from objrun.format import file_keys, keys
from objrun.format.checkpoints import Checkpoint, TableFile, encode_checkpoint
from tools.golden.build import NOON, WRITER, Case, Row, pretty, table, write_id

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

NEWER: Final = "unsupported_format"


@dataclass(frozen=True)
class Broken:
    """One damaged object: the key it stands under, its bytes, and what is wrong with it."""

    name: str
    shows: str
    section: str
    document: str
    key: str
    data: bytes
    problems: tuple[tuple[str, str | None], ...]
    seen_by_schema: bool = False
    entry: dict[str, Any] | None = None
    """Of a table: what its checkpoint tells of it."""

    def files(self) -> dict[str, bytes]:
        """Return the files of the case by their path below its folder."""
        endings = {"segment": "parquet", "table": "parquet", "snapshot": "zip"}
        file = f"object.{endings.get(self.document, 'json')}"
        case = {
            "name": self.name,
            "shows": self.shows,
            "sections": [*dict.fromkeys([self.section, "13"])],
            "document": self.document,
            "key": self.key,
            "file": file,
            "seen_by_schema": self.seen_by_schema,
            "problems": [{"code": code, "location": place} for code, place in self.problems],
        }
        entry = {"entry": self.entry} if self.entry else {}
        return {"case.json": pretty(case | entry), file: self.data}


def broken() -> list[Broken]:
    """Return every damaged object."""
    return [*_documents(), *_segments()]


_SOUND: Final = Case("sound", "what the damaged objects were", ("5",))
_SOUND.header()
_SOUND.experiment()
_SOUND.run("r1")
_SOUND.property("r1", "p", "v")
_SOUND.file("r1", "a/b", b"bytes")
_SOUND.objects[keys.checkpoint("digits", 1)] = encode_checkpoint(
    Checkpoint(
        number=1,
        experiment="digits",
        write_id=write_id("checkpoint"),
        written=NOON,
        orphan_floor=1,
        files=(
            TableFile(
                name=f"00000000-{'0f' * 8}-runs.parquet",
                kind="runs",
                level=0,
                rows=1,
                size=4000,
                footer=2000,
                crc32=2**32 - 1,
                first="r1",
                last="r1",
            ),
        ),
    )
)
_KEYS: Final = {
    "checkpoint": keys.checkpoint("digits", 1),
    "header": keys.HEADER,
    "number": keys.number("digits", 1),
    "property": keys.run_property("r1", "p"),
    "file": file_keys.run_file("r1", "a/b", 1),
    "run": keys.run_state("r1", 1),
    "experiment": keys.experiment_state("digits", 1),
}
_SEEN: Final = {
    "wrong_type", "missing_field", "out_of_range", "unknown_value", "bad_timestamp", "bad_name",
    NEWER,
}  # fmt: skip


def _bytes(document: dict[str, Any]) -> bytes:
    return orjson.dumps(document, option=orjson.OPT_SORT_KEYS | orjson.OPT_APPEND_NEWLINE)


def edited(
    name: str,
    shows: str,
    section: str,
    document: str,
    edit: Callable[[dict[str, Any]], object],
    *problems: tuple[str, str | None],
    key: str | None = None,
    seen: bool | None = None,
) -> Broken:
    """Return a sound document after `edit`; schemas see what `_SEEN` says unless told."""
    content = orjson.loads(_SOUND.objects[_KEYS[document]])
    edit(content)
    by_schema = any(code in _SEEN for code, _ in problems) if seen is None else seen
    return Broken(
        name, shows, section, document, key or _KEYS[document], _bytes(content), problems, by_schema
    )


def _plain(name: str, shows: str, data: bytes, code: str, *, seen: bool = False) -> Broken:
    return Broken(
        name, shows, "5.1", "run", _KEYS["run"], data, ((code, "$"),), seen_by_schema=seen
    )


def _state(**changes: Any) -> Callable[[dict[str, Any]], object]:
    return lambda document: document["state"].update(changes)


def top(**changes: Any) -> Callable[[dict[str, Any]], object]:
    return lambda document: document.update(changes)


def without(*path: str) -> Callable[[dict[str, Any]], object]:
    def edit(document: dict[str, Any]) -> None:
        for name in path[:-1]:
            document = document[name]
        del document[path[-1]]

    return edit


def _all_wrong(document: dict[str, Any]) -> None:
    document |= {"version": True, "write_id": "", "written": "yesterday", "ops": [1]}
    document["state"] |= {"status": "Finished", "tags": {"a": 1}, "number": 0}
    del document["state"]["lifecycle"]


def _documents() -> Iterator[Broken]:
    run = _SOUND.objects[_KEYS["run"]]
    yield _plain("json_empty", "no bytes at all", b"", "json_syntax")
    yield _plain("json_truncated", "the first 60 bytes", run[:60], "json_syntax")
    yield _plain("json_trailing", "two documents in one", run + run, "json_syntax")
    yield _plain("json_not_utf8", "a byte that is not UTF-8", run[:-3] + b"\xff}}\n", "json_syntax")
    surrogate = run.replace(b'"digits"', b'"\\ud800"')
    yield _plain("json_lone_surrogate", "half a character", surrogate, "json_syntax")
    nan = run.replace(b'"params":{}', b'"params":{"x":NaN}')
    yield _plain("json_nan", "NaN is no JSON", nan, "json_syntax")
    yield _plain("json_array", "an array, not an object", b"[]\n", "wrong_type", seen=True)
    yield edited(
        "format_missing", "no format", "5.2", "number", without("format"),
        ("missing_field", "$.format"),
    )  # fmt: skip
    yield edited(
        "format_text", "format is text", "5.2", "number", top(format="1"),
        ("wrong_type", "$.format"),
    )  # fmt: skip
    yield edited(
        "format_zero", "format is 0", "5.2", "number", top(format=0), ("out_of_range", "$.format")
    )
    yield edited(
        "format_newer", "format is 2: nothing else of it is judged", "4.3", "run",
        top(format=2, version="a"), (NEWER, None),
    )  # fmt: skip
    yield edited(
        "header_needs_reader", "min_reader is 2", "4.3", "header", top(min_reader=2),
        (NEWER, None), seen=False,
    )  # fmt: skip
    yield edited(
        "header_needs_feature", "an unknown feature", "4.3", "header", top(features=["x"]),
        (NEWER, None), seen=False,
    )  # fmt: skip
    yield edited(
        "header_features", "features hold a number", "5.3", "header", top(features=["x", 1]),
        ("wrong_type", "$.features"),
    )  # fmt: skip
    yield edited(
        "header_store_id", "no store id", "5.3", "header", without("store_id"),
        ("missing_field", "$.store_id"),
    )  # fmt: skip
    yield edited(
        "number_of_another", "claim 1 under the key of 2", "5.4", "number", top(),
        ("key_mismatch", "$.number"), key=keys.number("digits", 2),
    )  # fmt: skip
    yield edited(
        "file_of_another", "an entry under the key of another file", "5.10", "file", top(),
        ("key_mismatch", "$.name"), key=file_keys.run_file("r1", "a/c", 1),
    )  # fmt: skip
    yield edited(
        "file_name", "a name that leaves its folder", "5.10", "file", top(name="../../x"),
        ("bad_name", "$.name"),
    )  # fmt: skip
    yield edited(
        "file_sha256", "a digest in capitals, a size of text", "5.10", "file",
        top(sha256="A" * 64, size="5"), ("out_of_range", "$.sha256"), ("wrong_type", "$.size"),
    )  # fmt: skip
    yield edited(
        "number_run_id", "a run id that leaves its folder", "5.4", "number", top(run_id="../r"),
        ("bad_name", "$.run_id"),
    )  # fmt: skip
    yield edited(
        "number_fraction", "the number has a fraction", "5.1", "number", top(number=1.0),
        ("wrong_type", "$.number"), seen=False,
    )  # fmt: skip
    yield edited(
        "property_of_another", "a property under the key of another", "5.5", "property",
        top(key="q"), ("key_mismatch", "$.key"),
    )  # fmt: skip
    yield edited(
        "property_value", "the value is a number", "5.5", "property", top(value=1),
        ("wrong_type", "$.value"),
    )  # fmt: skip
    yield edited(
        "run_version", "version 1 under the key of 2", "5.6", "run", top(),
        ("key_mismatch", "$.version"), key=keys.run_state("r1", 2),
    )  # fmt: skip
    yield edited(
        "run_of_another", "the state of r1 under the key of r2", "5.6", "run", top(),
        ("key_mismatch", "$.state"), key=keys.run_state("r2", 1),
    )  # fmt: skip
    yield edited(
        "run_no_base", "neither state nor base", "5.6", "run", top(state=None),
        ("missing_field", "$.base"), seen=True,
    )  # fmt: skip
    yield edited(
        "run_base_ahead", "the base is the version itself", "5.6", "run", top(state=None, base=1),
        ("out_of_range", "$.base"), seen=False,
    )  # fmt: skip
    yield edited(
        "run_status", "a status that is none", "5.7", "run", _state(status="Done"),
        ("unknown_value", "$.state.status"),
    )  # fmt: skip
    yield edited(
        "run_status_empty", "an empty status", "5.7", "run", _state(status=""),
        ("unknown_value", "$.state.status"),
    )  # fmt: skip
    yield edited(
        "run_time", "a time without microseconds", "5.2", "run",
        _state(created="2026-01-31T12:00:00Z"), ("bad_timestamp", "$.state.created"),
    )  # fmt: skip
    yield edited(
        "run_time_empty", "an empty time", "5.2", "run", _state(started=""),
        ("bad_timestamp", "$.state.started"),
    )  # fmt: skip
    yield edited(
        "run_time_no_day", "30 February", "5.2", "run",
        _state(ended="2026-02-30T12:00:00.000000Z"), ("bad_timestamp", "$.state.ended"), seen=False,
    )  # fmt: skip
    yield edited(
        "run_tag", "a tag that is a number", "5.7", "run", _state(tags={"a": 1, "b": None}),
        ("wrong_type", "$.state.tags.a"),
    )  # fmt: skip
    yield edited(
        "run_param", "params that are no scalars", "6.1", "run",
        _state(params={"a": [1], "b": {"float": "nan"}, "c": {"int": "1.0"}, "d": {"float": []}}),
        *(("wrong_type", f"$.state.params.{name}") for name in "abcd"),
    )  # fmt: skip
    yield edited(
        "run_null", "null where a value must be", "5.2", "run",
        _state(properties=None, run_id=None), ("wrong_type", "$.state.properties"),
        ("wrong_type", "$.state.run_id"),
    )  # fmt: skip
    yield edited(
        "run_parent", "the parent's id is none", "5.7", "run", _state(parent_run_id=".."),
        ("bad_name", "$.state.parent_run_id"),
    )  # fmt: skip
    yield edited(
        "run_state_array", "the state is an array", "5.6", "run", top(state=[]),
        ("missing_field", "$.base"), ("wrong_type", "$.state"),
    )  # fmt: skip
    yield edited(
        "run_all_wrong", "every problem is reported at once", "13", "run", _all_wrong,
        ("missing_field", "$.state.lifecycle"), ("out_of_range", "$.state.number"),
        ("unknown_value", "$.state.status"), ("wrong_type", "$.state.tags.a"),
        ("wrong_type", "$.version"), ("out_of_range", "$.write_id"), ("bad_timestamp", "$.written"),
        ("wrong_type", "$.ops"), ("key_mismatch", "$.version"),
        key=keys.run_state("r1", 5),
    )  # fmt: skip
    yield edited(
        "experiment_lifecycle", "a lifecycle that is none", "5.8", "experiment",
        _state(lifecycle="gone"), ("unknown_value", "$.state.lifecycle"),
    )  # fmt: skip
    yield edited(
        "experiment_of_another", "the state of another experiment", "5.8", "experiment",
        _state(name="Digits"), ("key_mismatch", "$.state"),
    )  # fmt: skip


def _segments() -> Iterator[Broken]:
    rows = table([Row("m", float(i), step=i) for i in range(4)])
    data = _parquet(rows)

    def case(
        name: str, shows: str, data: bytes, code: str, place: str = "$", rows: int = 4
    ) -> Broken:
        key = keys.segment("digits", "r1", WRITER, 0, rows)
        return Broken(name, shows, "6.2", "segment", key, data, ((code, place),))

    def column(name: str, values: pa.Array) -> bytes:
        return _parquet(rows.set_column(rows.schema.get_field_index(name), name, values))

    yield case("segment_empty", "no bytes at all", b"", "bad_parquet")
    yield case(
        "segment_truncated", "the second half is missing", data[: len(data) // 2], "bad_parquet"
    )
    yield case("segment_json", "JSON under a segment's key", b"{}\n", "bad_parquet")
    yield case("segment_rows", "4 rows under a key of 5", data, "key_mismatch", rows=5)
    yield case(
        "segment_no_name", "no column name", _parquet(rows.drop_columns(["name"])), "bad_parquet"
    )
    yield case(
        "segment_no_time", "no column time", _parquet(rows.drop_columns(["time"])), "bad_parquet"
    )
    yield case(
        "segment_null_name", "a name is null",
        column("name", pa.array(["m", None, "m", "m"])), "bad_parquet",
    )  # fmt: skip
    yield case(
        "segment_value_text", "values are text",
        column("value", pa.array(["a", "b", "c", "d"])), "bad_parquet",
    )  # fmt: skip
    yield case(
        "segment_not_utf8", "a name that is not UTF-8",
        column("name", pa.array([b"\xff", b"m", b"m", b"m"]).cast(pa.string(), safe=False)),
        "bad_parquet",
    )  # fmt: skip
    yield case(
        "segment_kind", "an unknown kind",
        column("kind", pa.array(["scalar", None, "tensor", None])), "unknown_value", "$.kind",
    )  # fmt: skip
    yield case(
        "segment_type", "an unknown type",
        column("type", pa.array(["complex", None, None, "int"])), "unknown_value", "$.type",
    )  # fmt: skip


def _parquet(rows: pa.Table) -> bytes:
    sink = pa.BufferOutputStream()
    pq.write_table(rows, sink, compression="zstd", store_schema=False)
    data: bytes = sink.getvalue().to_pybytes()
    return data
