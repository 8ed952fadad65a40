"""Which rows count: against the plainest definition there is, the union of what was stored."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hypothesis import example, given
from hypothesis import strategies as st

from objrun.format.keys import SegmentKey
from objrun.protocol.cover import choose

if TYPE_CHECKING:
    from collections.abc import Iterable


def seg(writer: str, start: int, stop: int, run: str = "r") -> SegmentKey:
    return SegmentKey("e", run, writer, start, stop)


SEGMENTS = st.lists(
    st.builds(
        lambda run, writer, start, rows: seg(writer, start, start + rows, run),
        st.sampled_from(["r", "q"]),
        st.sampled_from(["v", "w"]),
        st.integers(0, 24),
        st.integers(1, 12),
    ),
    max_size=14,
)


def expected(segments: Iterable[SegmentKey], first: int) -> list[int]:
    """Offsets that count: everything stored from `first` on, up to the first that is missing."""
    stored = {offset for s in segments for offset in range(s.start, s.stop)}
    found = []
    while first in stored:
        found.append(first)
        first += 1
    return found


@example([seg("w", 0, 5), seg("w", 3, 4), seg("w", 4, 9)], 0)
@example([seg("w", 0, 10), seg("w", 5, 20), seg("w", 8, 15), seg("w", 19, 25)], 0)
@example([seg("w", 0, 5), seg("w", 5, 10), seg("w", 12, 20)], 0)
@given(SEGMENTS, st.integers(0, 20))
def test_every_row_below_the_first_gap_counts_once(segments: list[SegmentKey], first: int) -> None:
    coverage = {(run, writer): first for run in "rq" for writer in "vw"}
    pieces = choose(segments, coverage)
    for run in "rq":
        for writer in "vw":
            own = [s for s in segments if (s.run, s.writer) == (run, writer)]
            chosen = [p for p in pieces if (p.segment.run, p.segment.writer) == (run, writer)]
            rows = [
                offset
                for piece in chosen
                for offset in range(piece.segment.start + piece.skip, piece.segment.stop)
            ]
            assert rows == expected(own, first)
            assert all(piece.skip >= 0 and piece.segment in own for piece in chosen)


@given(SEGMENTS, st.randoms())
def test_the_order_of_the_listing_does_not_matter(
    segments: list[SegmentKey], random: object
) -> None:
    shuffled = [*segments]
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    assert choose(shuffled) == choose(segments)


@given(SEGMENTS)
def test_no_more_objects_are_read_than_needed(segments: list[SegmentKey]) -> None:
    """With the largest stop at each position, no chosen segment can be left out."""
    pieces = choose(segments)
    for left_out in pieces:
        rest = [p.segment for p in pieces if p is not left_out]
        key = (left_out.segment.run, left_out.segment.writer)
        own = [s for s in rest if (s.run, s.writer) == key]
        everything = [p.segment for p in pieces if (p.segment.run, p.segment.writer) == key]
        assert expected(own, 0) != expected(everything, 0)


def test_nothing_stored_is_nothing_read() -> None:
    assert choose([]) == []
    assert choose([seg("w", 1, 5)]) == []
