"""What a compaction will do: pure, from a checkpoint and a listing."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Final, NamedTuple

from objrun.tables.reading import Rows

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence

    from objrun.format.checkpoints import Checkpoint, TableFile
    from objrun.format.keys import SegmentKey

RATIO: Final = 10
"""A level is merged into the one below it when it has a tenth of its rows."""

MOST_LEVELS: Final = 3
"""Levels of a table: a reader asks each of them."""

JOB_ROWS: Final = 8_000_000
"""Rows that one job merges, about."""

LEAST_JOB: Final = 500_000
"""Rows for which a job of its own is not worth it."""

POINTS: Final = ("metrics", "summary", "coverage")
"""The tables that change when points are logged; they are merged together."""


class Planned(NamedTuple):
    """Rows `[start + skip, stop)` of a segment, to be put into the tables below its root run."""

    root: str
    segment: SegmentKey
    key: str
    skip: int

    @property
    def rows(self) -> int:
        """How many rows these are."""
        return self.segment.stop - self.segment.start - self.skip


@dataclass(frozen=True)
class Merge:
    """Files that become part of new ones, and the level of these; `rows` is their sum."""

    files: tuple[TableFile, ...]
    level: int
    rows: int


@dataclass(frozen=True)
class Job:
    """Points of some root runs: files to merge and segments to add, which give new files.

    It can be pickled and run anywhere; nobody sees what it writes until a checkpoint names it.
    """

    experiment: str
    base: int
    level: int
    rows: Rows
    files: tuple[TableFile, ...]
    pieces: tuple[Planned, ...]


def merge_of(
    checkpoint: Checkpoint | None, kinds: Sequence[str], new: int, *, all_levels: bool
) -> Merge:
    """Return which files of `kinds` to merge with `new` rows, which the first kind will have.

    Newer levels are merged into older ones that have less than RATIO times as many rows, and as
    many as keep the number of levels at MOST_LEVELS.
    """
    files = [file for file in checkpoint.files if file.kind in kinds] if checkpoint else []
    levels = sorted({file.level for file in files})
    rows = new
    while levels:
        size = sum(f.rows for f in files if f.level == levels[-1] and f.kind == kinds[0])
        if not all_levels and len(levels) < MOST_LEVELS and rows * RATIO < size:
            break
        rows += size
        levels.pop()
    level = levels[-1] + 1 if levels else 0
    return Merge(tuple(file for file in files if file.level >= level), level, rows)


def jobs_of(
    experiment: str,
    base: int,
    merge: Merge,
    pieces: Iterable[Planned],
    *,
    workers: int = 1,
    without: Collection[str] = (),
) -> list[Job]:
    """Split a merge of points by root runs into jobs of about equal work."""
    planned = sorted(pieces, key=lambda piece: (piece.root, piece.segment[1:]))
    weights = [(piece.root, piece.rows) for piece in planned]
    weights += [(file.first, file.rows) for file in merge.files if file.kind == "metrics"]
    total = sum(rows for _, rows in weights)
    count = max(
        -(-total // JOB_ROWS), min(2 * workers if workers > 1 else 1, total // LEAST_JOB), 1
    )
    jobs = []
    for first, stop in pairwise([None, *_cuts(sorted(weights), total, count), None]):
        rows = Rows(first, stop, without=frozenset(without))
        mine = tuple(piece for piece in planned if rows.has_root(piece.root))
        files = tuple(file for file in merge.files if rows.may_be_in(file))
        if mine or files:
            jobs.append(Job(experiment, base, merge.level, rows, files, mine))
    return jobs


def _cuts(weights: Sequence[tuple[str, int]], total: int, count: int) -> list[str]:
    """Return root runs at which to cut, so that the parts have about the same weight."""
    cuts: list[str] = []
    done = 0
    for root, rows in weights:
        if done * count >= total * (len(cuts) + 1) and (not cuts or root > cuts[-1]):
            cuts.append(root)
        done += rows
    return cuts
