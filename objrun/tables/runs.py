"""Read runs: those in tables, and which of them have changed since. SPEC sections 10 and 11."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

import polars as pl

from objrun.errors import NotFoundError, UnavailableError
from objrun.protocol.checkpointing import latest_checkpoint
from objrun.protocol.live import RESTARTS, Feed, Marked, list_feed
from objrun.storage import together
from objrun.tables.reading import TableReader, of_root, read_frame
from objrun.tables.run_rows import STORED, last_rows

if TYPE_CHECKING:
    from objrun.format.checkpoints import Checkpoint
    from objrun.storage import Store

FEW: Final = 64
"""Markers up to which only the part of the tables with one root run is read."""


class ListedRuns(NamedTuple):
    """The rows of runs in tables, one a run, and what was listed of those that are live.

    `checkpoint` is that of the tables.
    """

    rows: pl.DataFrame
    feed: Feed
    checkpoint: Checkpoint | None

    @property
    def markers(self) -> dict[str, int]:
        """The greatest marked version by run."""
        return self.feed.markers

    def changed(self, experiment: str, seen: dict[str, int]) -> list[Marked]:
        """Return the runs that may be newer than in the tables and than the versions `seen`."""
        if not self.markers:
            return []
        marked = self.rows.filter(pl.col("run_id").is_in([*self.markers]))
        known = dict(marked.select("run_id", "version").iter_rows())
        return [
            Marked(experiment, run, before, version)
            for run, version in self.markers.items()
            if version > (before := max(known.get(run, 0), seen.get(run, 0)))
        ]


def list_runs(
    store: Store, experiment: str, tables: dict[str, pl.DataFrame], root: str | None = None
) -> ListedRuns:
    """Return what tables say of the runs of an experiment, or of those below one root run.

    `tables` holds tables read before, by name, and is brought up to date. One LIST of markers, one
    of checkpoints, a GET of the checkpoint, one of each table that is new: two of its parts where
    only `root` is asked for.
    """
    for _ in range(RESTARTS):
        feed = list_feed(store, experiment)
        checkpoint = latest_checkpoint(store, experiment)
        if checkpoint is None:
            return ListedRuns(STORED.to_frame(), feed, None)
        try:
            if root is not None and len(feed.markers) <= FEW:
                rows = _of_root(store, checkpoint, tables, root)
            else:
                rows = _all(store, checkpoint, tables)
        except NotFoundError:
            # Superseded and removed since its checkpoint was read.
            continue
        return ListedRuns(rows, feed, checkpoint)
    message = f"the tables of {experiment!r} change faster than they can be read: try again"
    raise UnavailableError(message)


def _all(store: Store, checkpoint: Checkpoint, tables: dict[str, pl.DataFrame]) -> pl.DataFrame:
    files = checkpoint.of_kind("runs")
    # Another thread may be bringing them up to date, too.
    known = tables.copy()
    missing = [file for file in files if file.name not in known]
    read = together(store, lambda file: read_frame(store, checkpoint.experiment, file), missing)
    for file, frame in zip(missing, read, strict=True):
        known[file.name] = tables[file.name] = frame()
    for name in known.keys() - {file.name for file in files}:
        tables.pop(name, None)
    return last_rows([known[file.name] for file in files])


def _of_root(
    store: Store, checkpoint: Checkpoint, tables: dict[str, pl.DataFrame], root: str
) -> pl.DataFrame:
    rows = of_root(root)
    files = [file for file in checkpoint.of_kind("runs") if rows.may_be_in(file)]

    def read(name: str, reader: TableReader) -> pl.DataFrame:
        known = tables.get(name)
        frames = [*reader.frames(rows)] if known is None else [known.filter(rows.condition())]
        found: pl.DataFrame = pl.concat([STORED.to_frame(), *frames])
        return found

    readers = [TableReader(store, checkpoint.experiment, file) for file in files]
    found = together(store, lambda reader: read(reader.file.name, reader), readers)
    return last_rows([frame() for frame in found])
