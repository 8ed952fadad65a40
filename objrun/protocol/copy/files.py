"""Copy the bytes of a file of a run, however many, from store to store."""

from __future__ import annotations

from typing import TYPE_CHECKING

from objrun.errors import CorruptObjectError, Problem
from objrun.format import file_keys
from objrun.format.documents import decode_file
from objrun.protocol.copy.pair import read
from objrun.protocol.files import StoredFile, entry_of, read_whole
from objrun.protocol.settle import upload
from objrun.storage.sharing import share

if TYPE_CHECKING:
    from objrun.format.states import FileEntry
    from objrun.protocol.copy.pair import Pair


def is_same(ours: FileEntry, theirs: FileEntry) -> bool:
    """Return whether two entries of one version of a file tell of the same bytes."""
    return (ours.size, ours.sha256) == (theirs.size, theirs.sha256)


def stands(pair: Pair, key: str) -> bool:
    """Return whether both have entries of the same bytes under a key, made twice perhaps."""
    if not file_keys.is_run_file(key):
        return False
    ours, theirs = (decode_file(key, read(store, key)) for store in pair)
    return is_same(ours, theirs)


def copy_file(pair: Pair, run: str, key: str, size: int) -> int:
    """Store the bytes that stand under a key, checked against their entry; return how many.

    Raises CorruptObjectError where they are damaged, or where the target has another entry: then
    the bytes would stand under a digest that is not theirs. NotFoundError where they are gone.
    """
    entry = entry_of(pair.source, run, key)
    theirs = entry_of(pair.target, run, key)
    if entry and theirs and not is_same(entry, theirs):
        message = f"{entry.name!r} has other bytes there: it is kept as it is on both sides"
        raise CorruptObjectError(key, [Problem("$", "key_mismatch", message)])
    file = StoredFile(key, size, entry.sha256 if entry else None)
    copy_bytes(pair, file)
    share(pair.target, key, file.sha256)
    return size


def copy_bytes(pair: Pair, file: StoredFile) -> int:
    """Store the bytes of a file, checked, in bounded memory; return how many.

    Raises CorruptObjectError where the source has other bytes there.
    """
    upload(pair.target, file.key, lambda: read_whole(pair.source, file))
    return file.size
