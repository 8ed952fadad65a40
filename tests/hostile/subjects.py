"""Every function that takes bytes from a store, and how to call it; new ones are found, too."""

from __future__ import annotations

import ast
import io
import json
import zlib
from functools import cache
from hashlib import sha256
from typing import TYPE_CHECKING, Any, NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

from objrun.errors import FormatError
from objrun.format import (
    archives,
    bounds,
    checkpoints,
    documents,
    file_keys,
    frames,
    heartbeat_keys,
    immutable,
    keys,
    log_keys,
    media,
    model_documents,
    model_keys,
    pages,
    segments,
    thrift,
    values,
)
from objrun.format.checkpoints import TableFile
from objrun.format.log_keys import ChunkKey
from objrun.format.shared import decode_environment, encode_environment, environment_key
from objrun.format.tables import SCHEMAS
from objrun.storage import MemoryStore
from objrun.storage.sealed import seal, unseal
from objrun.tables import footers, reading
from objrun.tables.looking import look_at
from objrun.tables.reading import Rows, TableReader, read_frame
from objrun.tables.run_rows import version_of
from objrun.tables.verify.files import look_at_file
from tests.golden.cases import READABLE, key_of, objects
from tests.house.tree import below, module_name, parsed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

ROWS = 20
SEGMENT = keys.segment("e", "r", "00000000000000a1", 0, ROWS)
BLOB = media.Blob("00000000000000a1-00000001", "a/000000.png", 46, 1, sha256(b"1").hexdigest())
WHERE = ("objrun/format", "objrun/tables")


class Subject(NamedTuple):
    """A parser: sound bytes to begin with, how to call it, what it may raise."""

    samples: list[bytes]
    call: Callable[[bytes], object]
    raises: tuple[type[Exception], ...] = (FormatError,)


def parsers() -> set[str]:
    """Find the public functions that are given bytes, or text that is a key or a value."""
    return {
        f"{module_name(path)}.{name}"
        for place in WHERE
        for path in below(place, ".py")
        for name in _taking(parsed(path))
    }


def _taking(module: ast.Module) -> Iterator[str]:
    classes = [node for node in module.body if isinstance(node, ast.ClassDef)]
    places = [("", module.body), *((f"{each.name}.", each.body) for each in classes)]
    functions = ((at, each) for at, body in places for each in body)
    for prefix, each in functions:
        if isinstance(each, ast.FunctionDef) and (each.name[0] != "_" or each.name == "__init__"):
            taken = [ast.unparse(a.annotation) for a in each.args.args if a.annotation]
            reads = each.name.startswith(("parse", "decode", "from_", "loads", "is_immut"))
            if {"bytes", _READ} & {*taken} or reads:
                yield f"{prefix}{each.name}"


_READ = "Callable[[int, int], bytes]"

ELSEWHERE = {
    "objrun.tables.footers.weigh_groups": "check_file",
    "objrun.format.pages.Column.decode": "a table",
    "objrun.tables.chunks.decoded": "decode_segment",
    "objrun.format.checking.is_too_deep": "open_document",
    "objrun.format.documents.decode_version": "the decoders of documents",
    "objrun.format.documents.open_document": "the decoders of documents",
    "objrun.format.segments.weigh_segment": "decode_segment",
    "objrun.format.media.Pack.add": "a writer, with what it logs",
    "objrun.format.pages.column_of": "look_at",
    "objrun.format.skim.walk": "columns_in",
    "objrun.format.skim.skip": "columns_in",
    "objrun.format.skim.items_at": "columns_in",
    "objrun.format.thrift.integer_at": "Reader",
    "objrun.format.thrift.varint_at": "Reader",
}
"""Parsers that others call with the same bytes, by these."""


def _document(decode: Callable[[str, bytes], object], kind: str) -> Subject:
    """Return a parser of documents, with the largest that a golden store has of them."""
    every = [pair for case in READABLE for pair in objects(case).items()]
    key, data = max(
        (pair for pair in every if key_of(pair[0]) == kind and b"bad" not in pair[1]),
        key=lambda pair: len(pair[1]),
    )
    return Subject([data], lambda data: decode(key, data))


def written(table: pa.Table, **options: Any) -> bytes:
    """Return the bytes of a Parquet file."""
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink, **({"store_schema": False} | options))
    data: bytes = sink.getvalue().to_pybytes()
    return data


def points() -> pa.Table:
    """Return rows with all columns of a segment."""
    cells: dict[str, list[Any]] = {
        "name": ["a", "b"] * (ROWS // 2),
        "kind": [None, "list"] * (ROWS // 2),
        "step": [*range(ROWS)],
        "time": [*range(ROWS)],
        "type": ["str", "json"] * (ROWS // 2),
        "value": [None] * ROWS,
        "data": ["x", "[1]"] * (ROWS // 2),
    }
    return pa.table(cells, schema=segments.SCHEMA)


def segment_files() -> list[bytes]:
    """Return a segment in several ways that Parquet can be written."""
    numbers = points().select(["name", "step", "time"])
    numbers = numbers.append_column("value", pa.array([x / 3 for x in range(ROWS)]))
    ways: list[dict[str, Any]] = [
        {"compression": codec, "data_page_version": version}
        for codec in ("none", "snappy", "gzip", "zstd", "lz4")
        for version in ("1.0", "2.0")
    ]
    files = [written(table, **way) for way in ways for table in (points(), numbers)]
    return [segments.encode_segment(points()), segments.encode_segment(numbers), *files]


def rows_of(kind: str) -> pa.Table:
    """Return a few sorted rows of a kind of table."""
    cells: dict[str, pa.Array] = {}
    words = {"status": "Running", "lifecycle": "active", "family": "scalar", "type": None}
    for field in SCHEMAS[kind]:
        if pa.types.is_string(field.type):
            texts = [words.get(field.name, f"{field.name[0]}{row // 8}") for row in range(2 * ROWS)]
            cells[field.name] = pa.array(texts, field.type)
        elif field.name == "param_types":
            cells[field.name] = pa.array([["str"], []] * ROWS, field.type)
        elif pa.types.is_nested(field.type):
            cells[field.name] = pa.array([[{"key": "a", "value": "b"}], []] * ROWS, field.type)
        else:
            cells[field.name] = pa.array([*range(2 * ROWS)], field.type)
    if "rest" in cells:
        cells["rest"] = pa.array([None, '{"attempt":2}'] * ROWS)
    return pa.table(cells, schema=SCHEMAS[kind])


def table_files(kind: str) -> list[bytes]:
    """Return a table in two ways that Parquet can be written."""
    options = {"write_page_index": True, "compression": "zstd", "row_group_size": ROWS // 2}
    plain = {"use_dictionary": False, "data_page_size": 64}
    return [written(rows_of(kind), **options), written(rows_of(kind), **options, **plain)]


def read_table(kind: str, data: bytes) -> None:
    """Read a table's file whole and in parts, as if a checkpoint told of exactly these bytes."""
    store = MemoryStore("hostile")
    name = f"00000000-0000000000000000-{kind}.parquet"
    footer = min(int.from_bytes(data[-8:-4], "little") + 8, len(data))
    fields: dict[str, Any] = {"rows": 1, "size": len(data), "crc32": zlib.crc32(data)}
    fields |= {"level": 0, "footer": max(footer, 8), "first": "a", "last": "z"}
    file = TableFile(name=name, kind=kind, **fields)
    store.put(keys.tables("e") + name, data)
    some = Rows(runs=frozenset(["r1"]), names=frozenset(["n1"]) if kind == "metrics" else None)
    told = []
    for rows in (some, Rows()):
        reader = TableReader(store, "e", file)
        read: Any = reader.chunks if kind == "metrics" else reader.frames
        try:
            for part in read(rows):
                len(part)
        except FormatError as error:
            told.append(error)
    try:
        frame = read_frame(store, "e", file)
        if kind == "runs":
            for row in frame.iter_rows(named=True):
                version_of(row)
    except FormatError as error:
        told.append(error)
    if told:
        assert "experiments/" in told[0].message
        raise told[0]


def _look_at(stored: bytes) -> object:
    data = table_files("metrics")[0]
    return look_at(
        stored, pq.read_metadata(pa.BufferReader(data)), [0, 1], SCHEMAS["metrics"].names
    )


def _check(kind: str) -> Callable[[bytes], object]:
    return lambda data: footers.check_file(kind, data)


def _look(data: bytes) -> object:
    file = TableFile(
        name="", kind="coverage", level=0, rows=1, size=1, footer=8, crc32=0, first="a", last="z"
    )
    return look_at_file(file, data)


def _index(data: bytes) -> object:
    column = pages.Column({}, codec=0, rows=9, start=4, data=4, stop=40, index=(50, 60))
    return column.pages(data)


def _archive() -> bytes:
    entries = [archives.Entry("a.py", 1, zlib.crc32(b"1")), archives.Entry("b/c", 0, 0)]
    first, second = map(archives.head, entries)
    return first + b"1" + second + archives.tail(entries)


def _directory(data: bytes) -> object:
    return archives.read_directory(
        "snapshots/0.zip", len(data), lambda start, length: data[start : start + length]
    )


def _places(data: bytes) -> object:
    return archives.read_places(
        "a.zip", len(data), lambda start, length: data[start : start + length]
    )


def _footer_of(data: bytes) -> bytes:
    return data[-8 - int.from_bytes(data[-8:-4], "little") : -8]


def _text(call: Callable[[str], object], *samples: str) -> Subject:
    def of_bytes(data: bytes) -> object:
        return call(data.decode(errors="surrogateescape"))

    return Subject([sample.encode() for sample in samples], of_bytes, (ValueError,))


def _of_json(data: bytes) -> object:
    try:
        return values.from_json(json.loads(data))
    except RecursionError:
        return None


def _point(data: bytes) -> object:
    kind = values.TYPES[len(data) % len(values.TYPES)]
    return values.from_point(kind, 1.0, data.decode(errors="replace"))


@cache
def subjects() -> dict[str, Subject]:
    """Return every parser by its name; those below no name are how others are used."""
    damages = tuple(kind for kind in footers.DAMAGES if issubclass(kind, Exception))
    stored = [_footer_of(data) for data in (*segment_files(), *table_files("metrics"))]
    head = segment_files()[2][4:]
    keyed = (
        SEGMENT,
        keys.marker("e", "r", 1),
        keys.run_state("r", 1),
        "00000000-00ff-runs.parquet",
    )
    form, docs = "objrun.format", documents
    found = {
        f"{form}.documents.decode_header": _document(docs.decode_header, "header"),
        f"{form}.documents.decode_number": _document(docs.decode_number, "number"),
        f"{form}.documents.decode_property": _document(docs.decode_property, "property"),
        f"{form}.documents.decode_experiment": _document(docs.decode_experiment, "experiment"),
        f"{form}.shared.decode_environment": Subject(
            [encode_environment({"python": "3.13", "packages": {"a": "1"}, "cpus": 4})],
            lambda data: decode_environment(environment_key(sha256(data).hexdigest()), data),
        ),
        f"{form}.archives.read_directory": Subject([_archive()], _directory),
        f"{form}.archives.read_places": Subject([_archive()], _places),
        f"{form}.documents.decode_file": _document(docs.decode_file, "file"),
        f"{form}.documents.decode_run": _document(docs.decode_run, "run"),
        f"{form}.checkpoints.decode_checkpoint": _document(
            checkpoints.decode_checkpoint, "checkpoint"
        ),
        f"{form}.segments.decode_segment": Subject(
            segment_files(), lambda data: segments.decode_segment(SEGMENT, data)
        ),
        f"{form}.thrift.Reader.__init__": Subject(
            stored, lambda data: thrift.Reader(data).struct()
        ),
        f"{form}.pages.elements_of": Subject(stored, pages.elements_of),
        f"{form}.pages.Column.pages": Subject(stored, _index),
        f"{form}.bounds.columns_in": Subject(segment_files(), bounds.columns_in),
        f"{form}.bounds.read_head": Subject([head], lambda data: bounds.read_head(data, 0)),
        f"{form}.bounds.weigh": Subject(
            [head], lambda data: bounds.weigh(data, 0, len(data), ROWS)
        ),
        "objrun.tables.footers.open_footer": Subject(
            table_files("coverage"),
            lambda data: footers.open_footer("coverage", data, len(data)),
            damages,
        ),
        "objrun.tables.footers.check_file": Subject(
            table_files("coverage"), _check("coverage"), damages
        ),
        "objrun.tables.looking.look_at": Subject(stored, _look_at, damages),
        "objrun.tables.verify.files.look_at_file": Subject(table_files("coverage"), _look, damages),
        "objrun.storage.sealed.unseal": Subject(
            [seal("a", b"1234") + b"1234"], lambda data: unseal(io.BytesIO(data), "a", 1, 2)
        ),
        f"{form}.values.loads": _text(values.loads, '{"a":[1,{"float":"NaN"}]}', "[1,2.5]"),
        f"{form}.values.from_json": Subject([b'{"int":"12"}'], _of_json, (ValueError,)),
        f"{form}.values.from_point": Subject([b"7", b"[1,2]"], _point, (ValueError,)),
        f"{form}.immutable.is_immutable": _text(immutable.is_immutable, *keyed),
        f"{form}.log_keys.parse_chunk": _text(
            log_keys.parse_chunk, log_keys.chunk(ChunkKey("r", "a/b", "0199c0ffee00beef", 0, 9))
        ),
        f"{form}.file_keys.parse_artifact": _text(
            file_keys.parse_artifact, "runs/r/artifacts/a%2Fb/1"
        ),
        f"{form}.model_documents.decode_model": _document(model_documents.decode_model, "model"),
        f"{form}.model_keys.parse_model_state": _text(
            model_keys.parse_model_state, model_keys.model_state("m", 1, 1)
        ),
        f"{form}.model_keys.parse_model_file": _text(
            model_keys.parse_model_file, model_keys.model_file("m", "0" * 16, "a/b")
        ),
        f"{form}.frames.decode_frame": Subject(
            [frames.encode_frame(points().drop_columns("time"))],
            lambda data: frames.decode_frame("a", data),
        ),
        f"{form}.media.parse_reference": _text(media.parse_reference, BLOB.reference()),
        f"{form}.media.parse_pack": _text(
            media.parse_pack, media.pack_key(media.PackKey("r", BLOB.writer, 1, 11))
        ),
        f"{form}.media.check_blob": Subject([b"1"], lambda data: media.check_blob("a", BLOB, data)),
        f"{form}.heartbeat_keys.parse_heartbeat": _text(heartbeat_keys.parse_heartbeat, *keyed),
        f"{form}.keys.decode_name": _text(keys.decode_name, "a%2Fb", "x~00"),
    }
    for name in ("parse_cut", "parse_marker", "parse_segment", "parse_table", "parse_version"):
        found[f"{form}.keys.{name}"] = _text(getattr(keys, name), *keyed)
    for kind in SCHEMAS:
        found[f"table {kind}"] = Subject(table_files(kind), _reading(kind))
    return found


def _reading(kind: str) -> Callable[[bytes], object]:
    return lambda data: read_table(kind, data)


def read_by_pages() -> None:
    """From here on tables are read as large ones are: in ranges, and by single pages."""
    from objrun.tables import looking

    reading.SMALL = 64  # type: ignore[misc]
    looking.WHOLE, looking.SHARE = 8, 0  # type: ignore[misc]
