"""The keys of files of runs: entries, and the bytes under paths people can read. SPEC 3 and 9.6.

The name of a file is a path; each of its pieces is encoded by itself, so no name leaves its folder.
"""

from __future__ import annotations

import re
from typing import Final, NamedTuple

from objrun.format.keys import VERSION_DIGITS, decode_name, encode_name, is_number, run_folder
from objrun.format.names import is_file_name, is_run_id

_CUT: Final = re.compile(".{100}~[0-9a-f]{64}")


class ArtifactKey(NamedTuple):
    """What the key of a file's bytes says; `name` is None where a piece of it was cut.

    >>> ArtifactKey("r1", "outputs/model.pt", 1).version
    1
    """

    run: str
    name: str | None
    version: int


def run_files(run: str) -> str:
    """Return the prefix of the entries of a run's files.

    >>> run_files("r1")
    'runs/r1/files/'
    """
    return f"{run_folder(run)}files/"


def run_file(run: str, name: str, version: int) -> str:
    """Return the key of the entry of one version of a file.

    >>> run_file("r1", "outputs/model.pt", 1)
    'runs/r1/files/outputs%2Fmodel.pt.00000001.json'
    """
    return f"{run_files(run)}{encode_name(name)}.{version:0{VERSION_DIGITS}d}.json"


def is_run_file(key: str) -> bool:
    """Return whether a key is that of the entry of a file.

    >>> is_run_file(run_file("r1", "a", 1)), is_run_file(artifact("r1", "a", 1))
    (True, False)
    """
    pieces = key.split("/")
    stem, _, digits = pieces[-1].removesuffix(".json").rpartition(".")
    known = len(pieces) == 4 and pieces[0] == "runs" and pieces[2] == "files"
    return known and bool(stem) and is_number(digits, VERSION_DIGITS) and key.endswith(".json")


def artifacts(run: str) -> str:
    """Return the prefix of the bytes of a run's files.

    >>> artifacts("r1")
    'runs/r1/artifacts/'
    """
    return f"{run_folder(run)}artifacts/"


def artifact(run: str, name: str, version: int) -> str:
    """Return the key of the bytes of one version of a file.

    >>> artifact("r1", "outputs/my model.pt", 1), artifact("r1", "a", 2)
    ('runs/r1/artifacts/outputs/my%20model.pt', 'runs/r1/artifacts/a~00000002')
    """
    path = "/".join(map(encode_name, name.split("/")))
    return f"{artifacts(run)}{path}" + (f"~{version:0{VERSION_DIGITS}d}" if version > 1 else "")


def parse_artifact(key: str) -> ArtifactKey | None:
    """Return what the key of a file's bytes says, None where it is no such key.

    The name is None where a piece of it was cut.

    >>> parse_artifact("runs/r1/artifacts/outputs/my%20model.pt")
    ArtifactKey(run='r1', name='outputs/my model.pt', version=1)
    """
    pieces = key.split("/")
    if len(pieces) < 4 or pieces[0] != "runs" or pieces[2] != "artifacts":
        return None
    path, _, digits = "/".join(pieces[3:]).rpartition("~")
    version = int(digits) if path and is_number(digits, VERSION_DIGITS) else 1
    pieces = [pieces[1], *(path if version > 1 else "/".join(pieces[3:])).split("/")]
    if any(_CUT.fullmatch(piece) for piece in pieces):
        return ArtifactKey(pieces[0], None, version) if is_run_id(pieces[0]) else None
    name = "/".join(decode_name(piece) or "" for piece in pieces[1:])
    known = is_run_id(pieces[0]) and is_file_name(name)
    return (
        ArtifactKey(pieces[0], name, version)
        if known and artifact(pieces[0], name, version) == key
        else None
    )
