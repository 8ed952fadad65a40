"""Versions of the chains of models: bytes to frozen values and back. SPEC section 5.11; no I/O."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from objrun.errors import CorruptObjectError, Problem
from objrun.format.checking import Fields, format_time
from objrun.format.documents import decode_version, encode_version
from objrun.format.model_keys import model_version
from objrun.format.names import is_model
from objrun.format.states import ModelFile, ModelState

if TYPE_CHECKING:
    from objrun.format.states import Version

LIFECYCLES: Final = ("active", "deleted")
"""What a version of a model can be."""


def encode_model(version: Version[ModelState]) -> bytes:
    """Return the bytes of one version of the chain of a model."""
    return encode_version(version, _fields)


def decode_model(key: str, data: bytes) -> Version[ModelState]:
    """Return one version of the chain of a model; CorruptObjectError where it is damaged."""
    version = decode_version(key, data, _state, lambda m: model_version(m.name, m.number))
    if version.state is None:
        problem = Problem("$.state", "wrong_type", "a version of a model always has its state")
        raise CorruptObjectError(key, [problem])
    return version


def _fields(state: ModelState) -> dict[str, Any]:
    return {
        **state.extra,
        "name": state.name,
        "number": state.number,
        "created": format_time(state.created),
        "nonce": state.nonce,
        "files": [
            {**file.extra, "name": file.name, "size": file.size, "sha256": file.sha256}
            for file in state.files
        ],
        "description": state.description,
        "framework": state.framework,
        "framework_version": state.framework_version,
        "run_id": state.run_id,
        "experiment": state.experiment,
        "lifecycle": state.lifecycle,
        "purged": format_time(state.purged),
        "tags": dict(state.tags),
        "properties": dict(state.properties),
    }


def _state(fields: Fields) -> ModelState:
    name = fields.text("name")
    if name and not is_model(name):
        fields.note("name", "bad_name", f"no model is named {name[:80]!r}")
    return ModelState(
        name=name,
        number=fields.integer("number", least=1),
        created=fields.time("created"),
        nonce=fields.nonce("nonce"),
        files=tuple(
            _file(Fields(item, f"{fields.at}.files[{place}]", fields.problems))
            for place, item in enumerate(fields.objects("files"))
        ),
        description=fields.maybe_text("description"),
        framework=fields.maybe_text("framework"),
        framework_version=fields.maybe_text("framework_version"),
        run_id=fields.maybe_run_id("run_id"),
        experiment=fields.maybe_text("experiment"),
        lifecycle=fields.choice("lifecycle", LIFECYCLES),
        purged=fields.maybe_time("purged"),
        tags=fields.text_map("tags"),
        properties=fields.text_map("properties"),
        extra=fields.rest(),
    )


def _file(fields: Fields) -> ModelFile:
    return ModelFile(
        name=fields.file_name("name"),
        size=fields.integer("size"),
        sha256=fields.sha256("sha256"),
        extra=fields.rest(),
    )
