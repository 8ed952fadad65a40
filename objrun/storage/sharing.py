"""Files of a folder that hold the same bytes, kept once: several names of one inode.

A table of hints tells where bytes of a digest were stored last. It is a cache that forgets: a hint
that is missing, old or wrong costs room and nothing else, and it holds no bytes, so what is deleted
is gone. A file gives way to a link of another when each byte of both was compared, in one rename,
so whoever reads it sees the same bytes at any moment.

Only files of one owner, group and mode share an inode: who may read them, and whose quota they
count against, stays as it was. The times of a file are then those of the first with its bytes.
"""

# Paths are text here: pathlib would cost more than the file does.
# ruff: noqa: PTH105, PTH108
from __future__ import annotations

import os
import stat
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Final, Protocol, runtime_checkable
from zlib import crc32

from objrun import clock
from objrun.storage.keys import is_key

if TYPE_CHECKING:
    from collections.abc import Iterator

    from objrun.storage.tree import Tree
    from objrun.storage.verbs import Store

__all__ = ["HINTS", "LEAST", "Equals", "Share", "share"]

HINTS: Final = "equal"
"""The file of the hints, in the folder of unfinished files."""

LEAST: Final = 1 << 16
"""Bytes of the smallest file that is shared."""

_HINT: Final = 512  # bytes of a hint; a longer key has none
_SLOTS: Final = 1 << 14
_CHUNK: Final = 1 << 17
_COMPARED: Final = ("st_dev", "st_uid", "st_gid", "st_mode", "st_size")
_READ = os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
_TABLE = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
_sync = getattr(os, "fdatasync", os.fsync)  # the number of links need not be on the disk


@runtime_checkable
class Share(Protocol):
    """Keep equal bytes once: what a store may do besides all that a `Store` does."""

    def share(self, key: str, sha256: str) -> None:
        """Keep the bytes of an object once if another has the same; a failure is not told.

        The caller has just stored them, `sha256` is their digest, and nobody stores others under
        this key: what is done to it at this moment may count as done before. Readers see no
        difference but in the time of the object, which may be that of an older one.
        """
        ...


def share(store: Store, key: str, sha256: str | None) -> None:
    """Keep the bytes of an object once, where the store can and they are known; see `Share`."""
    if sha256 is not None and isinstance(store, Share):
        store.share(key, sha256)


class Equals:
    """The files of a folder and which of them are equal; `scratch` is on the same file system."""

    def __init__(self, tree: Tree, scratch: str, *, durable: bool) -> None:
        self._tree = tree
        self._scratch = scratch
        self._durable = durable

    def share(self, key: str, sha256: str) -> None:
        """Make `key` another name of an equal file, where one is hinted at, and leave a hint.

        Raises:
            OSError: it cannot be done, and the file is as it was.
        """
        path = self._tree.path(key)
        with _opened(path) as mine:
            status = os.fstat(mine)
            if not stat.S_ISREG(status.st_mode) or status.st_size < LEAST:
                return
            digest = f"{sha256} {status.st_uid} {status.st_gid} {status.st_mode:o} ".encode()
            with self._hints() as table:
                start = crc32(digest) % _SLOTS * _HINT
                hint, ours = os.pread(table, _HINT, start), digest + key.encode() + b"\n"
                if hint.startswith(ours):
                    return
                if hint.startswith(digest):
                    with suppress(OSError):  # it may be gone, or have all the names it can have
                        other = hint[len(digest) :].partition(b"\n")[0].decode(errors="replace")
                        self._become(path, mine, other)
                if len(ours) <= _HINT:
                    os.pwrite(table, ours, start)

    @contextmanager
    def _hints(self) -> Iterator[int]:
        path = f"{self._scratch}/{HINTS}"
        with _opened(path, _TABLE) as table:
            if os.fstat(table).st_nlink > 1:
                # A copy made of links, or a way to the file of somebody else: leave it alone.
                os.unlink(path)
                raise FileNotFoundError(path)
            yield table

    def _become(self, path: str, mine: int, other: str) -> None:
        """Give up a file for an equal one, if that is what is there."""
        if not is_key(other) or not self._tree.is_plain(other.rpartition("/")[0]):
            return
        source = self._tree.path(other)
        with _opened(source) as held:
            if os.path.sameopenfile(mine, held) or not are_equal(mine, held):
                return
            if self._durable:
                # It may have been stored by somebody who does not sync.
                _sync(held)
            temporary = f"{self._scratch}/{clock.random_hex(12)}"
            # With the times of the old file it may be swept as left over: then this fails.
            os.link(source, temporary, follow_symlinks=False)
            try:
                if _is(temporary, held) and _is(path, mine):
                    os.replace(temporary, path)
            finally:
                with suppress(FileNotFoundError):
                    os.unlink(temporary)


@contextmanager
def _opened(path: str, flags: int = _READ) -> Iterator[int]:
    fd = os.open(path, flags, 0o666)
    try:
        yield fd
    finally:
        os.close(fd)


def _is(path: str, fd: int) -> bool:
    return os.path.samestat(os.lstat(path), os.fstat(fd))


def are_equal(mine: int, held: int) -> bool:
    """Return whether two files have one owner, group, mode and size, and the same bytes."""
    one, other = os.fstat(mine), os.fstat(held)
    if any(getattr(one, name) != getattr(other, name) for name in _COMPARED):
        return False
    start = 0
    while chunk := os.pread(mine, _CHUNK, start):
        if chunk != os.pread(held, _CHUNK, start):
            return False
        start += len(chunk)
    return True
