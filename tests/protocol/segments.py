"""Segments of numbered points, and what a store says of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pyarrow as pa

from objrun.format import keys
from objrun.format.segments import encode_segment
from objrun.protocol.live import read_shards
from objrun.query.metrics import metrics_frame, refuse

if TYPE_CHECKING:
    from objrun.storage import Store


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
    frame = metrics_frame(read_shards(store, "e", "r"), refuse).sort("writer", "offset")
    found: dict[str, list[float]] = {}
    for writer, offset, value in frame.select("writer", "offset", "value").iter_rows():
        assert offset == len(found.setdefault(writer, [])), "a gap, or a row twice"
        found[writer].append(value)
    return found
