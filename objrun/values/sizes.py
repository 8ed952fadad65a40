"""How large a value may be: what stands in its point, what is a blob, what is too much for one."""

from __future__ import annotations

from typing import Final

from objrun.errors import UserErrorException
from objrun.format.values import MOST_BLOB

SMALL: Final = 4096
"""Cells of a table that stands in its point; a larger one is stored as Parquet."""

SHORT: Final = 1 << 16
"""Bytes of a text that stands in its point; a longer one is a blob."""


def checked_size(where: str, data: bytes) -> bytes:
    """Return the bytes of a blob; UserErrorException where they are too many for one."""
    if len(data) > MOST_BLOB:
        message = f"{where}: {len(data)} bytes are more than {MOST_BLOB >> 20} MiB: use upload_file"
        raise UserErrorException(message)
    return data
