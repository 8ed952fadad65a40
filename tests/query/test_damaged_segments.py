"""Damaged segments are named as damaged; no bytes crash a program that reads them."""

from __future__ import annotations

import json
from collections import Counter
from multiprocessing import get_context
from typing import TYPE_CHECKING

import pyarrow as pa
import pytest

from objrun.errors import CorruptObjectError
from objrun.format.keys import SegmentKey, parse_segment, segment
from objrun.format.segments import encode_segment
from objrun.protocol.live import Shard
from objrun.query.metrics import in_reading_order, metric_values, metrics_frame, refuse
from tests.golden.cases import INVALID

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from objrun.errors import Problem

KEY = SegmentKey("e", "r", "00000000000000a1", 0, 20)
SEGMENTS = [case for case in INVALID if case.name.startswith("segment_")]


def sound(*, plain: bool) -> bytes:
    """A segment of numbers, or of values of all types."""
    rows = range(KEY.stop)
    columns = {
        "name": pa.array([("a", "b")[row % 2] for row in rows]),
        "step": pa.array([row if row % 3 else None for row in rows], pa.int64()),
        "time": pa.array([row * row for row in rows], pa.timestamp("us", "UTC")),
        "value": pa.array([row / 3 if row % 2 else None for row in rows], pa.float64()),
    }
    if not plain:
        columns["kind"] = pa.array(["reference" if row % 2 == 0 else None for row in rows])
        columns["type"] = pa.array(["str" if row % 2 == 0 else None for row in rows])
        columns["data"] = pa.array([f"é{row}" if row % 2 == 0 else None for row in rows])
    return encode_segment(pa.table(columns))


def damaged(data: bytes) -> Iterator[bytes]:
    """Cut `data` at every length, and hurt each of its bytes: one bit, all bits."""
    for place, byte in enumerate(data):
        yield data[:place]
        for bits in (1 << place % 8, 255):
            yield data[:place] + bytes([byte ^ bits]) + data[place + 1 :]


def read(data: bytes) -> list[Problem]:
    """Return the problems of a segment of KEY; one without any can be used."""
    key = segment(*KEY)
    try:
        frame = metrics_frame([Shard(key, KEY, 0, data)], refuse)
        assert frame.height == KEY.stop
        assert len(frame.rows()) == KEY.stop
        metric_values(in_reading_order(frame))
    except CorruptObjectError as error:
        return error.problems
    return []


def read_all(*, plain: bool) -> None:
    whole = sound(plain=plain)
    assert read(whole) == []
    codes = Counter(problem.code for data in damaged(whole) for problem in read(data))
    assert codes["bad_parquet"] > len(whole)


@pytest.mark.parametrize("plain", [True, False])
def test_any_damage_is_an_error_and_no_crash(plain: bool) -> None:
    """In a process of its own: a library that aborts would take this one with it."""
    reader = get_context("spawn").Process(target=read_all, kwargs={"plain": plain})
    reader.start()
    reader.join()
    assert reader.exitcode == 0


@pytest.mark.parametrize("case", SEGMENTS, ids=lambda case: case.name)
def test_frames_name_what_the_format_names(case: Path) -> None:
    told = json.loads((case / "case.json").read_bytes())
    data = (case / told["file"]).read_bytes()
    key = parse_segment(told["key"])
    assert key is not None
    with pytest.raises(CorruptObjectError) as caught:
        metrics_frame([Shard(told["key"], key, 0, data)], refuse)
    assert caught.value.key == told["key"]
    found = Counter((problem.code, problem.location) for problem in caught.value.problems)
    assert found == Counter((wanted["code"], wanted["location"]) for wanted in told["problems"])
