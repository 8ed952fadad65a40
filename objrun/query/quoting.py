"""Names of columns in SQL: those with dots need quotes, which people may leave out."""

from __future__ import annotations

import re
from typing import Final

TOKEN: Final = re.compile(
    r"""
    '(?:[^']|'')*'              # text
    | "(?:[^"]|"")*"            # a name in quotes
    | (?<![\w.])(?:metrics|params|tags|properties)(?:\.\w+)+   # a name that needs them
    """,
    re.VERBOSE,
)
"""Text, names in quotes, and names that need them."""


def quote_names(text: str) -> str:
    r"""Put dotted names of columns into quotes, outside of text and of quoted names.

    >>> quote_names("metrics.loss.last < 0.1 AND status = 'metrics.x'")
    '"metrics.loss.last" < 0.1 AND status = \'metrics.x\''
    """

    def quoted(token: re.Match[str]) -> str:
        found = token[0]
        return found if found[0] in "'\"" else f'"{found}"'

    return TOKEN.sub(quoted, text)
