"""How large the stores are, and how requests are told."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

FULL: Final = os.environ.get("OBJRUN_BENCH") == "full"
"""Whether stores are as large as the bars say, which takes half an hour in all."""

_NAMES: Final = {"put_if_absent": "PUT", "put": "PUT", "get_range": "GET", "folders": "LIST"}


def told(counts: Mapping[str, int]) -> dict[str, int]:
    """Return requests by the verbs of a bucket."""
    found: dict[str, int] = {}
    for verb, count in counts.items():
        name = _NAMES.get(verb, verb.upper())
        found[name] = found.get(name, 0) + count
    return found


def shown(counts: Mapping[str, int]) -> str:
    """Return requests as a text.

    >>> shown({"list": 2, "get": 1, "get_range": 2})
    '3 GET, 2 LIST'
    """
    return ", ".join(f"{count:,} {verb}" for verb, count in sorted(told(counts).items())) or "0"
