"""Damaged snapshots and environments."""

from __future__ import annotations

import hashlib
import io
import zipfile
import zlib
from typing import Any, Final

from objrun.format.archives import Entry, head, tail
from objrun.format.documents import document_bytes
from objrun.format.shared import environment_key, snapshot_key
from tools.golden.broken import Broken

ENVIRONMENT: Final[dict[str, Any]] = {
    "format": 1,
    "python": "3.11.7",
    "implementation": "cpython",
    "packages": {"numpy": "2.1.0", "scikit-learn": "1.5.2"},
    "system": "Linux",
    "release": "6.1.0",
    "machine": "x86_64",
    "processor": "Xeon",
    "cpus": 2,
    "memory": 8 * 2**30,
    "gpus": ["Tesla T4"],
    "driver": "550.54.14",
    "cuda": "12.4",
}


def digest(data: bytes) -> str:
    """Return what names these bytes."""
    return hashlib.sha256(data).hexdigest()


def archive(*files: tuple[str, bytes, bool]) -> bytes:
    """Return a snapshot of files in this order."""
    entries = [Entry(name, len(data), zlib.crc32(data), runs) for name, data, runs in files]
    bodies = [head(entry) + data for entry, (_, data, _) in zip(entries, files, strict=True)]
    return b"".join(bodies) + tail(entries)


def broken_shared() -> list[Broken]:
    """Return every damaged object that runs would share."""
    mismatch = ("key_mismatch", "$")
    odd = {"python": 3, "packages": {"numpy": 2}, "cpus": 0, "gpus": [1], "cuda": 12.4}
    places = (("wrong_type", name) for name in ("python", "packages.numpy", "gpus", "cuda"))
    wrong = [(code, f"$.{name}") for code, name in places]
    deflated = io.BytesIO()
    with zipfile.ZipFile(deflated, "w", zipfile.ZIP_DEFLATED) as made:
        made.writestr(zipfile.ZipInfo("a"), b"a" * 1000, zipfile.ZIP_DEFLATED)
    return [
        _environment("types", "values of other types", odd, *wrong, ("out_of_range", "$.cpus")),
        _environment("no_packages", "it names no packages", {"packages": None},
                     ("wrong_type", "$.packages")),
        _environment("digest", "under the name of another", {}, mismatch, key="0" * 64),
        _snapshot("digest", "under the name of another", archive(), mismatch, key="0" * 64),
        _snapshot("above", "a file above the folder", archive(("../a", b"", False)),
                  ("bad_name", "$")),
        _snapshot("twice", "a file that stands there twice",
                  archive(("a", b"1", False), ("a", b"2", False)), ("bad_zip", "$")),
        _snapshot("folder", "a file that is a folder, too",
                  archive(("a", b"1", False), ("a/b", b"2", False)), ("bad_name", "$")),
        _snapshot("deflated", "a compressed file", deflated.getvalue(), ("bad_zip", "$")),
        _snapshot("no_zip", "no ZIP file at all", b"not a ZIP file, and not short either",
                  ("bad_zip", "$")),
    ]  # fmt: skip


def _environment(
    name: str,
    shows: str,
    changes: dict[str, Any],
    *problems: tuple[str, str],
    key: str | None = None,
) -> Broken:
    data = document_bytes(ENVIRONMENT | changes)
    place = environment_key(key or digest(data))
    return Broken(
        f"environment_{name}", shows, "9.7", "environment", place, data, problems, key is None
    )


def _snapshot(
    name: str, shows: str, data: bytes, problem: tuple[str, str], key: str | None = None
) -> Broken:
    place = snapshot_key(key or digest(data))
    return Broken(f"snapshot_{name}", shows, "9.7", "snapshot", place, data, (problem,))
