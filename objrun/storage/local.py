"""A store in a folder: one file an object, shared by all processes that see the file system.

An object appears whole or not at all and one creator wins, because the kernel links a finished file
under its name (`objrun.storage.recipes`). With `durability="fsync"` an object that was acknowledged
survives a power cut, together with the folders it lies in; with "none" it survives only the death
of the process. A delete is never synced: after a power cut a deleted object may be back.

Other people's files in the folder do no harm: links and files whose names cannot be keys are
skipped.
"""

# Paths are text here: pathlib would cost more than the file does.
# ruff: noqa: PTH102, PTH108, PTH112
from __future__ import annotations

import operator
import os
import stat
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING
from urllib.parse import quote

from objrun import clock
from objrun.errors import AlreadyExistsError, NotFoundError, StoreError, UserErrorException
from objrun.storage.keys import SCRATCH, check_key, check_prefix, check_range, check_size, is_piece
from objrun.storage.oserrors import ABSENT, classify_os_error
from objrun.storage.parts import Parts, whole_source
from objrun.storage.recipes import (
    LACKS_UNNAMED,
    Recipe,
    link_named,
    link_unnamed,
    replace,
    stamp,
    sync_folder,
    touch,
    write_scratch,
)
from objrun.storage.sharing import HINTS, Equals
from objrun.storage.tree import Tree, refuse_unless_folder
from objrun.storage.verbs import ObjectInfo

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

__all__ = ["LocalStore"]

_READ = os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK  # a FIFO must not block
_TRIES = 50  # to use, or to read, a folder that others change all the time
_LEFT_OVER = 86_400.0  # seconds after which a scratch file belongs to no living writer


class LocalStore:
    """A folder as a store; `root` is its absolute path, `durable` whether to sync to the disk.

    >>> import tempfile
    >>> store = LocalStore(tempfile.mkdtemp(), durable=False)
    >>> store.put_if_absent("runs/a.json", b"{}")
    >>> store.get("runs/a.json"), [info.key for info in store.list("")], store.folders("")
    (b'{}', ['runs/a.json'], ['runs'])
    """

    concurrency = 1

    def __init__(self, root: str, *, durable: bool) -> None:
        self.root = root
        self.url = f"file://{quote(root)}"
        self._durable = durable
        self._tree = Tree(root, durable=durable)
        self._unnamed = hasattr(os, "O_TMPFILE") and os.path.isdir("/proc/self/fd")
        self._scratch_ready = False

    def get(self, key: str) -> bytes:
        """Return the object's bytes; see `Get`."""
        with self._opened(key) as (fd, size):
            check_size(key, size)
            return _read(fd, size, 0)

    def get_range(self, key: str, start: int, length: int) -> bytes:
        """Return a part of the object; see `GetRange`."""
        check_range(start, length)
        with self._opened(key) as (fd, size):
            return _read(fd, max(0, min(length, size - start)), start)

    def put(self, key: str, data: bytes) -> None:
        """Write the object by renaming a finished file over it; see `Put`."""
        with _classified(f"cannot store {key} in {self.url}"):
            self._store(self._recipe(replace if data else touch, data), key)

    def upload(self, key: str, parts: Iterable[bytes]) -> None:
        """Write the object by renaming a finished file over it; see `Upload`."""
        check_key(key)
        with whole_source(), _classified(f"cannot store {key} in {self.url}"):
            temporary = write_scratch(Parts(parts), scratch=self._scratch(), durable=self._durable)
            try:
                self._store(partial(os.replace, temporary), key)
            except BaseException:
                os.unlink(temporary)
                raise

    def put_if_absent(self, key: str, data: bytes) -> None:
        """Create the object by linking a finished file; see `PutIfAbsent`."""
        with _classified(f"cannot create {key} in {self.url}"):
            try:
                self._store(self._recipe(self._create, data), key)
            except FileExistsError:
                raise self._taken(key) from None

    def folders(self, prefix: str) -> list[str]:
        """Return the names directly below `prefix` that hold objects; see `Folders`."""
        check_prefix(prefix)
        with _classified(f"cannot list {prefix!r} of {self.url}"):
            return sorted(
                entry.name
                for entry in self._entries(prefix)
                if entry.is_dir(follow_symlinks=False) and self._holds(f"{prefix}{entry.name}/")
            )

    def list(self, prefix: str) -> list[ObjectInfo]:
        """Return the objects below `prefix`; see `List`."""
        check_prefix(prefix)
        found: list[ObjectInfo] = []
        pending = [prefix]
        with _classified(f"cannot list {prefix!r} of {self.url}"):
            while pending:
                rows, folders = self._children(pending.pop())
                found += rows
                pending += folders
        found.sort(key=operator.attrgetter("key"))
        return found

    def delete(self, keys: Iterable[str]) -> None:
        """Remove the objects, and the folders that are empty without them; see `Delete`.

        A hundred thousand empty folders would make each listing slow. A writer that was just about
        to use one makes it again.
        """
        folders: set[str] = set()
        for key in keys:
            check_key(key)
            folder = key.rpartition("/")[0]
            if not self._tree.is_plain(folder):
                continue
            folders.add(folder)
            with _classified(f"cannot delete {key} from {self.url}"):
                try:
                    os.unlink(self._tree.path(key))
                except OSError as error:
                    if error.errno not in ABSENT:
                        raise
        for folder in folders:
            self._tree.prune(folder)

    def now(self) -> datetime:
        """Return the time the file system stamps on a new file; see `Now`."""
        with _classified(f"cannot ask {self.url} for the time"):
            return _utc(stamp(self._scratch()))

    def share(self, key: str, sha256: str) -> None:
        """Make the file another name of one with the same bytes; see `Share`."""
        check_key(key)
        with suppress(OSError, StoreError):
            if self._tree.is_plain(key.rpartition("/")[0]):
                equals = Equals(self._tree, self._scratch(), durable=self._durable)
                equals.share(key, sha256)

    @contextmanager
    def _opened(self, key: str) -> Iterator[tuple[int, int]]:
        check_key(key)
        with _classified(f"cannot read {key} in {self.url}"):
            fd = -1
            if self._tree.is_plain(key.rpartition("/")[0]):
                with suppress(FileNotFoundError, NotADirectoryError):
                    fd = os.open(self._tree.path(key), _READ)
            if fd < 0:
                raise NotFoundError(f"{key} is not in {self.url}")
            try:
                status = os.fstat(fd)
                if not stat.S_ISREG(status.st_mode):
                    raise NotFoundError(f"{key} in {self.url} is no file")
                yield fd, status.st_size
            finally:
                os.close(fd)

    def _recipe(self, recipe: Recipe, data: bytes) -> Callable[[str], None]:
        return lambda path: recipe(path, data, scratch=self._scratch(), durable=self._durable)

    def _store(self, make: Callable[[str], None], key: str) -> None:
        check_key(key)
        folder = key.rpartition("/")[0]
        path = self._tree.path(key)
        for left in reversed(range(_TRIES)):
            try:
                self._tree.ensure(folder)
                make(path)
                break
            except IsADirectoryError:
                raise self._is_folder(key) from None
            except FileNotFoundError:
                if not left:
                    raise
                # Somebody removed a folder that was there before, or was empty: look again.
                self._tree.forget()
                self._scratch_ready = False
                # Who removes it may be at it again just when this thread has its turn.
                clock.sleep(clock.below(_TRIES - left) / 1000)
        if self._durable:
            sync_folder(path[: path.rindex("/")])

    def _create(self, path: str, data: bytes, *, scratch: str, durable: bool) -> None:
        if self._unnamed:
            try:
                return link_unnamed(path, data, scratch=scratch, durable=durable)
            except OSError as error:
                if error.errno not in LACKS_UNNAMED:
                    raise
                self._unnamed = False
        return link_named(path, data, scratch=scratch, durable=durable)

    def _is_folder(self, key: str) -> UserErrorException:
        message = f"{key} is a folder of {self.url}, so it cannot be an object there"
        return UserErrorException(message)

    def _taken(self, key: str) -> StoreError | UserErrorException:
        path = self._tree.path(key)
        if os.path.isdir(path):
            return self._is_folder(key)
        # The loser may build on the winner's object, whose name must last as long as the loser's.
        if self._durable:
            sync_folder(path[: path.rindex("/")])
        return AlreadyExistsError(f"{key} exists in {self.url}")

    def _scratch(self) -> str:
        path = self._tree.path(SCRATCH)
        if not self._scratch_ready:
            self._tree.ensure("")
            with suppress(FileExistsError):
                os.mkdir(path)
            refuse_unless_folder(path)
            _sweep(path)
            self._scratch_ready = True
        return path

    def _children(self, folder: str) -> tuple[Iterable[ObjectInfo], Iterable[str]]:
        """Return the objects and the folders in a folder.

        Where a file vanished meanwhile, what came in its place before it went may not have been
        there yet when the names were read: they are read again, for those not seen yet.
        """
        rows: dict[str, ObjectInfo] = {}
        entries: list[os.DirEntry[str]] = []
        for _ in range(_TRIES):
            entries = [*self._entries(folder)]
            files = [each for each in entries if each.is_file(follow_symlinks=False)]
            new = [each for each in files if each.name not in rows]
            found = {each.name: row for each in new for row in _row(folder, each)}
            rows |= found
            if len(found) == len(new):
                break
        folders = [each.name for each in entries if each.is_dir(follow_symlinks=False)]
        return rows.values(), [f"{folder}{name}/" for name in folders]

    def _entries(self, prefix: str) -> Iterator[os.DirEntry[str]]:
        if not self._tree.is_plain(prefix[:-1]):
            return
        try:
            entries = os.scandir(self._tree.path(prefix))
        except (FileNotFoundError, NotADirectoryError):
            return
        with entries:
            for entry in entries:
                if is_piece(entry.name) and (prefix or entry.name != SCRATCH):
                    yield entry

    def _holds(self, prefix: str) -> bool:
        return any(
            entry.is_file(follow_symlinks=False)
            or (entry.is_dir(follow_symlinks=False) and self._holds(f"{prefix}{entry.name}/"))
            for entry in self._entries(prefix)
        )


@contextmanager
def _classified(what: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise classify_os_error(error, what) from error


def _read(fd: int, length: int, start: int) -> bytes:
    data = os.pread(fd, length, start)
    # A call reads at most 2 GiB.
    while len(data) < length:
        more = os.pread(fd, length - len(data), start + len(data))
        if not more:
            break
        data += more
    return data


def _row(folder: str, entry: os.DirEntry[str]) -> Iterator[ObjectInfo]:
    # The file may have been deleted since the folder was read.
    with suppress(FileNotFoundError):
        status = entry.stat(follow_symlinks=False)
        yield ObjectInfo(f"{folder}{entry.name}", status.st_size, _utc(status.st_mtime))


def _sweep(scratch: str) -> None:
    oldest = clock.nanoseconds() / 1e9 - _LEFT_OVER
    with os.scandir(scratch) as entries:
        for entry in entries:
            with suppress(OSError):
                is_old = entry.stat(follow_symlinks=False).st_mtime < oldest
                if is_old and entry.name != HINTS:
                    os.unlink(entry.path)


def _utc(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)
