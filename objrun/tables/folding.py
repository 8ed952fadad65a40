"""Do one job of a compaction: read segments, merge them with tables, write the new tables.

Memory is bounded whatever the size: a chunk of CHUNK_ROWS points, a batch of row groups of each
table merged, one file that is written. A run of more points than a chunk goes through temporary
files on this machine's disk.
"""

from __future__ import annotations

import tempfile
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Final

import polars as pl

from objrun.errors import CorruptObjectError, NotFoundError, ObjrunError
from objrun.format import keys
from objrun.format.tables import COVERAGE
from objrun.protocol.cover import choose
from objrun.protocol.live import Shard, list_logged
from objrun.protocol.settle import insist
from objrun.storage import LocalStore, together
from objrun.tables.chunks import Source, chunk_of_segments, decoded
from objrun.tables.merging import merge_chunks, merge_frames
from objrun.tables.reading import Rows, TableReader
from objrun.tables.summing import joined, parts_of
from objrun.tables.writing import Target, write_chunks, write_frames

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from objrun.format.checkpoints import TableFile
    from objrun.format.keys import SegmentKey
    from objrun.storage import Store
    from objrun.tables.chunks import Chunk
    from objrun.tables.planning import Job, Planned

CHUNK_ROWS: Final = 500_000
"""Points that are put in order at once."""

CHUNK_BYTES: Final = 2**26
"""Bytes of segments that are put in order at once, whatever their points."""

HELD_PARTS: Final = 500_000
"""Rows of a summary that are held before they go to the disk."""


class StaleError(ObjrunError):
    """Another compaction has taken what this one planned to read: start again."""


@dataclass
class Done:
    """What a job wrote and read: new files, points added, and the segments that are damaged."""

    files: list[TableFile] = field(default_factory=list)
    points: int = 0
    segments: int = 0
    damaged: list[CorruptObjectError] = field(default_factory=list)


def run_job(store: Store, job: Job) -> Done:
    """Write the files of a job and return them; raises StaleError where what it reads is gone."""
    done = Done()
    with ExitStack() as stack:
        fold = _Fold(store, job, done, stack)
        try:
            done.files += write_chunks(
                _target(store, job, "metrics"),
                merge_chunks([*_tables(store, job, "metrics"), fold.chunks()]),
            )
            summary = merge_frames([*_frames(store, job, "summary"), *fold.parts()], joined)
            done.files += write_frames(_target(store, job, "summary"), summary)
            coverage = merge_frames(
                [*_frames(store, job, "coverage"), [fold.coverage()]], _greatest
            )
            done.files += write_frames(_target(store, job, "coverage"), coverage)
        except NotFoundError as error:
            raise StaleError(error.message) from None
    return done


def _target(store: Store, job: Job, kind: str) -> Target:
    return Target(store, job.experiment, job.base, kind, job.level)


def _readers(store: Store, job: Job, kind: str) -> list[list[TableReader]]:
    """Return readers of the files to merge, level by level, the oldest first."""
    files = [file for file in job.files if file.kind == kind]
    levels = sorted({file.level for file in files})
    return [
        [TableReader(store, job.experiment, file) for file in files if file.level == level]
        for level in levels
    ]


def _tables(store: Store, job: Job, kind: str) -> list[Iterator[Chunk]]:
    readers = _readers(store, job, kind)
    return [(chunk for r in level for chunk in r.chunks(job.rows)) for level in readers]


def _frames(store: Store, job: Job, kind: str) -> list[Iterator[pl.DataFrame]]:
    readers = _readers(store, job, kind)
    return [(frame for r in level for frame in r.frames(job.rows)) for level in readers]


def _greatest(coverage: pl.DataFrame) -> pl.DataFrame:
    key = ("root_run_id", "run_id", "writer")
    return coverage.group_by(key).agg(pl.col("stop").max()).sort(key)


class _Fold:
    """The points of a job's segments as sorted chunks, and what they come to."""

    def __init__(self, store: Store, job: Job, done: Done, stack: ExitStack) -> None:
        self._store = store
        self._job = job
        self._done = done
        self._stack = stack
        self._spool: LocalStore | None = None
        self._held: list[pl.DataFrame] = []
        self._spooled: list[TableFile] = []
        self._stops: dict[tuple[str, str, str], int] = {}
        self._lost: dict[tuple[str, str], int] = {}

    def chunks(self) -> Iterator[Chunk]:
        """Yield the points in order of the table."""
        files: list[TableFile] = []
        for sources, goes_on in batches(self._sources()):
            chunk = self._chunk(sources)
            if not goes_on and not files:
                yield chunk
                continue
            # A run longer than a chunk: its chunks overlap, each has all of its metrics.
            files += write_chunks(Target(self._disk(), "spool", 0, "metrics", 0), [chunk])
            if not goes_on:
                readers = [TableReader(self._disk(), "spool", file) for file in files]
                yield from merge_chunks([reader.chunks(Rows(), batch=1) for reader in readers])
                self._disk().delete(reader.key for reader in readers)
                files = []

    def _chunk(self, sources: list[Source]) -> Chunk:
        found = decoded(sources, self._damage)
        if self._lost:
            # What counts of a writer has no gap: nothing behind what is damaged.
            found = [one for one in found if not self._is_behind(one.source)]
        for source, _ in found:
            _, run, writer, _, stop = source.shard.segment
            self._stops[source.root, run, writer] = stop
        chunk = chunk_of_segments(found)
        self._done.points += len(chunk)
        self._done.segments += len(found)
        self._held.append(parts_of(chunk))
        if sum(frame.height for frame in self._held) > HELD_PARTS:
            target = Target(self._disk(), "spool", 0, "summary", 0)
            self._spooled += write_frames(target, [joined(pl.concat(self._held))])
            self._held = []
        return chunk

    def parts(self) -> list[Iterable[pl.DataFrame]]:
        """Return what the chunks come to, sorted, once all of them were asked for."""
        held = [[joined(pl.concat(self._held))]] if self._held else []
        readers = [TableReader(self._disk(), "spool", file) for file in self._spooled]
        return [*(reader.frames(Rows()) for reader in readers), *held]

    def coverage(self) -> pl.DataFrame:
        """Return up to which offset each writer was read, once all chunks were asked for."""
        rows = [(*whose, stop) for whose, stop in self._stops.items()]
        frame = pl.DataFrame(rows, schema=pl.DataFrame(COVERAGE.empty_table()).schema, orient="row")
        return frame.sort("root_run_id", "run_id", "writer")

    def _damage(self, error: CorruptObjectError) -> None:
        segment = keys.parse_segment(error.key)
        if segment is not None:
            self._lose(segment)
        self._done.damaged.append(error)

    def _lose(self, segment: SegmentKey) -> None:
        writer = segment.run, segment.writer
        self._lost[writer] = min(segment.start, self._lost.get(writer, segment.start))

    def _is_behind(self, source: Source) -> bool:
        segment = source.shard.segment
        lost = self._lost.get((segment.run, segment.writer))
        return lost is not None and segment.start >= lost

    def _disk(self) -> LocalStore:
        if self._spool is None:
            folder = self._stack.enter_context(tempfile.TemporaryDirectory(prefix="objrun-"))
            self._spool = LocalStore(folder, durable=False)
        return self._spool

    def _sources(self) -> Iterator[Source]:
        """Yield the segments, fetched many at once; of a writer that goes on, the longer ones."""
        pieces = self._job.pieces
        found = together(self._store, lambda piece: _fetched(self._store, piece.key), pieces)
        reached: dict[tuple[str, str], int] = {}
        for piece, read in zip(pieces, found, strict=True):
            segment = piece.segment
            writer = segment.run, segment.writer
            position = reached.get(writer, segment.start + piece.skip)
            if writer in self._lost or segment.stop <= position:
                read()
                continue
            data = read()
            skip = position - segment.start
            if data is None or skip < 0:
                now = self._again(piece, position)
            else:
                now = Source(piece.root, Shard(piece.key, segment, skip, data))
            if now is None:
                # Not to be read just now: what follows of its writer would leave a gap.
                self._lose(segment)
                continue
            reached[writer] = now.shard.segment.stop
            yield now

    def _again(self, piece: Planned, position: int) -> Source | None:
        """Return the segment that has superseded one which its writer has removed meanwhile."""
        _, run, writer, _, _ = piece.segment
        listed = list_logged(self._store, self._job.experiment, run).segments
        segments = {s: key for s, key in listed.items() if s.writer == writer}
        chosen = choose(segments, {(run, writer): position})
        if not chosen:
            message = f"{piece.key} was compacted by somebody else"
            raise StaleError(message)
        key = segments[chosen[0].segment]
        data = _fetched(self._store, key)
        return None if data is None else Source(piece.root, Shard(key, *chosen[0], data))


def batches(sources: Iterable[Source]) -> Iterator[tuple[list[Source], bool]]:
    """Yield sources in lists of about a chunk, and whether the run of the last one goes on.

    Where a run does not fit in any more, it begins the next list, if that spares its being cut.
    """
    batch: list[Source] = []
    begun = rows = size = 0
    for source in sources:
        is_next = bool(batch) and batch[-1].shard.segment.run != source.shard.segment.run
        while rows >= CHUNK_ROWS or size >= CHUNK_BYTES:
            kept = [] if is_next or not begun else batch[begun:]
            yield batch[: len(batch) - len(kept)], not (is_next or kept)
            batch, begun = kept, 0
            rows, size = sum(map(_rows, kept)), sum(len(each.shard.data) for each in kept)
        if is_next:
            begun = len(batch)
        batch.append(source)
        rows += _rows(source)
        size += len(source.shard.data)
    if batch:
        yield batch, False


def _rows(source: Source) -> int:
    segment = source.shard.segment
    return segment.stop - segment.start


def _fetched(store: Store, key: str) -> bytes | None:
    try:
        return insist(partial(store.get, key))
    except NotFoundError:
        return None
