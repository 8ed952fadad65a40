"""What programs read: JSON lines and CSV with exact values; and the console that people read.

JSON holds what JSON numbers cannot as the store does: `{"float": "NaN"}`, `{"float": "Infinity"}`,
`{"float": "-Infinity"}`, and `{"int": "..."}` beyond 2^53. Times are UTC with microseconds.
"""

from __future__ import annotations

import csv
import io
import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

from objrun.cli.style import harmless
from objrun.format.checking import format_time
from objrun.format.values import to_json

if TYPE_CHECKING:
    from rich.console import Console

UNLIMITED: Final = 10**9
"""Columns of a console whose output goes to a file or a pipe: nothing is cut or folded."""


def exact(value: Any) -> Any:
    """Return a value as JSON holds it exactly.

    >>> exact({"loss": [0.5, float("nan")]})
    {'loss': [0.5, {'float': 'NaN'}]}
    """
    if isinstance(value, datetime):
        return format_time(value)
    if isinstance(value, Mapping):
        return {str(key): exact(cell) for key, cell in value.items()}
    if isinstance(value, list | tuple):
        return [exact(cell) for cell in value]
    return to_json(value)


def dump(value: Any) -> str:
    """Return one line of JSON; text stays readable, also beyond ASCII.

    >>> dump({"é": None})
    '{"é": null}'
    """
    return _encoded(value)


def print_lines(documents: Iterable[Any]) -> None:
    """Print JSON lines."""
    for document in documents:
        sys.stdout.write(dump(document) + "\n")


def print_document(document: Any) -> None:
    """Print one JSON document, indented."""
    sys.stdout.write(_encoded(document, indent=2) + "\n")


def _encoded(value: Any, indent: int | None = None) -> str:
    text = json.dumps(exact(value), ensure_ascii=False, allow_nan=False, indent=indent)
    return harmless(text, lambda found: f"\\u{ord(found):04x}")


def print_csv(titles: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    """Print CSV with a line of titles; None is an empty cell, dicts and lists are JSON."""
    lines = io.StringIO()
    writer = csv.writer(lines, lineterminator="\n")
    writer.writerow(titles)
    writer.writerows([_cell(value) for value in row] for row in rows)
    print_text(lines.getvalue())


def print_rows(
    fields: Sequence[str], rows: Iterable[Mapping[str, Any]], *, as_json: bool, as_csv: bool
) -> bool:
    """Print these fields of rows as programs read them, and return whether that was asked for."""
    if as_json:
        print_lines({name: row[name] for name in fields} for row in rows)
    elif as_csv:
        print_csv(fields, ([row[name] for name in fields] for row in rows))
    return as_json or as_csv


def print_text(text: str) -> None:
    """Print text as it is, but at a terminal without what that would obey."""
    sys.stdout.write(harmless(text) if sys.stdout.isatty() else text)


def _cell(value: Any) -> Any:
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, datetime):
        return format_time(value)
    if isinstance(value, Mapping | list | tuple):
        return dump(value)
    if isinstance(value, float):
        return "NaN" if value != value else repr(value)  # noqa: PLR0124 - NaN alone does that
    return str(value)


def new_console() -> Console:
    """Return a console on stdout: as wide as the terminal, and endless into a file or a pipe."""
    from objrun.cli.console import HarmlessConsole

    console = HarmlessConsole(highlight=False, markup=False, emoji=False)
    if console.is_terminal:
        return console
    return HarmlessConsole(
        highlight=False, markup=False, emoji=False, no_color=True, width=UNLIMITED, soft_wrap=True
    )
