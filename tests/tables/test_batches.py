"""What a compaction puts in order at once: whole runs where they fit."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from objrun.format.keys import SegmentKey
from objrun.protocol.live import Shard
from objrun.tables import folding
from objrun.tables.chunks import Source

LIMIT = 10


def sources(runs: list[list[int]]) -> list[Source]:
    """Segments of so many rows, by run."""
    found = []
    for number, lengths in enumerate(runs):
        start = 0
        for length in lengths:
            key = SegmentKey("e", f"r{number:03}", "w", start, start + length)
            found.append(Source(key.run, Shard("key", key, 0, b"")))
            start += length
    return found


def rows(found: list[Source]) -> int:
    return sum(s.shard.segment.stop - s.shard.segment.start for s in found)


@given(st.lists(st.lists(st.integers(1, 12), min_size=1, max_size=6), max_size=8))
def test_runs_are_cut_only_where_they_must_be(runs: list[list[int]]) -> None:
    given_ = sources(runs)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(folding, "CHUNK_ROWS", LIMIT)
        batches = [*folding.batches(given_)]
    assert [source for batch, _ in batches for source in batch] == given_
    assert all(batch for batch, _ in batches)
    cut = {batch[-1].shard.segment.run for batch, goes_on in batches if goes_on}
    for number, (batch, goes_on) in enumerate(batches):
        following = [*(source for rest, _ in batches[number + 1 :] for source in rest)]
        last = batch[-1].shard.segment.run
        assert goes_on == any(source.shard.segment.run == last for source in following)
        # No more than a chunk, and the last run that was begun.
        before = [s for s in batch if s.shard.segment.run != last]
        assert rows(before) < LIMIT
        assert rows(batch[:-1]) < LIMIT
    for run in cut:
        assert rows([s for s in given_ if s.shard.segment.run == run]) > LIMIT
