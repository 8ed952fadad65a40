"""Blobs of runs, read back: neighbours by one request, each checked. SPEC section 9.11."""

from __future__ import annotations

from collections import Counter
from functools import partial
from typing import TYPE_CHECKING, Final, NamedTuple

from objrun.errors import CorruptObjectError, NotFoundError, Problem, UnavailableError
from objrun.format.media import Blob, PackKey, check_blob, pack_key
from objrun.protocol.live import RESTARTS
from objrun.protocol.pack_places import PackPlaces
from objrun.protocol.settle import insist
from objrun.storage import together

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping

    from objrun.protocol.pack_places import Place
    from objrun.storage import Store

WINDOW: Final = 32 << 20
"""Bytes of blobs that are fetched before the first of them is given out, or one blob."""

MANY: Final = 4096
"""Blobs that are fetched before the first of them is given out."""

NEAR: Final = 1 << 16
"""Bytes between two blobs that are read along: less than what another request costs."""

LONG: Final = 8 << 20
"""Bytes from which on a range takes no further blob, so that several are read at once."""

MANY_PACKS: Final = 10
"""Packs of a run from which on they are listed first: small ones have been put together."""


class Kept(NamedTuple):
    """A blob of a run."""

    run: str
    blob: Blob

    @property
    def pack(self) -> PackKey:
        """The pack that it was stored in first."""
        blob = self.blob
        return PackKey(self.run, blob.writer, blob.number, blob.number + 1)

    @property
    def key(self) -> str:
        """The key of that pack, which may have been put together with others."""
        return pack_key(self.pack)


class _Range(NamedTuple):
    """Bytes `[start, stop)` of an object, and the blobs in it with where they begin."""

    key: str
    start: int
    stop: int
    blobs: list[tuple[int, Kept]]


class BlobReader:
    """Reads blobs, of one run or of many; it remembers which packs were put together.

    >>> from objrun.storage import MemoryStore
    >>> [*BlobReader(MemoryStore("blobs")).read([])]
    []
    """

    def __init__(self, store: Store) -> None:
        """Know nothing yet."""
        self._store = store
        self._places = PackPlaces(store)

    def read(self, wanted: Iterable[Kept]) -> Iterator[bytes]:
        """Yield the bytes of blobs in the order asked for, a bounded number of them in memory.

        Raises CorruptObjectError, naming the pack, where bytes are others than those that were
        logged, or are not there.
        """
        for window in windows(wanted):
            found = self._fetch({*window})
            yield from (found[kept] for kept in window)

    def _fetch(self, wanted: Collection[Kept]) -> dict[Kept, bytes]:
        found: dict[Kept, bytes] = {}
        left = {*wanted}
        self._places.list(self._with_many_packs(left))
        for attempt in range(RESTARTS):
            ranges = _ranges(self._places.find(left))
            answers = together(self._store, partial(_read, self._store), ranges)
            for one, answer in zip(ranges, answers, strict=True):
                if (data := answer()) is not None:
                    found |= _cut(one, data)
            left -= found.keys()
            if not left:
                return found
            if attempt > 1:
                _check_listed(kept for kept in left if self._places.lacks(kept.pack))
            self._places.list({kept.run for kept in left})
        message = f"the packs of run {left.pop().run} change faster than they are read: try again"
        raise UnavailableError(message)

    def _with_many_packs(self, wanted: Iterable[Kept]) -> list[str]:
        packs = Counter(pack.run for pack in {kept.pack for kept in wanted})
        return [r for r, n in packs.items() if n >= MANY_PACKS and not self._places.knows(r)]


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


def _ranges(places: Mapping[Kept, Place]) -> list[_Range]:
    ranges: list[_Range] = []
    for kept, (key, start) in sorted(places.items(), key=lambda each: (each[1], each[0].blob.size)):
        last = ranges[-1] if ranges else None
        stop = start + kept.blob.size
        if last and last.key == key and start <= last.stop + NEAR and stop <= last.start + LONG:
            last.blobs.append((start, kept))
            ranges[-1] = last._replace(stop=max(stop, last.stop))
        else:
            ranges.append(_Range(key, start, stop, [(start, kept)]))
    return ranges


def _read(store: Store, one: _Range) -> bytes | None:
    """Return the bytes of a range, None where its object is gone."""
    if one.start == one.stop:
        return b""
    try:
        return insist(lambda: store.get_range(one.key, one.start, one.stop - one.start))
    except NotFoundError:
        return None


def _cut(one: _Range, data: bytes) -> dict[Kept, bytes]:
    """Return the blobs of a range, checked."""
    parts = {kept: data[at - one.start :][: kept.blob.size] for at, kept in one.blobs}
    return {kept: check_blob(one.key, kept.blob, part) for kept, part in parts.items()}


def _check_listed(missing: Iterable[Kept]) -> None:
    for kept in missing:
        told = f"it is not there, and points refer to {kept.blob.member} in it"
        raise CorruptObjectError(kept.key, [Problem("$", "key_mismatch", told)])
