"""Make a synthetic store: `python -m benchmarks.make_store URL --runs 100000 --points 100000000`.

Tables and their checkpoint are written as a compaction would write them, without what it would have
read: of runs in tables only parents have chains, unless `--chains` asks for all. Live runs and
segments are written as workers write them. Memory is bounded: some millions of points at a time.
"""

from __future__ import annotations

import argparse
import os
import time
from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from datetime import timedelta
from multiprocessing import get_context
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import polars as pl
import pyarrow as pa

from benchmarks.made_rows import Made, Plan, batches, chunk_of_runs, version_of_run, writer_of
from objrun import Experiment, Workspace, clock
from objrun.format import keys
from objrun.format.checkpoints import Checkpoint
from objrun.format.documents import encode_number
from objrun.format.segments import SCHEMA, encode_segment
from objrun.format.states import NumberClaim
from objrun.protocol.checkpointing import commit_checkpoint
from objrun.protocol.live import run_scheme
from objrun.tables.chunks import full_frame
from objrun.tables.planning import JOB_ROWS
from objrun.tables.run_rows import stored_frame
from objrun.tables.summing import parts_of
from objrun.tables.writing import Target, write_chunks, write_frames

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from objrun.format.checkpoints import TableFile
    from objrun.format.states import RunState, Version
    from objrun.storage import Store
    from objrun.tables.chunks import Chunk

BATCH: Final = 500_000
"""Points that are made at once."""

RUNS_AT_ONCE: Final = 10_000


def make_tables(store: Store, plan: Plan, runs: Sequence[Made], workers: int = 1) -> None:
    """Write compacted tables of all runs and their points, and the checkpoint that names them."""
    files = write_frames(
        Target(store, plan.experiment, 0, "runs", 0),
        (
            stored_frame(version_of_run(plan.experiment, made) for made in runs[at:][:RUNS_AT_ONCE])
            for at in range(0, len(runs), RUNS_AT_ONCE)
        ),
    )
    jobs = [*batches(runs, JOB_ROWS)] if plan.points else []
    # Not forked: threads of polars would not be there.
    with ProcessPoolExecutor(workers, get_context("spawn")) as pool:
        for made in pool.map(_points, *zip(*((store, plan, job) for job in jobs), strict=True)):
            files += made
    order = {"runs": 0, "summary": 1, "metrics": 2, "coverage": 3}
    checkpoint = Checkpoint(
        number=1,
        experiment=plan.experiment,
        write_id=clock.random_hex(16),
        written=clock.now(),
        orphan_floor=1,
        files=tuple(sorted(files, key=lambda file: (order[file.kind], file.first))),
    )
    commit_checkpoint(store, checkpoint)


def _points(store: Store, plan: Plan, runs: Sequence[Made]) -> list[TableFile]:
    """Write the points of some runs, what they come to, and the coverage of their writers."""
    parts: list[pl.DataFrame] = []

    def chunks() -> Iterator[Chunk]:
        for batch in batches(runs, BATCH):
            chunk = chunk_of_runs(batch, plan.seed)
            parts.append(parts_of(chunk))
            yield chunk

    def target(kind: str) -> Target:
        return Target(store, plan.experiment, 0, kind, 0)

    logging = [made for made in runs if made.rows]
    coverage = pl.DataFrame(
        {
            "root_run_id": [made.root for made in logging],
            "run_id": [made.run for made in logging],
            "writer": [writer_of(made.run) for made in logging],
            "stop": [made.rows for made in logging],
        }
    )
    return [
        *write_chunks(target("metrics"), chunks()),
        *write_frames(target("summary"), parts),
        *write_frames(target("coverage"), [coverage]),
    ]


def make_chains(store: Store, plan: Plan, runs: Iterable[Made]) -> None:
    """Write the chain of every run, one version long, and the claim of its number."""
    for made in runs:
        put_version(store, version_of_run(plan.experiment, made), marked=False)
        put_claim(store, plan.experiment, made.number, made.run)


def make_live(store: Store, plan: Plan, runs: Iterable[Made]) -> None:
    """Let runs in the tables get another version: a marker and a state each."""
    for made in runs:
        version = version_of_run(plan.experiment, made, 2)
        put_version(store, with_state(version, description="looked at again"))


def make_segments(store: Store, plan: Plan, live: Live) -> None:
    """Write live segments, each of two metrics, of new runs that are still running."""
    for place in range(-(-live.segments // live.each)):
        run = clock.new_id()
        count = min(live.each, live.segments - place * live.each)
        began = plan.now - timedelta(minutes=30)
        made = Made(run, run, None, plan.runs + 1 + place, began, 2, count * live.points // 2)
        version = version_of_run(plan.experiment, made)
        put_version(store, with_state(version, status="Running", ended=None, error=None))
        put_claim(store, plan.experiment, made.number, run)
        # A loop logs its metrics by turns, and a segment has them one after the other.
        rows = full_frame(chunk_of_runs([made])).sort("step", "name")
        for start in range(0, rows.height, live.points):
            part = rows[start : start + live.points].sort("name", maintain_order=True)
            stop = start + part.height
            key = keys.segment(plan.experiment, run, writer_of(run), start, stop)
            store.put_if_absent(key, encode_segment(part.select(_LOGGED.names).to_arrow()))


_LOGGED: Final = pa.schema([SCHEMA.field(name) for name in ("name", "step", "time", "value")])


class Live(NamedTuple):
    """Segments to write: how many, of how many points, and how many of them a run has."""

    segments: int
    points: int = 1_000
    each: int = 10


def with_state(version: Version[RunState], **fields: Any) -> Version[RunState]:
    """Return a version whose state has other fields."""
    if version.state is None:
        raise AssertionError
    return replace(version, state=replace(version.state, **fields))


def put_version(store: Store, version: Version[RunState], *, marked: bool = True) -> None:
    """Write one version of a run, announced by its marker unless that was vacuumed."""
    if version.state is None:
        raise AssertionError
    scheme = run_scheme(version.state.experiment, version.state.run_id)
    if marked and scheme.marker is not None:
        store.put(scheme.marker(version.version), b"")
    store.put_if_absent(scheme.key(version.version), scheme.encode(version))


def put_claim(store: Store, experiment: str, number: int, run: str) -> None:
    """Claim a number for a run."""
    claim = NumberClaim(number=number, run_id=run, write_id=clock.random_hex(16))
    store.put_if_absent(keys.number(experiment, number), encode_number(claim))


def make(
    workspace: Workspace,
    plan: Plan,
    *,
    live: int = 0,
    segments: Live | None = None,
    chains: bool = False,
    workers: int = 1,
) -> list[Made]:
    """Write a whole experiment into a store, which is made if need be, and return its runs."""
    store = workspace.writing()
    Experiment(workspace, plan.experiment).state()
    runs = plan.all_runs()
    if runs:
        make_tables(store, plan, runs, workers)
        changed = runs[:: max(len(runs) // live, 1)][:live] if live else []
        parents = {made.parent for made in runs}
        make_chains(store, plan, (made for made in runs if chains or made.run in parents))
        if not chains:
            # What follows counts on from the last claim of the first bucket and of the last one.
            by_number = {made.number: made for made in runs}
            claimed = {made.number for made in runs if made.run in parents}
            for number in {min(keys.BUCKET_SIZE - 1, plan.runs), plan.runs} - claimed:
                put_claim(store, plan.experiment, number, by_number[number].run)
        make_live(store, plan, changed)
    if segments:
        make_segments(store, plan, segments)
    return runs


def local_options(url: str) -> dict[str, str]:
    """Return storage options for a store that may be made again: no fsync in a folder."""
    return {} if "://" in url else {"durability": "none"}


def main() -> None:
    """Make the store that the command line describes, and say whom to ask about."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("url", help="where; a folder or any URL, without such an experiment yet")
    parser.add_argument("--experiment", default="bench")
    parser.add_argument("--runs", type=int, default=10_000, help="in tables")
    parser.add_argument("--points", type=int, default=1_000_000, help="in tables")
    parser.add_argument("--children", type=int, default=1_000, help="of the one large parent")
    parser.add_argument("--live", type=int, default=0, help="runs that changed since")
    parser.add_argument("--segments", type=int, default=0, help="live ones, of new runs")
    parser.add_argument("--segment-points", type=int, default=1_000)
    parser.add_argument("--chains", action="store_true", help="of every run: small files")
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1)
    given = parser.parse_args()
    plan = Plan(given.experiment, given.runs, given.points, given.children, now=clock.now())
    begun = time.perf_counter()
    runs = make(
        Workspace(given.url, local_options(given.url)),
        plan,
        live=given.live,
        segments=Live(given.segments, given.segment_points) if given.segments else None,
        chains=given.chains,
        workers=given.workers,
    )
    rows = sum(made.rows for made in runs)
    print(f"{len(runs):,} runs, {rows:,} points in {time.perf_counter() - begun:.0f} s")
    parents = Counter(made.parent for made in runs if made.parent)
    for parent, count in parents.most_common(2):
        print(f"{parent} has {count} children")


if __name__ == "__main__":
    main()
