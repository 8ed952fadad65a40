"""What a store holds, and about what that costs a month.

Of each run there are a few small objects, its chain and the claim of its number. Of a store of many
runs they are nearly all objects, and to list them takes most of a minute: where tables tell which
runs there are, a SAMPLE of them stands for all, unless every object is asked for.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING, Final

from objrun.format import keys
from objrun.format.documents import encode_number
from objrun.format.states import NumberClaim
from objrun.protocol.checkpointing import latest_checkpoint
from objrun.protocol.experiments import full_name
from objrun.protocol.settle import insist
from objrun.storage import together
from objrun.tables.reading import Rows, TableReader

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from objrun.format.checkpoints import Checkpoint
    from objrun.storage import ObjectInfo, Store

    Known = Mapping[str, Checkpoint | None]

MONTH: Final = timedelta(days=30)

STORAGE_PRICE: Final = 0.023
"""US dollars for a gigabyte (10^9 bytes) and month: S3 Standard, us-east-1, list price of 2025."""

FEW: Final = 1000
"""Runs in tables up to which every object of a store is listed."""

SAMPLE: Final = 64
"""Runs whose objects are listed to stand for those of all."""

LISTED: Final = (
    keys.experiment_states,
    keys.feed,
    keys.shards,
    keys.checkpoints,
    keys.tables,
)
"""The folders of an experiment but that of the claims."""

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

    def times(self, factor: float) -> Amount:
        """Return so many times as much.

        >>> Amount(2, 10).times(1.5)
        Amount(objects=3, size=15)
        """
        return Amount(round(self.objects * factor), round(self.size * factor))


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

    @property
    def whole(self) -> Amount:
        """All of it."""
        return Amount(self.live.markers) + self.live.segments + self.tables + self.other


@dataclass(frozen=True)
class Stats:
    """What a store holds: `chains` are the objects below `runs/`, `new` came in the last month.

    `sampled`: of how many runs the objects were listed, to stand for those of all; 0: every object
    was. Then `chains`, `total`, `new` and what is `other` in experiments are estimates.
    """

    experiments: dict[str, ExperimentStats] = field(default_factory=dict)
    chains: Amount = Amount()
    total: Amount = Amount()
    new: int = 0
    sampled: int = 0

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


def count_all(store: Store) -> Stats:
    """Return what a store holds, by one LIST of everything, and a LIST and GET an experiment."""
    return _counted(store, _checkpoints(store))


def stats_of(store: Store) -> Stats:
    """Return what a store holds; of one with more than FEW runs in tables, about.

    There the live area and the tables of each experiment are listed, then the objects of SAMPLE
    runs: some 80 requests and the ids of the table of runs, instead of a LIST for 1000 objects.
    """
    known = _checkpoints(store)
    rows = (file.rows for found in known.values() if found for file in found.of_kind("runs"))
    return _estimated(store, known) if sum(rows) > FEW else _counted(store, known)


def _checkpoints(store: Store) -> Known:
    pieces = insist(lambda: store.folders(keys.EXPERIMENTS))
    names = [keys.decode_name(piece) or full_name(store, piece) for piece in pieces]
    named = [name for name in names if name]
    answers = together(store, partial(latest_checkpoint, store), named)
    return {name: answer() for name, answer in zip(named, answers, strict=True)}


def _counted(store: Store, known: Known) -> Stats:
    listed = insist(lambda: store.list(""))
    chains: list[ObjectInfo] = []
    folders: dict[str, list[ObjectInfo]] = {keys.experiment_folder(name): [] for name in known}
    for info in listed:
        first, _, rest = info.key.partition("/")
        if first == "runs":
            chains.append(info)
        elif first == "experiments":
            folders.get(f"{keys.EXPERIMENTS}{rest.partition('/')[0]}/", []).append(info)
    return Stats(
        {
            name: _experiment(folders[keys.experiment_folder(name)], checkpoint)
            for name, checkpoint in known.items()
        },
        chains=_amount(chains),
        total=_amount(listed),
        new=_since(listed, _month(listed)),
    )


def _estimated(store: Store, known: Known) -> Stats:
    def found_in(name: str, folders: Iterable[Callable[[str], str]]) -> list[ObjectInfo]:
        return [info for of in folders for info in insist(partial(store.list, of(name)))]

    answers = together(store, lambda name: found_in(name, LISTED), known)
    listed = {name: answer() for name, answer in zip(known, answers, strict=True)}
    runs = {name: _runs(store, known[name], infos) for name, infos in listed.items()}
    ids = sorted({run for of in runs.values() for run in of})
    sample = ids[:: -(-len(ids) // SAMPLE)]
    folders = together(store, lambda run: insist(partial(store.list, keys.run_folder(run))), sample)
    chains = [answer() for answer in folders]
    # A run also has a claim of its number, as old as the run.
    claims = [
        replace(min(infos, key=_time), size=_claim_size(infos[0])) for infos in chains if infos
    ]
    others = _others(store)
    factor = len(ids) / len(sample)
    experiments = {}
    for name, infos in listed.items():
        found = _experiment(infos, known[name])
        claimed = _amount(claims).times(len(runs[name]) / max(len(claims), 1))
        experiments[name] = replace(found, other=found.other + claimed)
    every = [info for infos in (*listed.values(), *chains, others) for info in infos]
    start = _month(every)
    sampled = [info for infos in (*chains, claims) for info in infos]
    fresh = _since([*others, *(i for infos in listed.values() for i in infos)], start)
    amount = _amount([info for infos in chains for info in infos]).times(factor)
    total = sum((one.whole for one in experiments.values()), amount + _amount(others))
    new = fresh + round(_since(sampled, start) * factor)
    return Stats(experiments, chains=amount, total=total, new=new, sampled=len(sample))


def _runs(
    store: Store, checkpoint: Checkpoint | None, listed: Iterable[ObjectInfo]
) -> frozenset[str]:
    """Return the runs of an experiment, as markers and tables tell."""
    files = checkpoint.of_kind("runs") if checkpoint else []
    readers = (TableReader(store, checkpoint.experiment, file) for file in files if checkpoint)
    frames = (frame for reader in readers for frame in reader.frames(Rows(), ("run_id",)))
    marked = (keys.parse_marker(info.key) for info in listed)
    return frozenset(run for frame in frames for run in frame["run_id"]) | {
        marker.run for marker in marked if marker
    }


def _others(store: Store) -> list[ObjectInfo]:
    """Return what is neither in `runs/` nor in `experiments/`, but for objects at the top."""
    names = {*insist(lambda: store.folders(""))} - {"runs", "experiments"}
    return [info for name in sorted(names) for info in insist(partial(store.list, f"{name}/"))]


def _claim_size(info: ObjectInfo) -> int:
    run = info.key.split("/")[1]
    return len(encode_number(NumberClaim(number=1, run_id=run, write_id="0" * 32)))


def _amount(listed: Sequence[ObjectInfo]) -> Amount:
    return Amount(len(listed), sum(info.size for info in listed))


def _time(info: ObjectInfo) -> datetime:
    return info.modified


def _month(listed: Iterable[ObjectInfo]) -> datetime:
    """Return when the last month began; the newest object tells the time well enough."""
    return max(map(_time, listed), default=datetime.min.replace(tzinfo=UTC) + MONTH) - MONTH


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
        elif keys.parse_segment(info.key) or keys.parse_cut(info.key):
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
