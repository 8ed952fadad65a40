"""Compaction: what it reads and rewrites, what it leaves live, and what may happen meanwhile."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from objrun.errors import CorruptObjectError, CorruptObjectWarning
from objrun.format import keys
from objrun.format.segments import encode_segment
from objrun.query.metrics import leave_out
from objrun.storage.wrappers import CountingStore
from objrun.tables.chunks import full_frame
from objrun.tables.compaction import compact
from objrun.tables.points import read_points
from objrun.tables.reading import Rows, TableReader
from objrun.tables.vacuum import vacuum
from tests.tables.small import (
    NAME,
    NOW,
    Interrupted,
    Truth,
    check,
    files_of,
    finish,
    flush,
    fresh,
    key_of,
    live_segments,
    small_store,
    start_run,
    tag,
)

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from objrun.format.checkpoints import TableFile
    from objrun.storage import Store
    from objrun.tables.compaction import Compacted

    Steps = dict[str, Sequence[int | None]]


def damaged_in(done: Compacted) -> list[str]:
    return [error.key for error in done.damaged if isinstance(error, CorruptObjectError)]


@pytest.fixture
def world() -> tuple[Store, Truth]:
    return small_store()


class TestWhatIsRewritten:
    def test_nothing_where_nothing_is_new(self, world: tuple[Store, Truth]) -> None:
        store, _ = world
        assert compact(store, NAME)
        counting = CountingStore(store)
        assert compact(counting, NAME) is None
        assert counting.bytes_written == 0

    def test_little_where_little_is_new(self) -> None:
        store, truth = fresh(), Truth()
        start_run(store, truth, "m")
        dice = random.Random(1)
        store.put(key_of(("m", "11"), 0, 30_000), valued([dice.random() for _ in range(30_000)]))
        for number in range(300):
            start_run(store, truth, f"r{number:03}")
        counting = CountingStore(store)
        compact(counting, NAME)
        everything = counting.bytes_written
        written = 0
        for number in range(12):
            counting.reset()
            flush(store, truth, ("m", "00"), number * 5, 5 + number * 5)
            tag(store, truth, f"r{number:03}", "a")
            compact(counting, NAME)
            assert counting.bytes_written < everything / 10
            written += counting.bytes_written
            assert len({file.level for file in files_of(store)}) <= 3
        assert written < everything
        assert full_frame(read_points(store, NAME, Rows(), leave_out).chunk).height == 30_060

    def test_only_what_is_asked_for_is_fetched(self, world: tuple[Store, Truth]) -> None:
        store, _ = world
        counting = CountingStore(store)
        compact(counting, NAME)
        read = [key for verb, key in counting.log if verb == "get" and "/shards/" in key]
        assert sorted(read) == sorted({*read})
        assert len(read) == 3


class TestSizes:
    @pytest.fixture
    def _small_sizes(self, monkeypatch: pytest.MonkeyPatch) -> None:
        sizes = {
            "folding.CHUNK_ROWS": 7,
            "folding.HELD_PARTS": 3,
            "writing.GROUP_ROWS": 8,
            "writing.FILE_BYTES": 1500,
            "writing.FRAME_ROWS": 2,
            "reading.SMALL": 0,
        }
        for name, size in sizes.items():
            monkeypatch.setattr(f"objrun.tables.{name}", size)

    @pytest.mark.usefixtures("_small_sizes")
    def test_a_run_larger_than_a_chunk_goes_through_files(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
        store, truth = fresh(), Truth()
        for run in ("a", "m", "z"):
            start_run(store, truth, run)
            flush(store, truth, (run, "00"), 0, 3)
        for writer in ("00", "11", "22"):
            for start in range(3 if writer == "00" else 0, 50, 5):
                flush(store, truth, ("m", writer), start, start + 5)
        seen: list[bool] = []
        watched = Interrupted(
            store,
            lambda verb, key: verb == "put" and "metrics" in key,
            lambda: seen.append(any(tmp_path.iterdir())),
        )
        compact(watched, NAME)
        assert seen == [True]
        assert not [*tmp_path.iterdir()], "temporary files are left"
        self.sorted_and_whole(store, truth)
        # Again, merging these files with new points.
        for writer in ("00", "11", "33"):
            start = truth.points["m", writer]
            flush(store, truth, ("m", writer), start, start + 20)
        compact(store, NAME, whole=True)
        self.sorted_and_whole(store, truth)
        assert not live_segments(store)

    def sorted_and_whole(self, store: Store, truth: Truth) -> None:
        assert len({file.name for file in files_of(store)}) > 3
        frames = [
            full_frame(chunk)
            for file in files_of(store)
            for chunk in TableReader(store, NAME, file).chunks(Rows())
        ]
        key = ["root_run_id", "run_id", "name", "writer", "offset"]
        table = pl.concat(frames)
        assert table.select(key).equals(table.select(key).sort(key))
        check(store, truth, truth)

    def test_steps_are_as_narrow_as_they_can_be(self) -> None:
        store, truth = fresh(), Truth()
        steps: Steps = {
            "a": [1, None],
            "b": [2**31 - 1, -(2**31)],
            "c": [2**31, 0],
            "d": [5, -(2**63)],
        }
        for run, values in steps.items():
            start_run(store, truth, run)
            store.put(key_of((run, "00"), 0, 2), stepped(values))
            compact(store, NAME, whole=True)
            assert steps_of(store) == [*steps.items()][: len(truth.versions)]
            widths = {"int32"} if run in "ab" else {"int64"}
            assert {width_of(store, file) for file in files_of(store)} == widths

    @pytest.mark.usefixtures("_small_sizes")
    def test_only_the_files_with_wide_steps_are_wide(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("objrun.tables.writing.GROUP_ROWS", 1)
        store, truth = fresh(), Truth()
        steps: Steps = {"a": [1, 2], "b": [None, None], "c": [2**40, 0], "d": [5, 6]}
        for run, values in steps.items():
            start_run(store, truth, run)
            store.put(key_of((run, "00"), 0, 2), stepped(values))
        compact(store, NAME)
        widths = [width_of(store, file) for file in files_of(store)]
        assert {*widths} == {"int32", "int64"}
        assert widths == sorted(widths)
        assert sum(file.rows for file in files_of(store)) == 8
        assert steps_of(store) == [*steps.items()]


def valued(values: list[float]) -> bytes:
    columns = {
        "name": ["x"] * len(values),
        "time": pa.array(range(len(values)), pa.timestamp("us", "UTC")),
        "value": values,
    }
    return encode_segment(pa.table(columns))


def stepped(steps: Sequence[int | None]) -> bytes:
    table: pa.Table = pa.table(
        {
            "name": ["x"] * len(steps),
            "time": pa.array(range(len(steps)), pa.timestamp("us", "UTC")),
            "step": pa.array(steps, pa.int64()),
            "value": [0.5] * len(steps),
        }
    )
    return encode_segment(table)


def steps_of(store: Store) -> list[tuple[str, list[int | None]]]:
    frame = full_frame(read_points(store, NAME, Rows(), leave_out).chunk)
    return frame.group_by("run_id", maintain_order=True).agg("step").rows()


def width_of(store: Store, file: TableFile) -> str:
    data = store.get(f"{keys.tables(NAME)}{file.name}")
    return str(pq.read_schema(pa.BufferReader(data)).field("step").type)


class TestDamage:
    def test_a_segment_stays_and_what_is_behind_it(self, world: tuple[Store, Truth]) -> None:
        store, truth = world
        flush(store, truth, ("m", "11"), 4, 8)
        flush(store, truth, ("m", "11"), 8, 9)
        damaged = key_of(("m", "11"), 4, 8)
        whole = store.get(damaged)
        store.put(damaged, b"PAR1 no more")
        done = compact(store, NAME)
        assert done is not None
        assert damaged_in(done) == [damaged]
        left = live_segments(store)
        assert left == [damaged, key_of(("m", "11"), 8, 9)]
        with pytest.warns(CorruptObjectWarning, match="left out"):
            frame = full_frame(read_points(store, NAME, Rows(), leave_out).chunk)
        assert frame.height == sum(truth.points.values()) - 4
        store.put(damaged, whole)
        finish(store, truth)

    def test_does_not_make_every_compaction_write(self, world: tuple[Store, Truth]) -> None:
        store, truth = world
        flush(store, truth, ("m", "11"), 4, 8)
        damaged = key_of(("m", "11"), 4, 8)
        whole = store.get(damaged)
        store.put(damaged, b"")
        first = compact(store, NAME)
        assert first is not None
        left = store.list("")
        second = compact(store, NAME)
        assert second is not None
        assert damaged_in(second) == [damaged]
        assert (second.runs, second.points, second.checkpoint) == (0, 0, first.checkpoint)
        assert store.list("") == left
        store.put(damaged, whole)
        finish(store, truth)

    def test_of_a_run_keeps_its_segments_live(self, world: tuple[Store, Truth]) -> None:
        store, truth = world
        state = keys.run_state("z", 1)
        whole = store.get(state)
        flush(store, truth, ("z", "00"), 0, 3)
        store.put(state, b"{")
        done = compact(store, NAME)
        assert done is not None
        assert damaged_in(done) == [state]
        assert live_segments(store) == [key_of(("z", "00"), 0, 3)]
        assert "z" not in {file.first for file in files_of(store, "runs")}
        store.put(state, whole)
        finish(store, truth)

    def test_a_marker_without_a_version_waits(self, world: tuple[Store, Truth]) -> None:
        store, truth = world
        dead = keys.marker(NAME, "m", 3), keys.marker(NAME, "never", 1)
        for key in dead:
            store.put(key, b"")
        compact(store, NAME)
        vacuum(store, NAME, retention=NOW)
        assert {*dead} == {info.key for info in store.list(keys.feed(NAME))}
        tag(store, truth, "m", "b")
        assert truth.versions["m"] == 3
        compact(store, NAME)
        vacuum(store, NAME, retention=NOW)
        assert [info.key for info in store.list(keys.feed(NAME))] == [dead[1]]
        check(store, truth, truth)
