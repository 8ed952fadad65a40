"""Secrets taken out of a stream of bytes, also where one comes in two pieces."""

from __future__ import annotations

import re
from typing import Final

from objrun.secret import MASK, Redactor

_MASK: Final = MASK.encode()


class Masker:
    """Takes values out of bytes that come piece by piece.

    What may be the beginning of a value is held back until more has come.

    >>> masker = Masker()
    >>> masker.add("hunter2")
    >>> masker.feed(b"it is hun"), masker.feed(b"ter2."), masker.rest()
    (b'it is ', b'***.', b'')
    """

    def __init__(self) -> None:
        """Know no value yet."""
        self._known = Redactor()
        self._forms: list[bytes] = []
        self._pattern: re.Pattern[bytes] | None = None
        self._held = b""

    def add(self, value: str) -> None:
        """Take this value out from now on, as `objrun.secret.Redactor` does."""
        self._known.add(value)
        self._forms = [form.encode("utf-8", "surrogateescape") for form in self._known.forms()]
        self._pattern = None

    def feed(self, data: bytes) -> bytes:
        """Return what can be told by now."""
        if not self._forms:
            return data
        data = self._held + data
        told: list[bytes] = []
        at, end = 0, self._held_from(data)
        for found in self._values().finditer(data):
            if found.start() >= end:
                break
            told += [data[at : found.start()], _MASK]
            at = found.end()
        stop = end if at <= end else at + self._held_from(data[at:])
        self._held = data[stop:]
        return b"".join([*told, data[at:stop]])

    def rest(self) -> bytes:
        """Return what was held back: nothing follows."""
        data, self._held = self._held, b""
        return self._values().sub(_MASK, data) if self._forms else data

    def _values(self) -> re.Pattern[bytes]:
        """Return what finds a value; of two that begin alike the longer one comes first."""
        if self._pattern is None:
            self._pattern = re.compile(b"|".join(map(re.escape, self._forms)))
        return self._pattern

    def _held_from(self, data: bytes) -> int:
        """Return where the longest end of `data` begins with which a value may begin."""
        longest = max(map(len, self._forms), default=0)
        for start in range(max(0, len(data) - longest + 1), len(data)):
            end = data[start:]
            if any(len(form) > len(end) and form.startswith(end) for form in self._forms):
                return start
        return len(data)
