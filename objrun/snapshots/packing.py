"""Pack the files of a folder into a snapshot, in bounded memory, and put it into a store."""

# ruff: noqa: PTH123 - paths are text here, see `objrun.snapshots.tree`
from __future__ import annotations

import hashlib
import os
import tempfile
import zlib
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING, Any, Final

from objrun.errors import NotFoundError, PermissionDeniedError, SnapshotException
from objrun.format.archives import Entry, head, tail
from objrun.format.shared import snapshot_key
from objrun.protocol.files import PART
from objrun.protocol.settle import insist, put_new, upload
from objrun.snapshots.tree import IGNORE_FILES, SHOWN, list_files

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Sequence

    from objrun.snapshots.tree import File
    from objrun.storage import Store

SIZE: Final = "OBJRUN_SNAPSHOT_SIZE"
"""The environment variable with the bytes that the files of a snapshot may have."""

DEFAULT_SIZE: Final = 300_000_000
"""Bytes where SIZE is not set: Azure ML's limit."""

LARGEST: Final = 3_500_000_000
"""Bytes beyond which it cannot be raised: names and files go into 4 GB, which the format allows."""

CHUNK: Final = 1 << 20
"""Bytes that are read at once."""

IN_MEMORY: Final = 16 << 20
"""Bytes of a snapshot that is not made in a file."""


@dataclass(frozen=True)
class Packed:
    """A snapshot that is made: what names it, and a file with its bytes, gone once closed."""

    digest: str
    size: int
    file: IO[bytes]

    def read(self) -> bytes:
        """Return all bytes."""
        self.file.seek(0)
        return self.file.read()

    def parts(self) -> Iterator[bytes]:
        """Yield all bytes, piece by piece."""
        self.file.seek(0)
        while data := self.file.read(PART):
            yield data

    def __enter__(self) -> Packed:  # noqa: PYI034 - Self would need typing at run time
        """Return the snapshot."""
        return self

    def __exit__(self, *_: object) -> None:
        """Remove the file."""
        self.file.close()


def pack(place: str, without: Collection[str] = ()) -> Packed:
    """Return the snapshot of a folder or file; see `list_files`.

    A file that vanishes meanwhile is left out, one that grows is cut where it ended before.
    Raises SnapshotException also where the files are too large; it names the largest.
    """
    files = list_files(place, without)
    _check_size(place, files)
    packed: IO[Any] = tempfile.SpooledTemporaryFile(IN_MEMORY)  # noqa: SIM115 - the caller closes it
    try:
        return _finished(packed, [e for file in files if (e := _add(packed, file)) is not None])
    except BaseException:
        packed.close()
        raise


def pack_one(name: str, data: bytes) -> Packed:
    """Return the snapshot with one file, of these bytes."""
    packed: IO[Any] = tempfile.SpooledTemporaryFile(IN_MEMORY)  # noqa: SIM115 - the caller closes it
    entry = Entry(name, len(data), zlib.crc32(data))
    packed.write(head(entry) + data)
    return _finished(packed, [entry])


def keep(store: Store, packed: Packed) -> None:
    """Have a snapshot in a store; one that is there is not sent again."""
    key = snapshot_key(packed.digest)
    try:
        insist(lambda: store.get_range(key, 0, 1))
    except NotFoundError:
        if packed.size <= PART:
            put_new(store, key, packed.read())
        else:
            # The key says which bytes are there: to replace them changes nothing.
            upload(store, key, packed.parts)
    except PermissionDeniedError:
        # Who may only create may not upload in parts, either.
        put_new(store, key, packed.read())


def _finished(packed: IO[bytes], entries: Sequence[Entry]) -> Packed:
    packed.write(tail(entries))
    size = packed.tell()
    packed.seek(0)
    digest = hashlib.sha256()
    while data := packed.read(CHUNK):
        digest.update(data)
    return Packed(digest.hexdigest(), size, packed)


def _add(packed: IO[bytes], file: File) -> Entry | None:
    """Add a file; None where it has vanished."""
    try:
        source = open(file.path, "rb")  # noqa: SIM115 - closed below
    except FileNotFoundError:
        return None
    except OSError as error:
        message = f"{file.path} cannot be read: ignore it ({error.strerror})"
        raise SnapshotException(message) from error
    start = packed.tell()
    packed.write(head(Entry(file.name, 0, 0)))
    crc = size = 0
    with source:
        while data := source.read(min(CHUNK, file.size - size)):
            crc = zlib.crc32(data, crc)
            size += len(data)
            packed.write(data)
    entry = Entry(file.name, size, crc, file.executable)
    packed.seek(start)
    packed.write(head(entry))
    packed.seek(0, os.SEEK_END)
    return entry


def _check_size(place: str, files: Iterable[File]) -> None:
    from objrun.storage.cache import parse_size

    limit = min(parse_size(os.environ.get(SIZE) or str(DEFAULT_SIZE), SIZE), LARGEST)
    total = sum(file.size for file in files)
    if total <= limit:
        return
    largest = sorted(files, key=lambda file: -file.size)[:SHOWN]
    told = ", ".join(f"{file.name} {file.size / 1e6:,.1f} MB" for file in largest)
    message = (
        f"{place} has {total / 1e6:,.1f} MB, and a snapshot at most {limit / 1e6:,.1f} MB: ignore "
        f"files in {IGNORE_FILES[0]}, or raise {SIZE} (the largest are {told})"
    )
    raise SnapshotException(message)
