"""Every golden store and damaged object gives what is expected, by the SPEC and by its schemas."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest
from jsonschema import Draft202012Validator
from referencing import Registry, Resource

from objrun.errors import CorruptObjectError, FormatError, UnsupportedFormatError
from objrun.format.archives import Entry, read_directory
from objrun.format.checkpoints import TableFile, decode_checkpoint
from objrun.format.documents import (
    decode_experiment,
    decode_file,
    decode_header,
    decode_number,
    decode_property,
    decode_run,
)
from objrun.format.model_documents import decode_model
from objrun.format.segments import decode_segment
from objrun.format.shared import check_digest, decode_environment
from objrun.storage import MemoryStore
from objrun.tables.reading import Rows, TableReader, read_frame
from tests.golden.cases import (
    INVALID,
    LAYOUT,
    READABLE,
    REFUSALS,
    REFUSED,
    STORES,
    expected,
    key_of,
    objects,
)
from tests.golden.files import blob_of
from tests.golden.reader import read

if TYPE_CHECKING:
    from pathlib import Path


def list_snapshot(key: str, data: bytes) -> list[Entry]:
    """Say what is in a snapshot, if it is one."""
    check_digest(key, hashlib.sha256(data).hexdigest())
    return read_directory(key, len(data), lambda start, size: data[start : start + size])


DECODERS: dict[str, Any] = {
    "header": decode_header,
    "number": decode_number,
    "property": decode_property,
    "file": decode_file,
    "run": decode_run,
    "experiment": decode_experiment,
    "model": decode_model,
    "segment": decode_segment,
    "checkpoint": decode_checkpoint,
    "environment": decode_environment,
    "snapshot": list_snapshot,
}
SCHEMAS = {
    path.stem: json.loads(path.read_bytes()) for path in (LAYOUT / "schemas" / "v1").iterdir()
}
REGISTRY: Registry[Any] = Registry().with_resources(
    (schema["$id"], Resource.from_contents(schema)) for schema in SCHEMAS.values()
)


def validator(name: str) -> Draft202012Validator:
    return Draft202012Validator(SCHEMAS[name], registry=REGISTRY)


def by_text(rows: list[dict[str, Any]]) -> list[str]:
    """Return rows as sorted texts; in these 1 is not 1.0, and 0.0 is not -0.0."""
    return sorted(texts(rows))


def texts(rows: list[dict[str, Any]]) -> list[str]:
    return [json.dumps(row, sort_keys=True) for row in rows]


@pytest.mark.parametrize("case", REFUSED, ids=lambda case: case.name)
def test_a_reader_of_the_spec_refuses_what_it_must(case: Path) -> None:
    with pytest.raises(FormatError) as caught:
        read(objects(case))
    (problem,) = expected(case, "errors")
    assert isinstance(caught.value, REFUSALS[problem["code"]])


@pytest.mark.parametrize("case", READABLE, ids=lambda case: case.name)
def test_a_reader_of_the_spec_says_what_is_expected(case: Path) -> None:
    answer = read(objects(case))
    assert by_text(answer.errors) == by_text(expected(case, "errors"))
    assert by_text(answer.experiments) == by_text(expected(case, "experiments"))
    assert by_text(answer.runs) == by_text(expected(case, "runs"))
    wanted = expected(case, "metrics")
    assert answer.metrics.keys() == wanted.keys()
    for run, metrics in wanted.items():
        assert [m["name"] for m in answer.metrics[run]] == [m["name"] for m in metrics]
        for got, metric in zip(answer.metrics[run], metrics, strict=True):
            assert got["family"] == metric["family"]
            assert texts(got["points"]) == texts(metric["points"])
    has_files = (case / "expected" / "files.json").exists()
    assert answer.files == (expected(case, "files") if has_files else {})
    has_blobs = (case / "expected" / "blobs.json").exists()
    for run, blobs in expected(case, "blobs").items() if has_blobs else ():
        assert blobs == {each: blob_of(objects(case), run, each) for each in blobs}
    has_models = (case / "expected" / "models.json").exists()
    assert by_text(answer.models) == by_text(expected(case, "models") if has_models else [])
    summaries = expected(case, "summaries")
    assert answer.summaries.keys() == summaries.keys()
    for run, sums in summaries.items():
        assert answer.summaries[run].keys() == sums.keys()
        for name, wanted in sums.items():
            assert answer.summaries[run][name] == {**wanted, "mean": nearly(wanted["mean"])}


def nearly(mean: Any) -> Any:
    """Return what a mean is compared with: sums may be added up in any order."""
    return pytest.approx(mean, rel=1e-12) if isinstance(mean, float) else mean


@pytest.mark.parametrize("case", INVALID, ids=lambda case: case.name)
def test_a_damaged_object_is_refused_with_every_problem(case: Path) -> None:
    told = json.loads((case / "case.json").read_bytes())
    data = (case / told["file"]).read_bytes()
    with pytest.raises(FormatError) as caught:
        decode(told, data)
    wanted = Counter((problem["code"], problem["location"]) for problem in told["problems"])
    if isinstance(caught.value, CorruptObjectError):
        assert caught.value.key == told["key"]
        assert Counter((p.code, p.location) for p in caught.value.problems) == wanted
    else:
        assert isinstance(caught.value, UnsupportedFormatError)
        assert wanted == Counter([("unsupported_format", None)])


def decode(told: dict[str, Any], data: bytes) -> None:
    """Decode a damaged object; a table as if a checkpoint told of it."""
    if told["document"] != "table":
        DECODERS[told["document"]](told["key"], data)
        return
    store = MemoryStore(f"golden-{told['name']}")
    store.put(told["key"], data)
    kind = told["entry"]["name"].rpartition("-")[2].removesuffix(".parquet")
    file = TableFile(kind=kind, **told["entry"])
    with pytest.raises(CorruptObjectError) as caught:
        read_frame(store, "digits", file)
    # Piece by piece it is found as well.
    with pytest.raises(CorruptObjectError) as again:
        [*TableReader(store, "digits", file).frames(Rows())]
    assert caught.value.problems[0].code == again.value.problems[0].code
    raise caught.value


@pytest.mark.parametrize("case", INVALID, ids=lambda case: case.name)
def test_schemas_refuse_the_faults_they_can_see(case: Path) -> None:
    told = json.loads((case / "case.json").read_bytes())
    if (
        told["document"] in ("segment", "table", "snapshot")
        or told["problems"][0]["code"] == "json_syntax"
    ):
        assert not told["seen_by_schema"]
        return
    document = json.loads((case / told["file"]).read_bytes())
    assert validator(told["document"]).is_valid(document) is not told["seen_by_schema"]


@pytest.mark.parametrize("case", READABLE, ids=lambda case: case.name)
def test_sound_documents_of_golden_stores_are_valid_by_their_schemas(case: Path) -> None:
    damaged = {problem["key"] for problem in expected(case, "errors")}
    for key, data in objects(case).items():
        document = key_of(key)
        # What an unknown operation makes unreadable is a valid document all the same.
        if document and (key not in damaged or b'"op":"invented_later"' in data):
            validator(document).validate(json.loads(data))


@pytest.mark.parametrize("case", [*STORES, *INVALID], ids=lambda case: case.name)
def test_case_files_are_valid_and_point_into_the_spec(case: Path) -> None:
    told = json.loads((case / "case.json").read_bytes())
    validator("case").validate(told)
    assert told["name"] == case.name
    spec = (LAYOUT / "SPEC.md").read_text(encoding="utf-8")
    for section in told["sections"]:
        title = f"\n### {section} " if "." in section else f"\n## {section}. "
        assert title in spec


def test_there_are_cases() -> None:
    assert len(STORES) >= 15
    assert len(INVALID) >= 30
    assert len(SCHEMAS) == 11


def test_the_golden_stores_are_what_the_code_writes() -> None:
    program = LAYOUT.parent / "tools" / "make_golden"
    done = subprocess.run(
        [sys.executable, program, "--verify"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
