"""Runs and experiments are purged while compactions and vacuums are at work, in any order."""

from __future__ import annotations

from datetime import timedelta
from itertools import repeat
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from objrun import Experiment, Workspace, clock
from objrun.format import keys
from objrun.protocol.checkpointing import latest_checkpoint
from objrun.storage.wrappers import CountingStore
from objrun.tables.compaction import compact, drop_runs
from objrun.tables.reading import read_frame
from objrun.tables.vacuum import vacuum
from tests.api.places import another, on, store_of
from tests.protocol.turns import Program, take_turns

if TYPE_CHECKING:
    from collections.abc import Iterable

    from objrun.storage import Store

NOW = timedelta(0)
NAME = "digits"
MANY = 200
"""More requests than a program makes: it runs to its end."""


def log(ws: Workspace, run_id: str) -> None:
    with Experiment(ws, NAME).start_logging(run_id=run_id) as run:
        run.log("x", 1)


def with_a_run(stage: str) -> Workspace:
    """Return a store with two runs, `r` in the trash or not, and in tables or not."""
    ws = Workspace(f"memory://{clock.random_hex(8)}")
    log(ws, "keep")
    if "other tables" in stage:
        compact(store_of(ws), NAME)
    log(ws, "r")
    if "own tables" in stage:
        compact(store_of(ws), NAME)
        if "vacuumed" in stage:
            vacuum(store_of(ws), NAME, retention=NOW)
    if "deleted" in stage:
        another(ws).get_run("r").delete()
    log(ws, "late")
    return ws


STAGES = [
    f"{tables}, {trash}"
    for tables in ("no tables", "other tables", "own tables", "own tables vacuumed")
    for trash in ("deleted", "active")
]


def empty_trash(own: Workspace) -> None:
    if another(own).get_run("r").state.lifecycle == "active":
        own.get_run("r").delete()
    own.gc(NOW)


def purge(ws: Workspace) -> Program:
    return on(ws, empty_trash)


def fold() -> Program:
    return Program(lambda store: compact(store, NAME))


def clean() -> Program:
    return Program(lambda store: vacuum(store, NAME, retention=NOW))


def everything_of(store: Store) -> list[str]:
    own = f"experiments/{NAME}/"
    return [
        info.key
        for info in store.list("")
        if info.key.startswith(("runs/r/", f"{own}feed/r.", f"{own}shards/r/"))
    ]


def play(ws: Workspace, programs: list[Program], turns: Iterable[int]) -> None:
    """Let the programs take turns: nobody sees the purged run afterwards, whatever follows."""
    take_turns(store_of(ws), programs, turns)
    for program in programs:
        assert not isinstance(program.result, Exception), program.result
    store = store_of(ws)
    for _ in range(2):
        fresh = Experiment(another(ws), NAME)
        assert {*fresh.runs().collect()["run_id"]} == {"keep", "late"}
        assert {*fresh.metrics().collect()["run_id"]} == {"keep", "late"}
        another(ws).gc(NOW)
        compact(store, NAME)
        vacuum(store, NAME, retention=NOW)
    assert [key.rpartition("/")[0] for key in everything_of(store)] == ["runs/r/state"]
    checkpoint = latest_checkpoint(store, NAME)
    assert checkpoint is not None
    for file in checkpoint.files:
        assert "r" not in read_frame(store, NAME, file)["run_id"]


def odd(stage: str) -> int:
    """0 or 1: of two stages with the same tables each is for half of the moments."""
    return STAGES.index(stage) % 2


@pytest.mark.parametrize("stage", STAGES)
def test_a_compaction_that_is_paused_brings_nothing_back(stage: str) -> None:
    for requests in (1, 2, 3, 5, 9, 14)[odd(stage) :: 2]:
        ws = with_a_run(stage)
        programs = [fold(), purge(ws), clean()]
        play(ws, programs, [*repeat(0, requests), *repeat(1, MANY), *repeat(2, MANY)])


@pytest.mark.parametrize("stage", STAGES)
def test_what_a_purge_that_is_paused_did_not_see_goes_all_the_same(stage: str) -> None:
    for requests in range(1 + 4 * odd(stage), 34, 8):
        ws = with_a_run(stage)
        programs = [purge(ws), fold(), clean()]
        play(ws, programs, [*repeat(0, requests), *repeat(1, MANY), *repeat(2, MANY)])


@pytest.mark.parametrize("stage", ["no tables, deleted", "other tables, active"])
def test_markers_that_were_listed_before_a_purge_bring_nothing_back(stage: str) -> None:
    """The compaction has listed what is live, and goes by whatever checkpoint it then finds."""
    for requests in range(12 + odd(stage), 40, 2):
        ws = with_a_run(stage)
        turns = [*repeat(0, 2), *repeat(1, requests), *repeat(0, MANY), *repeat(1, MANY)]
        play(ws, [fold(), purge(ws)], turns)


@pytest.mark.slow
@pytest.mark.parametrize("stage", STAGES)
def test_both_are_paused(stage: str) -> None:
    """The compaction makes `i` requests, the purge `j`, the compaction ends, then the purge."""
    for i in range(16):
        for j in range(40):
            ws = with_a_run(stage)
            turns = [*repeat(0, i), *repeat(1, j), *repeat(0, MANY), *repeat(1, MANY)]
            play(ws, [fold(), purge(ws)], turns)


@settings(max_examples=15, deadline=None)
@given(st.sampled_from(STAGES), st.data())
def test_in_any_order(stage: str, data: st.DataObject) -> None:
    """Two compactions, a vacuum and two purges."""
    ws = with_a_run(stage)
    bursts = st.lists(st.tuples(st.integers(0, 4), st.integers(1, 12)), max_size=30)
    turns = [who for who, times in data.draw(bursts) for _ in range(times)]
    play(ws, [fold(), purge(ws), clean(), fold(), on(ws, lambda own: own.gc(NOW))], turns)


def test_points_of_an_experiment_are_not_read_to_be_dropped() -> None:
    ws = with_a_run("own tables vacuumed, active")
    compact(store_of(ws), NAME)
    counting = CountingStore(store_of(ws))
    drop_runs(counting, NAME, ["keep", "r", "late", "another"])
    assert not [asked.key for asked in counting.log if "metrics" in asked.key]
    found = latest_checkpoint(store_of(ws), NAME)
    assert found is not None
    assert found.files == ()


@pytest.mark.parametrize("late", ["segment", "segment and marker"])
@pytest.mark.parametrize("stage", STAGES[::2])
def test_what_its_writer_sends_late_does_not_count(stage: str, late: str) -> None:
    ws = with_a_run(stage)
    store = store_of(ws)
    key = keys.segment(NAME, "r", "0123456789abcdef", 0, 1)
    (other, *_) = [i.key for i in store.list(keys.shards(NAME, "late"))]
    data = store.get(other)
    another(ws).gc(NOW)
    store.put(key, data)
    if late == "segment and marker":
        store.put(keys.marker(NAME, "r", 5), b"")
    for _ in range(2):
        for frame in (Experiment(another(ws), NAME).metrics(), another(ws).metrics()):
            assert sorted(frame.collect()["run_id"]) == ["keep", "late"]
        assert {*another(ws).runs(["metrics.x.count"]).collect()["run_id"]} == {"keep", "late"}
        compact(store, NAME)
        vacuum(store, NAME, retention=NOW)


def test_what_a_run_logs_first_after_it_was_compacted_counts() -> None:
    """Neither a marker nor a covered row tells of it then."""
    ws = with_a_run("no tables, active")
    run = Experiment(ws, NAME).start_logging(run_id="slow")
    compact(store_of(ws), NAME)
    vacuum(store_of(ws), NAME, retention=NOW)
    run.log("x", 2)
    run.flush()
    assert another(ws).metrics().collect()["run_id"].sort().to_list() == [
        "keep",
        "late",
        "r",
        "slow",
    ]


@pytest.mark.parametrize("checkpoints", [0, 1])
@pytest.mark.parametrize("requests", range(16))
def test_the_next_experiment_of_that_name_is_whole(requests: int, checkpoints: int) -> None:
    ws = Workspace(f"memory://{clock.random_hex(8)}")
    for number in range(checkpoints + 1):
        log(ws, f"old-{number}")
        if number < checkpoints:
            compact(store_of(ws), NAME)
    Experiment.delete(ws, NAME, with_runs=True)
    programs = [fold(), on(ws, lambda own: own.gc(older_than=NOW))]
    take_turns(store_of(ws), programs, [*repeat(0, requests), *repeat(1, MANY)])
    assert programs[1].result

    log(another(ws), "new")
    for _ in range(2):
        assert another(ws).runs().collect()["run_id"].to_list() == ["new"]
        assert another(ws).get_run("new").get_metrics() == {"x": 1}
        compact(store_of(ws), NAME)
    names = {info.key.split("/")[1] for info in store_of(ws).list("runs/")}
    assert names == {"new", *(f"old-{number}" for number in range(checkpoints + 1))}
    assert another(ws).gc(NOW) == []
    assert [info.key for info in store_of(ws).list(f"experiments/{NAME}/shards/old-0/")] == []
