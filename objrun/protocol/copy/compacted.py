"""Compacted tables as a copy meets them: who covers what, and how a target gets their rows."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple, Protocol

from objrun import clock
from objrun.format import keys
from objrun.protocol.checkpointing import commit_checkpoint, latest_checkpoint
from objrun.protocol.copy.pair import read
from objrun.protocol.settle import put_once

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping

    from objrun.format.checkpoints import Checkpoint, TableFile
    from objrun.format.keys import CutKey
    from objrun.protocol.copy.pair import Pair
    from objrun.storage import Store


class Covered(NamedTuple):
    """What tables hold of a run: its root, and by writer how many rows: `[0, stop)`."""

    root: str
    stops: Mapping[str, int]


class TableRows(NamedTuple):
    """Rows `[start, stop)` of a writer that stand in tables."""

    writer: str
    start: int
    stop: int


class Tables(Protocol):
    """How tables are read; what they are made with is loaded only where a store has some."""

    def parents(self, store: Store, checkpoint: Checkpoint) -> Mapping[str, str | None]:
        """Return the parent of each run that the tables have, None for those without."""
        ...

    def coverage(
        self, store: Store, checkpoint: Checkpoint, runs: Collection[str]
    ) -> Mapping[str, Covered]:
        """Return by run what of its points is in the tables."""
        ...

    def cuts(self, store: Store, checkpoint: Checkpoint, runs: Collection[str]) -> Iterable[CutKey]:
        """Return where the tables have writers of some runs cut."""
        ...

    def segments(
        self, store: Store, checkpoint: Checkpoint, whose: tuple[str, str], rows: list[TableRows]
    ) -> Iterator[tuple[TableRows, bytes]]:
        """Yield rows of a run (given with its root) as segments, of each writer without a hole."""
        ...


def become_first(store: Store, checkpoint: Checkpoint) -> bool:
    """Commit what a checkpoint of another store says as the first one here.

    Returns whether it is the current one. It is a compaction that is based on nothing: numbers of
    the source would leave holes behind them, for compactions that began before.
    """
    first = replace(
        checkpoint,
        number=1,
        orphan_floor=1,
        write_id=clock.random_hex(16),
        written=clock.now(),
        files=tuple(replace(file, name=_renamed(file.name)) for file in checkpoint.files),
    )
    if not commit_checkpoint(store, first):
        return False
    # Its number may have been free because a vacuum has removed what was superseded.
    last = latest_checkpoint(store, checkpoint.experiment)
    return last is not None and last.write_id == first.write_id


def _renamed(name: str) -> str:
    table = keys.parse_table(name)
    return name if table is None else keys.table("", table._replace(base=0)).rpartition("/")[2]


def copy_table(pair: Pair, experiment: str, file: TableFile) -> int:
    """Copy one table under its name in the target and return its size in bytes."""
    prefix = keys.tables(experiment)
    data = read(pair.source, f"{prefix}{file.name}")
    put_once(pair.target, f"{prefix}{_renamed(file.name)}", data)
    return len(data)
