"""Questions to a large store: time beside polars reading the same tables, requests, and bytes.

`OBJRUN_BENCH=full` makes it as large as the bars say: 100,000 runs and 100 million points.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from benchmarks.made_rows import Made, Plan
from benchmarks.make_store import make
from benchmarks.sizes import FULL, shown
from objrun import Experiment, Run, Workspace, clock
from objrun.format import keys
from objrun.protocol.checkpointing import latest_checkpoint
from objrun.storage import CountingStore, LatencyStore

if TYPE_CHECKING:
    from pathlib import Path

RUNS, POINTS = (100_000, 100_000_000) if FULL else (20_000, 5_000_000)
CHILDREN, DIRTY = 1_000, 1_000
_PARAMS = ("lr", "batch_size", "optimizer", "dropout", "layers", "augment", "seed", "schedule")
COLUMNS = [*(f"params.{name}" for name in _PARAMS), "tags.model", "tags.data"]
"""Beside the twenty that every frame of runs has."""

Compare = Callable[..., None]
Note = Callable[..., None]


class Large(NamedTuple):
    """A store with tables, and the runs in it."""

    folder: Path
    runs: list[Made]

    def open(self) -> Experiment:
        """Return a handle as a new process would have it."""
        return Experiment(Workspace(self.folder), "bench")

    def counted(self) -> tuple[Experiment, CountingStore]:
        """Return such a handle, and what counts its requests, as of a store far away."""
        workspace = Workspace(self.folder)
        store = CountingStore(LatencyStore(workspace.reading(), 0))
        workspace._store = store  # noqa: SLF001 - the counter goes between
        return Experiment(workspace, "bench"), store

    def files(self, kind: str) -> list[Path]:
        """Return the files of a kind of table, in order."""
        found = latest_checkpoint(Workspace(self.folder).reading(), "bench")
        names = [file.name for file in found.of_kind(kind)] if found else []
        return [self.folder / "experiments" / "bench" / "tables" / name for name in names]

    def parent(self) -> str:
        """Return the run with the most children."""
        ((found, _),) = Counter(run.parent for run in self.runs if run.parent).most_common(1)
        return str(found)


def made(folder: Path, runs: int, points: int, live: int = 0) -> Large:
    plan = Plan("bench", runs, points, min(CHILDREN, runs // 2), now=clock.now())
    workspace = Workspace(folder, {"durability": "none"})
    return Large(folder, make(workspace, plan, live=live, workers=2))


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Large:
    return made(tmp_path_factory.mktemp("large") / "store", RUNS, POINTS)


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OBJRUN_CACHE", str(tmp_path / "cache"))


def test_frame_of_runs(compare: Compare, large: Large) -> None:
    files = large.files("runs")
    count = len(large.open().runs(COLUMNS).collect_schema())
    compare(
        f"runs() of {RUNS:,} runs, {count} columns, beside polars reading their table",
        lambda: large.open().runs(COLUMNS).collect(),
        lambda: pl.read_parquet(files),
        bar="2x",
        items=RUNS,
        unit="run",
        rounds=15,
    )


def test_list_of_runs(compare: Compare, large: Large) -> None:
    files = large.files("runs")
    compare(
        f"Run.list of {RUNS:,} runs, beside polars reading their table",
        lambda: Run.list(large.open(), include_children=True),
        lambda: pl.read_parquet(files),
        bar="2x",
        items=RUNS,
        unit="run",
        rounds=15,
    )


def test_metrics_of_a_tree(compare: Compare, large: Large) -> None:
    files, parent = large.files("metrics"), large.parent()
    root = pl.col("root_run_id") == parent
    points = pl.scan_parquet(files).filter(root).collect().height
    what = f"{CHILDREN:,} children, {points:,} points of {POINTS:,}"
    compare(
        f"get_metrics(recursive=True), {what}, beside a polars scan",
        lambda: large.open().workspace.get_run(parent).get_metrics(recursive=True),
        lambda: pl.scan_parquet(files).filter(root).collect(),
        bar="3x",
        items=points,
        unit="point",
        rounds=15,
    )


@pytest.mark.parametrize("runs", [1_000, RUNS])
def test_requests_of_a_list(note: Note, tmp_path: Path, runs: int) -> None:
    experiment, store = made(tmp_path / "store", runs, 0).counted()
    assert experiment.runs(COLUMNS).collect().height == runs
    first = shown(store.counts)
    note(f"runs() of {runs:,} runs, from a new process", first, "3 LIST, 8 GET")


def test_requests_of_changed_runs(note: Note, tmp_path: Path) -> None:
    experiment, store = made(tmp_path / "store", RUNS, 0, live=DIRTY).counted()
    found = experiment.runs().collect()
    assert (found["description"] == "looked at again").sum() == DIRTY
    work = f"the same where {DIRTY:,} of {RUNS:,} changed since"
    note(work, shown(store.counts), f"{DIRTY:,} + 12")


def test_requests_of_a_tree(note: Note, large: Large) -> None:
    experiment, store = large.counted()
    run = experiment.workspace.get_run(large.parent())
    store.reset()
    assert len(run.get_metrics(recursive=True)) == CHILDREN
    work = f"get_metrics(recursive=True) of {CHILDREN:,} children"
    note(work, shown(store.counts), "12", f"{store.bytes_read:,} bytes")


def test_second_look(note: Note, large: Large) -> None:
    """Another process of this machine asks again."""
    large.counted()[0].runs(COLUMNS).collect()
    experiment, store = large.counted()
    experiment.runs(COLUMNS).collect()
    note(f"a second look at {RUNS:,} runs through the cache", shown(store.counts), "3")


@pytest.mark.parametrize("way", ["get_metrics(name)", "metrics()", "Experiment.metrics()"])
@pytest.mark.parametrize("which", ["long", "usual"])
def test_one_metric(note: Note, large: Large, which: str, way: str) -> None:
    choose = max if which == "long" else min
    of_several = [run for run in large.runs if run.metrics > 2]
    chosen = choose(of_several, key=lambda run: run.points)
    experiment, store = large.counted()
    run = experiment.get_runs(where=pl.col("run_id") == chosen.run)[0]
    store.reset()
    answer, asked_for = read_one(run, way)
    assert answer == chosen.points
    found = latest_checkpoint(store.store, "bench")
    files = {f"{keys.tables('bench')}{file.name}": file for file in found.files} if found else {}
    read = [asked.key for asked in store.log if asked.key in files]
    footers = sum(files[key].footer for key in {*read} if files[key].kind == "metrics")
    bytes_read = store.bytes_read - footers
    size = compressed(points_of(large, chosen.run, asked_for))
    note(
        f"{way}: {answer:,} points of a metric, of {POINTS:,}",
        f"{bytes_read / size:.1f}x",
        "4x" if which == "long" else "its pages",
        f"{bytes_read:,} bytes without {footers:,} of footers, {len(read)} ranges",
    )


def read_one(run: Run, way: str) -> tuple[int, pl.Expr]:
    """Return how many points a way to ask gives of `loss`, and the rows it has to read for that."""
    loss = pl.col("name") == "loss"
    if way == "get_metrics(name)":
        return len(run.get_metrics("loss")["loss"]), loss
    if way == "metrics()":
        return run.metrics().filter(loss).collect().height, pl.lit(value=True)
    of_run = pl.col("run_id") == run.id
    return run.experiment.metrics().filter(of_run & loss).collect().height, loss


def points_of(large: Large, run: str, condition: pl.Expr) -> pl.DataFrame:
    """Return the answer alone."""
    rows = pl.scan_parquet(large.files("metrics")).filter(condition, run_id=run)
    return rows.select("step", "time", "value").collect()


def compressed(frame: pl.DataFrame) -> int:
    """Return the bytes of a file of these points, written as tables are."""
    sink = pa.BufferOutputStream()
    encodings = {"step": "DELTA_BINARY_PACKED", "time": "DELTA_BINARY_PACKED"}
    encodings["value"] = "BYTE_STREAM_SPLIT"
    pq.write_table(
        frame.to_arrow(), sink, compression="zstd", use_dictionary=False, column_encoding=encodings
    )
    return int(sink.tell())
