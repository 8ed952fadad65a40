"""Scan the points of an experiment: what a query asks for decides what is read."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import reduce
from itertools import pairwise
from operator import and_
from typing import TYPE_CHECKING, Final

import polars as pl
from polars.io.plugins import register_io_source

from objrun.errors import NotFoundError, UnavailableError
from objrun.query.metrics import SCHEMA, leave_out
from objrun.query.reading_order import in_reading_order
from objrun.tables.chunks import EMPTY, concat
from objrun.tables.cuts import counting
from objrun.tables.merging import merge_chunks
from objrun.tables.points import files_of, live_chunk, read_tail, table_chunks
from objrun.tables.reading import Rows, TableReader, selected

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from objrun.format.checkpoints import Checkpoint, TableFile
    from objrun.storage import Store
    from objrun.tables.chunks import Chunk
    from objrun.tables.cuts import Cuts

FEW_ROOTS: Final = 256
"""Root runs up to which each is looked for among the row groups."""

_METRIC: Final = ("root_run_id", "run_id", "name")
"""What row groups are chosen by."""

_ALWAYS: Final = ("root_run_id", "run_id", "name", "writer", "offset", "kind", "step", "time")
"""Columns that decide on the order of points."""


def scan_points(store: Store, experiment: str) -> pl.LazyFrame:
    """Return the points that an experiment has now as a LazyFrame.

    Columns: `objrun.query.metrics.SCHEMA`. What is live is read at once; tables when the frame is
    collected: only the row groups that can hold the runs and metrics that a filter asks for, and
    the columns that are used. A table of many files is read in parts, one after the other. A
    damaged object is left out with a warning.
    """
    tail, checkpoint = read_tail(store, experiment, Rows(), None, lambda found, _: found)
    live = live_chunk(tail, Rows(), leave_out)
    scan = _Scan(store, checkpoint, live, tail.cuts)
    return register_io_source(scan.read, schema=SCHEMA)


@dataclass(frozen=True)
class _Scan:
    """What was there when the frame was made: a checkpoint, points in no table, and cuts."""

    store: Store
    checkpoint: Checkpoint | None
    live: Chunk
    cuts: Cuts

    def read(
        self,
        columns: list[str] | None,
        predicate: pl.Expr | None,
        most: int | None,
        _size: int | None,
    ) -> Iterator[pl.DataFrame]:
        """Yield the rows that polars asks for."""
        left = most
        for chunk in self._chunks(predicate, columns):
            frame = in_reading_order(chunk).frame
            if predicate is not None:
                frame = frame.filter(predicate)
            if columns is not None:
                frame = frame.select(columns)
            yield frame if left is None else frame.head(left)
            if left is not None and (left := left - frame.height) <= 0:
                return

    def _chunks(self, predicate: pl.Expr | None, columns: list[str] | None) -> Iterator[Chunk]:
        """Yield the points that may be asked for, sorted, all of a root run in one chunk."""
        whose = _of_metric(predicate)
        used = predicate.meta.root_names() if predicate is not None else []
        needed = columns and [*dict.fromkeys((*_ALWAYS, *columns, *used))]
        try:
            rows = self._wanted(whose)
            files = files_of(self.checkpoint, "metrics", rows)
            cuts = sorted({file.first for file in files if file.level == files[0].level})[1:]
            for first, stop in pairwise([None, *cuts, None]):
                tables = self._tables(files, _both(rows, first, stop), needed)
                merged = merge_chunks([*tables, self._live(first, stop)])
                chunk = counting(concat([EMPTY, *merged]), self.cuts)
                yield chunk if whose is None else chunk.where(whose)
        except NotFoundError:
            message = "the tables of this frame were superseded and removed: make it again"
            raise UnavailableError(message) from None

    def _tables(
        self, files: Sequence[TableFile], rows: Rows, columns: Sequence[str] | None
    ) -> list[list[Chunk]]:
        if self.checkpoint is None:
            return []
        holding = [file for file in files if rows.may_be_in(file)]
        name = self.checkpoint.experiment
        return table_chunks(self.store, name, holding, rows, leave_out, columns)

    def _live(self, first: str | None, stop: str | None) -> list[Chunk]:
        return [selected(self.live, Rows(first, stop))]

    def _wanted(self, whose: pl.Expr | None) -> Rows:
        """Return which rows of the tables can be of metrics for which `whose` is true."""
        if self.checkpoint is None or whose is None:
            return Rows()
        run = _run_of(whose)
        # Most runs are their own root, and so it is known where they would be.
        metrics = self._metrics(self.checkpoint, whose, Rows(run, run and f"{run}\0"))
        if run is not None and not metrics.height:
            metrics = self._metrics(self.checkpoint, whose, Rows())
        if not metrics.height:
            return Rows("", "")
        roots = sorted(metrics["root_run_id"].unique())
        return Rows(
            roots[0],
            f"{roots[-1]}\0",
            frozenset(metrics["run_id"]),
            frozenset(metrics["name"]),
            roots=frozenset(roots) if len(roots) <= FEW_ROOTS else None,
        )

    def _metrics(self, checkpoint: Checkpoint, whose: pl.Expr, rows: Rows) -> pl.DataFrame:
        """Return the metrics for which `whose` is true, of those that `rows` asks for."""
        frames = [
            frame.filter(whose)
            for file in files_of(checkpoint, "summary", rows)
            for frame in TableReader(self.store, checkpoint.experiment, file).frames(rows, _METRIC)
        ]
        return pl.concat([pl.DataFrame(schema=dict.fromkeys(_METRIC, pl.String())), *frames])


def _of_metric(predicate: pl.Expr | None) -> pl.Expr | None:
    """Return the part of a condition that speaks of the run and the metric alone, None if none."""
    if predicate is None:
        return None
    parts = [
        part for part in _conditions(predicate) if {*part.meta.root_names()} <= {"run_id", "name"}
    ]
    return reduce(and_, parts) if parts else None


def _run_of(whose: pl.Expr) -> str | None:
    """Return the run that a condition asks for, by `run_id ==` and its id; None if it does not."""
    column = pl.col("run_id")
    for part in _conditions(whose):
        for each in part.meta.pop():
            is_constant = not each.meta.root_names()
            if is_constant and part.meta in ((column == each).meta, (each == column).meta):
                found = pl.select(each).to_series()
                return found[0] if len(found) == 1 and found.dtype == pl.String else None
    return None


def _conditions(predicate: pl.Expr) -> Iterator[pl.Expr]:
    """Yield the conditions that are joined by `&`."""
    inputs = predicate.meta.pop()
    if len(inputs) == 2 and (inputs[1] & inputs[0]).meta == predicate.meta:
        yield from _conditions(inputs[1])
        yield from _conditions(inputs[0])
    elif predicate.meta.root_names():
        yield predicate


def _both(rows: Rows, first: str | None, stop: str | None) -> Rows:
    """Return the rows that also are of root runs `[first, stop)`."""
    firsts = [root for root in (rows.first, first) if root is not None]
    stops = [root for root in (rows.stop, stop) if root is not None]
    return replace(rows, first=max(firsts, default=None), stop=min(stops, default=None))
