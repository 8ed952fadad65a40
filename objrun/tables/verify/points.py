"""The points of an experiment, made anew of segments and of what can be read of tables.

Memory holds a batch of runs, at least all points of one run.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Final

import polars as pl
import pyarrow as pa

from objrun.errors import CorruptObjectError, NotFoundError, UnavailableError
from objrun.format.segments import decode_segment
from objrun.format.tables import COVERAGE, KEYS, METRICS
from objrun.protocol.live import RESTARTS, Shard, list_logged
from objrun.protocol.settle import insist
from objrun.storage import together
from objrun.tables.chunks import BLOCK, Decoded, Source, chunk_of_segments, full_frame
from objrun.tables.cuts import counting
from objrun.tables.merging import merge_frames
from objrun.tables.reading import Rows, TableReader, chunk_of_table
from objrun.tables.summing import joined, parts_of
from objrun.tables.verify.salvage import old_tables, salvaged
from objrun.tables.writing import Target, write_chunks, write_frames

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Mapping, Sequence

    from objrun.format.checkpoints import TableFile
    from objrun.format.keys import SegmentKey
    from objrun.storage import Store
    from objrun.tables.chunks import Chunk
    from objrun.tables.cuts import Cuts
    from objrun.tables.verify.salvage import OldTable

BATCH_ROWS: Final = 250_000
"""Points that are put in order at once, if they are not all of one run."""

LIVE, SOUND, DOUBTED = range(3)
"""Where a point was read, the most trusted first: segments, tables, tables in doubt."""

Writer = tuple[str, str]


@dataclass
class Points:
    """The points of the runs in `roots`, and of others that sound tables have and nobody purged.

    `lost` counts points that are covered and were found nowhere, once they were written.
    """

    store: Store
    experiment: str
    segments: Mapping[SegmentKey, str]
    roots: Mapping[str, str]
    purged: Collection[str]
    is_doubted: Callable[[str], bool]
    cuts: Cuts
    lost: int = 0
    _stops: dict[tuple[str, str, str], int] = field(default_factory=dict)

    def write(self, base: int) -> list[TableFile]:
        """Write the tables of points and return their files."""

        def target(kind: str) -> Target:
            return Target(self.store, self.experiment, base, kind, 0)

        metrics = write_chunks(target("metrics"), self._chunks())
        parts = (
            parts_of(counting(chunk, self.cuts))
            for file in metrics
            for chunk in TableReader(self.store, self.experiment, file).chunks(Rows())
        )
        summary = write_frames(target("summary"), merge_frames([parts], joined))
        stops = [(*writer, stop) for writer, stop in sorted(self._stops.items()) if stop]
        schema = pl.DataFrame(COVERAGE.empty_table()).schema
        covered = pl.DataFrame(stops, schema=schema, orient="row")
        return [
            *summary,
            *metrics,
            *write_frames(target("coverage"), [covered] if stops else []),
        ]

    def _chunks(self) -> Iterator[Chunk]:
        """Yield all points in order of the table, run by run, and note how far they go."""
        tables = old_tables(self.store, self.experiment, "metrics", self.is_doubted)
        covered = self._covered()
        roots = {run: root for (run, _), (root, _) in covered.items()}
        held, rows = self._held(tables, {*roots, *self.roots})
        roots |= {run: first for run, [first, *_] in held.items()} | {**self.roots}
        live: dict[str, dict[SegmentKey, str]] = {}
        for segment, key in self.segments.items():
            if segment.run in self.roots:
                live.setdefault(segment.run, {})[segment] = key
                size = segment.stop - segment.start
                rows[segment.run] = rows.get(segment.run, 0) + size
        ordered = sorted((root, run) for run, root in roots.items() if run not in self.purged)
        for batch in _batches([run for _, run in ordered], rows):
            found = self._live({run: live[run] for run in batch if run in live})
            frames = [_empty(), *found, *_old(tables, batch, held)]
            chunk = _chunk(self._cut(frames, batch, roots, covered), roots)
            if len(chunk):
                yield chunk

    def _held(
        self, tables: Sequence[OldTable], known: Collection[str]
    ) -> tuple[dict[str, list[str]], dict[str, int]]:
        """Return, by run, its roots in tables, and how many rows these have of it."""
        roots: dict[str, list[str]] = {}
        rows: dict[str, int] = {}
        for table in tables:
            for frame in table.salvaged(Rows(), ["root_run_id", "run_id"]):
                for root, run, count in frame.group_by("root_run_id", "run_id").len().iter_rows():
                    if run in known or not table.doubted:
                        roots[run] = [*dict.fromkeys([*roots.get(run, []), root])]
                        rows[run] = rows.get(run, 0) + count
        return roots, rows

    def _covered(self) -> dict[Writer, tuple[str, int]]:
        """Return root and stop of each writer as far as sound tables tell."""
        tables = old_tables(self.store, self.experiment, "coverage", self.is_doubted)
        found: dict[Writer, tuple[str, int]] = {}
        sound = [table for table in tables if not table.doubted]
        for frame in salvaged(sound, Rows(), COVERAGE.names):
            for root, run, writer, stop in frame.iter_rows():
                found[run, writer] = root, max(stop, found.get((run, writer), ("", 0))[1])
        return found

    def _live(self, listed: Mapping[str, Mapping[SegmentKey, str]]) -> Iterator[pl.DataFrame]:
        """Yield the rows of all segments of some runs; a damaged one is left out."""
        answers = together(self.store, self._shards, listed.items())
        for shard in (shard for read in answers for shard in read()):
            source = Source(self.roots[shard.segment.run], shard)
            with suppress(CorruptObjectError):
                rows = Decoded(source, decode_segment(shard.key, shard.data))
                frame = full_frame(chunk_of_segments([rows]))
                yield _lean(frame, LIVE)

    def _shards(self, listed: tuple[str, Mapping[SegmentKey, str]]) -> list[Shard]:
        """Return all segments of a run; listed again where one was superseded meanwhile."""
        run, segments = listed
        for _ in range(RESTARTS):
            try:
                return [
                    Shard(key, segment, 0, insist(partial(self.store.get, key)))
                    for segment, key in sorted(segments.items())
                ]
            except NotFoundError:
                segments = list_logged(self.store, self.experiment, run).segments
        message = f"the segments of run {run} change faster than they can be read: try again"
        raise UnavailableError(message)

    def _cut(
        self,
        frames: list[pl.DataFrame],
        batch: Collection[str],
        roots: Mapping[str, str],
        covered: Mapping[Writer, tuple[str, int]],
    ) -> pl.DataFrame:
        """Return the rows that count: those covered before, and what follows them without a gap.

        `frames` is emptied, for each copy of the rows takes memory.
        """
        kept = [frames[0].clear()]
        parts = _by_writer(frames)
        runs = {*batch}
        for run, writer in sorted({*parts, *(each for each in covered if each[0] in runs)}):
            part = parts.get((run, writer), kept[0])
            stop = covered[run, writer][1] if (run, writer) in covered else 0
            # A doubted table may tell of any offset.
            if part["origin"].eq(DOUBTED).any():
                part = part.filter((pl.col("origin") < DOUBTED) | (pl.col("offset") < stop))
            offsets = part["offset"]
            in_tables = offsets.filter(part["origin"] == SOUND)
            stop = max(stop, *in_tables[-1:] + 1, 0)
            further = offsets[int(offsets.search_sorted(stop)) :]
            follows = further == pl.int_range(stop, stop + len(further), eager=True)
            stop += len(further) if follows.all() else int(follows.arg_min() or 0)
            kept.append(part.head(int(offsets.search_sorted(stop))))
            self.lost += stop - kept[-1].height
            self._stops[roots[run], run, writer] = stop
        return pl.concat(kept)


def _by_writer(frames: list[pl.DataFrame]) -> dict[Writer, pl.DataFrame]:
    """Return the rows of each run and writer in order of offset, each once, the most trusted."""
    ordered = pl.concat(frames).sort("run_id", "writer", "offset", "origin")
    frames.clear()
    same = (pl.col(name) == pl.col(name).shift() for name in ("run_id", "writer", "offset"))
    ordered = ordered.filter(~pl.all_horizontal(same).fill_null(value=False))
    counts = ordered.group_by("run_id", "writer", maintain_order=True).len()
    parts: dict[Writer, pl.DataFrame] = {}
    start = 0
    for run, writer, count in counts.iter_rows():
        parts[run, writer] = ordered.slice(start, count)
        start += count
    return parts


def _empty() -> pl.DataFrame:
    return _lean(pl.DataFrame(METRICS.empty_table()), LIVE)


def _lean(frame: pl.DataFrame, origin: int) -> pl.DataFrame:
    """Return rows without their root run, their words as numbers: a third of the memory."""
    words = pl.col("run_id", "name", "writer", "kind", "type").cast(pl.Categorical)
    step, origins = pl.col("step").cast(pl.Int64), pl.lit(origin, pl.Int8).alias("origin")
    return frame.drop("root_run_id").with_columns(words, step, origins)


def _old(
    tables: Sequence[OldTable], batch: Collection[str], held: Mapping[str, Sequence[str]]
) -> Iterator[pl.DataFrame]:
    """Yield the rows of some runs in tables, sound ones first."""
    roots = [root for run in batch for root in held.get(run, ())]
    if not roots:
        return
    rows = Rows(min(roots), f"{max(roots)}\0", frozenset(batch))
    for table in tables:
        for frame in table.salvaged(rows, METRICS.names):
            yield _lean(frame, DOUBTED if table.doubted else SOUND)


def _batches(runs: Sequence[str], rows: Mapping[str, int]) -> Iterator[list[str]]:
    batch: list[str] = []
    count = 0
    for run in runs:
        more = rows.get(run, 0)
        if batch and count + more > BATCH_ROWS:
            yield batch
            batch, count = [], 0
        batch.append(run)
        count += more
    if batch:
        yield batch


def _chunk(frame: pl.DataFrame, roots: Mapping[str, str]) -> Chunk:
    runs = frame["run_id"].unique().to_list()
    root = pl.col("run_id").replace_strict(runs, [roots[run] for run in runs]).cast(pl.Categorical)
    frame = frame.with_columns(root_run_id=root).sort(KEYS["metrics"])
    words = pa.dictionary(pa.int32(), pa.string())
    schema = pa.schema(f.with_type(words) if f.name in BLOCK else f for f in METRICS)
    return chunk_of_table(frame.select(METRICS.names).to_arrow().cast(schema))
