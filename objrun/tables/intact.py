"""Is a table what its checkpoint tells of? A vacuum asks before it removes what that stands for."""

from __future__ import annotations

import zlib
from bisect import bisect_left
from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING, Final

from objrun.errors import CorruptObjectError, NotFoundError, Problem
from objrun.format import keys
from objrun.protocol.checkpointing import latest_checkpoint
from objrun.protocol.settle import insist
from objrun.storage import together

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from objrun.format.checkpoints import Checkpoint, TableFile
    from objrun.storage import ObjectInfo, Store

PIECE: Final = 2**22
"""Bytes of a file that are held at once."""

SLACK: Final = timedelta(minutes=10)
"""How much older than a segment a file with rows of it can be: twice as long as it stays open."""


def wrong_sizes(
    store: Store, checkpoint: Checkpoint, tables: Iterable[ObjectInfo]
) -> list[CorruptObjectError]:
    """Return an error for each file that is not there, or of another size; `tables` were listed.

    Raises NotFoundError where the checkpoint is not the greatest any more.
    """
    folder = keys.tables(checkpoint.experiment)
    sizes = {info.key: info.size for info in tables}
    if any(f"{folder}{file.name}" not in sizes for file in checkpoint.files):
        # Committed since they were listed.
        sizes = {info.key: info.size for info in insist(lambda: store.list(folder))}
    missing = [file for file in checkpoint.files if f"{folder}{file.name}" not in sizes]
    if missing:
        latest = latest_checkpoint(store, checkpoint.experiment)
        if latest is None or latest.number != checkpoint.number:
            message = f"checkpoint {checkpoint.number} was superseded"
            raise NotFoundError(message)
    wrong = (file for file in checkpoint.files if sizes.get(f"{folder}{file.name}") != file.size)
    return [_damage(f"{folder}{file.name}", file in missing) for file in wrong]


def _damage(key: str, is_missing: bool) -> CorruptObjectError:
    told = "it is not there" if is_missing else "not the bytes that its checkpoint tells of"
    return CorruptObjectError(key, [Problem("$", "key_mismatch", told)])


def wrong_bytes(
    store: Store, experiment: str, files: Iterable[TableFile]
) -> list[CorruptObjectError]:
    """Return an error for each file whose CRC-32 is another: all are read, a PIECE at a time."""
    asked = [*files]
    answers = together(store, partial(_crc32, store, experiment), asked)
    return [
        _damage(f"{keys.tables(experiment)}{file.name}", is_missing=False)
        for file, crc32 in zip(asked, answers, strict=True)
        if crc32() != file.crc32
    ]


def _crc32(store: Store, experiment: str, file: TableFile) -> int:
    key = f"{keys.tables(experiment)}{file.name}"
    found = 0
    for start in range(0, file.size, PIECE):
        length = min(PIECE, file.size - start)
        found = zlib.crc32(insist(partial(store.get_range, key, start, length)), found)
    return found


def newly_covering(
    checkpoint: Checkpoint,
    tables: Iterable[ObjectInfo],
    segments: Mapping[ObjectInfo, str],
    before: frozenset[str] | None,
) -> list[TableFile]:
    """Return the files of points that nobody can have checked for what is about to be removed.

    `segments`, with their root runs: a file that is older than all of them holds none of their
    rows, but for those that a writer sent before in a shorter segment. `before`: the names of the
    tables that were current before some of them are removed now; the others have what these had.
    """
    folder = keys.tables(checkpoint.experiment)
    times = {info.key: info.modified for info in tables}
    roots = sorted({*segments.values()})
    oldest = min((info.modified for info in segments), default=None)

    def holds(file: TableFile) -> bool:
        if before is not None and file.name not in before:
            return True
        written = times.get(f"{folder}{file.name}")
        place = bisect_left(roots, file.first)
        meets = place < len(roots) and roots[place] <= file.last
        is_old = written is not None and oldest is not None and written < oldest - SLACK
        return meets and not is_old

    return [file for file in checkpoint.of_kind("metrics") if holds(file)]
