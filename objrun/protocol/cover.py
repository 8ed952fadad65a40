"""Which rows of which segments count: pure. SPEC section 10.

Segments of one writer may overlap (a later flush repeats the rows of an earlier one), may be left
over, and may have a gap where a dead writer's object never arrived. Each row counts once.
"""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, TypeVar

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from objrun.format.keys import SegmentKey


class Span(Protocol):
    """Offsets `[start, stop)` of one writer: rows of a segment, bytes of a log."""

    @property
    def start(self) -> int:
        """The first of them."""

    @property
    def stop(self) -> int:
        """The first behind them."""


class Owned(Span, Protocol):
    """Offsets of a writer of a run."""

    @property
    def run(self) -> str:
        """The run."""

    @property
    def writer(self) -> str:
        """The writer's id."""

    def __lt__(self, other: Any, /) -> bool:
        """Return which comes first."""


S = TypeVar("S", bound=Span)
T = TypeVar("T", bound=Owned)


class Piece(NamedTuple):
    """Rows of one segment that count: all from the row number `skip` (from 0) on.

    >>> from objrun.format.keys import SegmentKey
    >>> Piece(SegmentKey("e", "r", "w", 0, 9), 4).skip
    4
    """

    segment: SegmentKey
    skip: int


def choose(
    segments: Iterable[SegmentKey], coverage: Mapping[tuple[str, str], int] | None = None
) -> list[Piece]:
    """Return what to read of `segments`, by run and writer and in order of offset.

    `coverage` maps (run, writer) to the offset from which on rows are wanted, 0 by default.

    >>> from objrun.format.keys import SegmentKey
    >>> a, b = SegmentKey("e", "r", "w", 0, 5), SegmentKey("e", "r", "w", 0, 9)
    >>> choose([a, b, SegmentKey("e", "r", "w", 10, 12)]) == [Piece(b, 0)]
    True
    """
    writers: defaultdict[tuple[str, str], list[SegmentKey]] = defaultdict(list)
    for segment in segments:
        writers[segment.run, segment.writer].append(segment)
    chosen: list[Piece] = []
    for writer in sorted(writers):
        found = walk(writers[writer], (coverage or {}).get(writer, 0))
        chosen += [Piece(*each) for each in found]
    return chosen


def walk(spans: Iterable[S], position: int) -> list[tuple[S, int]]:
    """Return the spans of one writer from `position` to its first gap, each with what to skip.

    >>> from objrun.format.keys import SegmentKey
    >>> [skip for _, skip in walk([SegmentKey("e", "r", "w", 0, 5)], 3)]
    [3]
    """
    pieces: list[tuple[S, int]] = []
    best: S | None = None
    for span in sorted(spans, key=lambda s: (s.start, s.stop)):
        if span.start > position:
            if best is None or span.start > best.stop:
                break
            pieces.append((best, position - best.start))
            position, best = best.stop, None
        if span.start <= position < span.stop and (best is None or span.stop > best.stop):
            best = span
    if best is not None:
        pieces.append((best, position - best.start))
    return pieces


def outermost(spans: Iterable[T]) -> list[T]:
    """Return the spans that no other one of the same writer holds, in order.

    >>> from objrun.format.keys import SegmentKey
    >>> short, long = SegmentKey("e", "r", "w", 0, 5), SegmentKey("e", "r", "w", 0, 9)
    >>> outermost([short, long]) == [long]
    True
    """
    found: list[T] = []
    for span in sorted(spans, key=lambda each: (each.run, each.writer, each.start, -each.stop)):
        if not found or not holds(found[-1], span):
            found.append(span)
    return found


def holds(outer: Owned, inner: Owned) -> bool:
    """Return whether a span has all of another one.

    >>> from objrun.format.keys import SegmentKey
    >>> inner = SegmentKey("e", "r", "w", 2, 5)
    >>> holds(SegmentKey("e", "r", "w", 0, 9), inner), holds(SegmentKey("e", "q", "w", 0, 9), inner)
    (True, False)
    """
    same = outer.writer == inner.writer and outer.run == inner.run
    return same and outer.start <= inner.start and inner.stop <= outer.stop


def superseded(ours: Iterable[T], theirs: Iterable[T]) -> list[T]:
    """Return those of theirs that a longer one of ours holds.

    >>> from objrun.format.keys import SegmentKey
    >>> short, long = SegmentKey("e", "r", "w", 0, 5), SegmentKey("e", "r", "w", 0, 9)
    >>> superseded([long], [short, long]) == [short], superseded([], [short, long])
    (True, [])
    """
    mine, there = outermost(ours), {*theirs}
    inner = there.difference(outermost([*mine, *there]))
    return [span for span in sorted(inner) if any(holds(outer, span) for outer in mine)]
