"""Read points: those in tables and those that are live, as one. SPEC sections 10 and 11."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, NamedTuple, TypeVar

import polars as pl

from objrun.errors import CorruptObjectError, NotFoundError, UnavailableError
from objrun.format import keys
from objrun.protocol.checkpointing import latest_checkpoint
from objrun.protocol.cover import choose
from objrun.protocol.live import RESTARTS, list_logged, read_pieces
from objrun.storage import together
from objrun.tables.chunks import EMPTY, Source, chunk_of_segments, concat, decoded
from objrun.tables.cuts import counting, cuts_in_tables, deeper, least, stops_in_tables
from objrun.tables.merging import merge_chunks
from objrun.tables.reading import Rows, TableReader, read_frame, selected
from objrun.tables.strays import existing
from objrun.tables.summing import parts_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from objrun.format.checkpoints import Checkpoint, TableFile
    from objrun.protocol.live import Logged, Shard
    from objrun.storage import Store
    from objrun.tables.chunks import Chunk
    from objrun.tables.cuts import Cuts

OnDamage = Callable[["CorruptObjectError"], None]
T = TypeVar("T")


class Moment(NamedTuple):
    """What was listed of points, and the checkpoint that was read after that."""

    logged: Logged
    checkpoint: Checkpoint | None


class Tail(NamedTuple):
    """Segments that are live, and the roots of their runs as far as tables have them.

    `cuts`: where writers were cut, by run and writer. `rewound`: the runs whose sums in tables do
    not know of all their cuts.
    """

    shards: list[Shard]
    roots: dict[str, str]
    cuts: Cuts
    rewound: frozenset[str]


@dataclass(frozen=True)
class Points:
    """Points of an experiment, and where they were read: `shards` are live, `files` tables."""

    chunk: Chunk
    experiment: str
    shards: Sequence[Shard]
    files: Sequence[TableFile]

    def key_of(self, run: str, writer: str, offset: int) -> str:
        """Return the key of the object that a point was read from."""
        for key, segment, skip, _ in self.shards:
            whose = (segment.run, segment.writer) == (run, writer)
            if whose and segment.start + skip <= offset < segment.stop:
                return key
        holding = Rows(runs=frozenset([run]))
        root = self.chunk.blocks.filter(holding.condition())["root_run_id"][0]
        names = [file.name for file in self.files if file.first <= root <= file.last]
        return keys.tables(self.experiment) + names[0]


def read_points(
    store: Store,
    experiment: str,
    rows: Rows,
    on_damage: OnDamage,
    *,
    run: str | None = None,
    moment: Moment | None = None,
    which: Callable[[Chunk, Cuts], Chunk] = counting,
) -> Points:
    """Return the points that `rows` asks for, sorted as a metrics table.

    `which` of them: those that count, or those that were superseded. Of one `run` only its own
    segments are listed; `moment` is what was listed just now, and need not be listed again. A
    damaged object is handed to `on_damage`, which raises it or leaves it out. One LIST of segments,
    one of checkpoints; of each table that can have such points its footer and a range or two; the
    segments that are not in tables.
    """

    def read_tables(
        checkpoint: Checkpoint | None, _tail: Tail
    ) -> tuple[list[TableFile], list[list[Chunk]]]:
        files = files_of(checkpoint, "metrics", rows)
        return files, table_chunks(store, experiment, files, rows, on_damage)

    tail, (files, tables) = read_tail(store, experiment, rows, run, read_tables, moment)
    live = live_chunk(tail, rows, on_damage)
    merged = merge_chunks([*tables, [live]]) if tables else [live]
    chunk = which(concat([EMPTY, *merged]), tail.cuts)
    return Points(chunk, experiment, tail.shards, files)


def read_parts(
    store: Store,
    experiment: str,
    rows: Rows,
    on_damage: OnDamage,
    moment: Moment | None = None,
) -> pl.DataFrame:
    """Return what the points that `rows` asks for come to, as rows of summary tables, unordered.

    `moment`: what was listed just now, and need not be listed again. Where `rows` knows the roots
    of its runs, not all of the tables is read.
    """
    condition = rows.condition()

    def read(file: TableFile) -> list[pl.DataFrame]:
        if rows.roots is None:
            return [read_frame(store, experiment, file).filter(condition)]
        return [*TableReader(store, experiment, file).frames(rows)]

    def read_tables(checkpoint: Checkpoint | None, tail: Tail) -> list[pl.DataFrame]:
        frames: list[pl.DataFrame] = []
        for answer in together(store, read, files_of(checkpoint, "summary", rows)):
            try:
                frames += answer()
            except CorruptObjectError as error:
                on_damage(error)
        rewound = tail.rewound if rows.runs is None else tail.rewound & rows.runs
        if not rewound:
            return frames
        # Their points are summed up anew.
        frames = [frame.filter(~pl.col("run_id").is_in([*rewound])) for frame in frames]
        again = replace(rows, runs=rewound)
        files = files_of(checkpoint, "metrics", again)
        levels = table_chunks(store, experiment, files, again, on_damage)
        return frames + [parts_of(counting(c, tail.cuts)) for level in levels for c in level]

    tail, tables = read_tail(store, experiment, rows, None, read_tables, moment)
    return pl.concat([*tables, parts_of(counting(live_chunk(tail, rows, on_damage), tail.cuts))])


def read_tail(
    store: Store,
    experiment: str,
    rows: Rows,
    run: str | None,
    read_tables: Callable[[Checkpoint | None, Tail], T],
    moment: Moment | None = None,
) -> tuple[Tail, T]:
    """Return what is live and what `read_tables` gives, of one moment. The order is what counts."""
    read: dict[str, bytes] = {}
    for _ in range(RESTARTS):
        (listed, cuts), checkpoint = moment or moment_of(store, experiment, run)
        moment = None
        try:
            wanted = [s for s in listed if rows.runs is None or s.run in rows.runs]
            holding = replace(rows, runs=frozenset(s.run for s in wanted), names=None)
            covered = stops_in_tables(store, checkpoint, holding) if wanted else {}
            stops = {writer: stop for writer, (_, stop) in covered.items()}
            if rows.runs is None:
                # Whoever asks for some runs has found them.
                unknown = {s.run for s in wanted} - {run for run, _ in covered}
                lost = unknown - existing(store, experiment, checkpoint, frozenset(unknown))
                wanted = [s for s in wanted if s.run not in lost]
            shards = read_pieces(store, choose(wanted, stops), listed, read)
            if shards is not None:
                roots = {run: root for (run, _), (root, _) in covered.items()}
                known = cuts_in_tables(store, checkpoint, rows)
                rewound = frozenset(run for run, _ in deeper(cuts, known))
                tail = Tail(shards, roots, least(known, cuts), rewound)
                return tail, read_tables(checkpoint, tail)
        except NotFoundError:
            # Superseded and removed since it was listed.
            continue
    message = f"the objects of {experiment!r} change faster than they can be read: try again"
    raise UnavailableError(message)


def moment_of(store: Store, experiment: str, run: str | None = None) -> Moment:
    """Return what is live and what is in tables, in the order in which nothing can be missed."""
    logged = list_logged(store, experiment, run)
    return Moment(logged, latest_checkpoint(store, experiment))


def files_of(checkpoint: Checkpoint | None, kind: str, rows: Rows) -> list[TableFile]:
    """Return the files of a kind of table that can hold rows that are wanted."""
    files = checkpoint.of_kind(kind) if checkpoint else []
    return [file for file in files if rows.may_be_in(file)]


def table_chunks(
    store: Store,
    experiment: str,
    files: Sequence[TableFile],
    rows: Rows,
    on_damage: OnDamage,
    columns: Sequence[str] | None = None,
) -> list[list[Chunk]]:
    """Return the points of tables, all columns or some, level by level, the oldest first."""
    levels: dict[int, list[Chunk]] = {file.level: [] for file in files}
    readers = [TableReader(store, experiment, file) for file in files]
    answers = together(store, lambda reader: [*reader.chunks(rows, columns)], readers)
    for file, answer in zip(files, answers, strict=True):
        try:
            levels[file.level] += answer()
        except CorruptObjectError as error:
            on_damage(error)
    return [*levels.values()]


def live_chunk(tail: Tail, rows: Rows, on_damage: OnDamage) -> Chunk:
    """Return the points of segments; the root of a run that is in no table does not matter."""
    sources = [
        Source(tail.roots.get(shard.segment.run, shard.segment.run), shard) for shard in tail.shards
    ]
    sources.sort(key=lambda source: (source.root, source.shard.segment[1:]))
    chunk = chunk_of_segments(decoded(sources, on_damage))
    return chunk if rows.names is None else selected(chunk, Rows(names=rows.names))
