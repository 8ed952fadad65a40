"""What it costs to put live segments into tables: CPU, memory, requests, workers, dollars."""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from datetime import UTC, datetime, timedelta
from multiprocessing import get_context
from typing import TYPE_CHECKING

import pyarrow as pa
import pytest

from benchmarks.made_rows import Made, Plan, chunk_of_runs, version_of_run
from benchmarks.make_store import Live, make, put_version, with_state
from benchmarks.sizes import FULL, shown, told
from objrun import Experiment, Workspace, clock
from objrun.format import keys
from objrun.format.checkpoints import Checkpoint, TableFile
from objrun.format.segments import SCHEMA, encode_segment
from objrun.protocol.cover import choose
from objrun.storage import CountingStore, MemoryStore
from objrun.tables.chunks import full_frame
from objrun.tables.compaction import compact, list_live
from objrun.tables.planning import MOST_LEVELS, POINTS, RATIO, Planned, jobs_of, merge_of
from objrun.tables.stats import STORAGE_PRICE, WRITE_PRICE
from objrun.tables.vacuum import vacuum

if TYPE_CHECKING:
    from pathlib import Path

SEGMENTS = 10_000 if FULL else 2_000
WORKERS, MINUTES = (1_000, 60) if FULL else (200, 10)
READ_PRICE = 0.4e-6
"""US dollars for a GET: S3 Standard, us-east-1, list price of 2025."""

Note = Callable[..., None]


@pytest.fixture
def live(tmp_path: Path) -> Path:
    """Return a store of live segments of a thousand points."""
    folder = tmp_path / "store"
    make(Workspace(folder, {"durability": "none"}), Plan("bench", 0, 0), segments=Live(SEGMENTS))
    return folder


def compact_here(folder: str) -> None:
    """Compact, and tell what it cost; the program of a process of its own."""
    store = CountingStore(Workspace(folder, {"durability": "none"}).reading())

    def cpu() -> float:
        used = resource.getrusage(resource.RUSAGE_SELF)
        return used.ru_utime + used.ru_stime

    before = cpu()
    done = compact(store, "bench")
    told = {
        "cpu": cpu() - before,
        "rss": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
        "points": done.points if done else 0,
        "counts": dict(store.counts),
        "bytes": sum(file.size for file in done.checkpoint.files) if done else 0,
    }
    print(json.dumps(told))


def test_compaction(note: Note, live: Path) -> None:
    program = f"from benchmarks.bench_compaction import compact_here; compact_here({str(live)!r})"
    command = [sys.executable, "-c", program]
    process = subprocess.run(command, check=True, capture_output=True, text=True)
    found = json.loads(process.stdout)
    points = found["points"]
    work = f"compaction of {points:,} points in {SEGMENTS:,} segments"
    each = found["bytes"] / points
    rate = points / found["cpu"] / 1e6
    note(work, f"{rate:.2f} M points/s a core", "2 M", f"CPU time; {each:.1f} bytes a point")
    note(f"{work}: memory", f"{found['rss'] / 2**20:.0f} MiB", "1 GiB", "greatest, of the process")
    requests = sum(found["counts"].values()) / SEGMENTS
    runs = SEGMENTS // Live(1).each
    more = f"{shown(found['counts'])}; {runs:,} of them for the runs"
    note(f"{work}: requests a segment", f"{requests:.2f}", "1.1", more)


def test_workers(note: Note, live: Path) -> None:
    """One worker and two, each on what is live in the same store; nothing is committed."""
    store = Workspace(live, {"durability": "none"}).reading()
    taken = {}
    for workers in (1, 2):
        with ProcessPoolExecutor(workers, get_context("spawn")) as pool:
            # Started, and everything imported, before the time counts.
            for _ in pool.map(warm, range(4 * workers)):
                pass
            begun = time.perf_counter()
            compact(store, "bench", executor=pool, workers=workers)
            taken[workers] = time.perf_counter() - begun
        store.delete([keys.checkpoint("bench", 1)])
    ratio = taken[1] / taken[2]
    more = f"{taken[1]:.1f} s and {taken[2]:.1f} s, on two cores"
    note("compaction by 2 processes instead of 1", f"{ratio:.2f}x as fast", "-", more)
    listing = list_live(store, "bench")
    pieces = [
        Planned(piece.segment.run, piece.segment, listing.segments[piece.segment], piece.skip)
        for piece in choose(listing.segments)
    ]
    total = sum(piece.rows for piece in pieces)
    merge = merge_of(None, POINTS, total, all_levels=False)
    jobs = jobs_of("bench", 0, merge, pieces, workers=8)
    loads = [0] * 8
    for job in sorted(jobs, key=lambda job: -sum(piece.rows for piece in job.pieces)):
        loads[loads.index(min(loads))] += sum(piece.rows for piece in job.pieces)
    most = max(loads) * 8 / total
    note(
        "most work of one of 8 workers",
        f"{most:.2f}x an eighth",
        "-",
        f"{len(jobs)} jobs of {total:,} points",
    )


def warm(_number: int) -> float:
    time.sleep(0.2)
    return clock.monotonic()


def test_steady_state(note: Note) -> None:
    """Workers that flush each minute, beside a compaction each minute and a vacuum each ten.

    Minutes are counted, not waited for. A worker logs a point a second, of two metrics by turns;
    its segment grows for five minutes, as a writer's does.
    """
    workspace = Workspace("memory://steady")
    Experiment(workspace, "bench").state()
    inner = MemoryStore("steady")
    began = clock.now() - timedelta(hours=1)
    runs = [f"run-{number:06}" for number in range(WORKERS)]
    for number, run in enumerate(runs, 1):
        version = version_of_run("bench", Made(run, run, None, number, began, 2, 1))
        put_version(inner, with_state(version, status="Running", ended=None, error=None))
    bodies = {length: segment_of(began, 60 * length) for length in range(1, 6)}
    flushing, keeping = CountingStore(inner), CountingStore(inner)
    for minute in range(MINUTES):
        start = minute - minute % 5
        for run in runs:
            key = keys.segment("bench", run, "00ff", 60 * start, 60 * (minute + 1))
            flushing.put_if_absent(key, bodies[minute - start + 1])
            if minute > start:
                flushing.delete([keys.segment("bench", run, "00ff", 60 * start, 60 * minute)])
        compact(keeping, "bench")
        if minute % 10 == 9:
            vacuum(keeping, "bench")
    hours = MINUTES / 60
    size = sum(info.size for info in inner.list("experiments/"))
    for who, store in (("flushes", flushing), ("compaction and vacuum", keeping)):
        hourly = Counter({v: round(count / hours) for v, count in told(store.counts).items()})
        cost = dollars(hourly) * 24
        work = f"{WORKERS:,} workers, flush and compaction each minute: {who}"
        note(work, f"${cost:.2f} a day", "-", f"{shown(hourly)} an hour")
    points = 60 * MINUTES * WORKERS
    monthly = size / hours * 24 * 30 / 1e9 * STORAGE_PRICE
    more = f"{size / points:.1f} bytes a point; a month of it costs ${monthly:.2f} a month to keep"
    note(f"{WORKERS:,} workers: what is stored", f"{size / 1e6 / hours:,.0f} MB an hour", "-", more)


@pytest.mark.parametrize("days", [1, 7, 30])
def test_amplification(note: Note, days: int) -> None:
    """How often a point is written if each minute brings those of 1,000 workers: plans alone."""
    new, minutes = 60 * 1_000, days * 24 * 60
    levels: list[int] = []
    written: Counter[int] = Counter()
    for _ in range(minutes):
        merge = merge_of(checkpoint_of(levels), POINTS, new, all_levels=False)
        levels = [*levels[: merge.level], merge.rows]
        written[merge.level] += merge.rows
    times = [written[level] / (new * minutes) for level in range(MOST_LEVELS)]
    period = f"{days} day" + ("s" if days > 1 else "")
    work = f"{period} of 1,000 workers, compacted each minute: how often a point is written"
    more = f"{', '.join(f'{each:.1f}' for each in times)} by level, the oldest first"
    note(work, f"{sum(times):.1f}", f"{RATIO * MOST_LEVELS}", more)


def checkpoint_of(levels: Sequence[int]) -> Checkpoint:
    """Return a checkpoint of metrics alone, with so many rows a level."""
    files = [
        TableFile(
            name="a",
            kind="metrics",
            level=level,
            rows=rows,
            size=1,
            footer=8,
            crc32=0,
            first="a",
            last="b",
        )
        for level, rows in enumerate(levels)
    ]
    now = datetime(2026, 1, 1, tzinfo=UTC)
    return Checkpoint(number=1, experiment="bench", write_id="", written=now, files=tuple(files))


def segment_of(began: datetime, points: int) -> bytes:
    run = Made("a", "a", None, 1, began, 2, points // 2)
    rows = full_frame(chunk_of_runs([run])).select("name", "step", "time", "value")
    return encode_segment(rows.to_arrow().cast(pa.schema([SCHEMA.field(n) for n in rows.columns])))


def dollars(requests: Counter[str]) -> float:
    """Return what requests cost at S3's list prices; to delete is free."""
    return (requests["PUT"] + requests["LIST"]) * WRITE_PRICE + requests["GET"] * READ_PRICE
