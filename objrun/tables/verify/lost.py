"""Which points are covered and not in the tables, and which of them are nowhere."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

import polars as pl

from objrun.format.tables import METRICS
from objrun.tables.reading import Rows
from objrun.tables.verify.salvage import old_tables, salvaged

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from objrun.format.checkpoints import Checkpoint
    from objrun.format.keys import SegmentKey
    from objrun.storage import Store
    from objrun.tables.verify.salvage import OldTable

    Ranges = list[tuple[int, int]]

BATCH_ROWS: Final = 5_000_000
_TOLD: Final = 5


class Absent(NamedTuple):
    """Rows of a writer that is not as coverage tells, as ranges `[start, stop)`.

    `missing`: covered, in no table that counts, but in segments or other tables. `lost`: covered
    and nowhere. `doubled`: in tables twice, or beyond the coverage.
    """

    writer: tuple[str, str]
    missing: Ranges
    lost: Ranges
    doubled: Ranges


def absent(
    store: Store,
    checkpoint: Checkpoint,
    wrong: Mapping[tuple[str, str], str],
    stops: Mapping[tuple[str, str], int],
    segments: Iterable[SegmentKey],
) -> Iterator[Absent]:
    """Yield what is absent of writers, which are given with their root run."""
    if not wrong:
        return
    live: dict[tuple[str, str], Ranges] = {}
    for segment in segments:
        live.setdefault((segment.run, segment.writer), []).append((segment.start, segment.stop))
    tables = old_tables(store, checkpoint.experiment, "metrics", lambda _name: True)
    named = {file.name for file in checkpoint.files}
    for batch in _batches(wrong, stops):
        roots = [wrong[writer] for writer in batch]
        rows = Rows(min(roots), f"{max(roots)}\0", frozenset(run for run, _ in batch))
        there, elsewhere = (
            _offsets([t for t in tables if (t.file.name in named) == current], rows)
            for current in (True, False)
        )
        for writer in batch:
            here = there.get(writer, pl.Series([], dtype=pl.Int64))
            stop = stops.get(writer, 0)
            others = [*live.get(writer, []), *ranges(elsewhere.get(writer, here.clear()))]
            lost = without(stop, [*ranges(here), *others])
            missing = without(stop, [*ranges(here), *lost])
            doubled = ranges(here.filter(here.is_duplicated() | (here >= stop)))
            yield Absent(writer, missing, lost, doubled)


def _batches(
    wrong: Mapping[tuple[str, str], str], stops: Mapping[tuple[str, str], int]
) -> Iterator[list[tuple[str, str]]]:
    batch: list[tuple[str, str]] = []
    rows = 0
    for writer in sorted(wrong, key=lambda writer: (wrong[writer], writer)):
        if batch and rows > BATCH_ROWS:
            yield batch
            batch, rows = [], 0
        batch.append(writer)
        rows += stops.get(writer, 0)
    yield batch


def _offsets(tables: Sequence[OldTable], rows: Rows) -> dict[tuple[str, str], pl.Series]:
    # All columns, since a row of which only some can be read is none.
    whole = salvaged(tables, rows, METRICS.names)
    frames = [frame.select("run_id", "writer", "offset") for frame in whole]
    if not frames:
        return {}
    parts = pl.concat(frames).partition_by("run_id", "writer", as_dict=True)
    return {(run, writer): part["offset"] for (run, writer), part in parts.items()}


def ranges(offsets: pl.Series) -> Ranges:
    """Return offsets as ranges `[start, stop)`.

    >>> ranges(pl.Series([4, 0, 1, 1]))
    [(0, 2), (4, 5)]
    """
    ordered = offsets.unique().sort()
    starts = ordered.filter((ordered.diff() != 1).fill_null(value=True))
    ends = ordered.filter((ordered.diff().shift(-1) != 1).fill_null(value=True))
    return [*zip(starts, ends + 1, strict=True)]


def without(stop: int, known: Iterable[tuple[int, int]]) -> Ranges:
    """Return what of `[0, stop)` is in no known range.

    >>> without(9, [(0, 2), (5, 6)])
    [(2, 5), (6, 9)]
    """
    position = 0
    found: Ranges = []
    for first, after in sorted(known):
        if min(first, stop) > position:
            found.append((position, min(first, stop)))
        position = max(position, after)
    return [*found, (position, stop)] if position < stop else found


def told_ranges(found: Ranges) -> str:
    """Return ranges as people read them.

    >>> told_ranges([(2, 5), (6, 7)])
    '2 to 4, 6'
    """
    told = [f"{a} to {b - 1}" if b - a > 1 else f"{a}" for a, b in found[:_TOLD]]
    return ", ".join([*told, f"and {len(found) - _TOLD} more"] if len(found) > _TOLD else told)
