"""Damaged segments are named as damaged; no bytes crash a program that reads them."""

from __future__ import annotations

import json
from collections import Counter
from itertools import islice
from multiprocessing import get_context
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl
import pyarrow as pa
import pytest

from objrun.errors import CorruptObjectError
from objrun.format.keys import SegmentKey, parse_segment, segment
from objrun.format.segments import SCHEMA, encode_segment
from objrun.protocol.live import Shard
from objrun.query.reading_order import in_reading_order
from objrun.query.values import metric_values
from objrun.storage import MemoryStore
from objrun.tables.chunks import full_frame
from tests.golden.cases import INVALID
from tests.protocol.segments import points_of

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from objrun.errors import Problem

BLOB = f"media://00ff00ff00ff00ff-00000001/a/000000.png?start=34&size=1&sha256={'0' * 64}"
KEY = SegmentKey("e", "r", "00000000000000a1", 0, 20)
FITTING = {
    None: ("str", None, "x"),
    "list": ("json", None, "[1]"),
    "row": ("json", None, '{"a":1}'),
    "table": ("json", None, '{"a":[1]}'),
    "reference": ("str", None, "x"),
    "image": ("blob", None, BLOB),
    "text": ("str", None, "x"),
    "histogram": ("json", None, '{"counts":[1],"edges":[0.5,1]}'),
}
SEGMENTS = [case for case in INVALID if case.name.startswith("segment_")]


def sound(*, plain: bool) -> bytes:
    """A segment of numbers, or of values of all types."""
    rows = range(KEY.stop)
    columns = {
        "name": pa.array([("a", "b")[row % 2] for row in rows]),
        "step": pa.array([row if row % 3 else None for row in rows], pa.int64()),
        "time": pa.array([row * row for row in rows], pa.timestamp("us", "UTC")),
        "value": pa.array([row / 3 if plain or row % 2 else None for row in rows], pa.float64()),
    }
    if not plain:
        columns["kind"] = pa.array(["reference" if row % 2 == 0 else None for row in rows])
        columns["type"] = pa.array(["str" if row % 2 == 0 else None for row in rows])
        columns["data"] = pa.array([f"é{row}" if row % 2 == 0 else None for row in rows])
    return encode_segment(pa.table(columns))


def damaged(data: bytes) -> Iterator[bytes]:
    """Cut `data` at every length, and flip a bit of each of its bytes."""
    for place, byte in enumerate(data):
        yield data[:place]
        yield data[:place] + bytes([byte ^ 1 << place % 8]) + data[place + 1 :]


def read(data: bytes) -> list[Problem]:
    """Return the problems of a segment of KEY; one without any can be used."""
    key = segment(*KEY)
    shards = [Shard(key, KEY, 0, data)]
    try:
        points = points_of(shards)
        frame = full_frame(points.chunk)
        assert frame.height == KEY.stop
        assert len(frame.rows()) == KEY.stop
        in_reading_order(points.chunk)
        metric_values(points, MemoryStore("none"))
    except CorruptObjectError as error:
        return error.problems
    return []


EVERY = pytest.mark.parametrize("every", [3, pytest.param(1, marks=pytest.mark.slow)])
"""Of so many damages one is tried: cuts and bits come in turn."""


def read_all(*, plain: bool, every: int) -> None:
    whole = sound(plain=plain)
    assert read(whole) == []
    tried = islice(damaged(whole), 0, None, every)
    codes = Counter(problem.code for data in tried for problem in read(data))
    assert codes["bad_parquet"] > len(whole) / every


@EVERY
@pytest.mark.parametrize("plain", [True, False])
def test_any_damage_is_an_error_and_no_crash(plain: bool, every: int) -> None:
    """In a process of its own: a library that aborts would take this one with it."""
    reader = get_context("spawn").Process(target=read_all, kwargs={"plain": plain, "every": every})
    reader.start()
    reader.join()
    assert reader.exitcode == 0


def read_between(*, plain: bool, every: int) -> None:
    """Read damaged segments together with a sound one on either side, which must not move."""
    whole = sound(plain=plain)
    expected = full_frame(points_of([Shard(segment(*KEY), KEY, 0, whole)]).chunk).drop("writer")
    keys = [KEY._replace(writer=f"00000000000000a{place}") for place in range(3)]
    # Fewer: each is read alone above.
    for data in islice(damaged(whole), 0, None, 5 * every):
        shards = [
            Shard(segment(*key), key, 0, each)
            for key, each in zip(keys, (whole, data, whole), strict=True)
        ]
        frame = full_frame(points_of(shards, lambda _error: None).chunk)
        for key in (keys[0], keys[2]):
            assert frame.filter(pl.col("writer") == key.writer).drop("writer").equals(expected)


@EVERY
@pytest.mark.parametrize("plain", [True, False])
def test_damage_does_not_touch_what_is_read_beside_it(plain: bool, every: int) -> None:
    """In a process of its own, as above."""
    reader = get_context("spawn").Process(
        target=read_between, kwargs={"plain": plain, "every": every}
    )
    reader.start()
    reader.join()
    assert reader.exitcode == 0


def test_segments_of_any_columns_read_together_are_as_read_one_by_one() -> None:
    tables: list[dict[str, list[Any]]] = [
        {"name": ["x", "y"], "step": [1, None], "value": [0.5, 1.5]},
        {"name": ["x", "y"], "value": [2.5, 3.5]},
        {"name": ["y"], "step": [7], "value": [4.5]},
        {"name": ["z", "y"], "step": [1, 2], "kind": ["list", None], "type": ["json", None],
         "value": [None, 5.5], "data": ["[1]", None]},
        {"name": ["x", "y"], "step": [8, 9], "value": [6.5, 7.5]},
    ]  # fmt: skip
    shards = []
    for place, columns in enumerate(tables):
        rows = len(columns["name"])
        key = SegmentKey("e", f"r{place % 2}", "00ff", 10 * place, 10 * place + rows)
        types = {field.name: field.type for field in SCHEMA}
        arrays = {name: pa.array(cells, types[name]) for name, cells in columns.items()}
        arrays["time"] = pa.array(range(rows), types["time"])
        shards.append(Shard(segment(*key), key, 0, encode_segment(pa.table(arrays))))
    shards.sort(key=lambda shard: shard.segment)
    alone = pl.concat([full_frame(points_of([shard]).chunk) for shard in shards])
    together = full_frame(points_of(shards).chunk)
    assert together.equals(alone.sort("run_id", "name", "writer", "offset"))


def test_one_of_many_leaves_the_others() -> None:
    rows = 1_000
    shards = []
    for start in range(0, 4 * rows, rows):
        key = SegmentKey("e", "r", KEY.writer, start, start + rows)
        columns = {
            "name": pa.array(["x"] * rows),
            "time": pa.array(range(start, start + rows), pa.timestamp("us", "UTC")),
            "value": pa.array(np.random.default_rng(start).normal(size=rows)),
        }
        shards.append(Shard(segment(*key), key, 0, encode_segment(pa.table(columns))))
    assert full_frame(points_of(shards).chunk)["offset"].to_list() == [*range(4 * rows)]
    shards[1] = shards[1]._replace(data=shards[1].data[:-9])
    told: list[CorruptObjectError] = []
    frame = full_frame(points_of(shards, told.append).chunk)
    assert [error.key for error in told] == [shards[1].key]
    assert frame["offset"].to_list() == [*range(rows), *range(2 * rows, 4 * rows)]
    with pytest.raises(CorruptObjectError, match=shards[1].key):
        points_of(shards)


@pytest.mark.parametrize("case", SEGMENTS, ids=lambda case: case.name)
def test_frames_name_what_the_format_names(case: Path) -> None:
    told = json.loads((case / "case.json").read_bytes())
    data = (case / told["file"]).read_bytes()
    key = parse_segment(told["key"])
    assert key is not None
    with pytest.raises(CorruptObjectError) as caught:
        points_of([Shard(told["key"], key, 0, data)])
    assert caught.value.key == told["key"]
    found = Counter((problem.code, problem.location) for problem in caught.value.problems)
    assert found == Counter((wanted["code"], wanted["location"]) for wanted in told["problems"])


@pytest.mark.parametrize(
    ("kind", "type_", "value", "data"),
    [
        (None, None, None, None), (None, "int", 0.5, None), (None, "str", None, None),
        (None, "json", None, "[1]"), (None, "json", None, "["), ("list", None, 1.0, None),
        ("list", "str", None, "ab"), ("list", "json", None, '{"a":1}'),
        ("list", "json", None, "[[1]]"), ("row", None, 1.0, None), ("row", "json", None, "[1]"),
        ("row", "json", None, '{"a":[1]}'), ("table", "json", None, '{"a":1}'),
        ("table", "json", None, '{"a":[1],"b":[1,2]}'), ("table", "none", None, None),
        ("reference", "int", 1.0, None), (None, "blob", None, BLOB),
        ("list", "blob", None, BLOB), ("image", "str", None, "x"), ("text", "none", None, None),
        ("image", "blob", None, "media://x"), ("image", "blob", 1.0, None),
        ("histogram", "json", None, '{"counts":1}'), ("list", "json", None, "[" * 99_999),
    ],
)  # fmt: skip
def test_a_value_that_does_not_fit_is_named_with_its_segment(
    kind: str | None, type_: str | None, value: float | None, data: str | None
) -> None:
    """The third point of a metric of several segments."""
    shards = []
    for start in range(4):
        key = SegmentKey("e", "r", KEY.writer, start, start + 1)
        row = (kind, type_, value, data) if start == 2 else (kind, *FITTING[kind])
        columns = {
            "name": pa.array(["a.b"]),
            "time": pa.array([start], pa.timestamp("us", "UTC")),
            "kind": pa.array(row[:1], pa.string()),
            "type": pa.array(row[1:2], pa.string()),
            "value": pa.array(row[2:3], pa.float64()),
            "data": pa.array(row[3:], pa.string()),
        }
        shards.append(Shard(segment(*key), key, 0, encode_segment(pa.table(columns))))
    with pytest.raises(CorruptObjectError) as caught:
        metric_values(points_of(shards), MemoryStore("none"))
    assert caught.value.key == shards[2].key
    assert [(p.code, p.location) for p in caught.value.problems] == [("bad_value", "$.a.b")]
