"""What runs share, on the move: snapshots and environments that the copied runs refer to."""

from __future__ import annotations

import threading
from functools import partial
from typing import TYPE_CHECKING

from objrun.format.shared import FOLDERS, digest_of, references
from objrun.protocol.copy.files import copy_bytes
from objrun.protocol.files import StoredFile
from objrun.protocol.settle import insist

if TYPE_CHECKING:
    from collections.abc import Mapping

    from objrun.protocol.copy.pair import Pair
    from objrun.storage import Store


class Shared:
    """What the target lacks of it; thread-safe. Both sides are listed once, when first needed."""

    def __init__(self, pair: Pair) -> None:
        """Read nothing yet."""
        self._pair = pair
        self._sizes: dict[str, int] | None = None
        self._lock = threading.Lock()

    def lacking(self, properties: Mapping[str, str | None]) -> list[tuple[str, int]]:
        """Return what a run with these properties refers to and the target lacks, with its size."""
        wanted = references(properties)
        if not wanted:
            return []
        with self._lock:
            if self._sizes is None:
                ours, theirs = map(_sizes, self._pair)
                self._sizes = {key: size for key, size in ours.items() if key not in theirs}
        return [(key, self._sizes[key]) for key in wanted if key in self._sizes]


def copy_shared(pair: Pair, key: str, size: int) -> int:
    """Store what stands under a key, checked, in bounded memory; return how many bytes.

    Raises CorruptObjectError where the source has other bytes there.
    """
    return copy_bytes(pair, StoredFile(key, size, digest_of(key)))


def _sizes(store: Store) -> dict[str, int]:
    listed = (insist(partial(store.list, f"{folder}/")) for folder in FOLDERS)
    return {info.key: info.size for infos in listed for info in infos}
