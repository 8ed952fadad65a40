"""Values as people read them, each in one line."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from datetime import datetime


def short_name(name: str, most: int = 36) -> str:
    r"""Return a name in one line of at most `most` characters, without what is not printed.

    >>> short_name("a" * 20 + "\n" + "b" * 20, 11)
    'aaaaa…bbbbb'
    """
    line = "".join(c if c.isprintable() else " " for c in str(name)[: most * 64])
    if len(line) <= most and len(name) <= most * 64:
        return line
    half = (most - 1) // 2
    end = "".join(c if c.isprintable() else " " for c in str(name)[len(name) - half :])
    return f"{line[: most - 1 - half]}…{end}"


def number_text(value: float, digits: int = 4) -> str:
    """Return a number as a person reads it.

    >>> number_text(0.123456), number_text(20000), number_text(3), number_text(float("nan"))
    ('0.1235', '20,000', '3', 'NaN')
    """
    if math.isnan(value):
        return "NaN"
    if math.isinf(value):
        return "∞" if value > 0 else "-∞"
    if value == int(value) and abs(value) < 1e9:
        return f"{int(value):,}"
    return f"{value:,.0f}" if 1e4 <= abs(value) < 1e9 else f"{value:.{digits}g}"


def value_text(value: Any, most: int = 60) -> str:
    r"""Return any value in one line: numbers short, None as nothing.

    >>> value_text(0.1), value_text(True), value_text(None), value_text("two\nlines")
    ('0.1', 'True', '', 'two lines')
    """
    if value is None:
        return ""
    if isinstance(value, int | float) and not isinstance(value, bool):
        return number_text(value)
    return short_name(str(value), most)


def kind_text(kind: str, count: int = 1) -> str:
    """Return how many of a kind of metric there are.

    >>> kind_text("image"), kind_text("histogram", 5), kind_text("residuals")
    ('an image', '5 histograms', 'residuals')
    >>> kind_text("confusion_matrix", 2), kind_text("predictions", 2)
    ('2 confusion matrices', '2 predictions')
    """
    word = kind.replace("_", " ")
    if word.endswith("s"):
        return word if count == 1 else f"{count:,} {word}"
    if count == 1:
        return f"{'an' if word[0] in 'aeiou' else 'a'} {word}"
    return f"{count:,} {word.removesuffix('ix')}{'ices' if word.endswith('ix') else 's'}"


def duration_text(seconds: float | None) -> str:
    """Return a duration in two units at most; nothing for None.

    >>> duration_text(0.25), duration_text(75), duration_text(90_000), duration_text(None)
    ('250ms', '1m 15s', '1d 1h', '')
    """
    if seconds is None:
        return ""
    if seconds < 1:
        return f"{max(int(seconds * 1000), 0)}ms"
    if seconds < 60:
        return f"{seconds:.1f}s"
    rest = round(seconds)
    pieces: list[str] = []
    for unit, size in (("d", 86_400), ("h", 3_600), ("m", 60), ("s", 1)):
        count, rest = divmod(rest, size)
        if count or pieces:
            pieces.append(f"{count}{unit}")
    return " ".join(pieces[:2])


def moment_text(at: datetime | None) -> str:
    """Return a time in UTC to the minute; nothing for None.

    >>> from datetime import UTC, datetime
    >>> moment_text(datetime(2025, 1, 2, 3, 4, 5, tzinfo=UTC))
    '2025-01-02 03:04'
    """
    return "" if at is None else f"{at:%Y-%m-%d %H:%M}"
