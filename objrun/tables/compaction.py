"""Compact an experiment: what is live becomes tables, and a checkpoint says so. SPEC section 11.

Any number of processes may do this at once, beside writers and readers, and die at any moment: what
is not in the greatest checkpoint does not count, and nothing live is removed here.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Final, NamedTuple

import polars as pl

from objrun.errors import FormatError, NotFoundError, UnavailableError
from objrun.format import keys
from objrun.protocol.checkpointing import commit_checkpoint, latest_checkpoint, next_checkpoint
from objrun.protocol.cover import choose
from objrun.protocol.live import Marked, last_markers, list_logged, read_changed
from objrun.protocol.settle import insist
from objrun.tables.cuts import deeper, least, rows_of_writers
from objrun.tables.cutting import recounted, write_cuts
from objrun.tables.folding import StaleError, run_job
from objrun.tables.merging import merge_frames
from objrun.tables.planning import POINTS, Planned, jobs_of, merge_of
from objrun.tables.reading import Rows, TableReader
from objrun.tables.run_rows import stored_frame
from objrun.tables.strays import held
from objrun.tables.writing import FILE_BYTES, Target, write_frames

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
    from concurrent.futures import Executor, Future

    from objrun.format.checkpoints import Checkpoint, TableFile
    from objrun.format.keys import SegmentKey
    from objrun.format.states import RunState, Version
    from objrun.storage import Store
    from objrun.tables.folding import Done
    from objrun.tables.planning import Job, Merge

TRIES: Final = 10
"""Times a compaction begins again because another one was quicker."""


@dataclass(frozen=True)
class Compacted:
    """What a compaction did: its checkpoint, and how much it put into tables.

    `damaged` are objects that could not be read; they stay as they are. Where nothing else is new,
    the checkpoint is that which was there.
    """

    checkpoint: Checkpoint
    runs: int
    points: int
    segments: int
    damaged: tuple[FormatError, ...]


class Listing(NamedTuple):
    """What is live: the greatest marked version by run, the keys of segments, and cuts."""

    markers: dict[str, int]
    segments: dict[SegmentKey, str]
    cuts: dict[tuple[str, str], int]


class Known(NamedTuple):
    """What the tables have of runs that are live: root and version by run, stop by writer."""

    roots: dict[str, str]
    versions: dict[str, int]
    coverage: dict[tuple[str, str], int]


def compact(
    store: Store,
    experiment: str,
    *,
    executor: Executor | None = None,
    workers: int = 1,
    whole: bool = False,
    progress: Callable[[int, int], None] = lambda _done, _all: None,
) -> Compacted | None:
    """Put what is live of an experiment into tables and commit a checkpoint; None if nothing is.

    `executor`: where jobs run, `workers` of them at once; the store must be picklable for other
    processes. `whole`: merge all levels into one. `progress` is told the points done and in all.

    Raises UnavailableError where others were quicker TRIES times.
    """

    def begin() -> _Attempt:
        listing = list_live(store, experiment)
        return _Attempt(store, experiment, listing, latest_checkpoint(store, experiment))

    return _committed(
        experiment, begin, lambda attempt: attempt.make(executor, workers, progress, whole=whole)
    )


def drop_runs(store: Store, experiment: str, runs: Collection[str]) -> None:
    """Commit a checkpoint without the rows of some runs, also where no table has any.

    Whoever compacts by an older one loses. What is live stays live.

    Raises UnavailableError where others were quicker TRIES times.
    """

    def begin() -> _Attempt:
        return _Attempt(
            store, experiment, Listing({}, {}, {}), latest_checkpoint(store, experiment)
        )

    _committed(experiment, begin, lambda attempt: attempt.without(frozenset(runs)))


def _committed(
    experiment: str, begin: Callable[[], _Attempt], make: Callable[[_Attempt], Compacted | None]
) -> Compacted | None:
    """Return what an attempt has made, once its checkpoint is committed or nothing is new."""
    for _ in range(TRIES):
        attempt = begin()
        try:
            made = make(attempt)
        except (StaleError, NotFoundError):
            continue
        if made is None or made.checkpoint is attempt.checkpoint:
            return made
        if commit_checkpoint(attempt.store, made.checkpoint):
            return made
    message = f"others compact {experiment!r} faster than this process: try again"
    raise UnavailableError(message)


def list_live(store: Store, experiment: str) -> Listing:
    """Return what is live of an experiment, by two LISTs.

    Segments come first, so that the marker of each one's run is listed or folded already.
    """
    logged = list_logged(store, experiment)
    return Listing(last_markers(store, experiment), *logged)


def known_of(store: Store, checkpoint: Checkpoint | None, listing: Listing) -> Known:
    """Return what the tables have of the runs in a listing."""
    known = Known({}, {}, {})
    wanted = {*listing.markers, *(segment.run for segment in listing.segments)}
    wanted |= {run for run, _ in listing.cuts}
    if checkpoint is None or not wanted:
        return known
    for frame in _frames(store, checkpoint, "runs", ("root_run_id", "run_id", "version")):
        for root, run, version in frame.filter(pl.col("run_id").is_in([*wanted])).iter_rows():
            known.roots[run] = root
            known.versions[run] = max(version, known.versions.get(run, 0))
    if listing.segments:
        for frame in _frames(store, checkpoint, "coverage", ("run_id", "writer", "stop")):
            for run, writer, stop in frame.filter(pl.col("run_id").is_in([*wanted])).iter_rows():
                known.coverage[run, writer] = max(stop, known.coverage.get((run, writer), 0))
    return known


def _frames(
    store: Store, checkpoint: Checkpoint, kind: str, columns: tuple[str, ...]
) -> Iterator[pl.DataFrame]:
    for file in checkpoint.of_kind(kind):
        yield from TableReader(store, checkpoint.experiment, file).frames(Rows(), columns)


@dataclass(frozen=True)
class _Attempt:
    """One try to compact, from one listing and the checkpoint that was read after it."""

    store: Store
    experiment: str
    listing: Listing
    checkpoint: Checkpoint | None

    @property
    def base(self) -> int:
        return self.checkpoint.number if self.checkpoint else 0

    def make(
        self,
        executor: Executor | None,
        workers: int,
        progress: Callable[[int, int], None],
        *,
        whole: bool,
    ) -> Compacted | None:
        """Write all tables and return the checkpoint to commit; None if nothing changes."""
        known = known_of(self.store, self.checkpoint, self.listing)
        changed, gone, damaged = self._changed(known)
        drop = frozenset(gone & known.versions.keys())
        roots = known.roots | {v.state.run_id: v.state.root_run_id for v in changed if v.state}
        pieces = self._pieces(known, roots, drop)
        work = partial(_carried_out, self.store, executor=executor, progress=progress)
        files, done = self._written(changed, pieces, drop, work, workers, whole=whole)
        damaged += [error for one in done for error in one.damaged]
        old = self.checkpoint.files if self.checkpoint else ()
        files = self._with_cuts(files, roots, pieces if files != old else [], drop)
        changes = files != old
        if not changes and not damaged:
            return None
        return Compacted(
            checkpoint=next_checkpoint(self.experiment, self.checkpoint, files)
            if changes or not self.checkpoint
            else self.checkpoint,
            runs=len(changed),
            points=sum(one.points for one in done),
            segments=sum(one.segments for one in done),
            damaged=tuple(damaged),
        )

    def without(self, runs: frozenset[str]) -> Compacted:
        """Write the tables anew that have rows of some runs; return the checkpoint to commit."""
        old, work = self.checkpoint, partial(_carried_out, self.store)
        named = held(self.store, old, runs, "runs") if old else frozenset()
        if old and named and len(named) == sum(file.rows for file in old.of_kind("runs")):
            # No other run has a row, so nothing need be read.
            return Compacted(next_checkpoint(self.experiment, old, ()), 0, 0, 0, ())
        drop = named | held(self.store, old, runs, "coverage") if old else named
        files, _ = self._written([], [], drop, work, 1, whole=False)
        files = self._with_cuts(files, {}, [], drop)
        return Compacted(next_checkpoint(self.experiment, old, files), 0, 0, 0, ())

    def _written(
        self,
        changed: list[Version[RunState]],
        pieces: list[Planned],
        drop: frozenset[str],
        work: Callable[[list[Job]], Iterator[Done]],
        workers: int,
        *,
        whole: bool,
    ) -> tuple[tuple[TableFile, ...], list[Done]]:
        """Write what is new, and all tables anew without the rows of `drop`; return all files."""
        everything = whole or bool(drop)
        files = self.checkpoint.files if self.checkpoint else ()
        done: list[Done] = []
        if changed or everything:
            files = self._with_runs(files, changed, drop, everything=everything)
        if pieces or everything:
            rows = sum(piece.rows for piece in pieces)
            merge = merge_of(self.checkpoint, POINTS, rows, all_levels=everything)
            jobs = jobs_of(self.experiment, self.base, merge, pieces, workers=workers, without=drop)
            done = [*work(jobs)]
            files = self._with_points(files, merge, done, everything=everything)
        return files, done

    def _with_points(
        self, files: tuple[TableFile, ...], merge: Merge, done: list[Done], *, everything: bool
    ) -> tuple[TableFile, ...]:
        new = [file for one in done for file in one.files]
        if not everything and not any(one.points for one in done):
            # All that is new is damaged: what was merged stays as it is, every time anew.
            folder = keys.tables(self.experiment)
            insist(lambda: self.store.delete(folder + file.name for file in new))
            return files
        return (
            *(file for file in files if file not in merge.files),
            *(file for file in new if file.kind == "metrics"),
            *self._gathered(new, "summary"),
            *self._gathered(new, "coverage"),
        )

    def _changed(self, known: Known) -> tuple[list[Version[RunState]], set[str], list[FormatError]]:
        """Return the runs that changed, the ids of those that were purged, and what is damaged."""
        asked = [
            Marked(self.experiment, run, known.versions.get(run, 0), marked)
            for run, marked in self.listing.markers.items()
            if marked > known.versions.get(run, 0)
        ]
        read = read_changed(self.store, asked)
        gone = {one.run for one in read.purged}
        return [*read.versions.values()], gone, [*read.damaged.values()]

    def _pieces(
        self, known: Known, roots: Mapping[str, str], drop: frozenset[str]
    ) -> list[Planned]:
        """Return the rows of segments that the tables lack, of runs that could be read."""
        segments = self.listing.segments
        ours = (s for s in segments if s.run in roots and s.run not in drop)
        return [
            Planned(roots[piece.segment.run], piece.segment, segments[piece.segment], piece.skip)
            for piece in choose(ours, known.coverage)
        ]

    def _with_cuts(
        self,
        files: tuple[TableFile, ...],
        roots: Mapping[str, str],
        pieces: list[Planned],
        drop: frozenset[str],
    ) -> tuple[TableFile, ...]:
        """Add the live cuts of runs in `roots`; sum up anew what new rows or cuts make wrong."""
        store, name = self.store, self.experiment
        old = [*rows_of_writers(store, self.checkpoint, "cuts", Rows())]
        known = least(*({(run, writer): step} for _, run, writer, step in old))
        live = {w: s for w, s in self.listing.cuts.items() if w[0] in roots and w[0] not in drop}
        new = deeper(live, known)
        kept = [row for row in old if row[1] not in drop]
        if new or kept != old:
            kept += [(roots[run], run, writer, step) for (run, writer), step in new.items()]
            made = write_cuts(store, name, self.base, kept)
            files = (*(file for file in files if file.kind != "cuts"), *made)
        cuts = least(known, new)
        wrong = {p.segment.run for p in pieces if (p.segment.run, p.segment.writer) in cuts}
        wrong |= {run for run, _ in new}
        target = Target(store, name, self.base, "summary", 0)
        return recounted(target, files, wrong, cuts) if wrong else files

    def _with_runs(
        self,
        files: tuple[TableFile, ...],
        changed: list[Version[RunState]],
        drop: frozenset[str],
        *,
        everything: bool,
    ) -> tuple[TableFile, ...]:
        merge = merge_of(self.checkpoint, ("runs",), len(changed), all_levels=everything)
        rows = Rows(without=drop)
        tables = [
            TableReader(self.store, self.experiment, file).frames(rows) for file in merge.files
        ]
        new = stored_frame(changed).sort("root_run_id", "run_id")
        target = Target(self.store, self.experiment, self.base, "runs", merge.level)
        made = write_frames(target, merge_frames([*tables, [new]], newest))
        merged = {file.name for file in merge.files}
        return (*(file for file in files if file.name not in merged), *made)

    def _gathered(self, new: Sequence[TableFile], kind: str) -> list[TableFile]:
        """Return what the jobs wrote of a small table, as one file: it is read as a whole."""
        files = [file for file in new if file.kind == kind]
        if len(files) < 2 or sum(file.size for file in files) > FILE_BYTES:
            return files
        readers = [TableReader(self.store, self.experiment, file) for file in files]
        target = Target(self.store, self.experiment, self.base, kind, files[0].level)
        made = write_frames(target, (frame for r in readers for frame in r.frames(Rows())))
        # Nobody else knows of them yet.
        insist(lambda: self.store.delete(reader.key for reader in readers))
        return made


def newest(rows: pl.DataFrame) -> pl.DataFrame:
    """Return of each run the row of its greatest version, sorted as the table is."""
    ordered = rows.sort("root_run_id", "run_id", "version")
    return ordered.unique(("root_run_id", "run_id"), keep="last", maintain_order=True)


def _carried_out(
    store: Store,
    jobs: list[Job],
    *,
    executor: Executor | None = None,
    progress: Callable[[int, int], None] = lambda _done, _all: None,
) -> Iterator[Done]:
    total = sum(piece.rows for job in jobs for piece in job.pieces)
    finished = 0
    progress(0, total)
    futures: list[Future[Done]] = (
        [executor.submit(run_job, store, j) for j in jobs] if executor else []
    )
    for place, job in enumerate(jobs):
        done = futures[place].result() if futures else run_job(store, job)
        finished += sum(piece.rows for piece in job.pieces)
        progress(finished, total)
        yield done
