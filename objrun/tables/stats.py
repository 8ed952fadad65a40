"""What a store holds, and about what that costs a month."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import TYPE_CHECKING, Final

from objrun.format import keys
from objrun.protocol.checkpointing import latest_checkpoint
from objrun.protocol.experiments import full_name
from objrun.protocol.settle import insist

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime

    from objrun.format.checkpoints import Checkpoint
    from objrun.storage import ObjectInfo, Store

MONTH: Final = timedelta(days=30)

STORAGE_PRICE: Final = 0.023
"""US dollars for a gigabyte (10^9 bytes) and month: S3 Standard, us-east-1, list price of 2025."""

WRITE_PRICE: Final = 5e-6
"""US dollars for a PUT or a LIST, at the same place."""


@dataclass(frozen=True)
class Amount:
    """How many objects, and their bytes."""

    objects: int = 0
    size: int = 0

    def __add__(self, other: Amount) -> Amount:
        """Return both together."""
        return Amount(self.objects + other.objects, self.size + other.size)


@dataclass(frozen=True)
class Live:
    """What a question must read one by one: `runs` with markers, and segments not in tables.

    What tables cover and no vacuum has removed yet is among it.
    """

    runs: int = 0
    markers: int = 0
    segments: Amount = Amount()


@dataclass(frozen=True)
class ExperimentStats:
    """What an experiment holds: live, and in the tables of its `checkpoint` (0: none).

    `runs` and `points` are those in tables; `tables` all its table files, also superseded ones.
    """

    live: Live = Live()
    checkpoint: int = 0
    runs: int = 0
    points: int = 0
    tables: Amount = Amount()
    other: Amount = Amount()


@dataclass(frozen=True)
class Stats:
    """What a store holds: `chains` are the objects below `runs/`, `new` came in the last month."""

    experiments: dict[str, ExperimentStats] = field(default_factory=dict)
    chains: Amount = Amount()
    total: Amount = Amount()
    new: int = 0

    @property
    def storage_bill(self) -> float:
        """US dollars a month for keeping it, at S3's list price."""
        return self.total.size / 1e9 * STORAGE_PRICE

    @property
    def request_bill(self) -> float:
        """US dollars for the PUTs of the last 30 days whose objects are still there.

        Flushes that were superseded are not in it: a run that logs all the time adds one PUT a
        minute, $0.22 a month.
        """
        return self.new * WRITE_PRICE


def stats_of(store: Store) -> Stats:
    """Return what a store holds, by one LIST of everything, and a LIST and GET an experiment."""
    listed = insist(lambda: store.list(""))
    # The newest object tells the time well enough, and nothing has to be written for it.
    newest = max((info.modified for info in listed), default=None)
    folders: dict[str, list[ObjectInfo]] = {}
    chains = total = Amount()
    for info in listed:
        amount = Amount(1, info.size)
        total += amount
        if info.key.startswith("runs/"):
            chains += amount
        elif info.key.startswith(keys.EXPERIMENTS):
            folders.setdefault(info.key.split("/")[1], []).append(info)
    experiments: dict[str, ExperimentStats] = {}
    for piece, infos in folders.items():
        name = keys.decode_name(piece) or full_name(store, piece)
        if name:
            experiments[name] = _experiment(infos, latest_checkpoint(store, name))
    new = _since(listed, newest - MONTH) if newest else 0
    return Stats(experiments, chains, total, new)


def _since(listed: Iterable[ObjectInfo], start: datetime) -> int:
    return sum(info.modified >= start for info in listed)


def _experiment(listed: Iterable[ObjectInfo], checkpoint: Checkpoint | None) -> ExperimentStats:
    runs: set[str] = set()
    markers = 0
    segments = tables = other = Amount()
    for info in listed:
        amount = Amount(1, info.size)
        if marker := keys.parse_marker(info.key):
            runs.add(marker.run)
            markers += 1
        elif keys.parse_segment(info.key):
            segments += amount
        elif keys.parse_table(info.key):
            tables += amount
        else:
            other += amount
    found = ExperimentStats(Live(len(runs), markers, segments), tables=tables, other=other)
    if checkpoint is None:
        return found
    return replace(
        found,
        checkpoint=checkpoint.number,
        runs=sum(file.rows for file in checkpoint.of_kind("runs")),
        points=sum(file.rows for file in checkpoint.of_kind("metrics")),
    )
