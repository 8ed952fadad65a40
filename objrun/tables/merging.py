"""Merge sorted tables into one, a bounded number of rows at a time: pure.

Sources are given oldest first. Where two have rows of one key, those of the older one come first.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Generic, TypeVar

import polars as pl

from objrun.tables.chunks import BLOCK, EMPTY, Chunk, concat
from objrun.tables.spread import count_up

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    BlockKey = tuple[str, str, str, str]
    RunKey = tuple[str, str]

T = TypeVar("T")


@dataclass
class _Ahead(Generic[T]):
    """A source and what was read of it and is not merged yet."""

    source: Iterator[T]
    held: list[T] = field(default_factory=list)
    ended: bool = False

    def more(self, size: Callable[[T], int]) -> None:
        """Read on to the next piece that is not empty."""
        for piece in self.source:
            if size(piece):
                self.held.append(piece)
                return
        self.ended = True


def merge_chunks(sources: Sequence[Iterable[Chunk]]) -> Iterator[Chunk]:
    """Yield the points of all sources in order of a metrics table.

    A block of a newer source waits for the end of the same block in an older one, so that offsets
    rise. What is held is at most one chunk of each source and what it is merged with.
    """
    ahead = [_Ahead(iter(source)) for source in sources]
    while True:
        for one in ahead:
            if not one.held and not one.ended:
                one.more(len)
        going = [one for one in ahead if not one.ended]
        if not any(one.held for one in ahead):
            return
        bound = min((one.held[-1].key(-1) for one in going if one.held), default=None)
        yield _in_order(_below(ahead, bound))


def _below(ahead: Sequence[_Ahead[Chunk]], bound: BlockKey | None) -> list[Chunk]:
    """Take from each source the blocks before `bound`, and those equal to it that may come now."""
    taken = []
    open_ = True
    for one in ahead:
        if not one.held:
            continue
        (chunk,) = one.held
        count = chunk.blocks.height
        before = count if bound is None else _first(chunk, bound, after=False)
        upto = count if bound is None else _first(chunk, bound, after=True)
        if bound is not None and not open_:
            upto = before
        if upto:
            taken.append(chunk.slice_blocks(0, upto))
        if upto == count and not one.ended and chunk.key(-1) == bound:
            # The block may go on in this source: newer ones must wait with theirs.
            open_ = False
        one.held = [] if upto == count else [chunk.slice_blocks(upto, count)]
    return taken


def _first(chunk: Chunk, key: BlockKey, *, after: bool) -> int:
    """Return the place of the first block that is not below `key`, or is `after` it."""
    low, high = 0, chunk.blocks.height
    while low < high:
        middle = (low + high) // 2
        here = chunk.key(middle)
        if here < key or (after and here == key):
            low = middle + 1
        else:
            high = middle
    return low


def _in_order(chunks: Sequence[Chunk]) -> Chunk:
    """Return chunks, oldest first, as one in order; the order within equal blocks stays."""
    if len(chunks) == 1:
        return chunks[0]
    rows = pl.concat([chunk.rows for chunk in chunks], how="diagonal")
    blocks = pl.concat([chunk.blocks for chunk in chunks])
    starts = blocks["length"].cast(pl.Int64).cum_sum() - blocks["length"].cast(pl.Int64)
    ordered = blocks.with_columns(starts.alias("start")).sort(BLOCK, maintain_order=True)
    ordered_rows = rows[count_up(ordered["start"], ordered["length"])]
    return concat([Chunk(ordered.drop("start"), ordered_rows), EMPTY])


def merge_frames(
    sources: Sequence[Iterable[pl.DataFrame]], combine: Callable[[pl.DataFrame], pl.DataFrame]
) -> Iterator[pl.DataFrame]:
    """Yield the rows of all sources by (root_run_id, run_id), all of a run in one frame.

    `combine` gets the rows of some runs, of older sources first, and returns what becomes of them,
    sorted as the table is.
    """
    ahead = [_Ahead(iter(source)) for source in sources]
    while True:
        for one in ahead:
            if not one.held and not one.ended:
                one.more(len)
        if not any(one.held for one in ahead):
            return
        bound = min(
            (_last_run(one.held[-1]) for one in ahead if one.held and not one.ended), default=None
        )
        taken = [frame for one in ahead for frame in _runs_below(one, bound)]
        if taken:
            yield combine(pl.concat(taken))
        else:
            # A run goes on beyond what is held of it.
            for one in ahead:
                if one.held and not one.ended and _last_run(one.held[-1]) == bound:
                    one.more(len)


def _runs_below(one: _Ahead[pl.DataFrame], bound: RunKey | None) -> list[pl.DataFrame]:
    if not one.held or bound is None:
        taken, one.held = one.held, []
        return taken
    frame = pl.concat(one.held)
    root, run = bound
    below = (pl.col("root_run_id") < root) | (
        (pl.col("root_run_id") == root) & (pl.col("run_id") < run)
    )
    count = frame.select(below.sum()).item()
    one.held = [frame.slice(count)] if count < frame.height else []
    return [frame.slice(0, count)] if count else []


def _last_run(frame: pl.DataFrame) -> RunKey:
    root, run = frame.select("root_run_id", "run_id").row(-1)
    return root, run
