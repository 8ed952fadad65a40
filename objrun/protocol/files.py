"""Files of a run: an entry says whose bytes stand under a name, and then the bytes come.

The entry is created, so that one of all writers has the name; the bytes of that version are then
fixed, and whoever stores them stores the same. A file is there when its bytes are, so what was
broken off in between is not seen, and is finished by whoever stores the same bytes. SPEC section 9.
"""

from __future__ import annotations

import hashlib
import os
from contextlib import suppress
from itertools import chain
from typing import TYPE_CHECKING, Final, NamedTuple

from objrun import clock
from objrun.errors import (
    CorruptObjectError,
    FileConflictError,
    FileNotInRunError,
    NotFoundError,
    ObjrunError,
    Problem,
)
from objrun.format import file_keys, keys
from objrun.format.documents import decode_file, encode_file
from objrun.format.names import choices
from objrun.format.states import FileEntry
from objrun.protocol.settle import insist, put_once, upload
from objrun.storage import in_flight
from objrun.storage.keys import check_key
from objrun.storage.sharing import share

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import BinaryIO

    from objrun.storage import ObjectInfo, Store

PART: Final = 16 << 20
"""Bytes of one part of a large file; a smaller file is stored and read by one request."""

MOST_PARTS: Final = 9_000
"""Parts of a file; those of a larger file are larger."""

AT_ONCE: Final = 4
"""Parts that are read at the same time."""


class StoredFile(NamedTuple):
    """Where the bytes of a file stand; `sha256` is None where somebody put them without an entry.

    >>> StoredFile("runs/r1/artifacts/a", 3, None).size
    3
    """

    key: str
    size: int
    sha256: str | None


def list_files(store: Store, run: str) -> dict[str, ObjectInfo]:
    """Return where the bytes of each file of a run stand, by name, sorted: one LIST.

    One more, and a GET for each, where a folder or file has a name of more than 180 bytes.
    """
    found: dict[str, tuple[int, ObjectInfo]] = {}
    cut: dict[str, ObjectInfo] = {}
    for info in insist(lambda: store.list(file_keys.artifacts(run))):
        parsed = file_keys.parse_artifact(info.key)
        if parsed is None:
            continue
        if parsed.name is None:
            cut[info.key] = info
        elif found.get(parsed.name, (0,))[0] < parsed.version:
            found[parsed.name] = parsed.version, info
    for entry in _entries_of(store, run) if cut else ():
        info_of = cut.get(file_keys.artifact(run, entry.name, entry.version))
        if info_of and found.get(entry.name, (0,))[0] < entry.version:
            found[entry.name] = entry.version, info_of
    return {name: info for name, (_, info) in sorted(found.items())}


def _entries_of(store: Store, run: str) -> Iterator[FileEntry]:
    """Yield the entries whose names are not in their keys."""
    for info in insist(lambda: store.list(file_keys.run_files(run))):
        if "~" in info.key:
            yield _entry(store, info.key)


def entry_of(store: Store, run: str, key: str) -> FileEntry | None:
    """Return the entry of the bytes under a key, None where somebody put them without one."""
    parsed = file_keys.parse_artifact(key)
    if parsed is None:
        return None
    if parsed.name is None:
        entries = _entries_of(store, run)
        return next((e for e in entries if file_keys.artifact(run, e.name, e.version) == key), None)
    with suppress(NotFoundError):
        return _entry(store, file_keys.run_file(run, parsed.name, parsed.version))
    return None


def find_file(store: Store, run: str, name: str, length: int = PART) -> tuple[StoredFile, bytes]:
    """Return a file and up to `length` of its first bytes; FileNotInRunError if there is none."""
    for entry in reversed(_versions(store, run, name)):
        key = file_keys.artifact(run, name, entry.version)
        try:
            return StoredFile(key, entry.size, entry.sha256), read_range(store, key, 0, length)
        except NotFoundError:
            # Its writer is in flight or dead.
            continue
    listed = list_files(store, run)
    if info := listed.get(name):
        return StoredFile(info.key, info.size, None), read_range(store, info.key, 0, length)
    message = f"run {run} has no file {name!r}: {choices(name, listed)}"
    raise FileNotInRunError(message)


def read_range(store: Store, key: str, start: int, length: int) -> bytes:
    """Return up to `length` of the bytes of a file from `start` on."""
    return insist(lambda: store.get_range(key, start, length))


def read_file(store: Store, file: StoredFile, first: bytes) -> Iterator[bytes]:
    """Yield the bytes of a file, which begin with `first`, in parts, some of them read ahead.

    Raises CorruptObjectError behind the last part, where they are not what was stored.
    """
    starts = range(len(first), file.size, PART)
    rest = in_flight(
        lambda start: read_range(store, file.key, start, PART), starts, at_once=AT_ONCE
    )
    digest, size = hashlib.sha256(), 0
    for part in chain((first,), (answer() for answer in rest)):
        digest.update(part)
        size += len(part)
        yield part
    if size != file.size or (file.sha256 or digest.hexdigest()) != digest.hexdigest():
        message = f"{size} bytes with another SHA-256 than when they were stored"
        raise CorruptObjectError(file.key, [Problem("$", "key_mismatch", message)])


def read_whole(store: Store, file: StoredFile) -> Iterator[bytes]:
    """Yield the bytes of a file of which nothing was read yet; see `read_file`."""
    yield from read_file(store, file, read_range(store, file.key, 0, PART))


def store_file(
    store: Store, run: str, name: str, file: BinaryIO, *, overwrite: bool = False
) -> FileEntry:
    """Store a file under a name and return its entry; the same bytes again are not stored again.

    `file` can be read from its start more than once. Raises FileConflictError where the run has
    other bytes under this name, unless `overwrite`: then they are another version, and the last
    one counts.
    """
    check_key(file_keys.artifact(run, name, keys.MAX_VERSION))
    size = file.seek(0, os.SEEK_END)
    upload = _Upload(store, run, name, file, size, overwrite=overwrite)
    return upload.small() if size <= PART else upload.large()


def part_length(size: int) -> int:
    """Return how many bytes the parts of a file of `size` bytes have.

    >>> part_length(1) == part_length(10**11) == PART, part_length(10**12) // PART
    (True, 7)
    """
    return max(PART, -(-size // MOST_PARTS // PART) * PART)


class _TakenError(ObjrunError):
    """Another writer has the version that the bytes were to be."""


class _Upload:
    """One file on its way into a store."""

    def __init__(
        self, store: Store, run: str, name: str, file: BinaryIO, size: int, *, overwrite: bool
    ) -> None:
        self.store, self.run, self.name, self.file = store, run, name, file
        self.size = size
        self.overwrite = overwrite

    def small(self) -> FileEntry:
        """Claim the name and then store the bytes: two requests."""
        self.file.seek(0)
        data = self.file.read()
        self.size = len(data)
        return self._claimed(hashlib.sha256(data).hexdigest(), lambda: iter((data,)), None)

    def large(self) -> FileEntry:
        """Send the bytes, and claim the name before the last of them: they are read once."""
        while True:
            held = self._held()
            if held and held.size == self.size:
                return self._claimed(self._digest(), self._parts, held)
            if held:
                self._check(held)
            with suppress(_TakenError):
                return self._sent(held.version + 1 if held else 1)

    def _sent(self, version: int) -> FileEntry:
        """Store bytes whose digest is not known yet as a version that is still free."""
        entries: list[FileEntry] = []
        key = file_keys.artifact(self.run, self.name, version)
        upload(self.store, key, lambda: self._claiming(version, entries))
        share(self.store, key, entries[0].sha256)
        return entries[0]

    def _claimed(
        self, digest: str, parts: Callable[[], Iterator[bytes]], held: FileEntry | None
    ) -> FileEntry:
        """Store bytes whose digest is known; `held` is the last version that is known."""
        while True:
            if held and (held.size, held.sha256) == (self.size, digest):
                if self._is_there(held):
                    return held
                entry = held
                break
            if held:
                self._check(held)
            entry = self._entry(digest, held.version + 1 if held else 1)
            if self._claim(entry):
                break
            held = self._held()
        key = file_keys.artifact(self.run, self.name, entry.version)
        upload(self.store, key, parts)
        share(self.store, key, entry.sha256)
        return entry

    def _claiming(self, version: int, entries: list[FileEntry]) -> Iterator[bytes]:
        digest = hashlib.sha256()
        for part in self._parts():
            digest.update(part)
            yield part
        if not entries:
            entry = self._entry(digest.hexdigest(), version)
            if not self._claim(entry):
                message = f"version {version} of {self.name!r} is another's"
                raise _TakenError(message)
            entries.append(entry)

    def _parts(self) -> Iterator[bytes]:
        length = part_length(self.size)
        self.file.seek(0)
        left = self.size
        while part := self.file.read(min(length, left)):
            left -= len(part)
            yield part
        if left:
            message = f"{self.name!r} became shorter while it was read: {left} bytes are missing"
            raise FileConflictError(message)

    def _digest(self) -> str:
        digest = hashlib.sha256()
        for part in self._parts():
            digest.update(part)
        return digest.hexdigest()

    def _entry(self, digest: str, version: int) -> FileEntry:
        return FileEntry(
            run_id=self.run,
            name=self.name,
            version=version,
            size=self.size,
            sha256=digest,
            written=clock.now(),
            write_id=clock.random_hex(16),
        )

    def _claim(self, entry: FileEntry) -> bool:
        key = file_keys.run_file(self.run, self.name, entry.version)
        return put_once(self.store, key, encode_file(entry))

    def _held(self) -> FileEntry | None:
        versions = _versions(self.store, self.run, self.name)
        return versions[-1] if versions else None

    def _check(self, held: FileEntry) -> None:
        """Raise where other bytes have the name and are not to be overwritten."""
        if not self.overwrite and self._is_there(held):
            message = (
                f"{self.name!r} of run {self.run} exists with other bytes ({held.size}, "
                f"SHA-256 {held.sha256[:8]}...): choose another name, or overwrite "
                "it: overwrite=True, --overwrite"
            )
            raise FileConflictError(message)

    def _is_there(self, entry: FileEntry) -> bool:
        key = file_keys.artifact(self.run, self.name, entry.version)
        try:
            insist(lambda: self.store.get_range(key, 0, 1))
        except NotFoundError:
            return False
        return True


def _versions(store: Store, run: str, name: str) -> list[FileEntry]:
    """Return the entries of all versions of a file, the last one last; there are no holes."""
    entries: list[FileEntry] = []
    while True:
        try:
            entries.append(_entry(store, file_keys.run_file(run, name, len(entries) + 1)))
        except NotFoundError:
            return entries


def _entry(store: Store, key: str) -> FileEntry:
    return decode_file(key, insist(lambda: store.get(key)))
