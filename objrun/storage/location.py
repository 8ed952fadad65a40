"""What a URL names: its scheme, its bucket and the prefix in it, in one canonical form.

Nothing here looks at a disk or a network, apart from resolving links in the path of a local store,
so that one folder has one URL.
"""

# Paths are text here: pathlib would cost more than the file does.
# ruff: noqa: PTH111
from __future__ import annotations

import os
import re
from dataclasses import dataclass
from urllib.parse import unquote

from objrun.errors import InvalidURLError, UserErrorException
from objrun.storage.keys import check_key

__all__ = ["AZURE", "GCS", "LOCAL", "MEMORY", "S3", "Location", "locate"]

LOCAL = "file"
MEMORY = "memory"
S3 = "s3"
GCS = "gs"
AZURE = "abfs"

_ALIASES = {
    "local": LOCAL,
    "s3a": S3,
    "s3n": S3,
    "gcs": GCS,
    "az": AZURE,
    "adl": AZURE,
    "abfss": AZURE,
}
_SLIP = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+:/(?!/)")
_URL = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://(.*)", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Location:
    """Where a store is.

    `bucket` is the first part of a remote URL (for Azure with the account, if it was given:
    `container@account.dfs.core.windows.net`) and "" for a local path; `path` is the prefix in the
    bucket without slashes around it, the absolute path of a folder, or the name of a memory store.
    """

    scheme: str
    bucket: str
    path: str

    @property
    def url(self) -> str:
        """The canonical URL of a remote location.

        >>> locate("s3a://bucket/team/").url
        's3://bucket/team'
        """
        return f"{self.scheme}://{self.bucket}" + (f"/{self.path}" if self.path else "")


def locate(url: str | os.PathLike[str]) -> Location:
    """Return the location that `url` names: a path, or text with a scheme.

    >>> locate("s3://bucket/team/store")
    Location(scheme='s3', bucket='bucket', path='team/store')
    >>> locate("memory://demo").path, locate("file:///a%20b").path
    ('demo', '/a b')

    Raises:
        InvalidURLError: it names none; the message says why and never shows a password.
    """
    if isinstance(url, os.PathLike):
        return _local(os.fspath(url))
    if not isinstance(url, str):  # callers without types give None, bytes or a config's node
        raise InvalidURLError(f"a store's URL is text or a path, not {type(url).__name__}")
    if not url.strip():
        raise InvalidURLError("the store's URL is empty")
    if "::" in url:
        raise InvalidURLError(
            "chained URLs ('::') are refused: the layers of a chain cache and copy, "
            "so a store behind them can neither be fresh nor refuse a second create"
        )
    if slip := _SLIP.match(url):
        raise InvalidURLError(f"a URL has two slashes, {slip[0]}/; a path like this begins with ./")
    match = _URL.fullmatch(url)
    if match is None:
        return _local(os.path.expanduser(url))
    scheme = match[1].lower()
    scheme = _ALIASES.get(scheme, scheme)
    if scheme == LOCAL:
        return _file(match[2])
    if scheme == MEMORY:
        return _memory(match[2])
    return _remote(scheme, match[2])


def _local(path: str) -> Location:
    if "\0" in path:
        raise InvalidURLError("the path of a store is text without NUL characters")
    if not path:
        raise InvalidURLError("the path of the store is empty")
    return Location(LOCAL, "", os.path.realpath(path))


def _file(rest: str) -> Location:
    host, slash, path = rest.partition("/")
    if host not in ("", "localhost") or not slash:
        raise InvalidURLError(
            f"file://{rest} names the host {host!r}: a local URL has three slashes, as file:///data"
        )
    return _local(f"/{unquote(path)}")


def _memory(rest: str) -> Location:
    name = rest.strip("/")
    _check_path(MEMORY, name, "a memory store needs a name, as memory://name")
    return Location(MEMORY, "", name)


def _remote(scheme: str, rest: str) -> Location:
    bucket, _, path = rest.partition("/")
    # "container@account" is how Azure's URLs look; anything else before an "@" is a user's name.
    if "@" in bucket and (scheme != AZURE or ":" in bucket):
        raise InvalidURLError(
            f"the {scheme} URL holds credentials: give them as storage options, or by the "
            "environment, since URLs are stored and shown"
        )
    if "?" in rest or "#" in rest:
        raise InvalidURLError(
            f"the {scheme} URL holds a query or fragment ('?' or '#'): "
            "give options as storage options"
        )
    if not bucket:
        raise InvalidURLError(f"{scheme}://{rest} names no bucket")
    path = path.strip("/")
    if path:
        _check_path(scheme, path, "")
    return Location(scheme, bucket, path)


def _check_path(scheme: str, path: str, empty: str) -> None:
    if not path:
        raise InvalidURLError(empty)
    try:
        check_key(path)
    except UserErrorException as error:
        raise InvalidURLError(f"the path of the {scheme} URL is malformed: {error}") from None
