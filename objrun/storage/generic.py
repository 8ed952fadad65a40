"""Any other file system that fsspec knows, by its public verbs.

Nothing is assumed about it: `prove` decides whether its create is one. Most are refused, because
their create checks and then writes.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import fsspec

from objrun.errors import InvalidURLError, StoreError, UnsafeStoreError
from objrun.storage.verbs import ObjectInfo

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from objrun.storage.location import Location

__all__ = ["GenericBackend", "GenericBucket", "find_backend"]

_DEFAULTS = {"skip_instance_cache": True, "use_listings_cache": False}
_TIMES = ("LastModified", "last_modified", "mtime", "updated", "modified", "created")


def find_backend(location: Location) -> GenericBackend:
    """Return the way to a location through whatever package fsspec knows for its scheme.

    Raises:
        InvalidURLError: it knows none, or it is not installed.
    """
    try:
        fsspec.get_filesystem_class(location.scheme)
    except (ImportError, ValueError) as error:
        raise InvalidURLError(
            f"{location.url}: no file system for {location.scheme}:// is installed ({error}); "
            "objrun brings s3:// (pip install 'objrun[s3]'), gs:// ('objrun[gcs]') and "
            "abfs:// ('objrun[azure]'), and uses any other that fsspec knows"
        ) from error
    return GenericBackend(location)


class GenericBackend:
    """The way to a location of a file system of fsspec."""

    raises = (OSError, ValueError, RuntimeError, LookupError, TypeError, EOFError)

    def __init__(self, location: Location) -> None:
        self.scheme = location.scheme
        self._root = f"{location.scheme}://{location.bucket}"

    def bucket(self, options: Mapping[str, Any]) -> GenericBucket:
        """Return the part of the file system below the URL's host, with a new client."""
        fs, root = fsspec.core.url_to_fs(self._root, **{**_DEFAULTS, **options})
        return GenericBucket(fs, root.rstrip("/"))


class GenericBucket:
    """A file system of fsspec below a path; see `Bucket`."""

    def __init__(self, fs: Any, root: str) -> None:
        self._fs = fs
        self._root = root

    def read(self, path: str, allow: Callable[[int], None]) -> bytes:
        """Read from the start, which is one request where a size would be asked for first."""
        data = self._bytes(self._fs.cat_file(self._path(path)))
        allow(len(data))
        return data

    def read_range(self, path: str, start: int, length: int) -> bytes:
        """Read a range."""
        return self._bytes(self._fs.cat_file(self._path(path), start=start, end=start + length))

    def write(self, path: str, data: bytes) -> None:
        """Write the file."""
        self._in_folder(path, lambda: self._fs.pipe_file(self._path(path), data))

    def write_parts(self, path: str, parts: Iterator[bytes]) -> None:
        """Write the file bit by bit."""
        self._fs.makedirs(self._path(path).rpartition("/")[0], exist_ok=True)
        file = self._fs.open(self._path(path), "wb")
        try:
            for part in parts:
                file.write(part)
        except BaseException:
            file.discard()
            file.closed = True
            raise
        file.close()

    def create(self, path: str, data: bytes) -> None:
        """Write the file in the mode that must refuse to replace one."""
        if type(self._fs).pipe_file is fsspec.AbstractFileSystem.pipe_file:
            # Too quick a check for a race to show, and wrong all the same.
            raise UnsafeStoreError(
                f"{type(self._fs).__name__} creates files by fsspec's default, which checks and "
                "then writes, so two writers would overwrite each other"
            )
        self._in_folder(path, lambda: self._fs.pipe_file(self._path(path), data, mode="create"))

    def objects(self, prefix: str) -> Iterator[ObjectInfo]:
        """Find the files."""
        try:
            found = self._fs.find(self._path(prefix).rstrip("/"), detail=True)
        except FileNotFoundError:
            return
        for name, row in found.items():
            path = self._fs._strip_protocol(name)[len(self._root) :].lstrip("/")  # noqa: SLF001
            if path.startswith(prefix):
                yield ObjectInfo(path, row["size"], self._modified(name, row))

    def folders(self, prefix: str) -> list[str]:
        """Fold the files: a folder of a file system may be empty."""
        paths = [row.key for row in self.objects(prefix)]
        ends = {path: path.find("/", len(prefix)) for path in paths}
        return sorted({path[: end + 1] for path, end in ends.items() if end >= 0})

    def remove(self, paths: list[str]) -> None:
        """Remove the files one by one."""
        for path in paths:
            try:
                self._fs.rm_file(self._path(path))
            except FileNotFoundError:
                continue

    def _path(self, path: str) -> str:
        return f"{self._root}/{path}"

    def _in_folder(self, path: str, write: Callable[[], object]) -> None:
        try:
            write()
        except FileNotFoundError:
            self._fs.makedirs(self._path(path).rpartition("/")[0], exist_ok=True)
            write()

    def _modified(self, name: str, row: Mapping[str, Any]) -> datetime:
        stamp = next((row[key] for key in _TIMES if row.get(key) is not None), None)
        if stamp is None:
            stamp = self._fs.modified(name)
        if isinstance(stamp, str):
            stamp = datetime.fromisoformat(stamp)
        if isinstance(stamp, int | float):
            return datetime.fromtimestamp(stamp, UTC)
        if isinstance(stamp, datetime):
            return stamp.astimezone(UTC) if stamp.tzinfo else stamp.replace(tzinfo=UTC)
        raise StoreError(f"{name} bears no time that could be read")

    @staticmethod
    def _bytes(data: bytes) -> bytes:
        return bytes(data)
