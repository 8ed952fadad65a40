"""Every JSON document of a store: bytes to frozen values and back. SPEC section 5; no I/O.

Encoding is deterministic: keys sorted, no spaces, UTF-8, one newline at the end. Decoding reports
every problem of a document at once; fields this version does not know are kept in `extra` and
written again.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, TypeVar

import orjson

from objrun.errors import (
    CorruptObjectError,
    Problem,
    UnsupportedFormatError,
    UserErrorException,
)
from objrun.format.checking import MOST_LEVELS, Fields, format_time, is_too_deep
from objrun.format.file_keys import run_file
from objrun.format.keys import experiment_states, parse_version, run_property, run_states
from objrun.format.states import (
    FEATURES,
    FORMAT,
    LIFECYCLES,
    STATUSES,
    ExperimentState,
    FileEntry,
    Header,
    NumberClaim,
    Property,
    RunState,
    Version,
)
from objrun.format.values import to_json

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

S = TypeVar("S")

MOST_BYTES: Final = 2**25
"""Bytes of a document at most; decoded, JSON takes up to twenty times as much."""


def document_bytes(document: Mapping[str, Any]) -> bytes:
    """Return the deterministic bytes of a document: sorted fields, one line.

    Raises UserErrorException where they are more than MOST_BYTES.

    >>> document_bytes({"b": 1, "a": None}).strip()
    b'{"a":null,"b":1}'
    """
    data = orjson.dumps(document, option=orjson.OPT_SORT_KEYS | orjson.OPT_APPEND_NEWLINE)
    if len(data) > MOST_BYTES:
        # Nobody would read it again.
        message = f"{len(data)} bytes of tags, parameters and the like are more than {MOST_BYTES}"
        raise UserErrorException(message)
    return data


def open_document(key: str, data: bytes) -> Fields:
    """Return the fields of the object in `data`.

    Raises CorruptObjectError for what is no object, UnsupportedFormatError for what is too new.
    """
    if len(data) > MOST_BYTES:
        message = f"{len(data)} bytes are more than {MOST_BYTES}"
        raise CorruptObjectError(key, [Problem("$", "too_large", message)])
    try:
        document = orjson.loads(data)
    except orjson.JSONDecodeError as error:
        raise CorruptObjectError(key, [Problem("$", "json_syntax", str(error))]) from None
    if not isinstance(document, dict):
        raise CorruptObjectError(key, [Problem("$", "wrong_type", "not a JSON object")])
    if is_too_deep(document, data):
        message = f"nested more than {MOST_LEVELS} levels deep"
        raise CorruptObjectError(key, [Problem("$", "json_syntax", message)])
    fields = Fields(document, "$", [])
    if fields.integer("format", least=1) > FORMAT:
        message = f"{key} has format {document['format']}; this objrun reads {FORMAT}: upgrade it"
        raise UnsupportedFormatError(message)
    return fields


def close_document(key: str, fields: Fields) -> None:
    """Raise CorruptObjectError, naming `key`, where anything is wrong with `fields`."""
    if fields.problems:
        raise CorruptObjectError(key, fields.problems)


def encode_header(header: Header) -> bytes:
    """Return the bytes of `objrun.json`."""
    return document_bytes(
        {
            **header.extra,
            "format": FORMAT,
            "store_id": header.store_id,
            "created": format_time(header.created),
            "write_id": header.write_id,
            "min_reader": header.min_reader,
            "min_writer": header.min_writer,
            "features": list(header.features),
        }
    )


def decode_header(key: str, data: bytes) -> Header:
    """Return the header; CorruptObjectError or UnsupportedFormatError where it cannot be used."""
    fields = open_document(key, data)
    header = Header(
        store_id=fields.text("store_id"),
        created=fields.time("created"),
        write_id=fields.text("write_id"),
        min_reader=fields.integer("min_reader", least=1),
        min_writer=fields.integer("min_writer", least=1),
        features=fields.texts("features"),
        extra=fields.rest(),
    )
    close_document(key, fields)
    unknown = sorted(set(header.features) - FEATURES)
    if header.min_reader > FORMAT or unknown:
        needs = f"features {unknown}" if unknown else f"a reader of format {header.min_reader}"
        message = f"this store needs {needs}; this objrun has format {FORMAT}: upgrade it"
        raise UnsupportedFormatError(message)
    return header


def encode_number(claim: NumberClaim) -> bytes:
    """Return the bytes of a claimed run number."""
    return document_bytes(
        {
            **claim.extra,
            "format": FORMAT,
            "number": claim.number,
            "run_id": claim.run_id,
            "write_id": claim.write_id,
        }
    )


def decode_number(key: str, data: bytes) -> NumberClaim:
    """Return a claimed run number; CorruptObjectError where it is damaged."""
    fields = open_document(key, data)
    claim = NumberClaim(
        number=fields.integer("number", least=1),
        run_id=fields.run_id("run_id"),
        write_id=fields.text("write_id"),
        extra=fields.rest(),
    )
    if parse_version(key) not in (None, claim.number):
        fields.note("number", "key_mismatch", f"number {claim.number} under another's key")
    close_document(key, fields)
    return claim


def encode_property(prop: Property) -> bytes:
    """Return the bytes of a property."""
    return document_bytes(
        {
            **prop.extra,
            "format": FORMAT,
            "run_id": prop.run_id,
            "key": prop.key,
            "value": prop.value,
            "write_id": prop.write_id,
        }
    )


def decode_property(key: str, data: bytes) -> Property:
    """Return a property; CorruptObjectError where it is damaged."""
    fields = open_document(key, data)
    prop = Property(
        run_id=fields.run_id("run_id"),
        key=fields.text("key"),
        value=fields.maybe_text("value"),
        write_id=fields.text("write_id"),
        extra=fields.rest(),
    )
    if key.startswith("runs/") and key != run_property(prop.run_id, prop.key):
        fields.note("key", "key_mismatch", f"property {prop.key[:80]!r} under another's key")
    close_document(key, fields)
    return prop


def encode_file(entry: FileEntry) -> bytes:
    """Return the bytes of the entry of a file."""
    return document_bytes(
        {
            **entry.extra,
            "format": FORMAT,
            "run_id": entry.run_id,
            "name": entry.name,
            "version": entry.version,
            "size": entry.size,
            "sha256": entry.sha256,
            "written": format_time(entry.written),
            "write_id": entry.write_id,
        }
    )


def decode_file(key: str, data: bytes) -> FileEntry:
    """Return the entry of a file; CorruptObjectError where it is damaged."""
    fields = open_document(key, data)
    entry = FileEntry(
        run_id=fields.run_id("run_id"),
        name=fields.file_name("name"),
        version=fields.integer("version", least=1),
        size=fields.integer("size"),
        sha256=fields.sha256("sha256"),
        written=fields.time("written"),
        write_id=fields.text("write_id"),
        extra=fields.rest(),
    )
    if not fields.problems and key != run_file(entry.run_id, entry.name, entry.version):
        fields.note("name", "key_mismatch", f"file {entry.name[:80]!r} under another's key")
    close_document(key, fields)
    return entry


def encode_experiment(version: Version[ExperimentState]) -> bytes:
    """Return the bytes of one version of an experiment's chain."""
    return encode_version(version, _experiment_fields)


def decode_experiment(key: str, data: bytes) -> Version[ExperimentState]:
    """Return one version of an experiment; CorruptObjectError where it is damaged."""
    return decode_version(key, data, _experiment_state, lambda e: experiment_states(e.name))


def encode_run(version: Version[RunState]) -> bytes:
    """Return the bytes of one version of a run's chain."""
    return encode_version(version, _run_fields)


def decode_run(key: str, data: bytes) -> Version[RunState]:
    """Return one version of a run; CorruptObjectError where it is damaged."""
    return decode_version(key, data, _run_state, lambda run: run_states(run.run_id))


def encode_version(version: Version[S], state_fields: Callable[[S], dict[str, Any]]) -> bytes:
    """Return the bytes of one version of a chain; `state_fields` are those of its state."""
    grave = {"purged": format_time(version.purged), "experiment": version.experiment}
    return document_bytes(
        {
            **(grave if version.purged else {}),
            "format": FORMAT,
            "version": version.version,
            "write_id": version.write_id,
            "written": format_time(version.written),
            "base": version.base,
            "ops": list(version.ops),
            "state": None if version.state is None else state_fields(version.state),
        }
    )


def decode_version(
    key: str, data: bytes, read_state: Callable[[Fields], S], folder: Callable[[S], str]
) -> Version[S]:
    """Return one version of a chain; CorruptObjectError where it is damaged.

    `read_state` makes its state of the fields, and `folder` is where a state's versions stand.
    """
    fields = open_document(key, data)
    state = fields.mapping("state")
    version = Version(
        version=fields.integer("version", least=1),
        write_id=fields.text("write_id"),
        written=fields.time("written"),
        base=fields.maybe_integer("base"),
        ops=fields.objects("ops"),
        state=None if state is None else read_state(Fields(state, "$.state", fields.problems)),
        purged=(purged := fields.maybe_time("purged")),
        experiment=fields.text("experiment") if purged else None,
    )
    named = parse_version(key)
    if named is not None and named != version.version:
        fields.note("version", "key_mismatch", f"version {version.version} under another's key")
    if purged and state is not None:
        fields.note("purged", "out_of_range", "a tombstone has no state")
    elif not purged and state is None and version.base is None:
        fields.note("base", "missing_field", "a version without state names its base")
    if version.base is not None and version.base >= version.version:
        fields.note("base", "out_of_range", f"base {version.base} is not an earlier version")
    # Only a state without faults says whose it is.
    whose = version.state if named is not None and not fields.problems else None
    if whose is not None and key.rpartition("/")[0] + "/" != folder(whose):
        fields.note("state", "key_mismatch", "the state of another under this key")
    close_document(key, fields)
    return version


def _experiment_fields(state: ExperimentState) -> dict[str, Any]:
    return {
        **state.extra,
        "experiment_id": state.experiment_id,
        "name": state.name,
        "created": format_time(state.created),
        "description": state.description,
        "lifecycle": state.lifecycle,
        "archived": format_time(state.archived),
        "tags": dict(state.tags),
    }


def _experiment_state(fields: Fields) -> ExperimentState:
    return ExperimentState(
        experiment_id=fields.text("experiment_id"),
        name=fields.text("name"),
        created=fields.time("created"),
        description=fields.maybe_text("description"),
        lifecycle=fields.choice("lifecycle", LIFECYCLES),
        archived=fields.maybe_time("archived"),
        tags=fields.text_map("tags"),
        extra=fields.rest(),
    )


def _run_fields(state: RunState) -> dict[str, Any]:
    return {
        **state.extra,
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
        **({} if state.attempt == 1 else {"attempt": state.attempt}),
        "created": format_time(state.created),
        "started": format_time(state.started),
        "ended": format_time(state.ended),
        "error": None if state.error is None else dict(state.error),
        "lifecycle": state.lifecycle,
        "tags": dict(state.tags),
        "params": {name: to_json(value) for name, value in state.params.items()},
        "properties": dict(state.properties),
    }


def _run_state(fields: Fields) -> RunState:
    return RunState(
        run_id=fields.run_id("run_id"),
        experiment=fields.text("experiment"),
        number=fields.integer("number", least=1),
        root_run_id=fields.run_id("root_run_id"),
        parent_run_id=fields.maybe_run_id("parent_run_id"),
        name=fields.maybe_text("name"),
        display_name=fields.maybe_text("display_name"),
        description=fields.maybe_text("description"),
        type=fields.maybe_text("type"),
        status=fields.choice("status", STATUSES),
        attempt=fields.maybe_integer("attempt") or 1,
        created=fields.time("created"),
        started=fields.maybe_time("started"),
        ended=fields.maybe_time("ended"),
        error=fields.mapping("error"),
        lifecycle=fields.choice("lifecycle", LIFECYCLES),
        tags=fields.text_map("tags"),
        params=fields.scalar_map("params"),
        properties=fields.text_map("properties"),
        extra=fields.rest(),
    )
