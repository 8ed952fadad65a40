"""What takes a second reading: rows of runs against chains, summaries against points."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import polars as pl

from objrun.errors import FormatError, NotFoundError
from objrun.format import keys
from objrun.protocol.chain import load
from objrun.protocol.live import run_scheme
from objrun.storage import together
from objrun.tables.merging import merge_frames
from objrun.tables.reading import Rows, TableReader
from objrun.tables.run_rows import stored_frame
from objrun.tables.summing import KEY, joined, parts_of
from objrun.tables.verify.findings import Finding
from objrun.tables.verify.tables import REBUILT

if TYPE_CHECKING:
    from collections.abc import Iterator

    from objrun.format.checkpoints import Checkpoint
    from objrun.storage import Store

NEAR: Final = 1e-9
"""By how much a sum may differ, in parts of what was added: the order of additions is free."""


def compare_runs(store: Store, checkpoint: Checkpoint) -> Iterator[Finding]:
    """Yield the rows of runs that are not what their version of the chain says."""

    def read(row: dict[str, object]) -> pl.DataFrame | None:
        run, version = str(row["run_id"]), int(str(row["version"]))
        try:
            found = load(store, run_scheme(checkpoint.experiment, run), version)
        except (FormatError, NotFoundError):
            # Of which others have told.
            return None
        return stored_frame([found]) if found.state else None

    for file in checkpoint.of_kind("runs"):
        for frame in TableReader(store, checkpoint.experiment, file).frames(Rows()):
            answers = together(store, read, frame.iter_rows(named=True))
            for place, answer in enumerate(answers):
                expected = answer()
                row = frame[place]
                if expected is not None and not expected.equals(row):
                    names = [
                        n for n in row.columns if not row[n].equals(expected[n], null_equal=True)
                    ]
                    key = keys.run_state(row["run_id"][0], row["version"][0])
                    told = f"the table {file.name} has another {', '.join(names)}"
                    yield Finding("wrong_run", key, told, REBUILT)


def compare_summaries(store: Store, checkpoint: Checkpoint) -> Iterator[Finding]:
    """Yield the metrics whose summary is not what their points come to."""
    levels = sorted({file.level for file in checkpoint.files})
    sources = [frames(store, checkpoint, level) for level in levels for frames in (_points, _parts)]
    where = keys.tables(checkpoint.experiment)
    for wrong in merge_frames(sources, _differing):
        for _, run, name, writer in wrong.iter_rows():
            what = f"the points of {name[:80]!r} of run {run} by writer {writer}"
            yield Finding("wrong_summary", where, f"it is not what {what} come to", REBUILT)


def _readers(store: Store, checkpoint: Checkpoint, kind: str, level: int) -> Iterator[TableReader]:
    for file in checkpoint.of_kind(kind):
        if file.level == level:
            yield TableReader(store, checkpoint.experiment, file)


def _points(store: Store, checkpoint: Checkpoint, level: int) -> Iterator[pl.DataFrame]:
    for reader in _readers(store, checkpoint, "metrics", level):
        for chunk in reader.chunks(Rows()):
            yield parts_of(chunk).with_columns(pl.lit(value=True).alias("made"))


def _parts(store: Store, checkpoint: Checkpoint, level: int) -> Iterator[pl.DataFrame]:
    for reader in _readers(store, checkpoint, "summary", level):
        for frame in reader.frames(Rows()):
            yield frame.with_columns(pl.lit(value=False).alias("made"))


def _differing(both: pl.DataFrame) -> pl.DataFrame:
    """Return the metrics of which the summary and the points differ."""
    points = joined(both.filter("made").drop("made"))
    parts = joined(both.filter(~pl.col("made")).drop("made"))
    paired = points.join(parts, on=KEY, how="full", suffix=" told", coalesce=True)
    exact = [name for name in points.columns if name not in (*KEY, "sum")]
    same = [pl.col(name).eq_missing(pl.col(f"{name} told")) for name in exact]
    added = pl.col("count") * pl.max_horizontal(pl.col("min").abs(), pl.col("max").abs())
    near = (pl.col("sum") - pl.col("sum told")).abs() <= added * NEAR
    alike = near | pl.col("sum").eq_missing(pl.col("sum told"))
    return paired.filter(~pl.all_horizontal(*same, alike.fill_null(value=False))).select(KEY)
