"""A golden store with models, and damaged versions of models."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from typing import Any, Final

import orjson

from objrun.format import model_keys as keys
from objrun.format.checking import format_time
from objrun.format.model_documents import encode_model
from objrun.format.states import ModelFile, ModelState, Version
from tools.golden.broken import Broken
from tools.golden.build import CREATE, NOON, Case, at, write_id

NONCE: Final = "00ff00ff00ff00ff"


def models() -> Case:
    """Return a store with models: versions, a deleted one, a purged one, and stray files."""
    case = Case("models", "versions, deleted and purged ones, files of nobody", ("5.11", "9.10"))
    case.header()
    case.experiment()
    case.run("r1")
    first = _state("digits", 1, {"cnn/weights": b"first", "cnn/." + "x" * 200: b"cut"})
    first = replace(first, run_id="r1", experiment="digits", properties={"data": "v3"})
    _register(
        case, first, ({"op": "set_tags", "tags": {"stage": "live"}}, {"tags": {"stage": "live"}})
    )
    second = _state("digits", 2, {"weights": b"second"}, nonce="0" * 16)
    second = replace(second, framework="PyTorch", framework_version="2.4")
    _register(case, second, _deleted())
    third = _state("digits", 3, {"weights": b"third"}, nonce="3" * 16)
    purge = {"op": "purge", "time": format_time(at(9))}
    _register(case, third, _deleted(), (purge, {"purged": at(9)}))
    _register(case, _state("a." + "b" * 253, 1, {"m": b"long"}), extra={"new": [1, None]})
    case.objects[keys.model_file("digits", "f" * 16, "weights")] = b"its writer died"
    case.objects[keys.needless("digits", "f" * 16)] = b""
    for stranger in ("digits/1/00000001.json", "digits/00000009/x.json", "../x/00000001.json"):
        case.objects[f"{keys.STATES}{stranger.replace('..', '%2E.')}"] = b"{}"
    return case


def _state(name: str, number: int, files: dict[str, bytes], nonce: str = NONCE) -> ModelState:
    return ModelState(
        name=name,
        number=number,
        created=NOON,
        nonce=nonce,
        files=tuple(
            ModelFile(name=path, size=len(data), sha256=hashlib.sha256(data).hexdigest())
            for path, data in files.items()
        ),
        extra={"texts": {path: data.decode() for path, data in files.items()}},
    )


def _deleted() -> tuple[dict[str, Any], dict[str, Any]]:
    op = {"op": "set_lifecycle", "lifecycle": "deleted", "time": format_time(at(8))}
    return op, {"lifecycle": "deleted"}


def _register(
    case: Case,
    state: ModelState,
    *changes: tuple[dict[str, Any], dict[str, Any]],
    extra: dict[str, Any] | None = None,
) -> None:
    """Put the chain of a version and, unless it is purged, its files and what is expected."""
    key, texts = "", state.extra["texts"]
    state = replace(state, extra=extra or {})
    for version, (op, fields) in enumerate([(CREATE, {}), *changes], start=1):
        state = replace(state, **fields)
        key = keys.model_state(state.name, state.number, version)
        case.objects[key] = encode_model(
            Version(
                version=version, write_id=write_id(key), written=at(version), ops=(op,), state=state
            )
        )
    if state.purged:
        return
    for path, text in texts.items():
        case.objects[keys.model_file(state.name, state.nonce, path)] = text.encode()
    told = orjson.loads(case.objects[key])["state"]
    case.models.append(told | {"version": version, "texts": texts})


def broken_models() -> list[Broken]:
    """Return every damaged version of a model."""
    return [
        _broken("of_another", "version 3 of digits under the key of version 4", {},
                ("key_mismatch", "$.state"), key=keys.model_state("digits", 4, 1), seen=False),
        _broken("name", "a name that leaves its folder", {"name": "../digits"},
                ("bad_name", "$.state.name")),
        _broken("nonce", "a nonce that leaves its folder", {"nonce": "../../runs/r1/00"},
                ("out_of_range", "$.state.nonce")),
        _broken("file", "every problem of a file is reported",
                {"files": [{"name": "../x", "size": -1, "sha256": "0"}, {"name": "a"}]},
                ("bad_name", "$.state.files[0].name"), ("out_of_range", "$.state.files[0].size"),
                ("out_of_range", "$.state.files[0].sha256"),
                ("missing_field", "$.state.files[1].size"),
                ("missing_field", "$.state.files[1].sha256")),
        _broken("types", "values of other types",
                {"number": 0, "tags": {"a": 1}, "lifecycle": "archived", "run_id": "..",
                 "files": None},
                ("out_of_range", "$.state.number"), ("wrong_type", "$.state.tags.a"),
                ("unknown_value", "$.state.lifecycle"), ("bad_name", "$.state.run_id"),
                ("wrong_type", "$.state.files")),
        _broken("blind", "a version without its state", None, ("wrong_type", "$.state")),
    ]  # fmt: skip


def _broken(
    name: str,
    shows: str,
    changes: dict[str, Any] | None,
    *problems: tuple[str, str],
    key: str | None = None,
    seen: bool = True,
) -> Broken:
    sound = Case("sound", "what the damaged objects were", ("5",))
    _register(sound, _state("digits", 3, {"weights": b"third"}))
    place = keys.model_state("digits", 3, 1)
    document = orjson.loads(sound.objects[place])
    document["state"] = None if changes is None else document["state"] | changes
    document["base"] = None if changes is not None else 1
    if changes is None:
        place = keys.model_state("digits", 3, 2)
        document["version"] = 2
    data = orjson.dumps(document, option=orjson.OPT_SORT_KEYS | orjson.OPT_APPEND_NEWLINE)
    return Broken(f"model_{name}", shows, "5.11", "model", key or place, data, problems, seen)
