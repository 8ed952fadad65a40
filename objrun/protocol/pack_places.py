"""Where blobs are: in the packs that they were stored in first, or in what repeats these.

SPEC section 9.11. A pack's name follows from a reference. Where it has been put together with
others, a LIST tells which pack has it now, and the directory of that where.
"""

from __future__ import annotations

from bisect import bisect_right
from functools import partial
from typing import TYPE_CHECKING, Final, NamedTuple

from objrun.errors import CorruptObjectError, NotFoundError, Problem
from objrun.format.archives import read_places
from objrun.format.media import PackKey, media, pack_key, parse_pack
from objrun.protocol.cover import holds, outermost
from objrun.protocol.settle import insist
from objrun.storage import together

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from objrun.protocol.blobs import Kept
    from objrun.storage import Store

NEAR: Final = 1 << 16
"""Bytes at the end of a pack that are read first: the directory of most."""

MOST_DIRECTORIES: Final = 64
"""Directories of packs that are kept."""


class Place(NamedTuple):
    """Where the bytes of a blob begin in an object."""

    key: str
    start: int


class _Listed(NamedTuple):
    """The packs of a run with their sizes, and those that no other one holds, in order."""

    sizes: dict[PackKey, int]
    outer: list[PackKey]

    def holding(self, pack: PackKey) -> PackKey | None:
        """Return the pack itself, else the one that repeats it, None where there is neither."""
        if pack in self.sizes:
            return pack
        # What begins at this pack comes before it, whatever it ends with.
        at = bisect_right(self.outer, pack._replace(stop=10**9))
        return self.outer[at - 1] if at and holds(self.outer[at - 1], pack) else None


class PackPlaces:
    """Tells where blobs are; until the packs of a run were listed, where they were stored first."""

    def __init__(self, store: Store) -> None:
        """Know nothing yet."""
        self._store = store
        self._listed: dict[str, _Listed] = {}
        self._directories: dict[PackKey, dict[str, int]] = {}

    def knows(self, run: str) -> bool:
        """Return whether the packs of a run were listed."""
        return run in self._listed

    def list(self, runs: Collection[str]) -> None:
        """List the packs of runs, also of those that were listed before: one LIST each."""
        for run, answer in zip(runs, together(self._store, self._list, runs), strict=True):
            self._listed[run] = answer()

    def lacks(self, pack: PackKey) -> bool:
        """Return whether neither a pack nor what repeats it was listed."""
        listed = self._listed.get(pack.run)
        return listed is not None and listed.holding(pack) is None

    def find(self, blobs: Iterable[Kept]) -> dict[Kept, Place]:
        """Return where blobs are; those are left out whose pack is not listed, or has vanished."""
        found: dict[Kept, Place] = {}
        moved: list[tuple[Kept, PackKey]] = []
        for kept in blobs:
            listed = self._listed.get(kept.run)
            now = listed.holding(kept.pack) if listed else kept.pack
            if now == kept.pack:
                found[kept] = Place(kept.key, kept.blob.start)
            elif now is not None:
                moved.append((kept, now))
        directories = self._read({now for _, now in moved})
        for kept, now in moved:
            if now in directories:
                found[kept] = _place(kept, now, directories[now])
        return found

    def _list(self, run: str) -> _Listed:
        infos = insist(partial(self._store.list, media(run)))
        sizes = {pack: info.size for info in infos if (pack := parse_pack(info.key))}
        return _Listed(sizes, outermost(sizes))

    def _read(self, packs: Collection[PackKey]) -> dict[PackKey, dict[str, int]]:
        """Return the directories of packs, without those that have vanished."""
        found = {pack: known for pack in packs if (known := self._directories.get(pack))}
        missing = [pack for pack in packs if pack not in found]
        answers = together(self._store, self._directory, missing)
        for pack, answer in zip(missing, answers, strict=True):
            if (read := answer()) is not None:
                found[pack] = read
        self._directories = {**self._directories, **found}
        for pack in [*self._directories][:-MOST_DIRECTORIES]:
            del self._directories[pack]
        return found

    def _directory(self, pack: PackKey) -> dict[str, int] | None:
        key, size = pack_key(pack), self._listed[pack.run].sizes[pack]
        try:
            return read_places(key, size, _End(self._store, key, size).read)
        except NotFoundError:
            return None


class _End:
    """An object of which the end is read at once, and the rest where it is wanted."""

    def __init__(self, store: Store, key: str, size: int) -> None:
        self._range = partial(store.get_range, key)
        self._begin = max(0, size - NEAR)
        self._size = size
        self._data: bytes | None = None

    def read(self, start: int, length: int) -> bytes:
        if self._data is None:
            self._data = insist(lambda: self._range(self._begin, self._size - self._begin))
        if start >= self._begin:
            return self._data[start - self._begin :][:length]
        return insist(lambda: self._range(start, length))


def _place(kept: Kept, pack: PackKey, directory: dict[str, int]) -> Place:
    key, member = pack_key(pack), kept.blob.member
    if member not in directory:
        told = f"it has no {member}, which points refer to"
        raise CorruptObjectError(key, [Problem("$", "key_mismatch", told)])
    return Place(key, directory[member])
