"""Copies of compacted experiments: no point lost or doubled, and none sent twice."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from objrun import Experiment, Run, Workspace, clock
from objrun.format import keys
from objrun.protocol.checkpointing import latest_checkpoint
from objrun.storage import FaultyStore, Store, connect
from objrun.tables import copying
from objrun.tables.chunks import full_frame
from objrun.tables.compaction import compact
from objrun.tables.points import read_points
from objrun.tables.reading import Rows
from objrun.tables.vacuum import vacuum
from objrun.upkeep.copying import choose, copy_workspace
from tests.protocol.test_copying import between

if TYPE_CHECKING:
    import polars as pl

    from objrun.errors import CorruptObjectError
    from objrun.protocol.copy.work import Copied


def fresh() -> Workspace:
    return Workspace(f"memory://{clock.random_hex(8)}")


def store_of(workspace: Workspace) -> Store:
    return connect(workspace.url)


def fill(workspace: Workspace, runs: int = 3) -> list[Run]:
    made = []
    for number in range(runs):
        run = Experiment(workspace, "digits").start_logging()
        for step in range(20):
            run.log("loss", number + 1 / (step + 1), step=step)
        run.log("note", f"run {number}")
        child = run.child_run("child")
        child.log_table("table", {"a": [1, 2]})
        child.complete()
        run.complete()
        made.append(run)
    return made


def squeeze(workspace: Workspace) -> None:
    """Compact, and remove all that stands in tables."""
    compact(store_of(workspace), "digits")
    vacuum(store_of(workspace), "digits", retention=timedelta(0))
    assert not [*store_of(workspace).list(keys.shards("digits"))]


def points(workspace: Workspace) -> pl.DataFrame:
    """All points; their roots are left out, which are known of what stands in tables only."""

    def refuse(error: CorruptObjectError) -> None:
        raise error

    found = full_frame(read_points(store_of(workspace), "digits", Rows(), refuse).chunk)
    return found.drop("root_run_id").sort("run_id", "writer", "offset")


def runs_of(workspace: Workspace) -> set[str]:
    """The runs that a reader finds: by markers and by tables."""
    store = store_of(workspace)
    found = {m.run for i in store.list(keys.feed("digits")) if (m := keys.parse_marker(i.key))}
    checkpoint = latest_checkpoint(store, "digits")
    return found | (copying.parents(store, checkpoint).keys() if checkpoint else set())


def chains(workspace: Workspace) -> dict[str, bytes]:
    store = store_of(workspace)
    return {info.key: store.get(info.key) for info in store.list("runs/")}


def copy(source: Workspace, target: Workspace, *runs: str) -> Copied:
    return copy_workspace(source, target, choose(source, [], runs), lambda _copied: None)


def agree(source: Workspace, target: Workspace) -> bool:
    same = points(source).equals(points(target))
    return same and chains(source) == chains(target) and runs_of(source) == runs_of(target)


def test_an_empty_place_takes_the_tables() -> None:
    source, target = fresh(), fresh()
    fill(source)
    squeeze(source)
    live = Experiment(source, "digits").start_logging()
    live.log("loss", 1.0)
    live.flush()
    would = source.copy_to(target, dry_run=True)
    copied = copy(source, target)
    assert would == copied
    assert copied.points == 0
    assert agree(source, target)
    ours, theirs = (latest_checkpoint(store_of(each), "digits") for each in (source, target))
    assert ours is not None
    assert theirs is not None
    assert [file.crc32 for file in theirs.files] == [file.crc32 for file in ours.files]
    assert {keys.parse_table(file.name)[0] for file in theirs.files} == {0}  # type: ignore[index]
    assert copy(source, target).objects == 0
    # It is a store as any other: logging and compacting go on.
    live.complete()
    copy(source, target)
    squeeze(target)
    assert agree(source, target)
    assert copy(source, target).objects == 0


def test_rows_of_tables_become_segments_where_others_have_compacted() -> None:
    first, second, bucket = fresh(), fresh(), fresh()
    for spool in (first, second):
        fill(spool)
        squeeze(spool)
    copy(first, bucket)
    would = second.copy_to(bucket, dry_run=True)
    copied = copy(second, bucket)
    assert (copied.runs, copied.points) == (6, points(second).height)
    assert (would.runs, would.points) == (6, points(second).height)
    together = points(first).vstack(points(second)).sort("run_id", "writer", "offset")
    for _ in range(2):
        assert points(bucket).equals(together)
        assert runs_of(bucket) == runs_of(first) | runs_of(second)
        for spool in (first, second):
            again = copy(spool, bucket)
            assert (again.objects, again.points, again.conflicts) == (0, 0, [])
        squeeze(bucket)


@pytest.mark.parametrize("rows", [1, 7, 2**18])
def test_many_rows_become_segments_in_parts(rows: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(copying, "SEGMENT_ROWS", rows)
    monkeypatch.setattr(copying, "MOST_ROWS", 2 * rows)
    source, target = fresh(), fresh()
    [run, *_] = fill(source)
    family = [run.id, *(child.id for child in run.get_children())]
    squeeze(source)
    copied = copy(source, target, run.id)
    assert sorted(family) == sorted(runs_of(target))
    assert copied.points == 22
    expected = points(source).filter(points(source)["run_id"].is_in(family))
    assert points(target).equals(expected)
    stored = [info.key for info in store_of(target).list(keys.shards("digits", run.id))]
    assert len(stored) == -(-21 // rows)


def test_a_spool_that_is_compacted_between_two_copies() -> None:
    spool, bucket = fresh(), fresh()
    run = Experiment(spool, "digits").start_logging()
    for step in range(3):
        run.log("loss", 1.0, step=step)
        run.flush()
        if step == 1:
            copy(spool, bucket)
    squeeze(spool)
    run.log("loss", 2.0, step=3)
    run.complete()
    copy(spool, bucket)
    assert points(bucket)["step"].to_list() == [0, 1, 2, 3]
    assert copy(spool, bucket).objects == 0
    # Once more, now that the bucket has tables of its own.
    squeeze(bucket)
    late = fill(spool, 1)[0]
    squeeze(spool)
    copied = copy(spool, bucket)
    assert copied.points == 22
    assert late.id in runs_of(bucket)
    assert agree(spool, bucket)


def test_what_the_target_has_in_tables_is_not_sent_again() -> None:
    spool, bucket = fresh(), fresh()
    fill(spool)
    copy(spool, bucket)
    squeeze(bucket)
    assert copy(spool, bucket).objects == 0
    assert agree(spool, bucket)


def test_tables_are_not_taken_where_another_run_has_the_id() -> None:
    spool, bucket = fresh(), fresh()
    for workspace in (spool, bucket):
        with Experiment(workspace, "digits").start_logging(run_id="chosen") as run:
            run.log("of", workspace.name)
    mine = fill(spool, 1)[0]
    squeeze(spool)
    before = points(bucket)
    [conflict] = copy(spool, bucket).conflicts
    assert "chosen is another run" in conflict
    there = points(bucket)
    assert there.filter(there["run_id"] == "chosen").equals(before)
    assert mine.id in runs_of(bucket)
    assert there.filter(there["run_id"] == mine.id).height == 21


def test_tables_are_not_taken_where_a_chain_has_gone_its_own_way() -> None:
    """They say what version 2 of the source's chain holds; there it holds something else."""
    spool, bucket = fresh(), fresh()
    run = Experiment(spool, "digits").start_logging()
    copy(spool, bucket)
    bucket.get_run(run.id).tag("seen")
    run.log("loss", 1.0)
    run.complete()
    squeeze(spool)
    copied = copy(spool, bucket)
    assert (copied.points, copied.conflicts) == (1, [])
    assert latest_checkpoint(store_of(bucket), "digits") is None
    there = bucket.get_run(run.id)
    assert (there.tags, there.get_status()) == ({"seen": None}, "Completed")
    assert copy(spool, bucket).objects == 0


class _CrashError(Exception):
    pass


@pytest.mark.parametrize(
    ("prepared", "every"),
    [(False, 2), (True, 3), pytest.param(True, 1, marks=pytest.mark.slow)],
    ids=["empty", "with a checkpoint", "with a checkpoint, each"],
)
def test_a_crash_after_any_write_is_mended_by_the_next_copy(*, prepared: bool, every: int) -> None:
    source = fresh()
    fill(source, 2)
    squeeze(source)
    expected = points(source)
    for allowed in range(0, 200, every):
        target = fresh()
        if prepared:
            fill(target, 1)
            compact(store_of(target), "digits")
        mine = points(target) if prepared else expected.clear()
        left = iter([None] * allowed)

        def plan(verb: str, _key: str, left: object = left) -> Exception | None:
            writes = verb in {"put", "put_if_absent", "delete"}
            return _CrashError() if writes and next(left, "end") == "end" else None  # type: ignore[call-overload]

        try:
            between(store_of(source), FaultyStore(store_of(target), plan), "digits")
        except _CrashError:
            copy(source, target)
            done = False
        else:
            done = True
        assert points(target).equals(mine.vstack(expected).sort("run_id", "writer", "offset"))
        assert runs_of(source) <= runs_of(target)
        assert copy(source, target).objects == 0
        if done:
            assert allowed > 10
            return
    pytest.fail("it never came to an end")
