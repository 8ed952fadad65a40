"""A frame of all points: what is asked for decides what is read, and nothing else changes."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import numpy as np
import polars as pl
import pytest

from objrun import Experiment, Workspace, clock
from objrun.errors import UnavailableError
from objrun.query.scan import scan_points
from objrun.storage import CountingStore
from objrun.tables import reading, writing

if TYPE_CHECKING:
    from collections.abc import Callable

STEPS = 2000
RUNS = 20
POINTS = 2 * RUNS * STEPS + 2


@pytest.fixture
def experiment(monkeypatch: pytest.MonkeyPatch) -> Experiment:
    """Twenty runs of two metrics in tables of several files and many row groups, and a live one."""
    monkeypatch.setattr(writing, "GROUP_ROWS", STEPS)
    monkeypatch.setattr(writing, "FILE_BYTES", 2**18)
    monkeypatch.setattr(reading, "SMALL", 0)
    monkeypatch.setattr(writing, "FRAME_ROWS", 4)
    monkeypatch.setattr(reading, "GAP", 0)
    monkeypatch.setattr(reading, "ASIDE", 0)
    found = Experiment(Workspace(f"memory://{clock.random_hex(8)}"), "digits")
    random = np.random.default_rng(7)
    for number in range(RUNS):
        with found.start_logging(run_id=f"r{number:02}") as run:
            for name in ("loss", "speed"):
                run.log_batch(name, random.normal(size=STEPS), steps=range(STEPS))
            if run.id == "r04":
                with run.child_run(run_id="r04.1") as child:
                    child.log("loss", 0.25, step=3)
    made = found.workspace.compact()["digits"].checkpoint
    assert len(made.of_kind("metrics")) > 1
    with found.start_logging(run_id="live") as run:
        run.log("loss", 0.5, step=3)
    return found


def counting(experiment: Experiment) -> CountingStore:
    return CountingStore(experiment.workspace.reading())


QUESTIONS: dict[str, Callable[[pl.LazyFrame], pl.LazyFrame]] = {
    "one metric": lambda f: f.filter((pl.col("run_id") == "r03") & (pl.col("name") == "loss")),
    "and more": lambda f: f.filter(
        pl.col("run_id").is_in(["r03", "live"]) & (pl.col("value") > 0) & (pl.col("name") == "loss")
    ),
    "columns": lambda f: f.filter(pl.col("run_id") == "r19").select("step", "value"),
    "or": lambda f: f.filter((pl.col("run_id") == "r03") | (pl.col("step") == 7)),
    "a child": lambda f: f.filter(run_id="r04.1"),
    "no name": lambda f: f.filter(pl.lit("r04") == pl.col("run_id"), pl.col("name") != "loss"),
    "nothing": lambda f: f.filter(pl.col("run_id") == "none"),
    "sums": lambda f: f.group_by("name").agg(pl.len(), pl.col("step").max()).sort("name"),
    "all": lambda f: f,
}


@pytest.mark.parametrize("question", QUESTIONS.values(), ids=[*QUESTIONS])
def test_pushed_down_or_not_the_answer_is_the_same(
    experiment: Experiment, question: Callable[[pl.LazyFrame], pl.LazyFrame]
) -> None:
    whole = experiment.metrics().collect()
    assert whole.height == POINTS
    assert question(experiment.metrics()).collect().equals(question(whole.lazy()).collect())


def test_one_metric_of_one_run_reads_little(experiment: Experiment) -> None:
    store = counting(experiment)
    frame = scan_points(store, "digits")
    before = store.bytes_read
    asked = (pl.col("run_id") == "r03") & (pl.col("name") == "speed")
    assert frame.filter(asked).collect().height == STEPS
    one = store.bytes_read - before
    before = store.bytes_read
    assert frame.collect().height == POINTS
    assert one < (store.bytes_read - before) / 10


def test_a_run_that_is_its_own_root_is_found_at_once(experiment: Experiment) -> None:
    store = counting(experiment)
    reads = []
    for run in ("r04", "r04.1"):
        frame = scan_points(store, "digits").filter(run_id=run)
        store.reset()
        assert frame.collect().height
        reads.append(sum(asked.key.endswith("-summary.parquet") for asked in store.log))
    assert reads[0] <= 3
    assert reads[1] > 10


def test_the_head_of_a_frame_reads_one_part(experiment: Experiment) -> None:
    store = counting(experiment)
    frame = scan_points(store, "digits")
    store.reset()
    assert frame.head(5).collect().height == 5
    some = store.bytes_read
    store.reset()
    frame.collect()
    assert some < store.bytes_read / 2


def test_a_frame_is_of_the_moment_it_was_made(experiment: Experiment) -> None:
    frame = experiment.metrics()
    before = frame.collect()
    with experiment.start_logging(run_id="later") as run:
        run.log("loss", 1.0)
    experiment.workspace.compact()
    experiment.workspace.vacuum()
    assert frame.collect().equals(before)
    experiment.workspace.compact(whole=True)
    experiment.workspace.vacuum(retention=timedelta(0))
    with pytest.raises(UnavailableError, match="make it again"):
        frame.collect()
