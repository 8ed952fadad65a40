"""How a file comes into being whole: link it under its name only when its bytes are all there.

`link_unnamed` writes a file that has no name yet (O_TMPFILE) and links it: nothing is left over if
the process dies. `link_named` is for file systems without such files: it writes a scratch file,
links it and removes it. Both fail with FileExistsError if the name is taken, which the kernel
decides, so there is one winner among all processes. `replace` renames over what is there.
"""

# Paths are text here: pathlib would cost more than the file does.
# ruff: noqa: PTH105, PTH108, PTH116
from __future__ import annotations

import errno
import os
from typing import TYPE_CHECKING, Protocol

from objrun import clock
from objrun.errors import UnsafeStoreError

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = [
    "LACKS_UNNAMED",
    "Recipe",
    "link_named",
    "link_unnamed",
    "replace",
    "stamp",
    "sync_folder",
    "touch",
    "write_scratch",
]

LACKS_UNNAMED = frozenset({errno.EOPNOTSUPP, errno.EISDIR, errno.EINVAL})
"""What opening an unnamed file says where the file system or the kernel has none."""

_LACKS_LINKS = frozenset({errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS})
_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
_MODE = 0o666  # the umask narrows it, as for every file


class Recipe(Protocol):
    """Make `path` hold `data`; `scratch` is a folder on the same file system."""

    def __call__(self, path: str, data: bytes, *, scratch: str, durable: bool) -> None:
        """Write the file; when `durable`, its bytes are on the disk before its name is."""
        ...


def link_unnamed(path: str, data: bytes, *, scratch: str, durable: bool) -> None:  # noqa: ARG001
    """Create `path` from a file without a name.

    Raises:
        FileExistsError: the name is taken.
        OSError: with a number in `LACKS_UNNAMED` where there are no such files.
    """
    # The unnamed file is made where its name will be, so it is on the right file system.
    folder = path[: path.rindex("/")] or "/"
    fd = os.open(folder, os.O_TMPFILE | os.O_WRONLY | os.O_CLOEXEC, _MODE)
    try:
        _write(fd, data)
        if durable:
            os.fsync(fd)
        # The directory descriptor is not used, but makes Python ask for a link that follows /proc.
        os.link(f"/proc/self/fd/{fd}", path, src_dir_fd=fd)
    finally:
        os.close(fd)


def link_named(path: str, data: bytes, *, scratch: str, durable: bool) -> None:
    """Create `path` by linking a scratch file.

    Raises:
        FileExistsError: the name is taken.
        UnsafeStoreError: the file system has no hard links, so it cannot tell who was first.
    """
    temporary = write_scratch([data], scratch=scratch, durable=durable)
    try:
        os.link(temporary, path)
    except OSError as error:
        if error.errno in _LACKS_LINKS:
            raise UnsafeStoreError(f"{scratch} is on a file system without hard links") from error
        raise
    finally:
        os.unlink(temporary)


def replace(path: str, data: bytes, *, scratch: str, durable: bool) -> None:
    """Make `path` hold `data`, whatever it held; a reader sees the old bytes or the new ones."""
    temporary = write_scratch([data], scratch=scratch, durable=durable)
    try:
        os.replace(temporary, path)
    except OSError:
        os.unlink(temporary)
        raise


def touch(path: str, data: bytes, *, scratch: str, durable: bool) -> None:
    """Make `path` an empty file: one that is new cannot be seen half, so needs no scratch file."""
    try:
        fd = os.open(path, _NEW, _MODE)
    except FileExistsError:
        # It may be a link, or have names besides this one.
        replace(path, data, scratch=scratch, durable=durable)
        return
    try:
        if durable:
            os.fsync(fd)
    finally:
        os.close(fd)


def stamp(scratch: str) -> float:
    """Return the seconds since the epoch that the file system stamps on a file made now."""
    temporary = write_scratch([], scratch=scratch, durable=False)
    try:
        return os.stat(temporary).st_mtime
    finally:
        os.unlink(temporary)


def sync_folder(folder: str) -> None:
    """Make the names in `folder` survive a power cut."""
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def write_scratch(parts: Iterable[bytes], *, scratch: str, durable: bool) -> str:
    """Return the path of a new file in `scratch` that holds `parts`, one after the other."""
    path = f"{scratch}/{clock.random_hex(12)}"
    fd = os.open(path, _NEW, _MODE)
    try:
        for part in parts:
            _write(fd, part)
        if durable:
            os.fsync(fd)
    except BaseException:
        os.unlink(path)
        raise
    finally:
        os.close(fd)
    return path


def _write(fd: int, data: bytes) -> None:
    written = os.write(fd, data)
    # Linux writes at most 2 GiB at once, and a quota may cut a write short.
    while written < len(data):
        written += os.write(fd, memoryview(data)[written:])
