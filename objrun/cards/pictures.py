"""Images as a notebook shows them, in a card or alone. Pure."""

from __future__ import annotations

from base64 import b64encode
from html import escape
from typing import Final

_TYPES: Final = {
    ".png": "image/png",
    ".jpg": "image/jpeg",
    ".gif": "image/gif",
    ".webp": "image/webp",
    ".bmp": "image/bmp",
    ".svg": "image/svg+xml",
}
"""What browsers show, by the ending of a name."""

_ALONE: Final = ("image/png", "image/jpeg", "image/gif")
"""What notebooks show by itself; an SVG only as an image, in which no script runs."""


def data_uri(ending: str, data: bytes) -> str | None:
    """Return an image as the source of an `img`, None where browsers do not show it.

    >>> data_uri(".gif", b"GIF89a"), data_uri(".exr", b"")
    ('data:image/gif;base64,R0lGODlh', None)
    """
    if ending not in _TYPES:
        return None
    return f"data:{_TYPES[ending]};base64,{b64encode(data).decode()}"


def bundle(ending: str, data: bytes, told: str) -> dict[str, str]:
    """Return an image as `_repr_mimebundle_` gives it, with a text for where none is shown.

    >>> bundle(".gif", b"GIF89a", "a picture")
    {'text/plain': 'a picture', 'image/gif': 'R0lGODlh'}
    """
    found = {"text/plain": told}
    kind = _TYPES.get(ending)
    if kind in _ALONE:
        found[kind] = b64encode(data).decode()
    elif source := data_uri(ending, data):
        found["text/html"] = f'<img alt="{escape(told)}" src="{source}">'
    return found
