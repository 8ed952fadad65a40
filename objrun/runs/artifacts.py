"""What storing and reading files of a run takes; loaded when a run has files."""

from __future__ import annotations

import io
import os
import warnings
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, cast

from objrun import clock
from objrun.errors import FileConflictError, FileNotInRunError, UserErrorException
from objrun.format import file_keys, log_keys
from objrun.format.media import Blob, parse_reference
from objrun.format.names import check_file_name
from objrun.format.values import PREFIX
from objrun.protocol.blobs import BlobReader, Kept
from objrun.protocol.files import (
    PART,
    StoredFile,
    find_file,
    list_files,
    read_file,
    read_range,
    store_file,
)
from objrun.protocol.log_reader import LogReader, list_streams
from objrun.runs.progress import Counted, bar_of
from objrun.storage import in_flight

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from objrun.format.states import FileEntry
    from objrun.storage import ObjectInfo, Store

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


def artifact_of(entry: FileEntry) -> Artifact:
    """Return what an entry says as users see it."""
    key = file_keys.artifact(entry.run_id, entry.name, entry.version)
    return Artifact(entry.name, entry.size, entry.sha256, key)


def checked(files: Mapping[str, Any]) -> dict[str, Any]:
    """Return paths and streams by the names of files; raise where one cannot be stored."""
    found = {check_file_name(name): source for name, source in files.items()}
    for source in found.values():
        _check_source(source)
    return found


def below(name: str, path: str | os.PathLike[str]) -> dict[str, Path]:
    """Return all files below a folder by names below `name`; UserErrorException if it is none."""
    folder = Path(path)
    if not folder.is_dir():
        message = f"{os.fspath(path)!r} is no folder"
        raise UserErrorException(message)
    prefix = name.strip("/")
    return {
        "/".join(filter(None, (prefix, file.relative_to(folder).as_posix()))): file
        for file in sorted(folder.rglob("*"))
        if file.is_file()
    }


def store_files(store: Store, run: str, files: Mapping[str, Any], *, overwrite: bool) -> Uploaded:
    """Store `checked` files, some at once; raise what was wrong when all are done."""

    def upload(item: tuple[str, Any]) -> FileEntry:
        with _opened(item[1]) as file:
            counted = cast("BinaryIO", Counted(file, bar)) if bar else file
            return store_file(store, run, item[0], counted, overwrite=overwrite)

    with bar_of("storing", _size_of(files.values())) as bar:
        entries: list[FileEntry] = each(files.items(), upload)
    return Uploaded({entry.name: artifact_of(entry) for entry in entries})


def target_of(name: str, path: str | os.PathLike[str] | None) -> Path:
    """Return where a file is downloaded to: a path, a folder, or None for here.

    >>> str(target_of("outputs/model.pt", None)), str(target_of("outputs/model.pt", "new/"))
    ('model.pt', 'new/model.pt')
    """
    last = parse_blob(name).filename if name.startswith(PREFIX) else name.rpartition("/")[2]
    target = Path(path) if path is not None else Path(last)
    is_folder = target.is_dir() or str(path).endswith(("/", os.sep))
    return target / last if is_folder else target


def targets_of(
    names: Sequence[str],
    folder: str,
    directory: str | os.PathLike[str] | None,
    paths: Sequence[str] | None,
    *,
    keeps_prefix: bool,
) -> list[Path]:
    """Return where files are downloaded to, in their order; see `Run.download_files`."""
    base = Path(directory or ".")
    if paths is not None and _fits(paths, names):
        return [base / path for path in paths]
    if not keeps_prefix and directory is not None:
        return [base / (name.removeprefix(f"{folder}/") or name) for name in names]
    return [base / name for name in names]


def download_all(store: Store, run: str, names: Sequence[str], targets: Sequence[Path]) -> None:
    """Write files to paths, some at once."""

    def fetch(pair: tuple[str, Path]) -> None:
        parts = _parts_of(store, run, pair[0])
        write_file(pair[1], bar.count(parts) if bar else parts)

    with bar_of("fetching") as bar:
        each(zip(names, targets, strict=True), fetch)


def places_of(store: Store, run: str) -> dict[str, ObjectInfo]:
    """Return where the bytes of all files and all logs of a run stand, by name, sorted."""
    found = {
        f"{log_keys.FOLDER}{stream}": info for stream, info in list_streams(store, run).items()
    }
    return dict(sorted({**found, **list_files(store, run)}.items()))


def open_file(store: Store, run: str, name: str) -> BinaryIO:
    """Return a file of a run to read from; FileNotInRunError if there is none.

    A log is what there is of it now, read whole into a temporary file where it is large.
    """
    if name.startswith(PREFIX):
        return io.BytesIO(*BlobReader(store).read([Kept(run, parse_blob(name))]))
    try:
        raw = _Remote(store, *find_file(store, run, name, BLOCK))
        return cast("BinaryIO", io.BufferedReader(raw))
    except FileNotInRunError:
        parts = _log(store, run, name)
        if parts is None:
            raise
    import tempfile

    copy = tempfile.SpooledTemporaryFile(PART)  # noqa: SIM115 - the caller closes it
    copy.writelines(parts)
    copy.seek(0)
    return cast("BinaryIO", copy)


def _log(store: Store, run: str, name: str) -> Iterator[bytes] | None:
    """Return the bytes of the log that has the name of a file, None where there is none."""
    stream = name.removeprefix(log_keys.FOLDER)
    if stream == name or stream not in list_streams(store, run):
        return None
    return LogReader(store, run, stream).read()


def _parts_of(store: Store, run: str, name: str) -> Iterator[bytes]:
    """Return the bytes of a file, a log or a blob; FileNotInRunError where there is none."""
    if name.startswith(PREFIX):
        return BlobReader(store).read([Kept(run, parse_blob(name))])
    try:
        return read_file(store, *find_file(store, run, name))
    except FileNotInRunError:
        if (parts := _log(store, run, name)) is not None:
            return parts
        raise


def write_file(target: Path, parts: Iterable[bytes]) -> None:
    """Write `parts` to a path, under another name until they are whole."""
    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_name(f".{target.name[:100]}.{clock.random_hex(4)}.part")
    try:
        with part.open("wb") as out:
            for data in parts:
                out.write(data)
        part.replace(target)
    finally:
        part.unlink(missing_ok=True)


def parse_blob(reference: str) -> Blob:
    """Return what a reference means; UserErrorException where that is nothing."""
    try:
        return parse_reference(reference)
    except ValueError as error:
        raise UserErrorException(str(error)) from None


def each(items: Iterable[Any], act: Callable[[Any], Any]) -> list[Any]:
    """Do `act` for each, some at once, then raise the first error, or all conflicts as one."""
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


def _size_of(sources: Iterable[Any]) -> int:
    """Return how many bytes there are in all, 0 where a stream does not tell."""
    try:
        return sum(Path(source).stat().st_size for source in sources)
    except TypeError:
        return 0


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
    warnings.warn(message, UserWarning, stacklevel=4)
    return False


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
