"""Few objects of many flushes: which of its objects a writer repeats in the next one. Pure.

What a writer flushes is a stretch of what it counts: the bytes of a log, packs of blobs. A flush
makes an object of level 0; where the last FAN - 1 objects have one level, it makes one of the next
level instead, which repeats these and supersedes them. So each byte is sent once for each level,
and n flushes leave some FAN * log(n) objects. What is large is never repeated.
"""

from __future__ import annotations

from typing import Final, NamedTuple

FAN: Final = 10
"""Objects of one level that the next level puts together."""

FEW: Final = 4
"""Objects below which it is not worth to repeat them where a large one is made."""


class Stretch(NamedTuple):
    """An object of `[start, stop)`; `level` is None where nothing repeats it."""

    start: int
    stop: int
    level: int | None


class Levels:
    """What one writer has stored and may repeat, without a gap.

    >>> levels = Levels(0)
    >>> for stop in range(1, 11):
    ...     made = levels.next(stop, large=False)
    ...     superseded = levels.store(made)
    >>> made, len(superseded)
    (Stretch(start=0, stop=10, level=1), 9)
    """

    def __init__(self, start: int) -> None:
        """Begin with what stands at `start`."""
        self.stop = start
        self._stored: list[Stretch] = []

    @property
    def start(self) -> int:
        """Where that begins which may be repeated: who stores must have it at hand."""
        return self._stored[0].start if self._stored else self.stop

    def next(self, stop: int, *, large: bool) -> Stretch:
        """Return the object that stores what there is up to `stop`.

        `large`: from `start` on that is so much that nothing shall repeat it.
        """
        left = len(self._stored)
        level: int | None = None if large else 0
        if large:
            left = left if left < FEW else 0
        while level is not None and self._are_of(level, left):
            left -= FAN - 1
            level += 1
        start = self._stored[left].start if left < len(self._stored) else self.stop
        return Stretch(start, stop, level)

    def _are_of(self, level: int, left: int) -> bool:
        last = self._stored[max(0, left - FAN + 1) : left]
        return len(last) == FAN - 1 and all(each.level == level for each in last)

    def store(self, made: Stretch) -> list[Stretch]:
        """Note that an object is stored; return those that it supersedes."""
        superseded = [each for each in self._stored if each.start >= made.start]
        left = self._stored[: len(self._stored) - len(superseded)]
        self._stored = [] if made.level is None else [*left, made]
        self.stop = made.stop
        return superseded
