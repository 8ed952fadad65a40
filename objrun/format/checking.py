"""Check a decoded JSON object field by field and keep every problem, not only the first."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from objrun.errors import Problem
from objrun.format.names import is_file_name, is_run_id
from objrun.format.values import Scalar, from_json

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

_TIME: Final = re.compile(r"\d{4}-\d\d-\d\dT(?!24)\d\d:\d\d:\d\d\.\d{6}Z", re.ASCII)
_SHA256: Final = re.compile(r"[0-9a-f]{64}")
_NONCE: Final = re.compile(r"[0-9a-f]{16}")

MOST_LEVELS: Final = 100
"""Levels of a document, itself the first: what is read can be written again."""

_NAMES: Final = {str: "text", int: "an integer", list: "an array", dict: "an object"}


class Fields:
    """The fields of one JSON object; reading one notes what is wrong with it in `problems`.

    A wrong or missing field gives a stand-in of the right type, so that reading goes on and all
    problems are found; whoever reads must look at `problems` before using anything.

    >>> fields = Fields({"n": "x"}, "$", [])
    >>> fields.integer("n", least=1), [p.code for p in fields.problems]
    (1, ['wrong_type'])
    """

    def __init__(self, data: Mapping[str, Any], at: str, problems: list[Problem]) -> None:
        """Read from `data`, which stands at the JSON path `at`."""
        self.data = data
        self.at = at
        self.problems = problems
        self._read: set[str] = set()

    def note(self, name: str, code: str, message: str) -> None:
        """Note that something is wrong with field `name`."""
        self.problems.append(Problem(f"{self.at}.{name}", code, message))

    def _take(self, name: str, kind: type, *, optional: bool) -> Any:
        self._read.add(name)
        value = self.data.get(name)
        if value is None:
            if not optional:
                code = "wrong_type" if name in self.data else "missing_field"
                self.note(name, code, f"{name} is missing")
            return None
        if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
            self.note(name, "wrong_type", f"{name} is not {_NAMES[kind]}")
            return None
        return value

    def text(self, name: str) -> str:
        """Return a text that must be there and not be empty."""
        value: str | None = self._take(name, str, optional=False)
        if value == "":
            self.note(name, "out_of_range", f"{name} is empty")
        return value or ""

    def run_id(self, name: str) -> str:
        """Return a run id that must be there: it becomes a piece of keys, so it is checked."""
        value = self.text(name)
        if value and not is_run_id(value):
            self.note(name, "bad_name", f"{name} is no run id: {value[:80]!r}")
        return value

    def maybe_run_id(self, name: str) -> str | None:
        """Return a run id, or None where the field is null or left out."""
        self._read.add(name)
        return None if self.data.get(name) is None else self.run_id(name)

    def file_name(self, name: str) -> str:
        """Return the name of a file that must be there: it becomes a path, so it is checked."""
        value = self.text(name)
        if value and not is_file_name(value):
            self.note(name, "bad_name", f"{name} is no name of a file: {value[:80]!r}")
        return value

    def sha256(self, name: str) -> str:
        """Return a SHA-256 that must be there, as 64 hexadecimal digits."""
        value = self.text(name)
        if value and not _SHA256.fullmatch(value):
            self.note(name, "out_of_range", f"{name} is no SHA-256: {value[:80]!r}")
        return value

    def nonce(self, name: str) -> str:
        """Return a nonce that must be there: it becomes a piece of keys, so it is checked."""
        value = self.text(name)
        if value and not _NONCE.fullmatch(value):
            self.note(name, "out_of_range", f"{name} is no nonce: {value[:80]!r}")
        return value

    def maybe_text(self, name: str) -> str | None:
        """Return a text, or None where the field is null or left out."""
        value: str | None = self._take(name, str, optional=True)
        return value

    def integer(self, name: str, *, least: int = 0) -> int:
        """Return an integer of `least` or more."""
        value = self._take(name, int, optional=False)
        if value is not None and value < least:
            self.note(name, "out_of_range", f"{name} is {value}, less than {least}")
            value = None
        return least if value is None else value

    def maybe_integer(self, name: str) -> int | None:
        """Return an integer of 1 or more, or None where the field is null or left out."""
        self._read.add(name)
        return None if self.data.get(name) is None else self.integer(name, least=1)

    def choice(self, name: str, allowed: Iterable[str]) -> str:
        """Return a text that is one of `allowed`."""
        value: str | None = self._take(name, str, optional=False)
        if value is not None and value not in allowed:
            self.note(name, "unknown_value", f"{name} is {value[:80]!r}")
        return value or ""

    def time(self, name: str) -> datetime:
        """Return a time that must be there."""
        text = self._take(name, str, optional=False)
        return self._time(name, text) or datetime.fromtimestamp(0, UTC)

    def maybe_time(self, name: str) -> datetime | None:
        """Return a time, or None where the field is null or left out."""
        return self._time(name, self.maybe_text(name))

    def _time(self, name: str, text: str | None) -> datetime | None:
        if text is None:
            return None
        try:
            if not _TIME.fullmatch(text):
                raise ValueError  # noqa: TRY301 - one place says what a time looks like
            return datetime.fromisoformat(text)
        except ValueError:
            self.note(name, "bad_timestamp", f"{name} is not like 2026-01-31T12:00:00.000000Z")
            return None

    def objects(self, name: str) -> tuple[dict[str, Any], ...]:
        """Return an array of objects."""
        items = self._take(name, list, optional=False) or []
        if not all(isinstance(item, dict) for item in items):
            self.note(name, "wrong_type", f"{name} holds something that is not an object")
            return ()
        return tuple(items)

    def texts(self, name: str) -> tuple[str, ...]:
        """Return an array of texts."""
        items = self._take(name, list, optional=False) or []
        if not all(isinstance(item, str) for item in items):
            self.note(name, "wrong_type", f"{name} holds something that is not text")
            return ()
        return tuple(items)

    def mapping(self, name: str) -> dict[str, Any] | None:
        """Return an object, or None where the field is null or left out."""
        value: dict[str, Any] | None = self._take(name, dict, optional=True)
        return value

    def text_map(self, name: str) -> dict[str, str | None]:
        """Return an object whose values are text or null."""
        value = self._take(name, dict, optional=False) or {}
        for key, item in value.items():
            if item is not None and not isinstance(item, str):
                self.note(f"{name}.{key}", "wrong_type", f"{key} is neither text nor null")
        return value

    def scalar_map(self, name: str) -> dict[str, Scalar]:
        """Return an object whose values are scalars, decoded."""
        out: dict[str, Scalar] = {}
        for key, item in (self._take(name, dict, optional=False) or {}).items():
            try:
                out[key] = from_json(item)
            except ValueError:
                self.note(f"{name}.{key}", "wrong_type", f"{key} is not a scalar")
        return out

    def rest(self) -> dict[str, Any]:
        """Return the fields nobody asked for: kept, so that they survive a rewrite."""
        return {name: value for name, value in self.data.items() if name not in self._read}


def is_too_deep(document: dict[str, Any], data: bytes) -> bool:
    """Return whether `document`, read from `data`, has more than MOST_LEVELS.

    >>> is_too_deep({"a": [[]]}, b'{"a":[[]]}')
    False
    """
    if data.count(b"{") + data.count(b"[") <= MOST_LEVELS:
        return False
    level: list[Any] = [document]
    for _ in range(MOST_LEVELS):
        inner = (item.values() if isinstance(item, dict) else item for item in level)
        level = [item for items in inner for item in items if isinstance(item, dict | list)]
    return bool(level)


def format_time(time: datetime | None) -> str | None:
    """Return a time as documents hold it, None for None.

    >>> format_time(datetime(2026, 1, 31, 12, tzinfo=UTC))
    '2026-01-31T12:00:00.000000Z'
    """
    if time is None:
        return None
    return time.astimezone(UTC).replace(tzinfo=None).isoformat(timespec="microseconds") + "Z"
