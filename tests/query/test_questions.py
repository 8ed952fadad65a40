"""The best run, trees of runs, and SQL: before and after compaction."""

from __future__ import annotations

from typing import TYPE_CHECKING

import polars as pl
import pytest

from objrun import Experiment, Run, Workspace, clock
from objrun.errors import RunNotFoundError, UserErrorException

if TYPE_CHECKING:
    from collections.abc import Callable

LOSSES = {"a": [3.0, 0.5, 2.0], "b": [1.0, 0.75], "c": [float("nan")], "d": []}


@pytest.fixture(params=["live", "compacted", "both"])
def experiment(request: pytest.FixtureRequest) -> Experiment:
    """Runs a to d, b with children, e below one of them."""
    found = Experiment(Workspace(f"memory://{clock.random_hex(8)}"), "digits")
    for run_id, losses in LOSSES.items():
        run = found.start_logging(run_id=run_id, tags={"first": run_id})
        run.log_params({"lr": 0.1 * len(losses)})
        for step, loss in enumerate(losses):
            run.log("loss", loss, step=step)
        run.flush()
        if request.param == "both":
            found.workspace.compact()
    second, _ = (Run(found, "b").child_run("x", run_id=f"b{n}") for n in (2, 1))
    below = second.child_run("y", run_id="e")
    below.log("loss", 9.0)
    below.complete()
    for run_id in (*LOSSES, "b1", "b2"):
        Run(found, run_id).complete()
    if request.param == "compacted":
        found.workspace.compact()
        found.workspace.vacuum()
    return found


def test_the_best_run(experiment: Experiment) -> None:
    assert experiment.best("loss").id == "a"
    assert experiment.best("loss", "max").id == "e"
    assert experiment.best("loss", "min", statistic="last").id == "b"
    top = pl.col("parent_run_id").is_null() & (pl.col("tags.first") != "a")
    assert experiment.best("loss", "max", where=top).id == "b"
    assert experiment.best("loss", "max", statistic="count").id == "a"


@pytest.mark.parametrize(
    ("ask", "error", "told"),
    [
        (lambda e: e.best("nope"), RunNotFoundError, "'nope'"),
        (lambda e: e.best("loss", where=pl.col("run_id") == "c"), RunNotFoundError, "'loss'"),
        (lambda e: e.best("loss", "most"), UserErrorException, "'most'"),
        (lambda e: e.best("loss", statistic="median"), UserErrorException, "'median'"),
        (lambda e: e.best(""), UserErrorException, "metric"),
    ],
)
def test_no_best_run(
    experiment: Experiment, ask: Callable[[Experiment], Run], error: type[Exception], told: str
) -> None:
    with pytest.raises(error, match=told):
        ask(experiment)


def test_a_tree_has_parents_before_children(experiment: Experiment) -> None:
    tree = experiment.run_tree(["tags.first"]).collect()
    told = tree.select("run_id", "depth").rows()
    assert told == [("a", 0), ("b", 0), ("b2", 1), ("e", 2), ("b1", 1), ("c", 0), ("d", 0)]
    assert tree["tags.first"].to_list() == ["a", "b", None, None, None, "c", "d"]


def test_an_empty_tree() -> None:
    empty = Experiment(Workspace.create(f"memory://{clock.random_hex(8)}"), "none")
    assert empty.run_tree().collect().height == 0


def test_sql_over_runs_and_points(experiment: Experiment) -> None:
    ws = experiment.workspace
    runs = "select run_id, params.lr, metrics.loss.min from runs where params.lr > 0.15 order by 1"
    assert ws.sql(runs).collect().rows() == [("a", pytest.approx(0.3), 0.5), ("b", 0.2, 0.75)]
    points = (
        "select run_id, max(metrics.step) as s from metrics where name = 'loss' group by run_id"
    )
    assert dict(ws.sql(points).collect().rows()) == {"a": 2, "b": 1, "c": 0, "e": None}
    joined = """select r.number, count(*) as n from runs r join metrics m on r.run_id = m.run_id
                where r.run_id = 'a' group by r.number"""
    assert ws.sql(joined).collect().rows() == [(1, 3)]


@pytest.mark.parametrize("query", ["select nope from runs", "selec", "select * from elsewhere", ""])
def test_sql_that_cannot_be_answered(experiment: Experiment, query: str) -> None:
    with pytest.raises(UserErrorException, match="runs and metrics"):
        experiment.workspace.sql(query).collect()
