"""Many threads log into one run while it is flushed."""

from __future__ import annotations

import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import numpy as np
import polars as pl
import pytest

from tests.api.places import another

if TYPE_CHECKING:
    from collections.abc import Iterator

    from objrun import Run

THREADS = 8
POINTS = 20_000


@pytest.fixture
def hectic() -> Iterator[None]:
    """Threads take turns a hundred times as often as usual."""
    usual = sys.getswitchinterval()
    sys.setswitchinterval(5e-5)
    yield
    sys.setswitchinterval(usual)


@pytest.mark.usefixtures("hectic")
def test_every_point_comes_back_once_and_in_order(run: Run) -> None:
    """160 000 points under one name and under many; those of a thread keep their order."""
    done = threading.Event()
    start = threading.Barrier(THREADS)

    def log(thread: int) -> None:
        start.wait()
        for number in range(POINTS):
            run.log("shared" if number % 2 else f"own{thread}", float(number), step=thread)

    def flush() -> int:
        flushes = 0
        while not done.is_set():
            run.flush()
            flushes += 1
        return flushes

    with ThreadPoolExecutor(THREADS + 1) as pool:
        flushing = pool.submit(flush)
        for logging in [pool.submit(log, thread) for thread in range(THREADS)]:
            logging.result()
        done.set()
        assert flushing.result() > 1
    run.complete()
    frame = another(run.experiment.workspace).get_run(run.id).metrics().collect()
    assert frame.height == THREADS * POINTS
    by_thread = frame.sort("offset").partition_by("step", as_dict=True)
    for thread in range(THREADS):
        own = by_thread[(thread,)]
        for name, numbers in (
            ("shared", range(1, POINTS, 2)),
            (f"own{thread}", range(0, POINTS, 2)),
        ):
            values = own.filter(pl.col("name") == name)["value"].to_numpy()
            assert np.array_equal(values, np.array(numbers, float))


@pytest.mark.usefixtures("hectic")
def test_threads_that_start_and_end_runs_and_names_lose_nothing(run: Run) -> None:
    """New names, other types, batches, and ends in between: each takes the slow way in."""
    start = threading.Barrier(6)

    def log(thread: int) -> None:
        start.wait()
        for number in range(300):
            run.log(f"{thread}.{number % 50}", number)
            run.log("text", f"{thread} {number}")
            run.log_row("row", thread=thread, number=number)
            if number % 100 == 0:
                run.log_batch("batch", [number, number])
                run.complete()

    with ThreadPoolExecutor(6) as pool:
        for logging in [pool.submit(log, thread) for thread in range(6)]:
            logging.result()
    found = run.get_metrics()
    assert len(found["batch"]) == 6 * 3 * 2
    assert sorted(found["text"]) == sorted(f"{t} {n}" for t in range(6) for n in range(300))
    rows = zip(found["row"]["thread"], found["row"]["number"], strict=True)
    assert sorted(rows) == [(t, n) for t in range(6) for n in range(300)]
    for thread in range(6):
        texts = [text for text in found["text"] if text.startswith(f"{thread} ")]
        assert texts == [f"{thread} {number}" for number in range(300)]
        for name in range(50):
            assert found[f"{thread}.{name}"] == [*range(name, 300, 50)]
