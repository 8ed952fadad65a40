"""Pieces of HTML that all cards are made of. Every value passes `text`, which escapes it."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING, Any, Final

from objrun.cards.texts import value_text

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

COLOURS: Final = {
    "Running": "#3b7ddd",
    "Completed": "#2a9d6f",
    "Failed": "#d9435e",
    "NotResponding": "#e0672e",
    "Canceled": "#8a8f98",
    "CancelRequested": "#8a8f98",
}
"""Colours of statuses, readable on white and on black; others wait."""

WAITING: Final = "#b08a1e"

# Greys are translucent, and texts have the colour that is there: right in light and dark notebooks.
STYLE: Final = """
.objrun{font:13px/1.45 system-ui,sans-serif;color:inherit;max-width:1100px}
.objrun h3{font-size:15px;margin:0 0 6px;font-weight:600}
.objrun h4{font-size:12px;margin:12px 0 3px;font-weight:600;opacity:.65}
.objrun .muted{opacity:.65}
.objrun .badge{color:#fff;border-radius:9px;padding:1px 9px;font-size:11.5px;font-weight:600;\
margin-right:8px;white-space:nowrap}
.objrun .chip{border:1px solid rgba(128,128,128,.4);border-radius:5px;padding:0 6px;\
margin:0 4px 3px 0;display:inline-block;font-size:12px}
.objrun .scroll{overflow-x:auto}
.objrun table{border-collapse:collapse;margin:2px 0;border:0}
.objrun th,.objrun td{text-align:left;padding:3px 14px 3px 0;border:0;\
border-bottom:1px solid rgba(128,128,128,.22);white-space:nowrap;vertical-align:middle;\
background:none;font-size:12.5px}
.objrun th{font-weight:600;opacity:.65}
.objrun .number{text-align:right;font-variant-numeric:tabular-nums}
.objrun .error{color:#d9435e;white-space:pre-wrap;overflow-wrap:anywhere}
.objrun .spark path{fill:none;stroke:#3b7ddd;stroke-width:1.5;stroke-linejoin:round}
.objrun .spark .odd{fill:#d9435e}
.objrun .pictures{display:flex;flex-wrap:wrap;gap:10px;margin:8px 0 2px}
.objrun figure{margin:0;font-size:11.5px}
.objrun figure img{display:block;height:110px;max-width:220px;object-fit:contain;\
border:1px solid rgba(128,128,128,.25);border-radius:4px}
.objrun pre{font-size:12px;max-height:220px;overflow:auto;margin:2px 0;padding:6px 8px;\
border:1px solid rgba(128,128,128,.3);border-radius:5px;background:none;color:inherit}
""".strip()


class Markup(str):
    """HTML that is ready: what is no Markup is a text of anybody, and escaped."""

    __slots__ = ()


def text(value: Any, most: int = 60) -> Markup:
    """Return a value as HTML, escaped, in one line of at most `most` characters.

    >>> text("<b>"), text(Markup("<b>"))
    ('&lt;b&gt;', '<b>')
    """
    return value if isinstance(value, Markup) else Markup(escape(value_text(value, most)))


def card(*pieces: str) -> str:
    """Return the pieces as one card, with its style."""
    return f'<div class="objrun"><style>{STYLE}</style>{"".join(pieces)}</div>'


def element(tag: str, value: Any, kind: str = "", most: int = 60) -> Markup:
    """Return an element with a text, or with Markup, in it.

    >>> element("td", "a & b", "number")
    '<td class="number">a &amp; b</td>'
    """
    opening = f'{tag} class="{kind}"' if kind else tag
    return Markup(f"<{opening}>{text(value, most)}</{tag}>")


def badge(status: str, shown: str = "") -> Markup:
    """Return a status, or what is `shown` for it, on its colour."""
    colour = COLOURS.get(status, WAITING)
    told = text(shown or status)
    return Markup(f'<span class="badge" style="background:{colour}">{told}</span>')


def chips(items: Mapping[str, Any], most: int = 24) -> Markup:
    """Return tags and such, `key=value` each, the first `most` of them."""
    named = [key if value is None else f"{key}={value_text(value)}" for key, value in items.items()]
    shown = [element("span", name, "chip") for name in named[:most]]
    more = f'<span class="muted">and {len(named) - most} more</span>' if len(named) > most else ""
    return Markup("".join(shown) + more)


def table(titles: Sequence[str], rows: Iterable[Sequence[Any]]) -> Markup:
    """Return a table; columns of numbers stand on the right, None is empty."""
    lines = [*rows]
    kinds = [
        "number" if all(_is_number(line[place]) for line in lines) else ""
        for place in range(len(titles))
    ]
    head = "".join(element("th", *pair, most=28) for pair in zip(titles, kinds, strict=True))
    body = "".join(
        "<tr>"
        + "".join(element("td", *pair, most=28) for pair in zip(line, kinds, strict=True))
        + "</tr>"
        for line in lines
    )
    whole = f"<thead><tr>{head}</tr></thead><tbody>{body}</tbody>"
    return Markup(f'<div class="scroll"><table>{whole}</table></div>')


def _is_number(value: Any) -> bool:
    return value is None or (isinstance(value, int | float) and not isinstance(value, bool))
