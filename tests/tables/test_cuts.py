"""Rewinds below: cuts go into tables and from there nowhere, whatever is done to a store."""

from __future__ import annotations

from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING

import pytest

from objrun import Experiment, Run, Workspace, clock
from objrun.format import keys
from objrun.protocol.checkpointing import latest_checkpoint
from objrun.query.metrics import refuse
from objrun.storage import CountingStore, connect
from objrun.tables.compaction import compact, drop_runs
from objrun.tables.points import read_parts, read_points
from objrun.tables.reading import Rows, read_frame
from objrun.tables.vacuum import vacuum
from objrun.tables.verify.findings import repair
from objrun.tables.verify.rebuild import rebuild
from objrun.tables.verify.store import verify

if TYPE_CHECKING:
    from objrun.storage import Store

NAME = "e"
NOW = timedelta(0)


@pytest.fixture
def ws() -> Workspace:
    return Workspace(f"memory://{clock.random_hex(8)}")


@pytest.fixture
def dead(ws: Workspace) -> Run:
    """A run of steps 0 to 9 that was compacted, and whose process is then taken for dead."""
    run = Experiment(ws, NAME).start_logging(run_id="r")
    log(run, range(10), 0)
    compact(store_of(ws), NAME)
    return run


@pytest.fixture
def run(ws: Workspace, dead: Run) -> Run:
    """It goes back to step 6 and on to 7."""
    run = Run.resume(Workspace(ws.url), dead.id, from_step=6)
    log(run, range(6, 8), 1)
    return run


def store_of(ws: Workspace) -> Store:
    return connect(ws.url)


def log(run: Run, steps: range, value: float) -> None:
    for step in steps:
        run.log("loss", value, step=step)
    run.flush()


def live_cuts(store: Store) -> list[keys.CutKey]:
    listed = (keys.parse_cut(info.key) for info in store.list(keys.shards(NAME)))
    return [cut for cut in listed if cut is not None]


def table(store: Store, kind: str) -> list[dict[str, object]]:
    checkpoint = latest_checkpoint(store, NAME)
    files = checkpoint.of_kind(kind) if checkpoint else []
    return [row for file in files for row in read_frame(store, NAME, file).iter_rows(named=True)]


def told(url: str) -> tuple[object, ...]:
    """What somebody who has seen nothing is told of the run."""
    run = Run.get(Workspace(url), "r")
    columns = [f"metrics.loss.{name}" for name in ("count", "last", "max", "last_step")]
    return (
        run.metrics().collect().select("step", "value").rows(),
        run.superseded().collect().select("step", "value").rows(),
        run.experiment.runs(columns).collect().select(columns).rows(),
        run.experiment.metrics().collect().height,
    )


EXPECTED = (
    [*((step, 0.0) for step in range(6)), (6, 1.0), (7, 1.0)],
    [(step, 0.0) for step in range(6, 10)],
    [(8, 1.0, 1.0, 7)],
    8,
)


@pytest.fixture
def folded(ws: Workspace, run: Run) -> Store:
    """The store of that run when its cut is in tables alone, as all of its points are."""
    store = store_of(ws)
    run.complete()
    compact(store, NAME, whole=True)
    vacuum(store, NAME, retention=NOW)
    assert not store.list(keys.shards(NAME))
    return store


def test_a_compaction_folds_a_cut_and_moves_no_point(ws: Workspace, run: Run) -> None:
    store = store_of(ws)
    (cut,) = live_cuts(store)
    assert told(ws.url) == EXPECTED
    assert len(table(store, "metrics")) == 10
    assert sum(int(str(row["points"])) for row in table(store, "summary")) == 10
    compact(store, NAME)
    rows = {"root_run_id": run.id, "run_id": run.id, "writer": cut.writer, "step": 6}
    assert table(store, "cuts") == [rows]
    assert len(table(store, "metrics")) == 12
    assert sum(int(str(row["points"])) for row in table(store, "summary")) == 8
    assert told(ws.url) == EXPECTED
    assert len(vacuum(store, NAME, retention=NOW).cuts) == 1
    assert not live_cuts(store)
    assert told(ws.url) == EXPECTED
    assert compact(store, NAME) is None


@pytest.mark.usefixtures("run")
def test_a_cut_that_comes_late_does_not_go_before_it_is_folded(ws: Workspace) -> None:
    store = store_of(ws)
    compact(store, NAME)
    (cut,) = live_cuts(store)
    deeper = keys.cut(NAME, "r", cut.writer, 3)
    store.put(deeper, b"")
    assert [info.key for info in vacuum(store, NAME, retention=NOW).cuts] == [
        keys.cut(NAME, "r", cut.writer, 6)
    ]
    assert told(ws.url)[2] == [(5, 1.0, 1.0, 7)]
    compact(store, NAME)
    assert [row["step"] for row in table(store, "cuts")] == [3]
    assert [info.key for info in vacuum(store, NAME, retention=NOW).cuts] == [deeper]
    assert told(ws.url)[2] == [(5, 1.0, 1.0, 7)]


def test_points_in_tables_stay_in_their_files(ws: Workspace, folded: Store) -> None:
    before = latest_checkpoint(folded, NAME)
    Run.resume(Workspace(ws.url), "r", from_step=1)
    compact(folded, NAME)
    after = latest_checkpoint(folded, NAME)
    assert before
    assert after
    assert after.of_kind("metrics") == before.of_kind("metrics")
    assert after.of_kind("summary") != before.of_kind("summary")
    assert told(ws.url)[2:] == ([(1, 0.0, 0.0, 0)], 1)


def test_who_was_taken_for_dead_is_cut_behind_a_vacuum_too(
    ws: Workspace, dead: Run, folded: Store
) -> None:
    log(dead, range(4, 9), 2)
    dead.log("note", 1)
    dead.flush()
    before = told(ws.url)
    assert before[3] == EXPECTED[3] + 3
    compact(folded, NAME)
    assert told(ws.url) == before
    assert [*verify(folded, deep=True)] == []
    assert vacuum(folded, NAME, retention=NOW).segments
    assert told(ws.url) == before


@pytest.mark.usefixtures("run")
def test_a_copy_is_cut_as_its_source(ws: Workspace) -> None:
    """Live and folded; into nothing, and into what has the points already; once, not twice."""
    early = Workspace(f"memory://{clock.random_hex(8)}")
    ws.copy_to(early)
    assert told(early.url) == EXPECTED
    Run.resume(Workspace(ws.url), "r", from_step=2)
    compact(store_of(ws), NAME)
    vacuum(store_of(ws), NAME, retention=NOW)
    expected = told(ws.url)
    assert expected[3] == 2
    for target in (early, Workspace(f"memory://{clock.random_hex(8)}")):
        ws.copy_to(target)
        assert told(target.url) == expected
        assert not ws.copy_to(target).objects
        compact(store_of(target), NAME)
        vacuum(store_of(target), NAME, retention=NOW)
        assert told(target.url) == expected
        before = {info.key for info in store_of(target).list("")}
        ws.copy_to(target)
        assert {info.key for info in store_of(target).list("")} == before


@pytest.mark.parametrize("kind", ["runs", "summary", "coverage", None])
def test_it_verifies_and_tables_made_anew_are_cut(
    ws: Workspace, folded: Store, kind: str | None
) -> None:
    assert [*verify(folded, deep=True)] == []
    if kind:
        checkpoint = latest_checkpoint(folded, NAME)
        assert checkpoint
        (file,) = checkpoint.of_kind(kind)
        folded.delete([keys.tables(NAME) + file.name])
        assert [*repair(folded, [*verify(folded, deep=True)])]
    else:
        rebuild(folded, NAME, ["r"])
    assert [*verify(folded, deep=True)] == []
    assert told(ws.url) == EXPECTED


def test_a_purge_takes_the_cuts_along(ws: Workspace, folded: Store) -> None:
    log(Experiment(ws, NAME).start_logging(run_id="other"), range(3), 0)
    compact(folded, NAME)
    drop_runs(folded, NAME, ["r"])
    assert table(folded, "cuts") == []
    assert {row["run_id"] for row in table(folded, "metrics")} == {"other"}


def test_what_a_rewind_costs_others(folded: Store) -> None:
    """One GET where some run of the experiment was rewound, none where none was."""
    whole, clean = Rows(), connect(f"memory://{clock.random_hex(8)}")
    log(Experiment(Workspace(clean.url), NAME).start_logging(run_id="r"), range(12), 0)
    compact(clean, NAME)
    vacuum(clean, NAME, retention=NOW)
    for ask in (partial(read_points, rows=whole), partial(read_parts, rows=whole)):
        costs = []
        for store in (clean, folded):
            counting = CountingStore(store)
            ask(counting, NAME, on_damage=refuse)
            costs.append(dict(counting.counts))
        costs[1]["get"] -= 1
        assert costs[0] == costs[1]
