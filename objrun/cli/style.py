"""How values look to people: short numbers, durations, ages, the colours of statuses. Pure."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, Final

from rich.text import Text

COLOURS: Final = {
    "Running": "cyan",
    "Completed": "green",
    "Failed": "red",
    "Canceled": "yellow",
    "CancelRequested": "yellow",
    "NotResponding": "yellow",
}

_DANGEROUS: Final = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]"
)

_UNITS: Final = (("d", 86400), ("h", 3600), ("m", 60))


def status_text(name: str) -> Text:
    """Return a status in its colour.

    >>> status_text("Failed").plain
    'Failed'
    """
    return Text(name, style=COLOURS.get(name, "dim"))


def short(value: Any, digits: int = 5) -> str:
    """Return a number in up to so many digits, other values as one line of text, None as nothing.

    >>> short(0.123456), short(3), short(1234567.0), short(1e-9), short(float("nan"))
    ('0.12346', '3', '1.2346e+06', '1e-09', 'nan')
    >>> short(None), short(True), short("two words")
    ('', 'true', 'two words')
    """
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if not isinstance(value, float):
        return one_line(str(value))
    if math.isfinite(value) and value.is_integer() and abs(value) < 1e5:
        return str(int(value))
    return f"{value:.{digits}g}"


def harmless(text: str, instead: Callable[[str], str] = lambda _: "?") -> str:
    r"""Return text without what a terminal obeys, and without marks that turn what is around them.

    Those are control characters but line feeds and tabs, and those that set the direction of
    writing; `instead` says what stands for one of them.

    >>> harmless("a\x1b[2Jb\u202e"), harmless("naïve\n")
    ('a?[2Jb?', 'naïve\n')
    """
    return text if text.isprintable() else _DANGEROUS.sub(lambda found: instead(found[0]), text)


def one_line(text: str) -> str:
    r"""Return text without line breaks and control characters, which would break a table.

    >>> one_line("a\n b\x1b[31m")
    'a b?[31m'
    """
    joined = " ".join(text.split())
    return "".join(c if c.isprintable() else "?" for c in joined)


def tag_text(items: Mapping[str, str | None]) -> str:
    """Return tags as people write them.

    >>> tag_text({"model": "cnn", "best": None})
    'model=cnn best'
    """
    return one_line(" ".join(key if v is None else f"{key}={v}" for key, v in items.items()))


def span(seconds: float | None) -> str:
    """Return a duration in two units at most.

    >>> span(0.25), span(2.5), span(75), span(2 * 86400 + 3 * 3600 + 540), span(None)
    ('250ms', '2.50s', '1m 15s', '2d 3h', '')
    """
    if seconds is None:
        return ""
    if seconds < 1:
        return f"{max(int(seconds * 1000), 0)}ms"
    if seconds < 10:
        return f"{seconds:.2f}s"
    if seconds < 60:
        return f"{seconds:.1f}s"
    whole = round(seconds)
    days, whole = divmod(whole, 86400)
    hours, whole = divmod(whole, 3600)
    minutes, whole = divmod(whole, 60)
    pieces = [(days, "d"), (hours, "h"), (minutes, "m"), (whole, "s")]
    first = next(i for i, (count, _) in enumerate(pieces) if count)
    return " ".join(f"{count}{unit}" for count, unit in pieces[first : first + 2])


def age(time: datetime | None, now: datetime) -> str:
    """Return how long ago a time was; a clock that is ahead reads "now".

    >>> from datetime import UTC, timedelta
    >>> noon = datetime(2026, 1, 1, 12, tzinfo=UTC)
    >>> age(noon, noon + timedelta(seconds=5)), age(noon, noon + timedelta(minutes=90))
    ('5s ago', '1h ago')
    >>> age(noon, noon - timedelta(hours=1)), age(noon, noon + timedelta(days=400))
    ('now', '2026-01-01')
    """
    if time is None:
        return ""
    seconds = (now - time).total_seconds()
    if seconds < 1:
        return "now"
    if seconds >= 100 * 86400:
        return f"{time:%Y-%m-%d}"
    for unit, length in _UNITS:
        if seconds >= length:
            return f"{int(seconds // length)}{unit} ago"
    return f"{int(seconds)}s ago"


def moment(time: datetime | None, now: datetime) -> str:
    """Return a time in UTC with its age.

    >>> from datetime import UTC, timedelta
    >>> noon = datetime(2026, 1, 1, 12, tzinfo=UTC)
    >>> moment(noon, noon + timedelta(seconds=30))
    '2026-01-01 12:00:00 UTC (30s ago)'
    """
    if time is None:
        return ""
    absolute = f"{time:%Y-%m-%d %H:%M:%S} UTC"
    relative = age(time, now)
    return f"{absolute} ({relative})" if relative.endswith(("ago", "now")) else absolute
