"""Nothing that is read is ever run: no pickles, no `eval`, no types that a file brings along."""

from __future__ import annotations

import ast
import base64
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from objrun.format.segments import SCHEMA, decode_segment
from tests.hostile.subjects import SEGMENT, points, written
from tests.house.tree import below, parsed

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

RUNS = {
    "pickle", "cPickle", "dill", "cloudpickle", "joblib", "marshal", "shelve", "yaml", "jsonpickle",
}  # fmt: skip
CALLS = {"eval", "exec", "compile", "__import__", "execfile", "read_pickle", "deserialize"}
METHODS = {"read_pickle", "deserialize", "register_extension_type", "allow_pickle"}


@pytest.mark.parametrize("path", below("objrun", ".py"), ids=str)
def test_nothing_that_runs_what_it_reads_is_used(path: Path) -> None:
    for node in ast.walk(parsed(path)):
        if isinstance(node, ast.Import | ast.ImportFrom):
            module = getattr(node, "module", "") or ""
            assert not {module.partition(".")[0], *(a.name for a in node.names)} & RUNS
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            assert node.func.id not in CALLS
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            assert node.func.attr not in METHODS


class Trap(pa.ExtensionType):  # type: ignore[misc]
    """A type that a file may name; reading it calls this."""

    opened = 0

    def __init__(self) -> None:
        super().__init__(pa.string(), "trap")

    def __arrow_ext_serialize__(self) -> bytes:
        return b"cos\nsystem\n(S'false'\ntR."

    @classmethod
    def __arrow_ext_deserialize__(cls, _storage: pa.DataType, _serialized: bytes) -> Trap:
        cls.opened += 1
        return cls()


@pytest.fixture
def _trap() -> Iterator[None]:
    pa.register_extension_type(Trap())
    yield
    pa.unregister_extension_type("trap")


@pytest.mark.usefixtures("_trap")
def test_types_that_a_segment_brings_along_are_text() -> None:
    table = points()
    place = table.schema.get_field_index("data")
    column = pa.ExtensionArray.from_storage(Trap(), table.column("data").combine_chunks())
    data = written(table.set_column(place, "data", column), store_schema=True)
    assert b"ARROW:schema" in data
    decoded = decode_segment(SEGMENT, data)
    assert decoded.column("data").type == SCHEMA.field("data").type
    assert decoded.column("data").to_pylist() == table.column("data").to_pylist()


@pytest.mark.parametrize("name", ["arrow.py_extension_type", "trap", "nobody.knows"])
def test_a_name_of_a_type_alone_does_nothing(name: str) -> None:
    """As an attacker would write it: a pickle in the metadata."""
    metadata = {"ARROW:extension:name": name, "ARROW:extension:metadata": b"cos\nabort\n(tR."}
    schema = pa.schema([field.with_metadata(metadata) for field in SCHEMA])
    whole = schema.serialize().to_pybytes()
    sink = pa.BufferOutputStream()
    with pq.ParquetWriter(sink, SCHEMA, store_schema=False) as writer:
        writer.write_table(points())
        writer.add_key_value_metadata({"ARROW:schema": base64.b64encode(whole).decode()})
    data = sink.getvalue().to_pybytes()
    assert b"ARROW:schema" in data
    assert decode_segment(SEGMENT, data).to_pylist() == points().to_pylist()
