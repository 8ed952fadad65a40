"""The files of a run: stored under names, listed, downloaded, opened."""

from __future__ import annotations

import io
import os
import warnings
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, BinaryIO, cast

from objrun import clock
from objrun.errors import FileConflictError, FileNotInRunError, UserErrorException
from objrun.format.names import check_file_name
from objrun.outputs import Outputs, capture
from objrun.protocol.files import (
    PART,
    StoredFile,
    find_file,
    list_files,
    read_file,
    read_range,
    store_file,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from objrun.format.states import FileEntry
    from objrun.storage import Store

AT_ONCE = 4
"""Files that are stored or downloaded at the same time."""

BLOCK = 1 << 18
"""Bytes that a file which is opened reads first, and after each jump."""


@dataclass(frozen=True)
class Artifact:
    """A file of a run as it is stored: `size` in bytes, `sha256` in hexadecimal digits.

    `key` is that of the object with its bytes, relative to the workspace.

    >>> Artifact("outputs/a.txt", 3, "ba7816bf", "runs/r1/artifacts/outputs/a.txt").name
    'outputs/a.txt'
    """

    name: str
    size: int
    sha256: str
    key: str


@dataclass(frozen=True)
class Uploaded:
    """What an upload has stored: `artifacts` by name."""

    artifacts: Mapping[str, Artifact] = field(default_factory=dict)


class RunFiles:
    """The part of `Run` that stores files and reads them."""

    id: Any
    outputs: Outputs | None = None

    def _record(self, act: Callable[[Any], Any]) -> Any:
        raise NotImplementedError

    def _readable(self) -> Store:
        raise NotImplementedError

    def upload_file(
        self,
        name: str,
        path_or_stream: str | os.PathLike[str] | IO[bytes],
        datastore_name: str | None = None,  # noqa: ARG002 - of the reference
        *,
        overwrite: bool = False,
    ) -> Uploaded:
        """Store a file, or what a binary stream holds from its position on, under a name.

        The name is a relative path such as `outputs/model.pt`. The same bytes again are not stored
        again. Large files go in parts, several at once, in bounded memory. `datastore_name` is
        accepted and means nothing.

        Raises FileConflictError where other bytes have the name, unless `overwrite`: then the
        earlier ones are kept as an earlier version. FileNotFoundError where there is no such file,
        UserErrorException for what is neither path nor binary stream; then nothing is stored.

        >>> run.upload_file("outputs/notes.txt", io.BytesIO(b"fine")).artifacts.keys()
        dict_keys(['outputs/notes.txt'])
        """
        return self._uploaded({name: path_or_stream}, overwrite=overwrite)

    def upload_files(
        self,
        names: Sequence[str],
        paths: Sequence[str | os.PathLike[str]],
        return_artifacts: bool = False,
        timeout_seconds: float | None = None,  # noqa: ARG002 - of the reference
        datastore_name: str | None = None,  # noqa: ARG002 - of the reference
        *,
        overwrite: bool = False,
    ) -> Any:
        """Store files under names, some at once; see `upload_file`.

        Returns what was stored, with `return_artifacts` as a pair: a dict of name to Artifact, and
        what was stored. All names and paths are looked at before the first file is stored. Of
        several that cannot be stored the others are, and the error names each. TypeError where
        there are not as many names as paths.
        """
        if isinstance(names, str) or isinstance(paths, str) or len(names) != len(paths):
            message = "upload_files takes as many names as paths, as two lists"
            raise TypeError(message)
        if len({*map(check_file_name, names)}) < len(names):
            message = "upload_files was given one name twice"
            raise UserErrorException(message)
        done = self._uploaded(dict(zip(names, paths, strict=True)), overwrite=overwrite)
        return (dict(done.artifacts), done) if return_artifacts else done

    def upload_folder(
        self,
        name: str,
        path: str | os.PathLike[str],
        datastore_name: str | None = None,  # noqa: ARG002 - of the reference
        *,
        overwrite: bool = False,
    ) -> Uploaded:
        """Store all files below a folder, hidden ones too, under `name` and their relative paths.

        Links to files are followed, links to folders are not. See `upload_file` for errors;
        UserErrorException where `path` is no folder.
        """
        folder = Path(path)
        if not folder.is_dir():
            message = f"{os.fspath(path)!r} is no folder"
            raise UserErrorException(message)
        prefix = name.strip("/")
        found = {
            "/".join(filter(None, (prefix, file.relative_to(folder).as_posix()))): file
            for file in sorted(folder.rglob("*"))
            if file.is_file()
        }
        return self._uploaded(found, overwrite=overwrite)

    def get_file_names(self) -> list[str]:
        """Return the names of all files of the run, sorted: one LIST.

        >>> done = run.upload_file("outputs/notes.txt", io.BytesIO(b"fine"))
        >>> run.get_file_names()
        ['outputs/notes.txt']
        """
        return [*list_files(self._readable(), self.id)]

    def download_file(
        self, name: str, output_file_path: str | os.PathLike[str] | None = None
    ) -> None:
        """Write a file of the run to `output_file_path`, by default its last piece, here.

        Where that is a folder, into it. Missing folders are made, a file that is there is
        replaced, but only when all bytes have come and are those that were stored. Raises
        FileNotInRunError where the run has no such file, CorruptObjectError where it is damaged.
        """
        name = check_file_name(name)
        last = name.rpartition("/")[2]
        target = Path(output_file_path) if output_file_path is not None else Path(last)
        if target.is_dir() or str(output_file_path).endswith(("/", os.sep)):
            target /= last
        _download(self._readable(), self.id, name, target)

    def download_files(
        self,
        prefix: str | None = None,
        output_directory: str | os.PathLike[str] | None = None,
        output_paths: Sequence[str] | None = None,
        batch_size: int = 100,  # noqa: ARG002 - of the reference
        append_prefix: bool = True,
        timeout_seconds: float | None = None,  # noqa: ARG002 - of the reference
    ) -> None:
        """Write all files of the run, or those in the folder `prefix`, below `output_directory`.

        They keep their names; with `append_prefix=False` and an `output_directory` without the
        prefix. `output_paths`: one for each file in order of names, used instead. `batch_size` and
        `timeout_seconds` are accepted and mean nothing. Raises FileNotInRunError where there is
        none, and what `download_file` raises.
        """
        folder = (prefix or "").strip("/")
        names = [
            name
            for name in self.get_file_names()
            if not folder or name == folder or name.startswith(f"{folder}/")
        ]
        if not names:
            where = f" in {prefix!r}" if prefix else ""
            message = f"run {self.id} has no files{where}"
            raise FileNotInRunError(message)
        base = Path(output_directory or ".")
        targets = [base / name for name in names]
        if output_paths is not None and _fits(output_paths, names):
            targets = [base / path for path in output_paths]
        elif not append_prefix and output_directory is not None:
            targets = [base / (name.removeprefix(f"{folder}/") or name) for name in names]
        store = self._readable()
        _each(zip(names, targets, strict=True), lambda pair: _download(store, self.id, *pair))

    def open(self, name: str) -> BinaryIO:
        """Return a file of the run to read from, seekable; bytes come as they are read.

        Nothing is checked against the digest, since not all may be read. Raises FileNotInRunError.

        >>> done = run.upload_file("outputs/notes.txt", io.BytesIO(b"fine"))
        >>> with run.open("outputs/notes.txt") as file:
        ...     file.read()
        b'fine'
        """
        store = self._readable()
        found = find_file(store, self.id, check_file_name(name), BLOCK)
        return cast("BinaryIO", io.BufferedReader(_Remote(store, *found)))

    def _capture(self) -> None:
        """Store what is new in the folder of outputs, once."""
        if self.outputs is not None:
            outputs, self.outputs = self.outputs, None
            capture(self.id, outputs.made(), self.upload_file)

    def _uploaded(self, files: Mapping[str, Any], *, overwrite: bool) -> Uploaded:
        """Store files by name, some at once; raise what was wrong when all are done."""
        wanted = {check_file_name(name): source for name, source in files.items()}
        for source in wanted.values():
            _check_source(source)

        def upload(store: Store, item: tuple[str, Any]) -> FileEntry:
            with _opened(item[1]) as file:
                return store_file(store, self.id, item[0], file, overwrite=overwrite)

        entries: list[FileEntry] = self._record(
            lambda chain: _each(wanted.items(), partial(upload, chain.store))
        )
        return Uploaded({entry.name: artifact_of(entry) for entry in entries})


def artifact_of(entry: FileEntry) -> Artifact:
    """Return what an entry says as users see it."""
    from objrun.format import file_keys

    key = file_keys.artifact(entry.run_id, entry.name, entry.version)
    return Artifact(entry.name, entry.size, entry.sha256, key)


def _each(items: Iterable[Any], act: Callable[[Any], Any]) -> list[Any]:
    """Do `act` for each, some at once, then raise the first error, or all conflicts as one."""
    from objrun.storage import in_flight

    done, errors = [], []
    for answer in in_flight(act, items, at_once=AT_ONCE):
        try:
            done.append(answer())
        except Exception as error:  # noqa: BLE001 - raised below, when the others are done
            errors.append(error)
    conflicts = [error.message for error in errors if isinstance(error, FileConflictError)]
    if len(conflicts) > 1 and len(conflicts) == len(errors):
        raise FileConflictError("\n".join(conflicts))
    if errors:
        raise errors[0]
    return done


def _check_source(source: Any) -> None:
    if isinstance(source, str | os.PathLike):
        if Path(source).is_dir():
            message = f"{os.fspath(source)!r} is a folder: use upload_folder"
            raise UserErrorException(message)
        if not Path(source).exists():
            message = f"there is no file {os.fspath(source)!r}"
            raise FileNotFoundError(message)
    elif not isinstance(source, io.IOBase) or isinstance(source, io.TextIOBase):
        message = f"a file is given as a path or a binary stream, not {type(source).__name__}"
        raise UserErrorException(message)


@contextmanager
def _opened(source: Any) -> Iterator[BinaryIO]:
    """Yield a file that can be read more than once from its start."""
    if isinstance(source, str | os.PathLike):
        with Path(source).open("rb") as file:
            yield file
        return
    import shutil  # most files are not streams
    import tempfile

    # A stream may be read only once, and not from its start.
    with tempfile.TemporaryFile() as copy:
        shutil.copyfileobj(source, copy)
        yield cast("BinaryIO", copy)


def _fits(paths: Sequence[str], names: Sequence[str]) -> bool:
    if len(paths) == len(names) == len({*paths}):
        return True
    message = f"{len(names)} files need {len(names)} different output_paths: names are used instead"
    warnings.warn(message, UserWarning, stacklevel=3)
    return False


def _download(store: Store, run: str, name: str, target: Path) -> None:
    """Write a file to a path, under another name until it is whole."""
    file, first = find_file(store, run, name)
    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_name(f".{target.name[:100]}.{clock.random_hex(4)}.part")
    try:
        with part.open("wb") as out:
            for data in read_file(store, file, first):
                out.write(data)
        part.replace(target)
    finally:
        part.unlink(missing_ok=True)


class _Remote(io.RawIOBase):
    """A file in a store, read in blocks that grow while it is read from front to back."""

    def __init__(self, store: Store, file: StoredFile, first: bytes) -> None:
        super().__init__()
        self._store, self._file = store, file
        self._block = (0, first)
        self._at = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        start = {os.SEEK_SET: 0, os.SEEK_CUR: self._at, os.SEEK_END: self._file.size}[whence]
        self._at = max(0, start + offset)
        return self._at

    def tell(self) -> int:
        return self._at

    def readinto(self, buffer: Any) -> int:
        start, data = self._block
        if not start <= self._at < start + len(data) and self._at < self._file.size:
            follows = self._at == start + len(data)
            length = min(PART, 2 * len(data)) if follows else BLOCK
            start, data = self._at, read_range(self._store, self._file.key, self._at, length)
            self._block = (start, data)
        found = data[self._at - start : self._at - start + len(buffer)]
        buffer[: len(found)] = found
        self._at += len(found)
        return len(found)
