"""Bytes in a file that tell when they are damaged, and of which a part can be read alone.

A file is a head and the content. The head is a word of 8 bytes, the length of the content (8), a
CRC-32 of the head itself and of the name the content was sealed under (4), and a CRC-32 of each
64 KiB of the content (4 each). Numbers are little-endian. So whatever is torn, turned, cut, swapped
with another file or none of ours is noticed, and a part costs its own blocks.
"""

from __future__ import annotations

import os
import struct
from typing import TYPE_CHECKING
from zlib import crc32

if TYPE_CHECKING:
    from typing import BinaryIO

__all__ = ["seal", "unseal"]

_BLOCK = 65_536
_FIXED = struct.Struct("<8sQ")
_SUM = struct.Struct("<I")
_MAGIC = b"objrun1\n"


def seal(name: str, data: bytes) -> bytes:
    """Return the head that goes before `data` in a file.

    >>> len(seal("a", b"1234"))
    24
    """
    fixed = _FIXED.pack(_MAGIC, len(data))
    sums = _sums(memoryview(data))
    return fixed + _SUM.pack(_sum_of_head(name, fixed, sums)) + sums


def unseal(file: BinaryIO, name: str, start: int = 0, length: int | None = None) -> bytes | None:
    """Return `length` bytes of the content from `start` (fewer at its end; None: all).

    Returns None where what is needed of the file is not as it was sealed under `name`.

    >>> from io import BytesIO
    >>> file = BytesIO(seal("a", b"1234") + b"1234")
    >>> unseal(file, "a"), unseal(file, "a", 1, 2), unseal(file, "b")
    (b'1234', b'23', None)
    """
    size = _content_length(file)
    if size is None:
        return None
    fixed, told = file.read(_FIXED.size), file.read(_SUM.size)
    sums = file.read(_SUM.size * _blocks(size))
    if fixed != _FIXED.pack(_MAGIC, size) or told != _SUM.pack(_sum_of_head(name, fixed, sums)):
        return None
    stop = size if length is None else min(size, start + length)
    if start >= stop:
        return b""
    first, last = start // _BLOCK, _blocks(stop)
    offset = first * _BLOCK
    file.seek(offset, os.SEEK_CUR)
    data = file.read(min(last * _BLOCK, size) - offset)
    if _sums(memoryview(data)) != sums[_SUM.size * first : _SUM.size * last]:
        return None
    return data[start - offset : stop - offset]


def _content_length(file: BinaryIO) -> int | None:
    """Return how long the content must be for the file to be as long as it is."""
    whole = file.seek(0, os.SEEK_END)
    file.seek(0)
    rest = whole - _FIXED.size - _SUM.size
    size = rest - _SUM.size * _blocks_with_sums(rest)
    return size if size >= 0 else None


def _blocks(size: int) -> int:
    return -(-size // _BLOCK)


def _blocks_with_sums(size: int) -> int:
    return -(-size // (_BLOCK + _SUM.size))


def _sums(data: memoryview) -> bytes:
    starts = range(0, len(data), _BLOCK)
    return b"".join(_SUM.pack(crc32(data[start : start + _BLOCK])) for start in starts)


def _sum_of_head(name: str, fixed: bytes, sums: bytes) -> int:
    return crc32(sums, crc32(fixed, crc32(name.encode())))
