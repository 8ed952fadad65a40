"""The golden stores: one function each, with fixed ids and times."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Final

import orjson
import pyarrow as pa
import pyarrow.parquet as pq

from objrun.format import file_keys, keys, log_keys
from objrun.format.checking import format_time
from objrun.format.documents import document_bytes
from objrun.format.media import Blob, Pack, PackKey, pack_key
from objrun.format.shared import DIFF, SNAPSHOT, references
from objrun.format.shared import ENVIRONMENT as ENVIRONMENT_PROPERTY
from tools.golden.broken_shared import ENVIRONMENT, archive, digest
from tools.golden.build import WRITER, Case, Row, at, scalars, table
from tools.golden.compacting import (
    OTHER,
    THIRD,
    compacted,
    compacted_writers,
    newer_checkpoint,
)
from tools.golden.packs import merged_packs
from tools.golden.purging import purged
from tools.golden.rewinding import rewound

LONG: Final = "a very long name, " * 20


def stores() -> list[Case]:
    """Return every golden store."""
    return [build() for build in _CASES]


def _status(status: str, seconds: float, **more: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the op that ends a run and the fields it changes."""
    op = {"op": "set_status", "status": status, "time": format_time(at(seconds)), **more}
    return op, {"status": status, "ended": at(seconds), **more}


def empty() -> Case:
    case = Case("empty", "a store in which nothing has happened yet", ("4.1", "5.3"))
    case.header()
    return case


def one_run() -> Case:
    case = Case("one_run", "one completed run with two metrics of floats", ("3", "5", "6", "10"))
    case.header()
    case.experiment()
    case.run("r1", _status("Completed", 9), name="first", type="script")
    rows = [Row("loss", 1 / (1 + i), seconds=i) for i in range(5)]
    case.segment("r1", [*rows, Row("accuracy", 0.75, seconds=5)])
    case.expect_metric("r1", "loss", 0, 1, 2, 3, 4)
    case.expect_metric("r1", "accuracy", 5)
    return case


def exact_types() -> Case:
    case = Case("exact_types", "every scalar comes back as what it was", ("6.1", "6.3"))
    values: dict[str, Any] = {
        "float": 0.1, "whole": 3.0, "negative_zero": -0.0, "smallest": 5e-324,
        "largest": 1.7976931348623157e308, "nan": float("nan"), "infinity": float("inf"),
        "minus_infinity": float("-inf"), "int": 3, "zero": 0, "2^53": 2**53,
        "2^53+1": 2**53 + 1, "-2^53-1": -(2**53) - 1, "2^63": 2**63, "2^64": 2**64,
        "10^40": 10**40, "-2^1100": -(2**1100), "true": True, "false": False, "none": None,
        "text": "0.5", "empty": "", "unicode": "naïve 数 🧪 e\u0301", "quotes": 'a"b\\c\nd\u0000e',
    }  # fmt: skip
    case.header()
    case.experiment()
    case.run("r1", params=values)
    case.segment("r1", scalars(**values))
    for offset, name in enumerate(values):
        case.expect_metric("r1", name, offset)
    words = [Row("spelled", 0.5, in_words=True), Row("spelled", 2, in_words=True)]
    case.segment("r1", words, start=len(values))
    case.expect_metric("r1", "spelled", len(values), len(values) + 1)
    return case


def kinds() -> Case:
    case = Case("kinds", "lists, rows, tables, references; the first family stays", ("6.4", "10.5"))
    case.header()
    case.experiment()
    case.run("r1")
    odd: list[Any] = [1, 1.0, None, True, "x", float("nan"), float("-inf"), -0.0, 2**60]
    rows = [
        Row("list", [1, 2.5], kind="list"),
        Row("list", [3], kind="list", seconds=1),
        Row("list", 4, seconds=2),
        Row("odd list", odd, kind="list"),
        Row("row", {"x": 1, "y": 0.5}, kind="row"),
        Row("row", {"x": 2, "z": None, "ü.": "b"}, kind="row"),
        Row("table", {"x": [1, 2], "y": ["a", float("inf")]}, kind="table"),
        Row("one-row table", {"x": [1]}, kind="table"),
        Row("scalar first", 1),
        Row("scalar first", {"x": 1}, kind="row"),
        Row("scalar first", [2, 3], kind="list"),
        Row("row first", {"x": 1}, kind="row"),
        Row("row first", 5),
        Row("plot", "outputs/plot 1.png", kind="reference"),
    ]
    case.segment("r1", rows)
    case.expect_metric("r1", "list", 0, 1, 2)
    case.expect_metric("r1", "odd list", 3)
    case.expect_metric("r1", "row", 4, 5, family="row")
    case.expect_metric("r1", "table", 6, family="table")
    case.expect_metric("r1", "one-row table", 7, family="table")
    case.expect_metric("r1", "scalar first", 8, 10)
    case.expect_metric("r1", "row first", 11, family="row")
    case.expect_metric("r1", "plot", 13, family="reference")
    return case


def media() -> Case:
    case = Case("media", "images and documents in a pack, texts, histograms", ("6.4", "9.11"))
    case.header()
    case.experiment()
    case.run("r1")
    pack = Pack("00000000000000a1", 1)

    def blob(member: str, data: bytes, shape: tuple[int, int] | None = None) -> str:
        start = pack.add(member, data)
        reference = Blob(pack.name, member, start, len(data), digest(data), shape).reference()
        case.expect_blob("r1", reference, data)
        return reference

    first = blob("a%2Fb/000000.pbm", b"P1 2 1 0 1", (2, 1))
    rows = [
        Row("a/b", first, 1, kind="image"),
        Row("a/b", first + "&later=1", 2, kind="image"),
        Row("matrix", blob("matrix/000001.json", b'{"data":{}}'), kind="confusion_matrix"),
        Row("answer", "42", kind="text"),
        Row("weights", {"counts": [1, 2], "edges": [0.0, 0.5, 1.0]}, kind="histogram"),
        Row("weights", 5),
    ]
    case.objects[pack_key(PackKey("r1", "00000000000000a1", 1, 2))] = pack.data()
    case.expect_blob("r1", first + "&later=1", b"P1 2 1 0 1")
    case.segment("r1", rows)
    case.expect_metric("r1", "a/b", 0, 1, family="image")
    case.expect_metric("r1", "matrix", 2, family="confusion_matrix")
    case.expect_metric("r1", "answer", 3, family="text")
    case.expect_metric("r1", "weights", 4, family="histogram")
    return case


def steps() -> Case:
    case = Case("steps", "null, negative, unordered and repeated steps", ("6.2", "10.5"))
    case.header()
    case.experiment()
    case.run("r1")
    plan = [
        ("unordered", 3), ("unordered", -1), ("unordered", 2), ("repeated", 1), ("repeated", 0),
        ("repeated", 1), ("repeated", 0), ("some", 5), ("some", None), ("some", 1),
        ("extreme", 2**63 - 1), ("extreme", -(2**63)),
    ]  # fmt: skip
    case.segment("r1", [Row(n, float(i), step=s, seconds=i) for i, (n, s) in enumerate(plan)])
    case.expect_metric("r1", "unordered", 1, 2, 0)
    case.expect_metric("r1", "repeated", 4, 6, 3, 5)
    case.expect_metric("r1", "some", 7, 8, 9)
    case.expect_metric("r1", "extreme", 11, 10)
    return case


def writers() -> Case:
    case = Case("writers", "three writers into one run, one with a clock that jumps", ("10.5",))
    case.header()
    case.experiment()
    case.run("r1")
    case.segment("r1", [Row("m", f"a{s}", seconds=s) for s in (0, 2, 4, 4)], writer=WRITER)
    # This one's clock goes back from 3 to 1: the two later points count as logged at 3.
    case.segment("r1", [Row("m", f"b{s}", seconds=s) for s in (3, 1, 2, 5)], writer=OTHER)
    case.segment("r1", [Row("s", s, step=s, seconds=9 - s) for s in (1, 3, 5)], writer=THIRD)
    later = [Row("s", s, step=s, seconds=20 + s) for s in (0, 3)]
    case.segment("r1", later, start=4, writer=WRITER)
    # The far clock of one metric does not move the next metric of its writer.
    case.segment("r1", [Row("after", "a", seconds=30)], start=6, writer=WRITER)
    jump = [Row("far", 1, seconds=50), Row("after", "b", seconds=10)]
    case.segment("r1", jump, start=4, writer=OTHER)
    a, b, c = WRITER, OTHER, THIRD
    order = [(a, 0), (a, 1), (b, 0), (b, 1), (b, 2), (a, 2), (a, 3), (b, 3)]
    case.expect_metric("r1", "m", *order)
    # All points of s have a step: by step, and equal steps in logging order.
    case.expect_metric("r1", "s", (a, 4), (c, 0), (c, 1), (a, 5), (c, 2))
    case.expect_metric("r1", "after", (b, 5), (a, 6))
    case.expect_metric("r1", "far", (b, 4))
    return case


def segments() -> Case:
    case = Case(
        "segments", "superseded, overlapping and left-over segments, and a gap", ("6.5", "10.4")
    )
    case.header()
    case.experiment()
    rows = [Row("m", i, seconds=i) for i in range(40)]
    plans = {
        "superseded": [(0, 3), (0, 7), (0, 10), (10, 12), (10, 20)],
        "overlapping": [(0, 10), (5, 20), (8, 15), (19, 25)],
        "gap": [(0, 5), (5, 10), (12, 20)],
        "late": [(3, 9)],
        "leftover": [(0, 20), (4, 6), (19, 20), (20, 22)],
    }
    counted = {"superseded": 20, "overlapping": 25, "gap": 10, "late": 0, "leftover": 22}
    for number, (run, plan) in enumerate(plans.items(), 1):
        case.run(run, number=number)
        for start, stop in plan:
            case.segment(run, rows[start:stop], start=start)
        if counted[run]:
            case.expect_metric(run, "m", *range(counted[run]))
    return case


def versions() -> Case:
    case = Case("versions", "a chain with every operation", ("5.6", "5.7", "5.9", "7"))
    case.header()
    case.experiment()
    error = {"code": "ValueError", "message": "loss is NaN", "help": "lower the rate"}
    described = {"display_name": "Übung 1", "description": None}
    case.property("r1", "data.version", "7")
    case.property("r1", "empty", None)
    copied: dict[str, str | None] = {"host": "node-1", "data.version": "7", "empty": None}
    case.run(
        "r1",
        (
            {"op": "set_tags", "tags": {"a": "1", "b": None}},
            {"tags": {"a": "1", "b": None, "c": ""}},
        ),
        ({"op": "remove_tags", "keys": ["a", "unknown"]}, {"tags": {"b": None, "c": ""}}),
        ({"op": "set_params", "params": {"lr": 0.1}}, {"params": {"lr": 0.1, "layers": 2}}),
        ({"op": "set_params", "params": {"lr": 0.2}}, {"params": {"lr": 0.2, "layers": 2}}),
        (
            {"op": "add_properties", "properties": {"data.version": "7", "empty": None}},
            {"properties": copied},
        ),
        ({"op": "describe", **described}, described),
        _status("Failed", 30, error=error),
        (
            {"op": "set_tags", "tags": {"late": "yes"}},
            {"tags": {"b": None, "c": "", "late": "yes"}},
        ),
        tags={"c": ""},
        params={"layers": 2},
        properties={"host": "node-1"},
    )
    deleted = {"op": "set_lifecycle", "lifecycle": "deleted", "time": format_time(at(50))}
    case.run("r3", _status("Canceled", 40), (deleted, {"lifecycle": "deleted"}), number=3)
    return case


def markers() -> Case:
    case = Case("markers", "markers whose states were never written", ("10.2",))
    case.header()
    case.experiment()
    one = case.run("one-ahead", ({"op": "set_tags", "tags": {"a": "1"}}, {"tags": {"a": "1"}}))
    case.marker(one, 3)
    two = case.run("two-ahead", number=2)
    case.marker(two, 2)
    case.marker(two, 3)
    never = replace(two, run_id="never-started", number=3)
    case.marker(never, 1)
    return case


def blind() -> Case:
    case = Case("blind", "versions without state, replayed", ("5.6", "5.9", "7"))
    case.header()
    case.experiment()
    state = case.run("r1", tags={"a": "1"})
    first = {"op": "set_tags", "tags": {"b": "2"}}
    error = {"code": "killed"}
    ended = {"op": "set_status", "status": "Failed", "time": format_time(at(20)), "error": error}
    later = {"op": "set_status", "status": "Completed", "time": format_time(at(30))}
    both: list[dict[str, Any]] = [
        {"op": "remove_tags", "keys": ["a"]},
        {"op": "set_params", "params": {"n": {"int": str(2**60)}, "x": 1.0}},
    ]
    known = {"op": "add_properties", "properties": {"host": "node-1"}}
    other = {"op": "add_properties", "properties": {"host": "node-2", "gpu": None}}
    state = replace(state, tags={"a": "1", "b": "2"})
    case.run_version(2, state, first, blind_base=1)
    state = replace(state, status="Failed", ended=at(20), error=error)
    case.run_version(3, state, ended, blind_base=1)
    case.run_version(4, state, later, blind_base=1)
    state = replace(state, tags={"b": "2"}, params={"n": 2**60, "x": 1.0})
    case.run_version(5, state, *both, blind_base=3)
    state = replace(state, properties={"host": "node-1", "gpu": None})
    case.run_version(6, state, known, other, blind_base=3)
    unknown = case.run("r2", number=2)
    case.run_version(2, unknown, {"op": "invented_later", "x": 1}, blind_base=1)
    del case.runs["r2"]
    case.expect_error(keys.run_state("r2", 2), "unknown_op", "$.ops[0]")
    state = case.run("r3", number=3, status="Queued", started=None, description="kept")
    ops: list[dict[str, Any]] = [
        {"op": "set_status", "status": status, "time": format_time(at(seconds))}
        for status, seconds in (("Running", 50), ("Paused", 51), ("Running", 52))
    ]
    ops += [
        {"op": "describe", "display_name": "shown"},
        {"op": "set_lifecycle", "lifecycle": "deleted", "time": format_time(at(60))},
    ]
    state = replace(state, status="Running", started=at(50), display_name="shown")
    case.run_version(2, replace(state, lifecycle="deleted"), *ops, blind_base=1)
    return case


def children() -> Case:
    case = Case("children", "parent, children and a grandchild", ("5.7", "9.3"))
    case.header()
    case.experiment()
    case.run("parent", _status("Completed", 60))
    for number, child in enumerate(("child-1", "child-2"), 2):
        case.run(child, number=number, parent_run_id="parent", root_run_id="parent")
        case.segment(child, [Row("loss", 1.0 / number)])
        case.expect_metric(child, "loss", 0)
    case.run("grandchild", number=4, parent_run_id="child-1", root_run_id="parent")
    case.run("alone", number=5)
    return case


def names() -> Case:
    case = Case("names", "names that no path could hold", ("3.3", "3.4", "5.5"))
    experiment = "Tété" + "数" * 40
    wanted = [
        "100%",
        "a/b",
        "../../escape",
        ".hidden",
        "~tilde",
        "%2F",
        "naïve 数 🧪",
        "a\nb\u0000",
    ]
    wanted += [LONG, LONG + "2", "NaN", "__proto__"]
    case.header()
    case.experiment(experiment, description="its key is cut")
    case.experiment("0été-1", tags={name: name for name in wanted})
    run = "R.1_-" + "x" * 195
    for name in wanted:
        case.property(run, name, name)
    text: dict[str, str | None] = {name: name for name in wanted}
    case.run(
        run,
        experiment=experiment,
        tags=text,
        properties=text,
        params=dict(text),
        display_name="../r",
    )
    case.run("r...json", experiment="0été-1")
    case.segment(run, [Row(name, 1.0) for name in wanted], experiment=experiment)
    for offset, name in enumerate(wanted):
        case.expect_metric(run, name, offset)
    return case


def files() -> Case:
    case = Case(
        "files", "versions, bytes without entry, entries without bytes", ("3.1", "5.10", "9.6")
    )
    case.header()
    case.experiment()
    case.run("r1")
    case.run("r2", number=2)
    case.file("r1", "outputs/model.txt", b"weights")
    case.file("r1", "a b/\u00fc~1", b"")
    case.file("r1", "." + "x" * 300 + "/deep", b"cut")
    case.file("r1", "." + "x" * 300 + "/deep", b"cut again", 2)
    case.file("r1", "log", b"first")
    case.file("r1", "log", b"second", 2)
    case.entry("r1", "log", b"its writer died", 3)
    case.entry("r1", "never", b"so did this one's")
    case.objects[f"{file_keys.artifacts('r1')}model/MLmodel"] = b"put by others"
    case.expect_file("r1", "model/MLmodel", b"put by others", None)
    for path in ("%2E%2E/up", "%2E.", "a%2Fb", "sp ace", "log~2"):
        case.objects[f"{file_keys.artifacts('r1')}{path}"] = b"no name"
    return case


def logs() -> Case:
    case = Case("logs", "chunks that overlap, are left over, or behind a gap", ("3.1", "9.9"))
    case.header()
    case.experiment()
    case.run("r1")
    first, second = "0199c0ffee00beef", "0199c0ffee010000"
    text = "epoch 1\n\u00e9poque 2\n".encode()
    for writer, start, stop in (
        (second, 0, 4), (first, 0, 3), (first, 3, 6), (first, 0, 10), (first, 5, len(text)),
        (first, len(text) + 1, len(text) + 3), (second, 6, 8),
    ):  # fmt: skip
        data = (text if writer == first else b"more")[start:stop]
        place = log_keys.ChunkKey("r1", "std_log.txt", writer, start, stop)
        case.objects[log_keys.chunk(place)] = data.ljust(stop - start, b"x")  # behind a gap
    case.expect_file("r1", "logs/std_log.txt", text + b"more", None)
    place = log_keys.ChunkKey("r1", "rank 1/err", first, 0, 1)
    case.objects[log_keys.chunk(place)] = b"!"
    case.expect_file("r1", "logs/rank 1/err", b"!", None)
    case.file("r1", "logs/hidden", b"a file")
    place = log_keys.ChunkKey("r1", "hidden", first, 0, 5)
    case.objects[log_keys.chunk(place)] = b"a log"
    for name in (
        "a/b/c",
        f"x/{first}-0-5",
        f"x/{first}-000000000005-000000000005",
        f"%2E./{first}-000000000000-000000000005",
        "x/0-000000000000-000000000005",
    ):
        case.objects[f"{log_keys.logs('r1')}{name}"] = b"noise"
    return case


def unknown_fields() -> Case:
    case = Case(
        "unknown_fields",
        "fields, operations, columns and objects a later minor version may add",
        ("4.3", "4.4"),
    )
    extra: dict[str, Any] = {"new": [1, 2.5, {"deep": None}], "zz": "text"}
    case.header(extra=extra, min_writer=2)
    case.experiment("digits", ({"op": "invented_later"}, {"description": "x"}), extra=extra)
    case.run("r1", ({"op": "invented_later", "x": 1}, {"display_name": "y"}), extra=extra)
    case.segment("r1", [Row("m", 1.0), Row("m", 2)])
    case.expect_metric("r1", "m", 0, 1)
    key = keys.segment("digits", "r1", WRITER, 0, 2)
    rows = table([Row("m", 1.0), Row("m", 2)]).append_column("new", pa.array([{"x": 1}, None]))
    sink = pa.BufferOutputStream()
    pq.write_table(rows.select(rows.column_names[::-1]), sink, store_schema=False)
    case.objects[key] = sink.getvalue().to_pybytes()
    foreign = [
        "README.txt", "experiments/digits/feed/README", "experiments/digits/feed/r1.9",
        "experiments/digits/feed/.00000009", "experiments/digits/feed/r1.00000000a",
        "experiments/digits/shards/r1/README.md", "experiments/digits/new/x.json",
        "experiments/digits/shards/r1/00000000000000a1-000000000002-000000000002.parquet",
        "experiments/digits/shards/r1/00000000000000a1-2-3.parquet",
        "runs/r1/state/latest.json", "runs/r1/files/a.1.json", "models/m/00000001.json",
    ]  # fmt: skip
    case.objects |= dict.fromkeys(foreign, b"not for this reader\n")
    return case


def experiments() -> Case:
    case = Case(
        "experiments", "active, archived, reactivated and deleted experiments", ("5.8", "10.1")
    )
    case.header()

    def moved(lifecycle: str, seconds: float) -> tuple[dict[str, Any], dict[str, Any]]:
        time = format_time(at(seconds))
        op = {"op": "set_lifecycle", "lifecycle": lifecycle, "time": time}
        archived = at(seconds) if lifecycle == "archived" else None
        return op, {"lifecycle": lifecycle, "archived": archived}

    tags = {"team": "vision", "draft": None}
    case.experiment("active", ({"op": "set_tags", "tags": tags}, {"tags": tags}))
    case.experiment("archived", moved("archived", 5))
    case.experiment("reactivated", moved("archived", 5), moved("active", 6))
    case.experiment("deleted", moved("archived", 5), moved("deleted", 7))
    for name in case.experiments:
        case.run(f"in-{name}", experiment=name)
    return case


def damaged() -> Case:
    case = Case("damaged", "damaged objects are named, everything else is readable", ("10.6", "13"))
    case.header()
    case.experiment()
    for number, run in enumerate(("good", "bad-json", "too-new", "bad-metrics"), 1):
        case.run(run, number=number)
        case.segment(run, [Row("m", float(number))])
        case.expect_metric(run, "m", 0)
    key = keys.run_state("bad-json", 1)
    case.objects[key] = case.objects[key][:100]
    case.expect_error(key, "json_syntax")
    key = keys.run_state("too-new", 1)
    case.objects[key] = case.objects[key].replace(b'"format":1', b'"format":2')
    case.expect_error(key, "unsupported_format", None)
    key = keys.segment("digits", "bad-metrics", WRITER, 0, 1)
    case.objects[key] = case.objects[key][:-20]
    case.expect_error(key, "bad_parquet")
    del case.runs["bad-json"], case.runs["too-new"]
    del case.metrics["bad-json"], case.metrics["too-new"], case.metrics["bad-metrics"]
    return case


def _refused(name: str, shows: str, code: str, **header: Any) -> Case:
    case = Case(name, shows, ("4.1", "4.3"), refused=True)
    case.header(**header)
    case.expect_error(keys.HEADER, code, None)
    return case


def newer_reader() -> Case:
    return _refused("newer_reader", "min_reader is 2", "unsupported_format", min_reader=2)


def newer_feature() -> Case:
    features = ("invented-later",)
    return _refused("newer_feature", "an unknown feature", "unsupported_format", features=features)


def newer_format() -> Case:
    case = _refused("newer_format", "objrun.json itself has format 2", "unsupported_format")
    document = orjson.loads(case.objects[keys.HEADER]) | {"format": 2, "created": 1769860800}
    case.objects[keys.HEADER] = orjson.dumps(document, option=orjson.OPT_SORT_KEYS) + b"\n"
    return case


def not_a_store() -> Case:
    case = Case("not_a_store", "objects, and no objrun.json among them", ("4.1",), refused=True)
    case.objects["runs/r1/state/00000001.json"] = b"{}\n"
    case.expect_error(keys.HEADER, "not_a_store", None)
    return case


def blind_twice() -> Case:
    case = Case("blind_twice", "drawn numbers, writes told twice", ("7", "8.3", "9.1"))
    case.header()
    case.experiment()
    mine = {"op": "set_tags", "tags": {"x": "1"}}
    other = {"op": "remove_tags", "keys": ["x"]}
    state = case.run("r1", number=keys.DRAWN + 7)
    tagged = replace(state, tags={"x": "1"})
    case.run_version(2, tagged, mine)
    case.run_version(3, state, other)
    # The answer of version 2 was lost, so its writer has gone on to the next free name.
    case.run_version(4, state, mine, blind_base=1, write=2)
    # Of another version of a writer's the same would be a change.
    case.run_version(5, tagged, mine, blind_base=4)
    state = case.run("r2", number=1)
    case.run_version(2, replace(state, tags={"y": "1"}), {"op": "set_tags", "tags": {"y": "1"}})
    tagged = replace(state, tags={"x": "1", "y": "1"})
    case.run_version(3, tagged, mine, blind_base=1)
    untagged = replace(state, tags={"y": "1"})
    case.run_version(4, untagged, other, blind_base=3)
    case.run_version(5, untagged, mine, blind_base=1, write=3)
    # What was written up to the base is not looked at.
    case.run_version(6, tagged, mine, blind_base=5, write=3)
    return case


def shared() -> Case:
    case = Case("shared", "a snapshot and an environment of two runs", ("9.7",))
    case.header()
    case.experiment()
    files = (
        ("b/\u00fc.py", b"print(1)\n", False),
        ("b/\u6570", b"", False),
        ("run.sh", b"#!/bin/sh\n", True),
    )
    data = {
        SNAPSHOT: archive(("a.txt", b"a", False), *files),
        DIFF: archive(("git.diff", b"diff --git a/a b/a\n", False)),
        ENVIRONMENT_PROPERTY: document_bytes(ENVIRONMENT),
    }
    properties = {name: digest(each) for name, each in data.items()}
    for key, each in zip(references(properties), data.values(), strict=True):
        case.objects[key] = each
    case.run("r1", properties=properties)
    case.run("r2", number=2, properties=properties)
    case.run("r3", number=3, properties={SNAPSHOT: "of another tracker"})
    return case


_CASES: Final = (
    empty, one_run, exact_types, kinds, media, steps, writers, segments, versions, markers, blind,
    blind_twice, children, names, files, logs, unknown_fields, experiments, shared, damaged, purged,
    compacted, compacted_writers, rewound, merged_packs, newer_checkpoint, newer_reader,
    newer_feature, newer_format, not_a_store,
)  # fmt: skip
