"""Fetch a snapshot from a store, and unpack it: nothing is written outside of the folder."""

# ruff: noqa: PTH100, PTH103, PTH105, PTH108, PTH118, PTH120, PTH123, PTH208 - paths are text here, as in `tree`
from __future__ import annotations

import hashlib
import os
import tempfile
import zlib
from typing import IO, TYPE_CHECKING, Final

from objrun.errors import CorruptObjectError, NotFoundError, Problem, SnapshotException
from objrun.format.archives import Entry, head, read_directory
from objrun.format.shared import check_digest, is_digest, snapshot_key
from objrun.protocol.settle import insist
from objrun.snapshots.packing import CHUNK

if TYPE_CHECKING:
    from objrun.storage import Store

PIECE: Final = 8 << 20
"""Bytes that are fetched at once."""

_WRITE: Final = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_NOFOLLOW", 0)
_DEVICES: Final = {"con", "prn", "aux", "nul"} | {
    f"{d}{n}" for d in ("com", "lpt") for n in "123456789"
}


def fetch(store: Store, digest: str, folder: str) -> str:
    """Write `<folder>/<digest>.zip`, checked byte for byte, and return its absolute path.

    Raises SnapshotException where there is none, CorruptObjectError where its bytes do not have the
    SHA-256 that names them, or are not what a snapshot may be; then nothing is left behind.
    """
    if not is_digest(digest):
        message = f"{digest!r:.100} is no id of a snapshot: that has 64 hexadecimal digits"
        raise SnapshotException(message)
    folder = os.path.abspath(folder)
    os.makedirs(folder, exist_ok=True)
    place = os.path.join(folder, f"{digest}.zip")
    # Of its own name, and made anew: who restores the same at the same time has another.
    with tempfile.NamedTemporaryFile(dir=folder, prefix=".objrun-tmp-", delete=False) as file:
        try:
            size = _download(store, snapshot_key(digest), file)
            read_directory(snapshot_key(digest), size, lambda at, length: _part(file, at, length))
            file.flush()
            os.replace(file.name, place)
        except BaseException:
            os.unlink(file.name)
            raise
    return place


def unpack(place: str, folder: str) -> str:
    """Unpack the ZIP file of a snapshot into a new or empty folder; return its absolute path.

    Raises SnapshotException for a folder with files in it, and for files of which this file system
    makes one; CorruptObjectError for what no snapshot is, before anything is written.
    """
    folder = os.path.abspath(folder)
    os.makedirs(folder, exist_ok=True)
    if os.listdir(folder):
        message = f"{folder} is not empty: name a new folder to unpack a snapshot into"
        raise SnapshotException(message)
    with open(place, "rb") as file:
        size = file.seek(0, os.SEEK_END)
        entries = read_directory(place, size, lambda at, length: _part(file, at, length))
        _check_names(entries, windows=os.name == "nt")
        file.seek(0)
        for entry in entries:
            _write(place, file, entry, os.path.join(folder, *entry.name.split("/")))
    return folder


def _check_names(entries: list[Entry], *, windows: bool) -> None:
    """Raise SnapshotException for names that are something else than a file on Windows."""
    for entry in entries if windows else ():
        for piece in entry.name.split("/"):
            if set(piece) & set(':*?"<>|') or piece[-1] in " ." or _is_device(piece):
                message = f"{entry.name!r} cannot be the name of a file on Windows"
                raise SnapshotException(message)


def _is_device(piece: str) -> bool:
    return piece.partition(".")[0].rstrip().lower() in _DEVICES


def _download(store: Store, key: str, file: IO[bytes]) -> int:
    digest = hashlib.sha256()
    size = 0
    while True:
        try:
            data = insist(lambda at=size: store.get_range(key, at, PIECE))  # type: ignore[misc]
        except NotFoundError:
            message = f"there is no snapshot {key} in {store.url}"
            raise SnapshotException(message) from None
        digest.update(data)
        file.write(data)
        size += len(data)
        if len(data) < PIECE:
            break
    check_digest(key, digest.hexdigest())
    return size


def _part(file: IO[bytes], start: int, length: int) -> bytes:
    file.seek(start)
    return file.read(length)


def _write(place: str, file: IO[bytes], entry: Entry, path: str) -> None:
    """Write one file, that begins where `file` stands."""
    before = head(entry)
    is_sound = file.read(len(before)) == before
    os.makedirs(os.path.dirname(path), exist_ok=True)
    try:
        made = os.open(path, _WRITE, 0o777 if entry.executable else 0o666)
    except FileExistsError:
        message = f"{entry.name!r} is another file of the snapshot already on this file system"
        raise SnapshotException(message) from None
    left, crc = entry.size, 0
    with open(made, "wb") as out:
        while data := file.read(min(CHUNK, left)):
            out.write(data)
            left -= len(data)
            crc = zlib.crc32(data, crc)
    if not is_sound or left or crc != entry.crc:
        problem = Problem("$", "bad_zip", f"{entry.name!r} is not what the directory says")
        raise CorruptObjectError(place, [problem])
