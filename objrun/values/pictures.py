"""Pictures as they are logged: files known by their content, plots and arrays as PNG."""

from __future__ import annotations

import io
import os
import re
import struct
import zlib
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from objrun.errors import UserErrorException
from objrun.format.values import MOST_BLOB
from objrun.protocol.packs import Content

if TYPE_CHECKING:
    from collections.abc import Callable

    Shape = tuple[int, int] | None

_STARTS: Final = (
    (re.compile(rb"\x89PNG\r\n\x1a\n"), ".png"),
    (re.compile(rb"\xff\xd8\xff"), ".jpg"),
    (re.compile(rb"GIF8[79]a"), ".gif"),
    (re.compile(rb"BM.{12}[\x0c\x28\x34\x38\x40\x6c\x7c]\0", re.DOTALL), ".bmp"),
    (re.compile(rb"II\*\0|MM\0\*|II\+\0|MM\0\+"), ".tiff"),
    (re.compile(rb"RIFF....WEBP", re.DOTALL), ".webp"),
    (re.compile(rb"P[14]\s"), ".pbm"),
    (re.compile(rb"P[25]\s"), ".pgm"),
    (re.compile(rb"P[36]\s"), ".ppm"),
    (re.compile(rb"\x76\x2f\x31\x01"), ".exr"),
    (re.compile(rb"(?:\xef\xbb\xbf)?(?:<\?xml[^>]*>|<!--(?:(?!-->).)*-->|<!DOCTYPE[^>]*>|\s)*+<svg[\s>]",
                re.DOTALL), ".svg"),
)  # fmt: skip
_PNM: Final = re.compile(rb"P[1-6](?:\s+|#[^\n]*\n)+([0-9]{1,9})(?:\s+|#[^\n]*\n)+([0-9]{1,9})")
_COLOURS: Final = {1: 0, 3: 2, 4: 6}
"""The colour type of a PNG by its channels."""


def picture(name: str, path: Any, plot: Any) -> Content:
    """Return an image as it is logged, from a file or as a PNG; UserErrorException if it is none.

    >>> picture("dot", b"P1 1 1 0", None)
    Content(ending='.pbm', data=b'P1 1 1 0', shape=(1, 1))
    """
    if (path is None) == (plot is None):
        message = f"image {name!r}: either path or plot is given"
        raise UserErrorException(message)
    data = _drawn(name, plot) if path is None else read_source(f"image {name!r}", path)
    ending = kind_of(data)
    if ending is None:
        message = f"image {name!r}: the bytes are of no known format, such as PNG or JPEG"
        raise UserErrorException(message)
    return Content(ending, data, size_of(ending, data))


def read_source(what: str, source: Any) -> bytes:
    """Return all bytes of a path, a binary stream from its position on, or bytes."""
    data: Any
    if isinstance(source, bytes | bytearray | memoryview):
        data = source
    elif isinstance(source, str | os.PathLike):
        if not Path(source).is_file():
            message = f"{what}: there is no file {os.fspath(source)!r}"
            raise UserErrorException(message)
        with Path(source).open("rb") as file:
            data = file.read(MOST_BLOB + 1)
    else:
        read = getattr(source, "read", None)
        data = read(MOST_BLOB + 1) if callable(read) else b""
        if not callable(read) or not isinstance(data, bytes):
            message = f"{what}: a path, a binary stream or bytes are wanted, not {source!r:.80}"
            raise UserErrorException(message)
    if len(data) > MOST_BLOB:
        message = f"{what}: more than {MOST_BLOB >> 20} MiB: use upload_file"
        raise UserErrorException(message)
    return bytes(data)


def kind_of(data: bytes) -> str | None:
    """Return the ending of the names of files that begin like this, None where none is known.

    >>> kind_of(b"GIF89a..."), kind_of(b"%PDF-1.7")
    ('.gif', None)
    """
    start = data[:4096]
    return next((ending for shape, ending in _STARTS if shape.match(start)), None)


def size_of(ending: str, data: bytes) -> Shape:
    """Return width and height as the file tells them, None where that is not easily told.

    >>> size_of(".gif", b"GIF89a" + bytes([28, 0, 30, 0]))
    (28, 30)
    """
    try:
        width, height = _SIZES[ending](data)
    except (LookupError, struct.error, TypeError):
        return None
    return (width, height) if width > 0 and height > 0 else None


def _jpeg(data: bytes) -> Any:
    at = 2
    while data[at] == 0xFF:
        marker, length = struct.unpack_from(">BH", data, at + 1)
        if 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):
            return struct.unpack_from(">HH", data, at + 5)[::-1]
        at += 2 + length
    return None


def _bmp(data: bytes) -> Any:
    width, height = struct.unpack_from("<HH" if data[14] == 12 else "<ii", data, 18)
    return width, abs(height)


def _pnm(data: bytes) -> Any:
    found = _PNM.match(data[:4096])
    return found and (int(found[1]), int(found[2]))


_SIZES: Final[dict[str, Callable[[bytes], Any]]] = {
    ".png": lambda data: struct.unpack_from(">II", data, 16),
    ".gif": lambda data: struct.unpack_from("<HH", data, 6),
    ".jpg": _jpeg,
    ".bmp": _bmp,
    **dict.fromkeys((".pbm", ".pgm", ".ppm"), _pnm),
}


def _drawn(name: str, plot: Any) -> bytes:
    """Return a plot, an image or an array as a PNG."""
    sink = io.BytesIO()
    if callable(getattr(plot, "savefig", None)):
        plot.savefig(sink, format="png")
        return sink.getvalue()
    if callable(getattr(plot, "save", None)):
        plot.save(sink, format="PNG")
        return sink.getvalue()
    if hasattr(plot, "__array__") or hasattr(plot, "__dlpack__"):
        return png(_pixels(name, plot))
    message = (
        f"image {name!r}: plot is a figure, pyplot, an image of PIL or an array, not "
        f"{type(plot).__name__}; files and bytes are given as path"
    )
    raise UserErrorException(message)


def _pixels(name: str, plot: Any) -> Any:
    """Return an array as uint8, of 3 dimensions; values are never scaled by what is in them."""
    import numpy as np

    detached = plot.detach().cpu() if hasattr(plot, "detach") else plot
    array = np.asarray(detached)
    flat = array[:, :, np.newaxis] if array.ndim == 2 else array
    if flat.ndim != 3 or flat.shape[2] not in _COLOURS or 0 in flat.shape:
        message = (
            f"image {name!r}: an array of height x width, or x 1, 3 or 4 channels is wanted, "
            f"not of the shape {array.shape}"
        )
        raise UserErrorException(message)
    if flat.dtype == np.uint8:
        return flat
    if flat.dtype == np.bool_:
        return flat.astype(np.uint8) * 255
    if flat.dtype.kind == "f" and bool(((flat >= 0) & (flat <= 1)).all()):
        return np.rint(flat.astype(np.float64) * 255).astype(np.uint8)
    message = (
        f"image {name!r}: pixels are uint8, bool, or floats from 0 to 1, not {flat.dtype} from "
        f"{flat.min()} to {flat.max()}: scale or clip them"
    )
    raise UserErrorException(message)


def png(pixels: Any) -> bytes:
    """Return an array of height x width x channels (1, 3 or 4) of uint8 as the bytes of a PNG."""
    import numpy as np

    height, width, channels = pixels.shape
    # Each line begins with its filter: none.
    lines = np.zeros((height, 1 + width * channels), np.uint8)
    lines[:, 1:] = pixels.reshape(height, -1)
    header = struct.pack(">IIBBBBB", width, height, 8, _COLOURS[channels], 0, 0, 0)
    chunks = (b"IHDR", header), (b"IDAT", zlib.compress(lines.tobytes())), (b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        for kind, data in chunks
    )
