"""Secrets of a run: asked for by name, never stored, and taken out of texts that are."""

from __future__ import annotations

import os
import re
import threading
from contextlib import suppress
from typing import TYPE_CHECKING, Final
from urllib.parse import quote

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

MASK: Final = "***"
"""What stands in texts where a secret stood."""

PREFIX: Final = "OBJRUN_SECRET_"
"""Environment variables of this prefix are looked at before those of the plain name."""

SERVICE: Final = "objrun"
"""The service under which the keyring of the machine has secrets."""

TOLD: Final = "OBJRUN_SECRETS_TO"
"""The environment variable with the pipe to whoever keeps what this process prints."""

SHORTEST: Final = 4
"""Characters of a value that is taken out of texts: shorter ones stand everywhere."""

_WORDS: Final = re.compile(
    r"apikey|auth|authorization|bearer|cookie|credentials?|passphrase|passwd|password|pwd|sas"
    r"|secrets?|sig|signature|token"
)
_KEYS: Final = ("", "access", "account", "api", "private", "secret", "shared", "ssh", "storage")
_FOLDERS: Final = ("PWD", "OLDPWD")
"""Variables whose names look like those of passwords: where a shell is, and was."""

_SPLIT: Final = re.compile(r"[^A-Za-z0-9]+|(?<=[a-z0-9])(?=[A-Z])")
# What stands before keeps the time from growing with the square of a long word.
_NAMED: Final = re.compile(r"(?<![A-Za-z0-9_.-])([A-Za-z0-9_.-]+)=([^&\s]*)")
_OPTION: Final = re.compile(r"(?<![\w-])(--?[A-Za-z][\w-]*)(\s+)([^\s-]\S*)")
_HEADER: Final = re.compile(r"(?i)(\bauthorization\W{1,3}(?:\w+\s+)?|\bbearer\s+)([^\s'\"]{4,})")
_USER: Final = re.compile(r"(?<=://)[^/@\s]*@")
_KNOWN: Final = re.compile(
    r"\b(?:AKIA|ASIA)[0-9A-Z]{16}\b|\bgh[a-z]_\w{20,}|\bgithub_pat_\w{20,}|\bglpat-[\w-]{20,}"
    r"|\bhf_\w{20,}|\bsk-[\w-]{20,}|\bxox[a-z]-[\w-]{10,}|\beyJ[\w-]{10,}\.[\w-]{10,}(?:\.[\w-]*)?"
)


class Secret(str):
    """The value of a secret: text like any other, but for its `repr`.

    >>> Secret("hunter2") == "hunter2", [Secret("hunter2")]
    (True, [***])
    """

    __slots__ = ()

    def __repr__(self) -> str:
        return MASK


class Redactor:
    """Takes values out of texts; thread-safe. Shows none of them itself."""

    def __init__(self) -> None:
        self._values: set[str] = set()
        self._pattern: re.Pattern[str] | None = None
        self._lock = threading.Lock()

    def add(self, value: str) -> None:
        """Take this value out from now on, each of its lines, and how URLs write them."""
        parts = (part.strip() for part in (value, *value.splitlines()))
        forms = {
            form for part in parts if len(part) >= SHORTEST for form in (part, quote(part, ""))
        }
        with self._lock:
            if forms <= self._values:
                return
            self._values |= forms
            self._pattern = None  # made when it is needed: many may come one after the other

    def redact(self, text: str) -> str:
        """Return a text with `***` in the place of each value.

        >>> redactor = Redactor()
        >>> redactor.add("hunter2")
        >>> redactor.redact("password hunter2"), redactor
        ('password ***', Redactor(1 forms))
        """
        if not self._values:
            return text
        with self._lock:
            if self._pattern is None:
                self._pattern = re.compile("|".join(map(re.escape, self._forms())))
            pattern = self._pattern
        return pattern.sub(MASK, text)

    def forms(self) -> list[str]:
        """Return all that is taken out; of two that begin alike the longer one comes first."""
        with self._lock:
            return self._forms()

    def _forms(self) -> list[str]:
        return sorted(self._values, key=lambda form: -len(form))

    def __repr__(self) -> str:
        return f"Redactor({len(self._values)} forms)"


FETCHED: Final = Redactor()
"""Knows the values of all secrets that this process has asked for."""


def redact(text: str) -> str:
    """Return a text without the values of secrets that this process has asked for.

    >>> redact("nothing to hide")
    'nothing to hide'
    """
    return FETCHED.redact(text)


def find_secret(name: str) -> Secret | None:
    """Return a secret from the environment or the keyring of the machine, None where it is not.

    Looked for are the variables `OBJRUN_SECRET_<NAME>`, `<name>` and `<NAME>` (upper case, other
    characters than letters and digits as `_`), then, where the package `keyring` is installed,
    the service `objrun` of the keyring.
    """
    plain = re.sub(r"[^A-Z0-9]", "_", name.upper())
    found = (os.environ.get(variable) for variable in (PREFIX + plain, name, plain))
    value = next((text for text in found if text), None) or _in_keyring(name)
    if not value:
        return None
    FETCHED.add(value)
    if place := os.environ.get(TOLD):
        _tell(place, value)
    return Secret(value)


_told: Final[set[tuple[str, str]]] = set()
"""Pipes, and the values they were told; of a process that forks they hold for both."""


def _tell(place: str, value: str) -> None:
    """Have a secret taken out of what is printed from now on: a line for each of its lines."""
    import json

    if (place, value) in _told:
        return
    # Without a launcher any more there is no log.
    with suppress(OSError):
        pipe = os.open(place, os.O_WRONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            os.set_blocking(pipe, True)
            for line in value.splitlines():
                os.write(pipe, json.dumps(line).encode() + b"\n")
            _told.add((place, value))
        finally:
            os.close(pipe)


def has_keyring() -> bool:
    """Return whether the package `keyring` is installed."""
    from importlib.util import find_spec

    return find_spec("keyring") is not None


def _in_keyring(name: str) -> str | None:
    if not has_keyring():
        return None
    import keyring
    from keyring.errors import KeyringError

    try:
        return keyring.get_password(SERVICE, name)
    except KeyringError:  # locked, or there is none on this machine
        return None


def redact_command(arguments: Sequence[str]) -> list[str]:
    """Return a command line without what looks like a secret.

    Values are masked by the name before them, by their form, and where a variable of the
    environment with the name of a secret has the same value.

    >>> redact_command(["train.py", "--lr=0.1", "--api-key", "abc", "db.password=x", "s3://a:b@c"])
    ['train.py', '--lr=0.1', '--api-key', '***', 'db.password=***', 's3://***@c']
    """
    redactor = Redactor()
    for name, value in os.environ.items():
        if len(value) >= 2 * SHORTEST and name not in _FOLDERS and is_secret_name(name):
            redactor.add(value)
    kept: list[str] = []
    for argument in arguments:
        before = kept[-1] if kept else ""
        # The value of an option is the next argument, where it has none of its own.
        is_value = before.startswith("-") and not argument.startswith("--")
        if is_value and is_secret_name(before):
            kept.append(MASK)
        else:
            kept.append(_masked(redactor.redact(redact(argument))))
    return kept


def _masked(argument: str) -> str:
    named = _NAMED.sub(
        lambda found: f"{found[1]}={MASK}" if is_secret_name(found[1]) else found[0], argument
    )
    # A whole command in one argument, as a shell takes it.
    named = _OPTION.sub(
        lambda found: f"{found[1]}{found[2]}{MASK}" if is_secret_name(found[1]) else found[0], named
    )
    return _KNOWN.sub(MASK, _USER.sub(f"{MASK}@", _HEADER.sub(rf"\1{MASK}", named)))


def is_secret_name(name: str) -> bool:
    """Return whether what bears this name is likely a secret.

    >>> [is_secret_name(name) for name in ("--hfToken", "AWS_SECRET_ACCESS_KEY", "--max-tokens")]
    [True, True, False]
    """
    if "=" in name:
        return False
    words = [word.lower() for word in _SPLIT.split(name) if word]
    pairs: Iterable[tuple[str, str]] = zip(["", *words], words, strict=False)
    return any(
        _WORDS.fullmatch(word)
        or (word == "key" and last in _KEYS)
        or (last, word) == ("connection", "string")
        for last, word in pairs
    )
