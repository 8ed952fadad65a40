"""A folder of files that may be lost at any time: bounded, private, shared by processes.

    <root>/ledger                       how much was written: one byte for each 4 KiB of room
    <root>/store-<32 hex>/<2 hex>/<name>

A file is written under another name and renamed, so it is whole or absent, and sealed, so damage is
noticed: then it is removed, as if it had never been there. There is no lock between readers and
writers. A file that vanishes while it is read stays readable to who has it open.

Each writer makes the ledger longer by the room of its file. Where the ledger says that there is
more than the limit, one process adds up what is there, removes the files that were not used for
the longest until an eighth of the limit is free, and cuts the ledger to what is left. So a process
that writes little never looks at more than its own files. A file counts as used when its
modification time was renewed, at most once a minute.

What the operating system refuses (disk full, read-only, no permission) is told to the logger once
and otherwise means: not in the folder.
"""

# Paths are text here: pathlib would cost more than the file does.
# ruff: noqa: PTH102, PTH103, PTH105, PTH108, PTH119, PTH120
from __future__ import annotations

import fcntl
import os
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, NamedTuple

from objrun import clock, logs
from objrun.storage.sealed import seal, unseal

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["CacheFolder"]

_PAGE = 4096
_STORES = "store-"
_PRIVATE = 0o700
_READ = os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW
_CREATE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW
_LEDGER = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW
_MINUTE = 60.0


class _File(NamedTuple):
    used: float
    pages: int
    path: str


class CacheFolder:
    """The files below `root`, an absolute path, that take at most `limit` bytes of room.

    A name is three pieces: `store-<hex>/<2 hex>/<text>`. Nothing here raises an OSError.

    >>> import tempfile
    >>> folder = CacheFolder(tempfile.mkdtemp(), 10**6)
    >>> folder.write("store-0/00/a", b"1234")
    >>> folder.read("store-0/00/a"), folder.read("store-0/00/a", 1, 2), folder.read("store-0/00/b")
    (b'1234', b'23', None)
    """

    def __init__(self, root: str, limit: int) -> None:
        self.root = root
        self.limit = limit
        self._told = False
        self._resting_until = 0.0

    def read(self, name: str, start: int = 0, length: int | None = None) -> bytes | None:
        """Return a part of a file, or all; None where it is not there or was damaged."""
        path = self._path(name)
        with self._forgiving("read"), suppress(FileNotFoundError):
            with os.fdopen(os.open(path, _READ), "rb") as file:
                status = os.fstat(file.fileno())
                if status.st_uid != os.geteuid():
                    return None  # put there by somebody else: not to be trusted
                data = unseal(file, name, start, length)
                if data is not None:
                    _renew(path, status.st_mtime)
                    return data
            os.unlink(path)
        return None

    def write(self, name: str, data: bytes) -> None:
        """Keep `data`, unless it would take more than half of the limit.

        After a failure nothing is tried for a minute: a full disk is not filled again and again.
        """
        head = seal(name, data)
        pages = _pages(len(head) + len(data))
        if pages * _PAGE > self.limit // 2 or clock.monotonic() < self._resting_until:
            return
        # Not found means that another process has just made room, or somebody removed the folder.
        with self._forgiving("write"), suppress(FileNotFoundError):
            self._store(self._path(name), head, data)
            self._enter(pages)

    def drop(self, names: list[str]) -> None:
        """Remove these files, and those whose names go on with a dot: the parts of an object."""
        folders: dict[str, set[str]] = {}
        for name in names:
            folder, _, last = self._path(name).rpartition("/")
            folders.setdefault(folder, set()).add(last)
        with self._forgiving("remove"):
            for folder, wanted in folders.items():
                for file in _files(folder):
                    if os.path.basename(file.path).partition(".")[0] in wanted:
                        _remove(file.path)

    def _path(self, name: str) -> str:
        return f"{self.root}/{name}"

    def _store(self, path: str, head: bytes, data: bytes) -> None:
        temporary = f"{os.path.dirname(path)}/new-{clock.random_hex(8)}"
        try:
            fd = os.open(temporary, _CREATE, 0o600)
        except FileNotFoundError:
            self._make_folders(os.path.dirname(path))
            fd = os.open(temporary, _CREATE, 0o600)
        try:
            with os.fdopen(fd, "wb", buffering=0) as file:
                for piece in (head, data):
                    _write_all(file.fileno(), piece)
            os.replace(temporary, path)
        except OSError:
            _remove(temporary)
            raise

    def _make_folders(self, folder: str) -> None:
        """Make the root and what is below it, for nobody else to look into."""
        os.makedirs(os.path.dirname(self.root), exist_ok=True)
        for path in (self.root, os.path.dirname(folder), folder):
            with suppress(FileExistsError):
                os.mkdir(path, _PRIVATE)

    def _enter(self, pages: int) -> None:
        """Write into the ledger that a file was written, and make room if that was too much."""
        fd = os.open(f"{self.root}/ledger", _LEDGER, 0o600)
        try:
            new = os.fstat(fd).st_size == 0  # or somebody removed it: look what is there
            _write_all(fd, bytes(pages))
            if new or os.fstat(fd).st_size * _PAGE > self.limit:
                self._balance(fd)
        finally:
            os.close(fd)

    def _balance(self, ledger: int) -> None:
        """Make room and correct the ledger, unless another thread or process is doing so."""
        try:
            fcntl.flock(ledger, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return
        except OSError:
            pass  # a file system without locks: two at once only do the work twice
        # What others wrote meanwhile may be too much again; who could not lock relies on this one.
        for _ in range(8):
            before = os.fstat(ledger).st_size
            kept = self._make_room()
            after = os.fstat(ledger).st_size
            # A file written meanwhile may have been seen, too: it counts twice until next time.
            size = kept + max(0, after - before)
            os.ftruncate(ledger, size)
            if size * _PAGE <= self.limit:
                return

    def _make_room(self) -> int:
        """Remove what was not used for the longest; return how many pages the rest takes."""
        found = sorted(self._all_files())
        total = sum(file.pages for file in found)
        if total * _PAGE <= self.limit:
            return total
        for file in found:
            if total * _PAGE <= self.limit - self.limit // 8:
                break
            _remove(file.path)
            total -= file.pages
        return total

    def _all_files(self) -> Iterator[_File]:
        for store in _folders(self.root, _STORES):
            for shelf in _folders(store, ""):
                yield from _files(shelf)

    @contextmanager
    def _forgiving(self, verb: str) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            self._resting_until = clock.monotonic() + _MINUTE
            if not self._told:
                self._told = True
                logs.logger().debug("cannot %s the cache in %s: %s", verb, self.root, error)


def _pages(size: int) -> int:
    return -(-size // _PAGE)


def _renew(path: str, used: float) -> None:
    if abs(clock.nanoseconds() / 1e9 - used) > _MINUTE:
        with suppress(OSError):  # a folder that may only be read serves all the same
            os.utime(path)


def _write_all(fd: int, data: bytes) -> None:
    # A call writes at most 2 GiB, and less where the disk is almost full.
    view = memoryview(data)
    while view:
        view = view[os.write(fd, view) :]


def _remove(path: str) -> None:
    with suppress(FileNotFoundError):
        os.unlink(path)


def _folders(folder: str, start: str) -> list[str]:
    with os.scandir(folder) as entries:
        return [
            entry.path
            for entry in entries
            if entry.name.startswith(start) and entry.is_dir(follow_symlinks=False)
        ]


def _files(folder: str) -> Iterator[_File]:
    with suppress(FileNotFoundError), os.scandir(folder) as entries:
        for entry in entries:
            # Another process may remove it after it was listed.
            with suppress(FileNotFoundError):
                status = entry.stat(follow_symlinks=False)
                yield _File(status.st_mtime, _pages(status.st_size), entry.path)
