"""What takes a second reading: files, rows of runs against chains, summaries against points."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import fields, replace
from typing import TYPE_CHECKING, Final

import polars as pl

from objrun.errors import FormatError, NotFoundError, UnavailableError
from objrun.format import keys
from objrun.format.documents import encode_run
from objrun.format.states import RunState
from objrun.protocol.chain import load
from objrun.protocol.checkpointing import latest_checkpoint
from objrun.protocol.live import RESTARTS, run_scheme
from objrun.storage import together
from objrun.tables.cuts import counting, cuts_in_tables
from objrun.tables.merging import merge_frames
from objrun.tables.reading import Rows, TableReader
from objrun.tables.run_rows import stored_frame, version_of
from objrun.tables.summing import KEY, joined, parts_of
from objrun.tables.verify.blobs import compare_blobs
from objrun.tables.verify.findings import Finding
from objrun.tables.verify.stored import compare_files
from objrun.tables.verify.tables import REBUILT

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from objrun.format.checkpoints import Checkpoint
    from objrun.format.states import Version
    from objrun.storage import Store
    from objrun.tables.cuts import Cuts
    from objrun.tables.verify.runs import Runs

RUNS_AT_ONCE: Final = 10_000

NEAR: Final = 1e-9
"""By how much a sum may differ, in parts of what was added: the order of additions is free."""


def look_deeper(store: Store, experiment: str, runs: Runs) -> list[Finding]:
    """Return what is wrong with rows of runs, and with summaries, in the current tables.

    Where these are superseded and removed meanwhile, the next ones are looked at.
    """
    files = [*compare_files(store, (facts.run for facts in runs.of(experiment)))]
    blobs = _latest(store, experiment, lambda found: compare_blobs(store, experiment, found))
    rows = _latest(
        store, experiment, lambda found: compare_runs(store, found, runs) if found else ()
    )
    summaries = _latest(
        store, experiment, lambda found: compare_summaries(store, found) if found else ()
    )
    return [*files, *blobs, *rows, *summaries]


def _latest(
    store: Store, experiment: str, look: Callable[[Checkpoint | None], Iterable[Finding]]
) -> list[Finding]:
    """Return what `look` yields of the latest checkpoint."""
    for _ in range(RESTARTS):
        with suppress(NotFoundError):
            return [*look(latest_checkpoint(store, experiment))]
    message = f"the tables of {experiment!r} change faster than they can be read: try again"
    raise UnavailableError(message)


def compare_runs(store: Store, checkpoint: Checkpoint, runs: Runs) -> Iterator[Finding]:
    """Yield the rows of runs that are not what their version of the chain says."""

    def read(row: Version[RunState]) -> Version[RunState] | None:
        run = row.state.run_id if row.state else ""
        scheme = run_scheme(checkpoint.experiment, run)
        if runs.get(run).experiment is None:
            return None
        try:
            return load(store, scheme, row.version)
        except (FormatError, NotFoundError):
            # Of which others have told.
            return None

    for file in checkpoint.of_kind("runs"):
        for frame in _slices(TableReader(store, checkpoint.experiment, file)):
            rows = [version_of(row) for row in frame.iter_rows(named=True)]
            odd = _odd_rows(frame, stored_frame(rows))
            answers = together(store, read, rows)
            for place, (row, answer) in enumerate(zip(rows, answers, strict=True)):
                names = _other_fields(row, answer())
                names += odd.get(place, [])
                if names and row.state:
                    key = keys.run_state(row.state.run_id, row.version)
                    told = f"the table {file.name} has another {', '.join(names)}"
                    yield Finding("wrong_run", key, told, REBUILT)


def _slices(reader: TableReader) -> Iterator[pl.DataFrame]:
    for frame in reader.frames(Rows()):
        yield from frame.iter_slices(RUNS_AT_ONCE)


def _odd_rows(frame: pl.DataFrame, again: pl.DataFrame) -> dict[int, list[str]]:
    """Return the columns that a row's other columns do not give back, by the place of the row."""
    found: dict[int, list[str]] = {}
    for name in frame.columns:
        if not frame[name].equals(again[name], null_equal=True):
            for place in (frame[name].ne_missing(again[name])).arg_true():
                found.setdefault(place, []).append(name)
    return found


def _other_fields(row: Version[RunState], version: Version[RunState] | None) -> list[str]:
    """Return the names of what a row says otherwise than its version; the order of maps is free."""
    if version is None or version.state is None or row.state is None:
        return []
    expected = replace(row, written=version.written, state=version.state)
    if encode_run(row) == encode_run(expected):
        return []
    ours, theirs = row.state, version.state
    differing = [
        one.name
        for one in fields(RunState)
        if _shown(getattr(ours, one.name)) != _shown(getattr(theirs, one.name))
    ]
    return differing or ["written"]


def _shown(value: object) -> str:
    return repr(sorted(value.items()) if isinstance(value, dict) else value)


def compare_summaries(store: Store, checkpoint: Checkpoint) -> Iterator[Finding]:
    """Yield the metrics whose summary is not what their points come to."""
    levels = sorted({file.level for file in checkpoint.files})
    cuts = cuts_in_tables(store, checkpoint, Rows())
    sources = [_points(store, checkpoint, level, cuts) for level in levels]
    sources += [_parts(store, checkpoint, level) for level in levels]
    where = keys.tables(checkpoint.experiment)
    for wrong in merge_frames(sources, _differing):
        for _, run, name, writer in wrong.iter_rows():
            what = f"the points of {name[:80]!r} of run {run} by writer {writer}"
            yield Finding("wrong_summary", where, f"it is not what {what} come to", REBUILT)


def _readers(store: Store, checkpoint: Checkpoint, kind: str, level: int) -> Iterator[TableReader]:
    for file in checkpoint.of_kind(kind):
        if file.level == level:
            yield TableReader(store, checkpoint.experiment, file)


def _points(store: Store, checkpoint: Checkpoint, level: int, cuts: Cuts) -> Iterator[pl.DataFrame]:
    for reader in _readers(store, checkpoint, "metrics", level):
        for chunk in reader.chunks(Rows()):
            yield parts_of(counting(chunk, cuts)).with_columns(pl.lit(value=True).alias("made"))


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
