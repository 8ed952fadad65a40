"""Rows of a synthetic experiment: runs as people start them, and the curves that these log.

All of it follows from a seed; ids, times and values look as real ones do, so that they take as many
bytes.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from random import Random
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np
import polars as pl

from objrun.format.states import RunState, Version
from objrun.tables.chunks import BLOCK, Chunk

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from objrun.format.values import Scalar

METRICS: Final = ("accuracy", "grad_norm", "loss", "val/accuracy", "val/loss")
"""What most runs log, in order of the table; a child of the large parent logs two of them."""

SWEEP: Final = 50
"""Runs of a sweep, its parent included."""

LONG: Final = 10
"""Runs that log a hundred times as many points as others."""

MONTHS: Final = timedelta(days=180)
"""Over how long the runs were started; the last one an hour ago."""

_DAY: Final = 86_400


class Made(NamedTuple):
    """A run: whose it is, when it started, and how many points of how many metrics it logs."""

    root: str
    run: str
    parent: str | None
    number: int
    started: datetime
    metrics: int
    points: int

    @property
    def rows(self) -> int:
        """Points of all its metrics."""
        return self.metrics * self.points


@dataclass(frozen=True)
class Plan:
    """How large an experiment is to be; `children`: of the one large parent."""

    experiment: str
    runs: int
    points: int
    children: int = 1_000
    seed: int = 0
    now: datetime = datetime(2026, 1, 1, tzinfo=UTC)

    def all_runs(self) -> list[Made]:
        """Return the runs sorted as the tables are.

        The large parent comes first in time; then a third of the others are sweeps.
        """
        chance = Random(self.seed)
        children = min(self.children, max(self.runs - 1, 0))
        families = [1 + children] if children else []
        while (left := self.runs - sum(families)) > 0:
            families.append(min(SWEEP, left) if chance.random() < 1 / (2 * SWEEP) else 1)
        others = self.runs - 1 - children if children else self.runs
        long = min(LONG, others // 100)
        shared = max(self.points - children * 200, 0)
        each = shared // max((others + long * 99) * len(METRICS), 1)
        gap = MONTHS / max(self.runs, 1)
        made: list[Made] = []
        for place, size in enumerate(families):
            ids = [_uuid(chance) for _ in range(size)]
            for run in ids:
                is_child = run != ids[0]
                large = bool(children) and place == 0
                is_long = not is_child and 0 < place <= long
                made.append(
                    Made(
                        root=ids[0],
                        run=run,
                        parent=ids[0] if is_child else None,
                        number=len(made) + 1,
                        started=self.now - MONTHS - timedelta(hours=1) + gap * (len(made) + 1),
                        metrics=(2 if is_child else 0) if large else len(METRICS),
                        points=100 if large else each * (100 if is_long else 1),
                    )
                )
        return sorted(made)


def _uuid(chance: Random) -> str:
    digits = f"{chance.getrandbits(128):032x}"
    return f"{digits[:8]}-{digits[8:12]}-4{digits[13:16]}-a{digits[17:20]}-{digits[20:]}"


def writer_of(run: str) -> str:
    """Return the id of the writer that logged the points of a run."""
    return run.replace("-", "")[::-1][:16]


def version_of_run(experiment: str, made: Made, number: int = 1) -> Version[RunState]:
    """Return the last version of a run: it was started, got its parameters, and ended."""
    chance = Random(made.run)
    took = timedelta(seconds=chance.lognormvariate(7, 1))
    status = chance.choices(("Completed", "Failed", "Canceled", "Running"), (88, 8, 3, 1))[0]
    ended = None if status == "Running" else made.started + took
    state = RunState(
        run_id=made.run,
        experiment=experiment,
        number=made.number,
        root_run_id=made.root,
        parent_run_id=made.parent,
        name=f"run_{made.run}",
        display_name=f"{experiment}_{made.number}",
        type="sweep" if made.metrics == 0 else "train",
        status=status,
        created=made.started,
        started=made.started,
        ended=ended,
        error=_error(chance) if status == "Failed" else None,
        tags=_tags(chance),
        params=_params(chance),
        properties=_properties(chance),
    )
    return Version(
        version=number,
        write_id=f"{chance.getrandbits(128):032x}",
        written=ended or made.started + timedelta(seconds=1),
        ops=(),
        state=state,
    )


def _tags(chance: Random) -> dict[str, str | None]:
    return {
        "model": chance.choice(("cnn", "mlp", "resnet18", "vit-s")),
        "data": chance.choice(("cifar10", "digits", "imagenet")),
        "team": chance.choice(("vision", "research")),
        "stage": chance.choice(("baseline", "ablation", "final")),
    }


def _params(chance: Random) -> dict[str, Scalar]:
    return {
        "lr": 10 ** chance.uniform(-5, -1),
        "batch_size": 2 ** chance.randint(4, 10),
        "optimizer": chance.choice(("adam", "adamw", "sgd")),
        "dropout": round(chance.uniform(0, 0.5), 2),
        "layers": chance.randint(2, 48),
        "augment": chance.random() < 0.5,
        "seed": chance.randint(0, 2**31),
        "schedule": chance.choice(("cosine", "linear", "constant")),
    }


def _properties(chance: Random) -> dict[str, str | None]:
    return {
        "objrun.host": f"gpu-{chance.randint(1, 64):02}.cluster",
        "objrun.pid": str(chance.randint(1_000, 60_000)),
        "objrun.python": "3.11.9",
        "azureml.git.commit": f"{chance.randint(0, 500):040x}",
        "azureml.git.branch": "main",
    }


def _error(chance: Random) -> dict[str, str]:
    code = chance.choice(("CUDAOutOfMemory", "ValueError", "Preempted"))
    return {"code": code, "message": f"{code}: rank {chance.randint(0, 7)} stopped"}


def chunk_of_runs(runs: Sequence[Made], seed: int = 0) -> Chunk:
    """Return all points of runs, which are given as the table is sorted."""
    blocks = [
        (made.root, made.run, name, writer_of(made.run), made.points)
        for made in runs
        for name in METRICS[: made.metrics]
    ]
    frame = pl.DataFrame(
        blocks, dict.fromkeys(BLOCK, pl.String()) | {"length": pl.UInt32()}, orient="row"
    )
    lengths = frame["length"].to_numpy().astype(np.int64)
    total = int(lengths.sum())
    chance = np.random.default_rng([seed, runs[0].number, total])
    step = np.arange(total) - np.repeat(np.cumsum(lengths) - lengths, lengths)
    # A writer puts what it flushes down metric by metric; here it flushed once.
    before = np.concatenate([np.arange(made.metrics) * made.points for made in runs])
    begin = np.concatenate([np.full(made.metrics, made.started.timestamp()) for made in runs])
    start = np.repeat((begin * 1e6).astype(np.int64), lengths)
    jitter = chance.integers(0, 40_000, total)
    rate = np.repeat(chance.uniform(0.5, 2, len(lengths)), lengths)
    value = 2.3 * np.exp(-rate * step / 300) + chance.normal(0, 0.02, total)
    rows = pl.DataFrame(
        {
            "offset": step + np.repeat(before, lengths),
            "step": step,
            "time": pl.Series(start + step * 500_000 + jitter).cast(pl.Datetime("us", "UTC")),
            "value": value,
        }
    )
    return Chunk(frame, rows)


def batches(runs: Sequence[Made], rows: int) -> Iterator[list[Made]]:
    """Yield runs in lists of about so many points."""
    batch: list[Made] = []
    count = 0
    for made in runs:
        batch.append(made)
        count += made.rows
        if count >= rows:
            yield batch
            batch, count = [], 0
    if batch:
        yield batch
