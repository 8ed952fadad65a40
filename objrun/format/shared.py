"""Objects that runs share, each named by the SHA-256 of its bytes: SPEC section 9.7.

Snapshots of source and descriptions of environments. A run refers to one by a property. None of
them belongs to a run, so nothing that ends a run removes them.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

from objrun.errors import CorruptObjectError, Problem
from objrun.format.documents import close_document, document_bytes, open_document
from objrun.format.states import FORMAT

if TYPE_CHECKING:
    from collections.abc import Mapping

SNAPSHOT: Final = "ContentSnapshotId"
"""The property that names the snapshot of a run; the name is Azure ML's."""

DIFF: Final = "objrun.git.diff"
"""The property that names the snapshot with what was not committed."""

ENVIRONMENT: Final = "objrun.environment"
"""The property that names the environment of a run."""

FOLDERS: Final = ("snapshots", "environments")
"""The folders of what is shared."""

_DIGEST: Final = re.compile(r"[0-9a-f]{64}")


def is_digest(text: str | None) -> bool:
    """Return whether `text` can be the name of a shared object.

    >>> is_digest("0" * 64), is_digest("../x")
    (True, False)
    """
    return bool(text) and _DIGEST.fullmatch(text or "") is not None


def snapshot_key(digest: str) -> str:
    """Return the key of a snapshot.

    >>> snapshot_key("00")
    'snapshots/00.zip'
    """
    return f"snapshots/{digest}.zip"


def environment_key(digest: str) -> str:
    """Return the key of an environment.

    >>> environment_key("00")
    'environments/00.json'
    """
    return f"environments/{digest}.json"


_KEYS: Final = {SNAPSHOT: snapshot_key, DIFF: snapshot_key, ENVIRONMENT: environment_key}

REFERRING: Final = tuple(_KEYS)
"""The properties that refer to what is shared."""


def references(properties: Mapping[str, str | None]) -> list[str]:
    """Return the keys of the shared objects that a run with these properties refers to.

    >>> references({ENVIRONMENT: "0" * 64, SNAPSHOT: "of Azure ML", "data": "v3"})
    ['environments/0000000000000000000000000000000000000000000000000000000000000000.json']
    """
    named = [(name, properties.get(name)) for name in _KEYS]
    return [_KEYS[name](digest) for name, digest in named if digest and is_digest(digest)]


def digest_of(key: str) -> str | None:
    """Return the digest in the key of a shared object, None where it is none.

    >>> digest_of("snapshots/0.zip") is None, digest_of(snapshot_key("0" * 64)) == "0" * 64
    (True, True)
    """
    digest = key.rpartition("/")[2].partition(".")[0]
    known = is_digest(digest) and key in (snapshot_key(digest), environment_key(digest))
    return digest if known else None


def check_digest(key: str, digest: str) -> None:
    """Raise CorruptObjectError where the bytes behind `key` have another digest."""
    if digest_of(key) != digest:
        problem = Problem("$", "key_mismatch", f"its bytes have the SHA-256 {digest}")
        raise CorruptObjectError(key, [problem])


def encode_environment(fields: Mapping[str, Any]) -> bytes:
    """Return the bytes of an environment; the same fields give the same bytes."""
    return document_bytes({**fields, "format": FORMAT})


def decode_environment(key: str, data: bytes) -> dict[str, Any]:
    """Return the fields of an environment without `format`; CorruptObjectError if damaged."""
    import hashlib  # whoever only writes has it, or does without

    check_digest(key, hashlib.sha256(data).hexdigest())
    fields = open_document(key, data)
    fields.text("python")
    fields.text_map("packages")
    for name in ("implementation", "system", "release", "machine", "processor", "cuda", "driver"):
        fields.maybe_text(name)
    for name in ("cpus", "memory"):
        fields.maybe_integer(name)
    if fields.data.get("gpus") is not None:
        fields.texts("gpus")
    close_document(key, fields)
    return {name: value for name, value in fields.data.items() if name != "format"}
