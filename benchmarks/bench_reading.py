"""What reading costs beside polars reading one file of the same rows."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
import polars as pl
import pytest

from objrun import Experiment, Run, Workspace

if TYPE_CHECKING:
    from pathlib import Path

POINTS = 1_000_000
Compare = Callable[..., None]


@pytest.fixture
def finished(folder: Path) -> Run:
    """Return a run of one metric of a million points, logged one at a time."""
    run = Experiment(Workspace(folder / "store"), "bench").start_logging()
    for step, value in enumerate(np.random.default_rng(0).normal(size=POINTS).tolist()):
        run.log("loss", value, step=step)
    run.complete()
    rows = run.metrics().select("name", "step", "time", "value")
    rows.collect().write_parquet(folder / "one.parquet")
    return Workspace(folder / "store").get_run(run.id)


def test_read_one_metric(compare: Compare, folder: Path, finished: Run) -> None:
    compare(
        f"Run.metrics() of {POINTS:,} points",
        lambda: finished.metrics().collect(),
        lambda: pl.read_parquet(folder / "one.parquet"),
        bar="2x",
        items=POINTS,
        unit="point",
        rounds=15,
    )


def test_get_metrics(compare: Compare, folder: Path, finished: Run) -> None:
    compare(
        f"get_metrics() of {POINTS:,} points, as Python values",
        lambda: finished.get_metrics("loss"),
        pl.read_parquet(folder / "one.parquet")["value"].to_list,
        bar="-",
        items=POINTS,
        unit="point",
    )


def test_list_runs(compare: Compare, folder: Path) -> None:
    """A first look at 1,000 runs that nobody has compacted."""
    count = 1_000
    experiment = Experiment(Workspace(folder, {"durability": "none"}), "bench")
    for _ in range(count):
        experiment.start_logging().complete()
    states = [*folder.glob("runs/*/state/00000002.json")]
    compare(
        f"runs() of {count:,} live runs, beside reading their files",
        lambda: Experiment(Workspace(folder), "bench").runs().collect(),
        lambda: [file.read_bytes() for file in states],
        bar="-",
        items=count,
        unit="run",
    )
