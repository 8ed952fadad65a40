"""Blobs of runs, read back: neighbours by one request, each checked. SPEC section 9.11."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Final, NamedTuple

from objrun.errors import CorruptObjectError, NotFoundError, Problem
from objrun.format.media import Blob, check_blob, pack_key
from objrun.protocol.settle import insist
from objrun.storage import together

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from objrun.storage import Store

WINDOW: Final = 32 << 20
"""Bytes of blobs that are fetched before the first of them is given out, or one blob."""

MANY: Final = 4096
"""Blobs that are fetched before the first of them is given out."""

NEAR: Final = 1 << 16
"""Bytes between two blobs that are read along: less than what another request costs."""

LONG: Final = 8 << 20
"""Bytes from which on a range takes no further blob, so that several are read at once."""


class Kept(NamedTuple):
    """A blob of a run."""

    run: str
    blob: Blob

    @property
    def key(self) -> str:
        """The key of its pack."""
        return pack_key(self.run, self.blob.pack)


class _Range(NamedTuple):
    """Bytes `[start, stop)` of an object, and the blobs in it."""

    key: str
    start: int
    stop: int
    blobs: list[Blob]


def read_blobs(store: Store, wanted: Iterable[Kept]) -> Iterator[bytes]:
    """Yield the bytes of blobs in the order asked for, a bounded number of them in memory.

    Raises CorruptObjectError, naming the pack, where bytes are others than those that were logged,
    or are not there.
    """
    for window in windows(wanted):
        found: dict[tuple[str, Blob], bytes] = {}
        ranges = _ranges(window)
        answers = together(store, partial(_read, store), ranges)
        for one, answer in zip(ranges, answers, strict=True):
            data = answer()
            for blob in one.blobs:
                at = blob.start - one.start
                found[one.key, blob] = check_blob(one.key, blob, data[at : at + blob.size])
        yield from (found[kept.key, kept.blob] for kept in window)


def windows(wanted: Iterable[Kept]) -> Iterator[list[Kept]]:
    """Yield blobs in groups that fit into memory, in their order."""
    window: list[Kept] = []
    size = 0
    for kept in wanted:
        if window and (size + kept.blob.size > WINDOW or len(window) >= MANY):
            yield window
            window, size = [], 0
        window.append(kept)
        size += kept.blob.size
    if window:
        yield window


def _ranges(window: Sequence[Kept]) -> list[_Range]:
    ranges: list[_Range] = []
    for key, blob in sorted({(kept.key, kept.blob) for kept in window}, key=_place):
        last = ranges[-1] if ranges else None
        stop = blob.start + blob.size
        if (
            last
            and last.key == key
            and blob.start <= last.stop + NEAR
            and stop <= last.start + LONG
        ):
            last.blobs.append(blob)
            ranges[-1] = last._replace(stop=max(stop, last.stop))
        else:
            ranges.append(_Range(key, blob.start, stop, [blob]))
    return ranges


def _place(one: tuple[str, Blob]) -> tuple[str, int, int]:
    key, blob = one
    return key, blob.start, blob.size


def _read(store: Store, one: _Range) -> bytes:
    if one.start == one.stop:
        return b""
    try:
        return insist(lambda: store.get_range(one.key, one.start, one.stop - one.start))
    except NotFoundError:
        told = f"it is not there, and points refer to {one.blobs[0].member} in it"
        raise CorruptObjectError(one.key, [Problem("$", "key_mismatch", told)]) from None
