"""The ZIP file that a snapshot is: exactly one form, so the same files give the same bytes.

SPEC section 9.7. Nothing is compressed: what a compressor makes of the same bytes differs between
its versions, and then would the name of the snapshot. Whoever reads accepts this form alone, so
links, devices, encrypted or overlapping entries, and files that grow on the way out do not exist.
"""

from __future__ import annotations

import struct
from itertools import pairwise
from typing import TYPE_CHECKING, Final, NamedTuple

from objrun.errors import CorruptObjectError, Problem

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

MOST_FILES: Final = 65_534
"""Files of a snapshot: ZIP's own limit where its 64-bit forms are not used."""

MOST_BYTES: Final = 2**32 - 2
"""Bytes of a snapshot, by the same limit."""

MOST_NAME: Final = 4096
"""Bytes of a file's name, and 255 of each piece: what file systems have."""

_HEAD: Final = struct.Struct("<4s5H3L2H")
_ENTRY: Final = struct.Struct("<4s6H3L5H2L")
_END: Final = struct.Struct("<4s4H2LH")
_VERSION: Final = 20
_UNIX: Final = 3 << 8 | _VERSION
_UTF8: Final = 0x800
_NEW_YEAR_1980: Final = (0, 0x21)
_PLAIN: Final = 0o100644 << 16
_EXECUTABLE: Final = 0o100755 << 16


class Entry(NamedTuple):
    """One file of a snapshot: name with `/` between its pieces, bytes, CRC-32, who may run it."""

    name: str
    size: int
    crc: int
    executable: bool = False


def head(entry: Entry) -> bytes:
    """Return what stands before the bytes of a file.

    >>> len(head(Entry("a.py", 3, 0)))
    34
    """
    name = entry.name.encode()
    sizes = (entry.crc, entry.size, entry.size)
    return _HEAD.pack(b"PK\3\4", _VERSION, _UTF8, 0, *_NEW_YEAR_1980, *sizes, len(name), 0) + name


def tail(entries: Sequence[Entry]) -> bytes:
    """Return what stands behind the bytes of the last file: the directory.

    >>> len(tail([]))
    22
    """
    parts = []
    start = 0
    for entry in entries:
        name = entry.name.encode()
        mode = _EXECUTABLE if entry.executable else _PLAIN
        sizes = (entry.crc, entry.size, entry.size, len(name), 0, 0, 0, 0, mode, start)
        fixed = (_UNIX, _VERSION, _UTF8, 0, *_NEW_YEAR_1980)
        parts += [_ENTRY.pack(b"PK\1\2", *fixed, *sizes), name]
        start += _HEAD.size + len(name) + entry.size
    directory = b"".join(parts)
    count = len(entries)
    return directory + _END.pack(b"PK\5\6", 0, 0, count, count, len(directory), start, 0)


def wrong_name(name: str) -> str:
    """Return why no snapshot holds a file of this name, "" where it may.

    >>> wrong_name("src/a.py"), wrong_name("../a.py")
    ('', "it has a piece '..'")
    """
    try:
        raw = name.encode()
    except UnicodeEncodeError:
        return "it is not valid Unicode"
    pieces = name.split("/")
    if odd := [piece for piece in pieces if piece in ("", ".", "..")]:
        return f"it has a piece {odd[0]!r}"
    if any(char < " " or char in "\\\x7f" for char in name):
        return "it has a backslash or a control character"
    if len(raw) > MOST_NAME or any(len(piece.encode()) > 255 for piece in pieces):
        return "it is too long"
    return ""


def read_directory(key: str, size: int, read: Callable[[int, int], bytes]) -> list[Entry]:
    """Return the entries of the ZIP file of `size` bytes of which `read(start, length)` gives some.

    Raises CorruptObjectError, naming `key`, where it is not exactly what a writer makes of them:
    names in order, none twice, none that leaves the folder or is a file and a folder at once.
    """
    entries = _directory(key, size, read)
    names = [entry.name.encode() for entry in entries]
    if any(later <= earlier for earlier, later in pairwise(names)):
        raise _damaged(key, "bad_zip", "its files are not in order, or one stands there twice")
    every = {entry.name for entry in entries}
    for name in every:
        why = wrong_name(name)
        if not why and (inside := [n for n in _folders(name) if n in every]):
            why = f"{inside[0]!r} is a file"
        if why:
            raise _damaged(key, "bad_name", f"{name[:200]!r} is no name of a file: {why}")
    return entries


def read_places(key: str, size: int, read: Callable[[int, int], bytes]) -> dict[str, int]:
    """Return where the bytes of each file of such a ZIP file begin; its names are not judged.

    Raises CorruptObjectError, naming `key`, where it has not the one form.
    """
    places: dict[str, int] = {}
    start = 0
    for entry in _directory(key, size, read):
        start += len(head(entry))
        places[entry.name] = start
        start += entry.size
    return places


def _directory(key: str, size: int, read: Callable[[int, int], bytes]) -> list[Entry]:
    odd = _damaged(key, "bad_zip", "it is no ZIP file in the one form of a snapshot or pack")
    if not _END.size <= size <= MOST_BYTES:
        raise odd
    end = read(size - _END.size, _END.size)
    *_, length, start, _ = _END.unpack(end)
    if start + length + _END.size != size:
        raise odd
    directory = read(start, length)
    try:
        entries = _entries(directory)
        is_exact = tail(entries) == directory + end
    except (struct.error, UnicodeDecodeError):
        raise odd from None
    if not is_exact:
        raise odd
    return entries


def _entries(directory: bytes) -> list[Entry]:
    entries = []
    place = 0
    while place < len(directory):
        fields = _ENTRY.unpack_from(directory, place)
        crc, size, length, mode = fields[7], fields[8], fields[10], fields[15]
        place += _ENTRY.size
        name = directory[place : place + length].decode()
        entries.append(Entry(name, size, crc, mode == _EXECUTABLE))
        place += length
    return entries


def _folders(name: str) -> list[str]:
    pieces = name.split("/")
    return ["/".join(pieces[:count]) for count in range(1, len(pieces))]


def _damaged(key: str, code: str, message: str) -> CorruptObjectError:
    return CorruptObjectError(key, [Problem("$", code, message)])
