"""The plan of a compaction: what is merged, and how the work is split."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from objrun.format.checkpoints import Checkpoint, TableFile
from objrun.format.keys import SegmentKey
from objrun.tables import planning
from objrun.tables.planning import MOST_LEVELS, POINTS, RATIO, Merge, Planned, jobs_of, merge_of


def table(level: int, rows: int, kind: str = "metrics", roots: str = "az") -> TableFile:
    return TableFile(
        name=f"{level}-{rows}-{kind}",
        kind=kind,
        level=level,
        rows=rows,
        size=1,
        footer=8,
        crc32=0,
        first=roots[0],
        last=roots[-1],
    )


def with_levels(*rows: int) -> Checkpoint:
    files = tuple(
        table(level, count if kind == "metrics" else 1, kind)
        for level, count in enumerate(rows)
        for kind in POINTS
    )
    now = datetime(2026, 1, 31, tzinfo=UTC)
    return Checkpoint(number=1, experiment="e", write_id="", written=now, files=files)


@pytest.mark.parametrize(
    ("levels", "new", "level", "rows"),
    [
        ((), 5, 0, 5),
        ((1000,), 100, 0, 1100),
        ((1000,), 99, 1, 99),
        ((1000, 99), 1, 2, 1),
        # Merged with level 1 these are a tenth of level 0.
        ((1000, 90), 10, 0, 1100),
        ((1000, 80), 10, 1, 90),
        ((1000, 99, 9), 1, 0, 1109),
        ((10_000, 900, 50), 1, 2, 51),
        ((10_000, 900, 89), 1, 1, 990),
        ((10_000, 900, 50), 50, 0, 11_000),
    ],
)
def test_levels_are_merged_at_a_tenth(
    levels: tuple[int, ...], new: int, level: int, rows: int
) -> None:
    merge = merge_of(with_levels(*levels), POINTS, new, all_levels=False)
    assert (merge.level, merge.rows) == (level, rows)
    assert {file.level for file in merge.files} == {*range(level, len(levels))}
    assert {file.kind for file in merge.files} == ({*POINTS} if merge.files else set())


def test_all_levels_are_one_if_asked() -> None:
    checkpoint = with_levels(1000, 50, 2)
    assert merge_of(checkpoint, POINTS, 0, all_levels=True) == Merge(checkpoint.files, 0, 1052)
    assert merge_of(None, POINTS, 7, all_levels=True) == Merge((), 0, 7)


@settings(max_examples=50)
@given(st.lists(st.integers(1, 2000), min_size=1, max_size=300))
def test_work_grows_with_what_is_new(deltas: list[int]) -> None:
    """Each row is written again about RATIO times a level, however often it is compacted."""
    levels: list[int] = []
    written = 0
    for new in deltas:
        merge = merge_of(with_levels(*levels), POINTS, new, all_levels=False)
        levels = [*levels[: merge.level], merge.rows]
        written += merge.rows
        assert len(levels) <= MOST_LEVELS
        assert sum(levels) <= sum(deltas)
    assert sum(levels) == sum(deltas)
    # The newest level is rewritten by each compaction that is smaller than it.
    newest = max(deltas) * len(deltas)
    assert written <= 2 * RATIO * MOST_LEVELS * sum(deltas) + newest


def test_a_day_of_compactions_writes_each_row_ten_times_a_level_at_most() -> None:
    """One each minute, as many new rows each time."""
    new, minutes = 60_000, 24 * 60
    levels: list[int] = []
    written: Counter[int] = Counter()
    for _ in range(minutes):
        merge = merge_of(with_levels(*levels), POINTS, new, all_levels=False)
        levels = [*levels[: merge.level], merge.rows]
        written[merge.level] += merge.rows
    assert max(written.values()) <= RATIO * new * minutes


ROOTS = st.sampled_from([f"r{n}" for n in range(12)])


@st.composite
def plans(draw: st.DrawFn) -> tuple[Merge, list[Planned]]:
    pieces = []
    for number, root in enumerate(draw(st.lists(ROOTS, max_size=30))):
        rows = draw(st.integers(1, 40))
        segment = SegmentKey("e", draw(st.sampled_from([root, "child"])), f"{number}", 0, rows)
        pieces.append(Planned(root, segment, f"key-{number}", draw(st.integers(0, rows - 1))))
    ends = draw(st.lists(st.tuples(ROOTS, ROOTS).map(sorted), max_size=5))
    files = [
        TableFile(
            name=f"{place}",
            kind=draw(st.sampled_from(POINTS)),
            level=0,
            rows=draw(st.integers(1, 100)),
            size=1,
            footer=8,
            crc32=0,
            first=first,
            last=last,
        )
        for place, (first, last) in enumerate(ends)
    ]
    return Merge(tuple(files), 0, 0), pieces


@settings(max_examples=100)
@given(plans(), st.sampled_from([1, 2, 8]))
def test_every_row_is_in_exactly_one_job(plan: tuple[Merge, list[Planned]], workers: int) -> None:
    merge, pieces = plan
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(planning, "JOB_ROWS", 60)
        patch.setattr(planning, "LEAST_JOB", 10)
        jobs = jobs_of("e", 3, merge, pieces, workers=workers, without=frozenset({"gone"}))
    assert Counter(piece for job in jobs for piece in job.pieces) == Counter(pieces)
    for job in jobs:
        assert (job.base, job.level, job.rows.without) == (3, 0, frozenset({"gone"}))
        assert all(job.rows.has_root(piece.root) for piece in job.pieces)
        whose = [(piece.segment.run, piece.segment.writer) for piece in job.pieces]
        assert whose == sorted(whose, key=lambda one: (root_of(pieces, one), *one))
    for root in [f"r{n}" for n in range(12)]:
        reading = [job for job in jobs if job.rows.has_root(root)]
        assert len(reading) <= 1
        for file in merge.files:
            if file.first <= root <= file.last:
                assert [file in job.files for job in reading] == [True]


def root_of(pieces: list[Planned], whose: tuple[str, str]) -> str:
    return next(p.root for p in pieces if (p.segment.run, p.segment.writer) == whose)


def test_work_is_shared_evenly() -> None:
    pieces = [
        Planned(f"r{n:04}", SegmentKey("e", f"r{n:04}", "00", 0, 10_000), f"{n}", 0)
        for n in range(1000)
    ]
    jobs = jobs_of("e", 0, Merge((), 0, 0), pieces, workers=8)
    rows = [sum(piece.rows for piece in job.pieces) for job in jobs]
    assert sum(rows) == 10_000_000
    assert len(rows) >= 8
    assert max(rows) <= 1.2 * sum(rows) / len(rows)
