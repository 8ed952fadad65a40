"""Open a prefix of a bucket as an objrun store, or make one of it. SPEC section 4."""

from __future__ import annotations

from typing import TYPE_CHECKING

from objrun import clock
from objrun.errors import (
    NotAStoreError,
    NotFoundError,
    PermissionDeniedError,
    UnsafeStoreError,
    UnsupportedFormatError,
)
from objrun.format import keys
from objrun.format.documents import decode_header, encode_header
from objrun.format.states import FORMAT, Header
from objrun.protocol.settle import insist, put_new, put_once
from objrun.storage import prove

if TYPE_CHECKING:
    from objrun.storage import Store


def open_for_reading(store: Store) -> Header:
    """Return the header of a store by one GET.

    Raises NotAStoreError where there is none, UnsupportedFormatError where it needs a newer objrun.
    """
    try:
        data = insist(lambda: store.get(keys.HEADER))
    except NotFoundError:
        message = f"there is no objrun store at {store.url}: it has no {keys.HEADER}"
        raise NotAStoreError(message) from None
    return decode_header(keys.HEADER, data)


def open_for_writing(store: Store, first: bytes | None = None) -> Header | None:
    """Return the header of a store, made here and now (of the bytes `first`) if the place is empty.

    None where the header may not be read: then objects can be created, see `open_blind`.

    Raises NotAStoreError where other files stand there, UnsafeStoreError where the second of two
    creates is not refused, UnsupportedFormatError where a newer objrun must write.
    """
    try:
        header = open_for_reading(store)
    except PermissionDeniedError:
        open_blind(store)
        return None
    except NotAStoreError:
        check_empty(store)
        insist(lambda: prove(store))
        header = _create(store, first or new_header())
    else:
        insist(lambda: prove(store))
    if header.min_writer > FORMAT:
        message = f"{store.url} must be written by an objrun of format {header.min_writer}: upgrade"
        raise UnsupportedFormatError(message)
    return header


def open_blind(store: Store) -> None:
    """Have a header there, and proof that a second create is refused, without reading anything.

    Raises UnsafeStoreError where it is not refused, PermissionDeniedError for who may not create.
    """
    # The first of two creates a header where there is none.
    for _ in range(2):
        if not put_new(store, keys.HEADER, new_header()):
            return
    message = f"{store.url} lets the second of two creates win, so writers would overwrite another"
    raise UnsafeStoreError(message)


def new_header() -> bytes:
    """Return the header of a new store."""
    return encode_header(
        Header(store_id=clock.new_id(), created=clock.now(), write_id=clock.random_hex(16))
    )


def _create(store: Store, data: bytes) -> Header:
    if put_once(store, keys.HEADER, data):
        return decode_header(keys.HEADER, data)
    return open_for_reading(store)


def check_empty(store: Store) -> None:
    """Raise NotAStoreError for a place with other people's files; folders are not all listed."""
    found = insist(lambda: store.folders(""))
    if not found:
        found = [info.key for info in insist(lambda: store.list(""))]
    ours = {name for name in found if name.startswith((keys.PROBE, keys.HEADER))}
    # Another process may have made the store since its header, which comes first, was looked for.
    if len(ours) == len(found) or _has_header(store):
        return
    strangers = ", ".join(sorted(set(found) - ours)[:3])
    message = (
        f"{store.url} is not an objrun store and not empty ({strangers}): name an empty folder or "
        "prefix, or one that holds a store"
    )
    raise NotAStoreError(message)


def _has_header(store: Store) -> bool:
    try:
        insist(lambda: store.get(keys.HEADER))
    except NotFoundError:
        return False
    return True
