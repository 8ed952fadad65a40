"""Segments of numbered points, and what a store says of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pyarrow as pa

from objrun.format import keys
from objrun.format.segments import encode_segment
from objrun.query.metrics import refuse
from objrun.tables.chunks import Source, chunk_of_segments, decoded, full_frame
from objrun.tables.points import Points, read_points
from objrun.tables.reading import Rows

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from objrun.errors import CorruptObjectError
    from objrun.protocol.live import Shard
    from objrun.storage import Store


def points_of(
    shards: Sequence[Shard], on_damage: Callable[[CorruptObjectError], None] = refuse
) -> Points:
    """The points of segments, given by run, writer and offset."""
    sources = [Source(shard.segment.run, shard) for shard in shards]
    return Points(chunk_of_segments(decoded(sources, on_damage)), "e", shards, [])


def key_of(writer: str, start: int, stop: int) -> str:
    return keys.segment("e", "r", writer, start, stop)


def points(start: int, stop: int) -> bytes:
    """A segment whose values are its offsets."""
    rows = range(start, stop)
    columns = {
        "name": pa.array(["x"] * len(rows)),
        "time": pa.array(rows, pa.timestamp("us", "UTC")),
        "value": pa.array(rows, pa.float64()),
    }
    return encode_segment(pa.table(columns))


def counted(store: Store) -> dict[str, list[float]]:
    """The values that count, by writer in order of offset."""
    frame = full_frame(read_points(store, "e", Rows(runs=frozenset(["r"])), refuse, run="r").chunk)
    found: dict[str, list[float]] = {}
    for writer, offset, value in (
        frame.sort("writer", "offset").select("writer", "offset", "value").iter_rows()
    ):
        assert offset == len(found.setdefault(writer, [])), "a gap, or a row twice"
        found[writer].append(value)
    return found
