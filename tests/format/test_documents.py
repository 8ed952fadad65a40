"""Documents: round trips, every problem at once, and only the promised errors from any bytes."""

from __future__ import annotations

import json
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator
from referencing import Registry, Resource

from objrun.errors import CorruptObjectError, UnsupportedFormatError
from objrun.format import documents as d
from objrun.format import keys
from objrun.format.checking import Fields, format_time
from objrun.format.checkpoints import (
    Checkpoint,
    TableFile,
    decode_checkpoint,
    encode_checkpoint,
)
from objrun.format.states import (
    ExperimentState,
    Header,
    NumberClaim,
    Property,
    RunState,
    Version,
)
from tests.format import strategies as some
from tests.format.test_values import same
from tests.golden.cases import LAYOUT

SCHEMAS = {
    path.stem: json.loads(path.read_bytes()) for path in (LAYOUT / "schemas" / "v1").iterdir()
}
REGISTRY: Registry[Any] = Registry().with_resources(
    (schema["$id"], Resource.from_contents(schema)) for schema in SCHEMAS.values()
)
VALIDATORS = {
    name: Draft202012Validator(schema, registry=REGISTRY) for name, schema in SCHEMAS.items()
}
KINDS: dict[str, tuple[Any, Any, Any]] = {
    "header": (some.headers, d.encode_header, d.decode_header),
    "number": (some.claims, d.encode_number, d.decode_number),
    "property": (some.properties, d.encode_property, d.decode_property),
    "run": (some.chain_versions(some.run_states), d.encode_run, d.decode_run),
    "experiment": (
        some.chain_versions(some.experiment_states), d.encode_experiment, d.decode_experiment,
    ),
    "checkpoint": (some.checkpoints, encode_checkpoint, decode_checkpoint),
}  # fmt: skip

DOCUMENTS = (
    Version, RunState, ExperimentState, Header, NumberClaim, Property, Checkpoint, TableFile,
)  # fmt: skip


def key_of(kind: str, document: Any) -> str:
    """Return the key under which a document belongs."""
    if kind == "number":
        return keys.number("e", document.number)
    if kind == "property":
        return keys.run_property(document.run_id, document.key)
    if kind == "run":
        run = document.state.run_id if document.state else "r"
        return keys.run_state(run, document.version)
    if kind == "experiment":
        name = document.state.name if document.state else "e"
        return keys.experiment_state(name, document.version)
    if kind == "checkpoint":
        return keys.checkpoint(document.experiment, document.number)
    return keys.HEADER


@st.composite
def drawn(draw: st.DrawFn) -> tuple[str, Any, bytes]:
    """Draw a kind, a document of it, and its bytes."""
    kind = draw(st.sampled_from(sorted(KINDS)))
    document = draw(KINDS[kind][0])
    return kind, document, KINDS[kind][1](document)


def fields_of(document: Any) -> dict[str, Any]:
    return {name: getattr(document, name) for name in document.__dataclass_fields__}


def equal(one: Any, other: Any) -> bool:
    """Equal field by field, scalars exactly; the order of a mapping does not count."""
    if isinstance(one, DOCUMENTS):
        return type(one) is type(other) and equal(fields_of(one), fields_of(other))
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(equal(one[k], other[k]) for k in one)
    if isinstance(one, tuple):
        return len(one) == len(other) and all(map(equal, one, other))
    return same(one, other) or (isinstance(one, list) and one == other)


@given(drawn())
def test_every_document_comes_back_with_its_unknown_fields(case: tuple[str, Any, bytes]) -> None:
    kind, document, data = case
    decoded = KINDS[kind][2](key_of(kind, document), data)
    assert equal(decoded, document)
    assert KINDS[kind][1](decoded) == data


@given(drawn())
def test_bytes_are_deterministic_sorted_and_one_line(case: tuple[str, Any, bytes]) -> None:
    kind, document, data = case
    assert KINDS[kind][1](document) == data
    assert data.endswith(b"}\n")
    assert data.count(b"\n") == 1
    read = json.loads(data)
    assert list(read) == sorted(read, key=str.encode)


@given(drawn())
def test_every_document_is_valid_by_its_schema(case: tuple[str, Any, bytes]) -> None:
    kind, _, data = case
    VALIDATORS[kind].validate(json.loads(data))


@given(drawn(), st.data())
def test_a_cut_document_is_damaged(case: tuple[str, Any, bytes], data: st.DataObject) -> None:
    kind, document, whole = case
    cut = whole[: data.draw(st.integers(0, len(whole) - 2))]
    with pytest.raises(CorruptObjectError) as caught:
        KINDS[kind][2](key_of(kind, document), cut)
    assert [p.code for p in caught.value.problems] == ["json_syntax"]
    assert caught.value.key == key_of(kind, document)


@given(drawn(), st.data())
def test_flipped_bits_raise_nothing_else(case: tuple[str, Any, bytes], data: st.DataObject) -> None:
    kind, document, whole = case
    changed = bytearray(whole)
    for _ in range(data.draw(st.integers(1, 3))):
        changed[data.draw(st.integers(0, len(whole) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    tolerant(kind, key_of(kind, document), bytes(changed))


@given(drawn(), st.data(), some.json_values)
def test_any_value_in_any_field_raises_nothing_else(
    case: tuple[str, Any, bytes], data: st.DataObject, value: Any
) -> None:
    kind, document, whole = case
    read = orjson.loads(whole)
    place = read
    if kind in ("run", "experiment") and read["state"] and data.draw(st.booleans()):
        place = read["state"]
    place[data.draw(st.sampled_from(sorted(place)))] = value
    tolerant(kind, key_of(kind, document), orjson.dumps(read))


@given(st.sampled_from(sorted(KINDS)), st.binary(max_size=40) | some.json_values.map(orjson.dumps))
def test_any_bytes_raise_nothing_else(kind: str, data: bytes) -> None:
    tolerant(kind, "runs/r/state/00000001.json", data)


def tolerant(kind: str, key: str, data: bytes) -> None:
    """Decode; what can be read can be written again."""
    try:
        document = KINDS[kind][2](key, data)
    except (CorruptObjectError, UnsupportedFormatError):
        return
    assert KINDS[kind][1](document)


@given(some.run_states, st.sampled_from(["run_id", "status", "created", "tags", "number"]))
def test_all_problems_are_reported_at_once(state: Any, name: str) -> None:
    version = Version(version=1, write_id="w", written=state.created, ops=(), state=state)
    document = orjson.loads(d.encode_run(version))
    del document["state"][name], document["write_id"]
    document["ops"] = None
    with pytest.raises(CorruptObjectError) as caught:
        d.decode_run(keys.run_state(state.run_id, 1), orjson.dumps(document))
    found = {(p.location, p.code) for p in caught.value.problems}
    assert found == {
        (f"$.state.{name}", "missing_field"),
        ("$.write_id", "missing_field"),
        ("$.ops", "wrong_type"),
    }


@settings(max_examples=50)
@given(drawn(), st.sampled_from([1, 98, 99, 100, 254, 1000, 1023, 100_000]), st.booleans())
def test_what_is_nested_too_deeply_is_refused(
    case: tuple[str, Any, bytes], depth: int, lists: bool
) -> None:
    """What is read can be written again: a writer copies the fields that it does not know."""
    kind, document, whole = case
    opened, closed = ("[", "]") if lists else ('{"a":', "}")
    nested = f'{{"x":{opened * depth}null{closed * depth},'.encode() + whole[1:]
    if depth < 100:
        decoded = KINDS[kind][2](key_of(kind, document), nested)
        assert KINDS[kind][1](decoded)
        return
    with pytest.raises(CorruptObjectError) as caught:
        KINDS[kind][2](key_of(kind, document), nested)
    assert [(p.code, p.location) for p in caught.value.problems] == [("json_syntax", "$")]


@given(some.times)
def test_times_come_back(time: Any) -> None:
    text = format_time(time)
    assert text is not None
    assert len(text) == 27
    fields = Fields({"t": text}, "$", [])
    assert fields.time("t") == time
    assert not fields.problems


@pytest.mark.parametrize(
    "text",
    [
        "", "yesterday", "2026-01-31", "2026-01-31T12:00:00Z", "2026-01-31T12:00:00.000Z",
        "2026-01-31 12:00:00.000000Z", "2026-01-31T12:00:00.000000", "2026-01-31T12:00:00,000000Z",
        "2026-01-31T12:00:00.000000+00:00", "2026-01-31T12:00:00.000000z",
        "20260131T120000.000000Z",
        "2026-13-31T12:00:00.000000Z", "2026-02-30T12:00:00.000000Z", "2026-01-31T24:00:00.000000Z",
        "2026-01-31T12:00:60.000000Z", "0000-01-31T12:00:00.000000Z",
        "2026-01-31T12:00:00.000000Z\n", "\uff12\uff10\uff12\uff16-01-31T12:00:00.000000Z",
    ],
)  # fmt: skip
def test_what_is_no_time(text: str) -> None:
    fields = Fields({"t": text}, "$", [])
    fields.time("t")
    fields.maybe_time("t")
    assert [p.code for p in fields.problems] == ["bad_timestamp", "bad_timestamp"]
