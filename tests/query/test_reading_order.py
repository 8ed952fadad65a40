"""The order in which metrics are read, against the plainest way to do what the SPEC says."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, NamedTuple

import pyarrow as pa
from hypothesis import example, given, settings
from hypothesis import strategies as st

from objrun.format.keys import SegmentKey, segment
from objrun.format.segments import encode_segment
from objrun.protocol.live import Shard
from objrun.query.reading_order import in_reading_order
from tests.protocol.segments import points_of


class Row(NamedTuple):
    run: str
    writer: str
    name: str
    kind: str
    step: int | None
    time: int


ROWS = st.lists(
    st.builds(
        Row,
        st.sampled_from(["r", "q"]),
        st.sampled_from(["v", "w"]),
        st.sampled_from(["a", "b", "c"]),
        st.sampled_from(["scalar", "scalar", "scalar", "list", "row", "table"]),
        st.none() | st.integers(-2, 2),
        st.integers(0, 9),
    ),
    max_size=14,
)
FAMILY = {"list": "scalar"}


def shards_of(rows: list[Row], cut: int) -> list[Shard]:
    """Segments of each run and writer, in two parts where there are more than `cut` rows."""
    made = []
    for run, writer in sorted({(row.run, row.writer) for row in rows}):
        own = [row for row in rows if (row.run, row.writer) == (run, writer)]
        for start, stop in ((0, min(cut, len(own))), (cut, len(own))):
            if start < stop:
                key = SegmentKey("e", run, writer, start, stop)
                made.append(Shard(segment(*key), key, 0, encoded(own[start:stop], start)))
    return made


def encoded(rows: list[Row], first: int) -> bytes:
    columns = {
        "name": pa.array([row.name for row in rows]),
        "kind": pa.array([row.kind for row in rows]),
        "step": pa.array([row.step for row in rows], pa.int64()),
        "time": pa.array([row.time for row in rows], pa.timestamp("us", "UTC")),
        "type": pa.array(["json" if row.kind != "scalar" else None for row in rows], pa.string()),
        "value": pa.array([float(first + place) for place in range(len(rows))]),
    }
    return encode_segment(pa.table(columns))


def plainly(
    rows: list[Row],
) -> set[tuple[str, tuple[tuple[str, tuple[tuple[str, int], ...]], ...]]]:
    """For each run its metrics in order, each with the (writer, offset) of its rows in order."""
    found = set()
    for run in {row.run for row in rows}:
        points: list[tuple[int, str, int, Row]] = []
        offsets: dict[str, int] = {}
        latest: dict[tuple[str, str], int] = {}
        for row in (row for row in rows if row.run == run):
            offset = offsets.get(row.writer, 0)
            offsets[row.writer] = offset + 1
            at = max(row.time, latest.get((row.writer, row.name), 0))
            latest[row.writer, row.name] = at
            points.append((at, row.writer, offset, row))
        points.sort(key=lambda point: point[:3])
        metrics = []
        for name in dict.fromkeys(row.name for *_, row in points):
            own = [point for point in points if point[3].name == name]
            stepped = all(row.step is not None for *_, row in own)
            family = FAMILY.get(own[0][3].kind, own[0][3].kind)
            kept = [p for p in own if FAMILY.get(p[3].kind, p[3].kind) == family]
            if stepped:
                kept.sort(key=lambda point: point[3].step or 0)
            metrics.append((name, tuple((writer, offset) for _, writer, offset, _ in kept)))
        found.add((run, tuple(metrics)))
    return found


def told(rows: list[Row], cut: int) -> Any:
    frame = in_reading_order(points_of(shards_of(rows, cut)).chunk).frame
    runs: dict[str, dict[str, list[tuple[str, int]]]] = {}
    names = []
    for run, name, writer, offset in frame.select("run_id", "name", "writer", "offset").iter_rows():
        runs.setdefault(run, {}).setdefault(name, []).append((writer, offset))
        names.append((run, name))
    blocks = [pair for place, pair in enumerate(names) if place == 0 or names[place - 1] != pair]
    assert len(blocks) == len(set(blocks)), "a metric in two pieces"
    return {(r, tuple((n, tuple(p)) for n, p in metrics.items())) for r, metrics in runs.items()}


def row(name: str, step: int | None, time: int, kind: str = "scalar", writer: str = "w") -> Row:
    return Row("r", writer, name, kind, step, time)


@settings(max_examples=100)
@example([row("a", 1, 5), row("a", 1, 3), row("a", 0, 9), row("b", None, 0)], 2)
@example([row("a", 2, 1), row("a", None, 2, "row"), row("a", 1, 3)], 9)
@example([row("a", 1, 1), row("b", 1, 2), row("a", 1, 3), row("b", 0, 4)], 2)
@example([row("a", None, 5), row("a", None, 4, writer="v"), row("a", None, 1)], 9)
@given(ROWS, st.integers(1, 6))
def test_frames_are_in_the_order_of_the_specification(rows: list[Row], cut: int) -> None:
    assert told(rows, cut) == plainly(rows)


def test_times_are_read_as_they_were_written() -> None:
    frame = in_reading_order(points_of(shards_of([row("a", None, 7)], 9)).chunk).frame
    assert frame["time"].to_list() == [datetime(1970, 1, 1, 0, 0, 0, 7, tzinfo=UTC)]
