"""Files of runs: their entries, and whether their bytes are what these tell of."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from objrun.errors import CorruptObjectError, FormatError, NotFoundError
from objrun.format import file_keys
from objrun.format.documents import decode_file
from objrun.format.log_keys import parse_chunk
from objrun.protocol.files import StoredFile, entry_of, read_whole
from objrun.protocol.settle import insist
from objrun.storage import together
from objrun.tables.verify.findings import Finding, unreadable

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from objrun.storage import ObjectInfo, Store

WRONG = "wrong_file"


def is_of_files(key: str) -> bool:
    """Return whether an object is an entry, lies where the bytes of files are, or is of a log.

    >>> is_of_files("runs/r1/artifacts/model.pt"), is_of_files("runs/r1/files/model.pt")
    (True, False)
    """
    is_file = file_keys.is_run_file(key) or key.split("/")[2] == "artifacts"
    return is_file or parse_chunk(key) is not None


def look_at_files(store: Store, listed: Sequence[ObjectInfo]) -> Iterator[Finding]:
    """Yield what is wrong with entries, and with the sizes of bytes that they, or keys, tell of."""
    sizes = {info.key: info.size for info in listed}
    for key, size in sizes.items():
        chunk = parse_chunk(key)
        if chunk and size != chunk.stop - chunk.start:
            told = f"it has {size} bytes, and {chunk.stop - chunk.start} by its key"
            yield Finding(WRONG, key, told)
    entries = [key for key in sizes if file_keys.is_run_file(key)]
    read = together(store, lambda key: insist(partial(store.get, key)), entries)
    for key, answer in zip(entries, read, strict=True):
        try:
            entry = decode_file(key, answer())
        except FormatError as error:
            yield unreadable(key, error)
            continue
        stored = file_keys.artifact(entry.run_id, entry.name, entry.version)
        # Without its bytes, its writer is in flight or dead: no harm.
        if sizes.get(stored, entry.size) != entry.size:
            told = f"it has {sizes[stored]} bytes, and {entry.size} by its entry"
            yield Finding(WRONG, stored, told)


def compare_files(store: Store, runs: Iterable[str]) -> Iterator[Finding]:
    """Yield the files of runs whose digest is not that of their entry; all bytes are read."""
    for run in runs:
        for info in insist(partial(store.list, file_keys.artifacts(run))):
            try:
                entry = entry_of(store, run, info.key)
                if entry is None or entry.size != info.size:
                    # Of another size was told before.
                    continue
                file = StoredFile(info.key, info.size, entry.sha256)
                for _ in read_whole(store, file):
                    pass
            except NotFoundError:
                continue  # purged since it was listed
            except CorruptObjectError as error:
                if error.key == info.key:
                    yield Finding(WRONG, info.key, error.problems[0].message)
            except FormatError:
                continue  # of a damaged entry was told before
