"""Which text is a key: what every backend can hold, byte for byte, and no path can escape with.

A key is one or more pieces joined by "/". Refused are: empty pieces (so no leading, trailing or
double slash), `.` and `..`, backslashes, control characters (S3 lists in XML, which has no place
for them), text that is no Unicode, more than 1024 bytes of UTF-8 (the least any bucket allows), and
the folder in which a local store keeps unfinished files.
"""

from __future__ import annotations

import re

from objrun.errors import CorruptObjectError, Problem, UserErrorException

__all__ = [
    "MAX_BYTES",
    "MAX_JSON_BYTES",
    "MAX_KEY_BYTES",
    "SCRATCH",
    "check_key",
    "check_prefix",
    "check_range",
    "check_size",
    "is_key",
    "is_piece",
]

MAX_KEY_BYTES = 1024
"""The longest key in bytes of UTF-8, as on S3, GCS and Azure."""

MAX_JSON_BYTES = 2**25
"""The largest object that is read whole where its key ends in `.json`: decoded, JSON takes twenty
times as much."""

MAX_BYTES = 2**30
"""The largest object that is read whole; of any other, only ranges are."""

SCRATCH = ".objrun-tmp"
"""The folder in the root of a local store for unfinished files; no key lies in it."""

_FOREIGN = re.compile("[\x00-\x1f\x7f\\\\\ud800-\udfff]")
_MALFORMED = re.compile(
    rf"[\x00-\x1f\x7f\\\ud800-\udfff]|^/|//|/$|^$|(?:^|/)\.\.?(?:/|$)|^{re.escape(SCRATCH)}(?:/|$)"
)

_PLAIN = re.compile(r"[\w%~-][\w%~.-]*(?:/[\w%~-][\w%~.-]*)*", re.ASCII)
"""Text that is well-formed, as all but a few keys are: a shorter look than for what is not."""


def check_key(key: str) -> None:
    """Raise unless `key` is one that every backend can hold.

    >>> check_key("runs/a b/state/0.json")
    >>> check_key("../etc/passwd")
    Traceback (most recent call last):
    objrun.errors.UserErrorException: '../etc/passwd' cannot be a key: ...

    Raises:
        UserErrorException: it is not; the message says what a key may be.
    """
    if not is_key(key):
        shown = repr(key) if len(key) < 200 else f"{key[:80]!r}... ({len(key)} characters)"
        raise UserErrorException(
            f"{shown} cannot be a key: keys are pieces joined by single slashes, at most "
            f"{MAX_KEY_BYTES} bytes of UTF-8, without '.', '..', {SCRATCH!r} as a piece, "
            "backslashes or control characters"
        )


def is_key(text: str) -> bool:
    """Whether every backend can hold an object of this name; others in a bucket are not looked at.

    >>> is_key("runs/a b/state/0.json"), is_key("../etc/passwd")
    (True, False)
    """
    if len(text) < 256 and _PLAIN.fullmatch(text):
        return True
    return not _MALFORMED.search(text) and (len(text) < 256 or len(text.encode()) <= MAX_KEY_BYTES)


def check_prefix(prefix: str) -> None:
    """Raise unless `prefix` is "" or a key followed by "/".

    >>> check_prefix(""), check_prefix("runs/")
    (None, None)
    >>> check_prefix("runs")
    Traceback (most recent call last):
    objrun.errors.UserErrorException: 'runs' cannot be a prefix: it must end with '/'

    Raises:
        UserErrorException: it is neither.
    """
    if not prefix:
        return
    if prefix[-1] != "/":
        raise UserErrorException(f"{prefix!r} cannot be a prefix: it must end with '/'")
    check_key(prefix[:-1])


def check_size(key: str, size: int) -> None:
    """Raise where an object is too large to be read whole; it is asked before its bytes are.

    >>> check_size("runs/a.json", 10**6)
    >>> check_size("runs/a.json", 10**9)
    Traceback (most recent call last):
    objrun.errors.CorruptObjectError: runs/a.json is damaged: 1000000000 bytes are more than ...

    Raises:
        CorruptObjectError: it is; whoever put it there did not follow the format.
    """
    is_document = key.endswith(".json") and "/artifacts/" not in key
    most = MAX_JSON_BYTES if is_document else MAX_BYTES
    if size > most:
        message = f"{size} bytes are more than {most}"
        raise CorruptObjectError(key, [Problem("$", "too_large", message)])


def check_range(start: int, length: int) -> None:
    """Raise unless both numbers are zero or more.

    >>> check_range(0, 4)
    >>> check_range(-1, 4)
    Traceback (most recent call last):
    objrun.errors.UserErrorException: a range starts at 0 or later, not at -1, with 4 bytes

    Raises:
        UserErrorException: one is negative.
    """
    if start < 0 or length < 0:
        raise UserErrorException(
            f"a range starts at 0 or later, not at {start}, with {length} bytes"
        )


def is_piece(name: str) -> bool:
    r"""Whether a file of this name can be a piece of a key; other files are no part of a store.

    >>> is_piece("state"), is_piece("a\\b"), is_piece("caf\udce9")
    (True, False, False)
    """
    return _FOREIGN.search(name) is None
