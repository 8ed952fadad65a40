"""Compaction by threads and processes: the same tables, and stores that go to other processes."""

from __future__ import annotations

import multiprocessing
import pickle
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest

from objrun import Workspace, clock
from objrun.errors import CorruptObjectError, Problem, UserErrorException
from objrun.storage import connect
from objrun.tables.compaction import compact
from objrun.tables.folding import StaleError
from tests.tables.small import NAME, Truth, check, files_of, finish, flush, start_run

if TYPE_CHECKING:
    from collections.abc import Iterator
    from concurrent.futures import Executor
    from pathlib import Path

    from objrun.storage import Store


@pytest.fixture(params=["threads", "processes"])
def executor(request: pytest.FixtureRequest) -> Iterator[Executor]:
    if request.param == "threads":
        pool: Executor = ThreadPoolExecutor(2)
    else:
        pool = ProcessPoolExecutor(2, multiprocessing.get_context("spawn"))
    with pool:
        yield pool


def again(thing: Any) -> Any:
    """What another process gets of it."""
    return pickle.loads(pickle.dumps(thing))  # noqa: S301 - of our own making


def fill(store: Store, truth: Truth) -> None:
    for number in range(6):
        start_run(store, truth, f"r{number}")
        flush(store, truth, (f"r{number}", "00"), 0, 40 + number)
        flush(store, truth, (f"r{number}", "11"), 0, 3)


def test_by_many_workers_it_is_as_by_one(
    tmp_path: Path, executor: Executor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("objrun.tables.planning.LEAST_JOB", 20)
    store, truth = connect(str(tmp_path / "store"), durability="none"), Truth()
    fill(store, truth)
    told: list[tuple[int, int]] = []
    done = compact(
        store, NAME, executor=executor, workers=4, progress=lambda *now: told.append(now)
    )
    assert done is not None
    total = sum(truth.points.values())
    assert (done.runs, done.points, done.segments) == (6, total, 12)
    assert told == sorted(told)
    assert (told[0], told[-1]) == ((0, total), (total, total))
    assert len(files_of(store)) > 2, "not split"
    check(store, truth, truth)
    finish(store, truth)


def test_what_is_damaged_is_told_by_the_workers(tmp_path: Path, executor: Executor) -> None:
    store, truth = connect(str(tmp_path / "store"), durability="none"), Truth()
    fill(store, truth)
    damaged = next(i.key for i in store.list("") if "/shards/r3/11" in i.key)
    whole = store.get(damaged)
    store.put(damaged, whole[:-9])
    done = compact(store, NAME, executor=executor, workers=2)
    assert done is not None
    assert [e.key for e in done.damaged if isinstance(e, CorruptObjectError)] == [damaged]
    store.put(damaged, whole)
    finish(store, truth)


def test_a_workspace_in_memory_is_its_url() -> None:
    workspace = Workspace(f"memory://{clock.random_hex(8)}")
    workspace.writing()
    assert again(workspace).store_id == workspace.store_id


def test_compaction_of_a_store_in_memory_by_processes_is_refused() -> None:
    """Their tables would be written to copies, and the checkpoint name what is not there."""
    store, truth = connect(f"memory://{clock.random_hex(8)}"), Truth()
    fill(store, truth)
    with (
        ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool,
        pytest.raises(UserErrorException, match="memory"),
    ):
        compact(store, NAME, executor=pool)
    check(store, truth, truth)


def test_a_store_that_was_used_goes_to_other_processes(live_store: Store) -> None:
    live_store.put("a/b", b"1")
    if live_store.url.startswith("memory"):
        with pytest.raises(UserErrorException, match="memory"):
            pickle.dumps(live_store)
        return
    copy = again(live_store)
    assert copy.get("a/b") == b"1"
    copy.put("a/c", b"2")
    assert [info.key for info in live_store.list("a/")] == ["a/b", "a/c"]
    assert copy.url == live_store.url


def test_errors_of_workers_come_back_as_they_were() -> None:
    error = CorruptObjectError("some/key", [Problem("$", "bad_parquet", "why")])
    for each in (StaleError("why"), error):
        found = again(each)
        assert type(found) is type(each)
        assert found.message == each.message
        assert vars(found) == vars(each)
