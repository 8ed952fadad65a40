"""Which files of a folder a snapshot has: all but those that its ignore file names."""

# Paths are text here: names of files that are no text are found, and said, by their bytes.
# ruff: noqa: PTH100, PTH116, PTH112, PTH113, PTH118, PTH119, PTH123
from __future__ import annotations

import os
import warnings
from typing import TYPE_CHECKING, Final, NamedTuple

from objrun.errors import SnapshotException, SnapshotWarning
from objrun.format.archives import MOST_FILES, wrong_name

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence

    Ignores = Callable[[str], bool]

IGNORE_FILES: Final = (".amlignore", ".gitignore")
"""Files that say what is left out, in the syntax of git; the first that is there counts alone."""

NEVER: Final = frozenset(
    (
        *(".git", ".hg", ".svn", "__pycache__", ".ipynb_checkpoints", "node_modules"),
        *(".mypy_cache", ".pytest_cache", ".ruff_cache", ".tox", ".nox", ".venv"),
    )
)
"""Names of folders that hold no source: of version control, and what tools make of it again."""

ENVIRONMENT: Final = "pyvenv.cfg"
"""The file by which a folder of whatever name is a virtual environment."""

SHOWN: Final = 5
"""Files or folders that a message names at most."""


class File(NamedTuple):
    """One file: its name in the snapshot, its path, its bytes, whether its owner may run it."""

    name: str
    path: str
    size: int
    executable: bool


def list_files(place: str, without: Collection[str] = ()) -> Sequence[File]:
    """Return the files of a folder in the order of a snapshot, or the one file that `place` is.

    Left out are what the ignore file of the folder names, folders whose name is in NEVER or which
    are virtual environments, and the folders `without`.
    Of links those to files within the folder are kept, as files; other links and special files
    are left out with a SnapshotWarning. Raises SnapshotException for a place that is not there,
    too many files, and names that a snapshot cannot hold.
    """
    root = os.path.realpath(place)
    if os.path.isfile(root):
        status = os.stat(root)
        name = os.path.basename(os.path.abspath(place))
        files = [File(name, root, status.st_size, bool(status.st_mode & 0o100))]
    elif os.path.isdir(root):
        files = _Walk(root, without).files()
    else:
        message = f"{place} is neither a file nor a folder: there is nothing to take a snapshot of"
        raise SnapshotException(message)
    wrong = [(f.name, why) for f in files if (why := wrong_name(f.name))]
    if wrong:
        told = "; ".join(f"{name!r}: {why}" for name, why in wrong[:SHOWN])
        message = f"{place} has files that a snapshot cannot hold: rename or ignore them ({told})"
        raise SnapshotException(message)
    return sorted(files, key=lambda file: file.name.encode())


class _Walk:
    """One walk through a folder."""

    def __init__(self, root: str, without: Collection[str]) -> None:
        self._root = root
        self._without = {os.path.realpath(each) for each in without}
        self._files: list[File] = []
        self._odd: list[str] = []

    def files(self) -> list[File]:
        """Return the files found; those left out have been told of."""
        is_ignored = _ignores(self._root)
        folders = [""]
        while folders:
            folder = folders.pop()
            try:
                with os.scandir(os.path.join(self._root, folder)) as entries:
                    for entry in entries:
                        if entry.name != ".git":  # of a work tree it is a file
                            self._meet(entry, folder + entry.name, is_ignored, folders)
            except OSError as error:
                message = f"{error.filename} cannot be read: ignore it ({error.strerror})"
                raise SnapshotException(message) from error
            if len(self._files) > MOST_FILES:
                raise self._too_many()
        if self._odd:
            told = f"{', '.join(self._odd[:SHOWN])}{', ...' if len(self._odd) > SHOWN else ''}"
            message = f"links out of the folder, and special files, are left out: {told}"
            warnings.warn(message, SnapshotWarning, stacklevel=5)
        return self._files

    def _meet(
        self, entry: os.DirEntry[str], name: str, is_ignored: Ignores, folders: list[str]
    ) -> None:
        if entry.is_dir(follow_symlinks=False):
            is_source = entry.name not in NEVER and entry.path not in self._without
            if is_source and not is_ignored(f"{name}/") and not _is_environment(entry.path):
                folders.append(f"{name}/")
        elif is_ignored(name):
            return
        elif entry.is_file(follow_symlinks=False) or self._is_file_within(entry.path):
            status = entry.stat()
            self._files.append(File(name, entry.path, status.st_size, bool(status.st_mode & 0o100)))
        else:
            self._odd.append(name)

    def _is_file_within(self, link: str) -> bool:
        inside = os.path.realpath(link).startswith(os.path.join(self._root, ""))
        return inside and os.path.isfile(link)  # where a DirEntry raises for links in a circle

    def _too_many(self) -> SnapshotException:
        counts: dict[str, int] = {}
        for file in self._files:
            folder = file.name.rpartition("/")[0] or "."
            counts[folder] = counts.get(folder, 0) + 1
        most = sorted(counts, key=lambda folder: -counts[folder])[:SHOWN]
        told = ", ".join(f"{folder} {counts[folder]:,}" for folder in most)
        message = (
            f"{self._root} has more than {MOST_FILES:,} files, most for a snapshot: ignore "
            f"some in {IGNORE_FILES[0]} (most are in {told})"
        )
        return SnapshotException(message)


def _is_environment(folder: str) -> bool:
    return os.path.isfile(os.path.join(folder, ENVIRONMENT))


def _ignores(root: str) -> Ignores:
    """Return whether a name in the folder is ignored; that of a folder ends in a slash."""
    for file in IGNORE_FILES:
        path = os.path.join(root, file)
        if not os.path.isfile(path):
            continue
        with open(path, encoding="utf-8-sig", errors="surrogateescape") as source:
            lines = source.read().splitlines()
        if not any(lines):
            break
        try:
            return _rules(lines)
        except ValueError as error:
            message = f"{path} is not in the syntax of git's ignore files: {error}"
            raise SnapshotException(message) from None
    return lambda _name: False


def _rules(lines: Sequence[str]) -> Ignores:
    """Return what these rules ignore, folder by folder from the top, as git goes.

    The package is made to judge files by their whole names. Of a folder the last rule that fits
    counts, and `data/**` is of what is in `data`, not of itself.
    """
    from pathspec import GitIgnoreSpec, PathSpec  # folders without an ignore file go without it

    of_files = GitIgnoreSpec.from_lines(lines)
    within = [line[:-1] if line.endswith("/**") else line for line in lines]
    of_folders = PathSpec(GitIgnoreSpec.from_lines(within).patterns)
    return lambda name: (of_folders if name.endswith("/") else of_files).match_file(name)
