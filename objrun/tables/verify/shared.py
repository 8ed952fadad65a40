"""Snapshots and environments: each has the bytes that its key tells of, and none is missing."""

from __future__ import annotations

import hashlib
from functools import partial
from typing import TYPE_CHECKING, Final

from objrun.errors import FormatError, NotFoundError
from objrun.format.archives import read_directory
from objrun.format.shared import FOLDERS, check_digest, decode_environment, digest_of
from objrun.protocol.settle import insist
from objrun.storage import together
from objrun.tables.verify.findings import Finding, unreadable

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from objrun.storage import Store
    from objrun.tables.verify.findings import Checked

PIECE: Final = 8 << 20
"""Bytes of a snapshot in memory."""


def look_at_shared(store: Store, wanted: Mapping[str, str], checked: Checked) -> Iterator[Finding]:
    """Yield what is wrong with shared objects; `wanted` maps those that runs refer to to a run."""
    listed = [info for name in FOLDERS for info in insist(partial(store.list, f"{name}/"))]
    checked.add(known=len(listed))
    known = [info.key for info in listed]
    for answer in together(store, partial(_look, store), known):
        checked.add(objects=1)
        yield from answer()
    for key in sorted(wanted.keys() - {*known}):
        yield Finding("missing_shared", key, f"run {wanted[key]} refers to it")


def _look(store: Store, key: str) -> list[Finding]:
    if digest_of(key) is None:
        return [Finding("unknown_object", key, "its key is none of the format; nobody reads it")]
    try:
        if key.endswith(".json"):
            decode_environment(key, insist(partial(store.get, key)))
        else:
            _look_at_snapshot(store, key)
    except NotFoundError:
        return []
    except FormatError as error:
        return [unreadable(key, error)]
    return []


def _look_at_snapshot(store: Store, key: str) -> None:
    digest = hashlib.sha256()
    size = 0
    while data := insist(partial(store.get_range, key, size, PIECE)):
        digest.update(data)
        size += len(data)
    check_digest(key, digest.hexdigest())
    read_directory(key, size, lambda *part: insist(partial(store.get_range, key, *part)))
