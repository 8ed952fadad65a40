"""Files of runs and models, and blobs, as sections 9.6 to 9.11 of the SPEC say, plainly."""

from __future__ import annotations

import io
import json
import re
import zipfile
from hashlib import sha256
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, unquote

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping


def encode(name: str) -> str:
    """Return a name as a piece of a key (3.3)."""
    piece = quote(name, safe="").replace("~", "%7E")
    piece = re.sub(r"^\.", "%2E", piece)
    if len(piece) <= 180:
        return piece
    return f"{piece[:100]}~{sha256(name.encode()).hexdigest()}"


def files_of(objects: Mapping[str, bytes], run: str) -> dict[str, dict[str, Any]]:
    """Return the files of a run by name: size, digest by its entry, and the text that it holds."""
    found: dict[str, tuple[int, dict[str, Any]]] = {}
    entries = {
        (entry["name"], entry["version"]): entry
        for key, data in objects.items()
        if re.fullmatch(f"runs/{run}/files/[^/]+[.][0-9]{{8}}[.]json", key)
        for entry in [json.loads(data)]
    }
    folder = f"runs/{run}/artifacts/"
    keys_of = {
        folder
        + "/".join(map(encode, name.split("/")))
        + (f"~{version:08d}" if version > 1 else ""): (name, version)
        for name, version in entries
    }
    for key, data in objects.items():
        if not key.startswith(folder):
            continue
        named = keys_of.get(key) or _plain(key.removeprefix(folder))
        if named is None or found.get(named[0], (0, {}))[0] >= named[1]:
            continue
        entry = entries.get(named, {})
        told = {"size": len(data), "sha256": entry.get("sha256"), "text": data.decode()}
        found[named[0]] = named[1], told
    logs = {
        f"logs/{name}": {"size": len(data), "sha256": None, "text": data.decode()}
        for name, data in _logs_of(objects, run)
    }
    return logs | {name: told for name, (_, told) in found.items()}


def blob_of(objects: Mapping[str, bytes], run: str, reference: str) -> str:
    """Return the text behind a reference to a blob, as section 9.11 says."""
    pack, _, rest = reference.removeprefix("media://").partition("/")
    writer, number = pack.split("-")
    member, _, parameters = rest.partition("?")
    told = dict(each.split("=") for each in parameters.split("&"))
    folder = f"runs/{run}/media/"
    if (whole := objects.get(f"{folder}{pack}.zip")) is not None:
        data = whole[int(told["start"]) :][: int(told["size"])]
    else:
        rule = re.compile(f"{folder}{writer}-([0-9]{{8}})-([0-9]{{8}})[.]zip")
        named = filter(None, map(rule.fullmatch, objects))
        (found, *_) = (name[0] for name in named if name[2] <= number <= name[1])
        with zipfile.ZipFile(io.BytesIO(objects[found])) as several:
            data = several.read(member)
    assert sha256(data).hexdigest() == told["sha256"]
    return data.decode()


def _logs_of(objects: Mapping[str, bytes], run: str) -> Iterator[tuple[str, bytes]]:
    """Yield the logs of a run as section 9.9 says."""
    streams: dict[str, dict[str, list[tuple[int, int, bytes]]]] = {}
    rule = re.compile(f"runs/{run}/logs/([^/~]+)/([0-9a-f]{{16}})-([0-9]{{12}})-([0-9]{{12}})")
    for key, data in objects.items():
        if (found := rule.fullmatch(key)) and int(found[3]) < int(found[4]):
            name = unquote(found[1])
            if encode(name) == found[1] and not {"", ".", ".."} & {*name.split("/")}:
                chunk = (int(found[3]), int(found[4]), data)
                streams.setdefault(name, {}).setdefault(found[2], []).append(chunk)
    for name, writers in streams.items():
        text = b""
        for writer in sorted(writers):
            p = 0
            while fitting := [each for each in writers[writer] if each[0] <= p < each[1]]:
                start, stop, data = max(fitting, key=lambda each: each[1])
                text += data[p - start :]
                p = stop
        yield name, text


def _plain(path: str) -> tuple[str, int] | None:
    """Return what the bytes that somebody put without an entry are called, None if nothing."""
    pieces = path.split("/")
    names = [unquote(piece) for piece in pieces]
    is_sound = all("/" not in n and encode(n) == p for n, p in zip(names, pieces, strict=True))
    return ("/".join(names), 1) if is_sound and not {"", ".", ".."} & {*names} else None


def models_of(objects: Mapping[str, bytes]) -> list[dict[str, Any]]:
    """Return the last state of each version of a model whose files are there, with their texts."""
    rule = re.compile(
        r"models/state/([A-Za-z0-9][A-Za-z0-9._-]{0,254})/([0-9]{8})/([0-9]{8})[.]json"
    )
    last = {
        match.group(1, 2): match for match in filter(None, map(rule.fullmatch, sorted(objects)))
    }
    found = []
    for match in last.values():
        state = json.loads(objects[match[0]])["state"]
        if state["purged"]:
            continue
        folder = f"models/files/{state['name']}/{state['nonce']}/"
        texts = {}
        for file in state["files"]:
            data = objects[folder + "/".join(map(encode, file["name"].split("/")))]
            assert (file["size"], file["sha256"]) == (len(data), sha256(data).hexdigest())
            texts[file["name"]] = data.decode()
        found.append(state | {"version": int(match[3]), "texts": texts})
    return found
