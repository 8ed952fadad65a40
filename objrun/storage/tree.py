"""The folders of a local store: made when needed, made durable, and never reached through a link.

A key becomes a path below the root. Some folder on that path could be a symbolic link to anywhere,
so each folder is looked at once before it is used and then remembered. Links are followed neither
to read nor to write, wherever they point, and listings skip them: what `list` shows is what `get`
reads. The root itself may be a link; it is resolved when the store is connected.
"""

# Paths are text here: pathlib would cost more than the file does.
# ruff: noqa: PTH102, PTH106, PTH112, PTH120
from __future__ import annotations

import os
import stat

from objrun.errors import StoreError, UserErrorException
from objrun.storage.recipes import sync_folder

__all__ = ["Tree", "refuse_unless_folder"]

_REMEMBERED = 100_000  # folders; a long process that meets more of them starts over


class Tree:
    """The folders below `root`, named as the keys name them ("" is the root itself).

    Safe to share between threads: what it remembers only saves work.
    """

    def __init__(self, root: str, *, durable: bool) -> None:
        self.root = root
        self._durable = durable
        self._ready: set[str] = set()
        self._plain: set[str] = set()

    def path(self, key: str) -> str:
        """Return the path of a key or folder.

        >>> Tree("/data", durable=False).path("runs/a")
        '/data/runs/a'
        """
        return f"{self.root}/{key}"

    def ensure(self, folder: str) -> None:
        """Make `folder` and those above it, and when durable, their names survive a power cut.

        Raises:
            StoreError: a symbolic link is in the way.
            UserErrorException: a file is in the way.
            OSError: the system refuses.
        """
        if folder in self._ready:
            return
        if folder:
            parent = folder.rpartition("/")[0]
            self.ensure(parent)
            self._make(self.path(folder), parent=self.path(parent) if parent else self.root)
        else:
            self._make_root()
        self._remember(self._ready, folder)

    def is_plain(self, folder: str) -> bool:
        """Return whether `folder` exists and neither it nor one above it is a symbolic link."""
        if folder in self._plain or not folder:
            return True
        if not self.is_plain(folder.rpartition("/")[0]):
            return False
        try:
            plain = stat.S_ISDIR(os.lstat(self.path(folder)).st_mode)
        except (FileNotFoundError, NotADirectoryError):
            return False
        if plain:
            self._remember(self._plain, folder)
        return plain

    def prune(self, folder: str) -> None:
        """Remove `folder` and those above it as far as they are empty; the root stays."""
        while folder:
            try:
                os.rmdir(self.path(folder))
            except OSError:
                # Not empty, gone already, or not ours to remove.
                return
            self._ready.discard(folder)
            self._plain.discard(folder)
            folder = folder.rpartition("/")[0]

    def forget(self) -> None:
        """Look at every folder again: somebody removed one."""
        self._ready.clear()
        self._plain.clear()

    def _make_root(self) -> None:
        missing = []
        folder = self.root
        while not os.path.isdir(folder):
            missing.append(folder)
            folder = os.path.dirname(folder)
        for path in reversed(missing):
            self._make(path, parent=os.path.dirname(path))

    def _make(self, path: str, *, parent: str) -> None:
        try:
            os.mkdir(path)
        except FileExistsError:
            refuse_unless_folder(path)
        # Also when another process made it: it may not have come as far as syncing it.
        if self._durable:
            sync_folder(parent)

    @staticmethod
    def _remember(known: set[str], folder: str) -> None:
        if len(known) >= _REMEMBERED:
            known.clear()
        known.add(folder)


def refuse_unless_folder(path: str) -> None:
    """Raise where a symbolic link or a file is in the place of a folder.

    UserErrorException for a file: a key may not begin with another one here, however long one
    waits.
    """
    mode = os.lstat(path).st_mode
    if stat.S_ISLNK(mode):
        raise StoreError(f"{path} is a symbolic link, which a store does not follow")
    if not stat.S_ISDIR(mode):
        message = f"{path} is a file, so a file system can hold nothing below it"
        raise UserErrorException(message)
