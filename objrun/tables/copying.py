"""Tables as a copy from store to store reads them: `objrun.protocol.copy.compacted.Tables`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import polars as pl

from objrun.errors import CorruptObjectError, Problem
from objrun.format import keys
from objrun.format.segments import SCHEMA, encode_segment
from objrun.protocol.copy.compacted import Covered, TableRows
from objrun.tables.chunks import full_frame
from objrun.tables.cuts import rows_of_writers
from objrun.tables.reading import Rows, TableReader

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence

    from objrun.format.checkpoints import Checkpoint
    from objrun.format.keys import CutKey
    from objrun.storage import Store

SEGMENT_ROWS: Final = 2**18
"""Rows of a segment that is made of tables."""

MOST_ROWS: Final = 2**21
"""Rows that are put in order at once; of a run that misses more, tables are read several times."""


def parents(store: Store, checkpoint: Checkpoint) -> dict[str, str | None]:
    """Return the parent of each run that the tables have, None for those without."""
    found: dict[str, str | None] = {}
    for frame in _frames(store, checkpoint, "runs", Rows(), ("run_id", "parent_run_id")):
        found.update(frame.iter_rows())
    return found


def coverage(store: Store, checkpoint: Checkpoint, runs: Collection[str]) -> dict[str, Covered]:
    """Return by run what of its points is in the tables."""
    found: dict[str, tuple[str, dict[str, int]]] = {}
    for frame in _frames(store, checkpoint, "coverage", Rows()):
        for root, run, writer, stop in frame.iter_rows():
            if run in runs:
                _, stops = found.setdefault(run, (root, {}))
                stops[writer] = max(stop, stops.get(writer, 0))
    return {run: Covered(*each) for run, each in found.items()}


def cuts(store: Store, checkpoint: Checkpoint, runs: Collection[str]) -> list[CutKey]:
    """Return where the tables have writers of some runs cut."""
    told = rows_of_writers(store, checkpoint, "cuts", Rows())
    return [keys.CutKey(run, writer, step) for _, run, writer, step in told if run in runs]


def segments(
    store: Store, checkpoint: Checkpoint, whose: tuple[str, str], rows: Sequence[TableRows]
) -> Iterator[tuple[TableRows, bytes]]:
    """Yield rows of a run (given with its root) as segments, of each writer without a hole.

    Raises CorruptObjectError where a row is missing.
    """
    for part in _parts(rows):
        frame = _points(store, checkpoint, whose, part)
        for each in part:
            points = frame.filter(_is_of(each)).sort("offset")
            if points["offset"].to_list() != [*range(each.start, each.stop)]:
                told = f"rows {each.start} to {each.stop} of writer {each.writer} are not all there"
                problem = Problem(whose[1], "key_mismatch", told)
                raise CorruptObjectError(keys.tables(checkpoint.experiment), [problem])
            table = points.select(SCHEMA.names).to_arrow().cast(SCHEMA)
            yield each, encode_segment(table)


def _parts(rows: Sequence[TableRows]) -> Iterator[list[TableRows]]:
    """Yield pieces of SEGMENT_ROWS, so many at a time that they are MOST_ROWS at most."""
    part: list[TableRows] = []
    size = 0
    for writer, first, last in rows:
        for start in range(first, last, SEGMENT_ROWS):
            stop = min(start + SEGMENT_ROWS, last)
            if size + stop - start > MOST_ROWS:
                yield part
                part, size = [], 0
            part.append(TableRows(writer, start, stop))
            size += stop - start
    if part:
        yield part


def _points(
    store: Store, checkpoint: Checkpoint, whose: tuple[str, str], part: Sequence[TableRows]
) -> pl.DataFrame:
    root, run = whose
    rows = Rows(root, f"{root}\0", frozenset([run]))
    wanted = pl.any_horizontal(*map(_is_of, part))
    found = [
        full_frame(chunk).filter(wanted)
        for file in checkpoint.of_kind("metrics")
        for chunk in TableReader(store, checkpoint.experiment, file).chunks(rows)
    ]
    return pl.concat(found)


def _is_of(rows: TableRows) -> pl.Expr:
    of_writer = pl.col("writer") == rows.writer
    return of_writer & pl.col("offset").is_between(rows.start, rows.stop, closed="left")


def _frames(
    store: Store,
    checkpoint: Checkpoint,
    kind: str,
    rows: Rows,
    columns: tuple[str, ...] | None = None,
) -> Iterator[pl.DataFrame]:
    for file in checkpoint.of_kind(kind):
        yield from TableReader(store, checkpoint.experiment, file).frames(rows, columns)
