"""What logging costs: points, batches, latency, bytes and whole runs."""

from __future__ import annotations

import itertools
import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from objrun import Experiment, Run, Workspace
from objrun.storage import LatencyStore, MemoryStore

POINTS = 1_000_000
Compare = Callable[..., None]
Note = Callable[..., None]


def started(folder: Path, durability: str = "fsync") -> Run:
    return Experiment(Workspace(folder, {"durability": durability}), "bench").start_logging()


@pytest.mark.parametrize("metrics", [1, 20])
def test_log_one_at_a_time(compare: Compare, folder: Path, metrics: int) -> None:
    names = [f"metric{number}" for number in range(metrics)]

    def ours() -> None:
        run = started(folder)
        log = run.log
        for step in range(POINTS // metrics):
            for name in names:
                log(name, step * 0.5, step=step)
        run.flush()
        run.complete()

    def bare() -> None:
        steps: list[int] = []
        values: list[float] = []
        for step in range(POINTS):
            steps.append(step)
            values.append(step * 0.5)
        table = pa.table({"step": pa.array(steps), "value": pa.array(values)})
        pq.write_table(table, folder / "bare.parquet")

    work = f"log() {POINTS:,} points, {metrics} metric(s), until durable"
    compare(work, ours, bare, bar="2x", items=POINTS, unit="point")


def test_log_batch(compare: Compare, folder: Path) -> None:
    values = np.random.default_rng(0).normal(size=POINTS)
    steps = np.arange(POINTS)
    runs: list[Run] = [started(folder)]

    def ours() -> None:
        runs[-1].log_batch("signal", values, steps=steps)
        runs[-1].flush()

    def prepare() -> None:
        runs[-1].complete()
        runs.append(started(folder))

    def bare() -> None:
        pq.write_table(pa.table({"step": steps, "value": values}), folder / "bare.parquet")

    compare(
        f"log_batch of {POINTS:,} float64 with steps",
        ours,
        bare,
        bar="2x",
        items=POINTS,
        unit="point",
        prepare=prepare,
    )


def test_latency_of_log(note: Note) -> None:
    """log() beside a store that takes half a second for every request."""
    name = "bench-latency"
    workspace = Workspace(f"memory://{name}")
    Experiment(workspace, "bench").start_logging().complete()
    workspace._store = LatencyStore(MemoryStore(name), 0.5)  # noqa: SLF001 - a slow one instead
    run = Experiment(workspace, "bench").start_logging()
    taken = []
    for step in range(200_000):
        start = time.perf_counter_ns()
        run.log("loss", step * 0.5, step=step)
        taken.append(time.perf_counter_ns() - start)
        if step % 1000 == 0:
            time.sleep(0.01)
    run.complete()
    p50, p99, p999 = (float(np.percentile(taken, q)) / 1e3 for q in (50, 99, 99.9))
    note(
        "p99 of log() with 500 ms store latency",
        f"{p99:.1f} µs",
        "50 µs",
        f"p50 {p50:.2f} µs, p99.9 {p999:.1f} µs",
    )


@pytest.mark.parametrize("points", [100, 1_000, 10_000, 1_000_000])
def test_bytes_a_point(note: Note, folder: Path, points: int) -> None:
    """Beside the best Parquet row of the same points: normal values, steps, times of a loop."""
    best = {100: 15.3, 1_000: 8.1, 10_000: 7.4, 1_000_000: 6.8}[points]
    values = np.random.default_rng(0).normal(size=points).tolist()
    run = started(folder, "none")
    for step, value in enumerate(values):
        run.log("loss", value, step=step)
    run.flush()
    run.complete()
    size = sum(file.stat().st_size for file in folder.glob("experiments/*/shards/*/*")) / points
    note(f"bytes a point, {points:,} points", f"{size / best:.2f}x", "1.1x", f"{size:.1f} bytes")


RAM = Path("/dev/shm")  # noqa: S108 - a file system in memory, and folders of our own in it


@pytest.mark.parametrize(
    ("durability", "on", "bar"),
    [("none", "RAM", 600), ("none", "disk", 600), ("fsync", "disk", 150)],
)
def test_many_runs(
    note: Note, benchmark: Any, folder: Path, durability: str, on: str, bar: int
) -> None:
    """300 runs, one after the other: 5 params, 5 metrics of 20 points, 2 tags.

    Beside them, the same files written plainly: a disk may need longer for them than objrun does.
    """
    count = 300
    rates: list[float] = []
    plain: list[float] = []
    cpu: list[float] = []

    def work(place: Path) -> None:
        experiment = Experiment(Workspace(place, {"durability": durability}), "bench")
        experiment.start_logging().complete()
        wall, used = time.perf_counter(), time.process_time()
        for _ in range(count):
            run = experiment.start_logging(tags={"model": "cnn", "data": "digits"})
            run.log_params({f"param{number}": number * 0.5 for number in range(5)})
            for step in range(20):
                for number in range(5):
                    run.log(f"metric{number}", step * 0.5, step=step)
            run.complete()
        rates.append(count / (time.perf_counter() - wall))
        cpu.append((time.process_time() - used) / count * 1e3)
        plain.append(seconds_to_copy(place, durable=durability == "fsync"))

    # Nothing is removed between rounds: some disks make files slowly after many were removed.
    with tempfile.TemporaryDirectory(dir=RAM if on == "RAM" else folder) as ground:
        places = (Path(ground, str(number)) for number in itertools.count())
        benchmark.pedantic(work, setup=lambda: ((next(places),), {}), rounds=5)
    ratio = median(1 / rate / (seconds / count) for rate, seconds in zip(rates, plain, strict=True))
    rates.sort()
    note(
        f"runs a second, {on}, durability={durability}",
        f"{rates[len(rates) // 2]:,.0f} ({rates[0]:,.0f}-{rates[-1]:,.0f})",
        f"{bar}",
        f"{min(cpu):.2f} ms CPU a run at best, {ratio:.1f}x writing the files plainly",
    )


def seconds_to_copy(store: Path, *, durable: bool) -> float:
    """Write the files of a store once more, as plainly as can be, and tell how long it took."""
    files = {
        file.relative_to(store): file.read_bytes() for file in store.rglob("*") if file.is_file()
    }
    copy = store / "copy"
    start = time.perf_counter()
    for name, data in files.items():
        (copy / name).parent.mkdir(parents=True, exist_ok=True)
        with (copy / name).open("wb") as file:
            file.write(data)
            if durable:
                file.flush()
                os.fsync(file.fileno())
    return time.perf_counter() - start
