"""What `get_metrics` gives: the shapes of Azure ML, lists and tables always as lists."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import polars as pl
import pytest

from objrun import Experiment, Run, Workspace
from objrun.errors import StepWarning
from objrun.query import metrics
from tests.api.places import another

if TYPE_CHECKING:
    from collections.abc import Callable


def test_shapes(live_ws: Workspace) -> None:
    run = Experiment(live_ws, "digits").start_logging()
    assert run.get_metrics() == {}
    run.log("once", 1)
    run.log("often", 0.5)
    run.log("often", "text")
    run.log_list("list", [1, 2])
    run.log_list("one", [1])
    run.log_row("row", a=1, b="x")
    run.log_row("rows", a=1)
    run.log_row("rows", b=2)
    run.log_table("table", {"x": [1, 2], "y": [None, 0.5]})
    run.log_table("one row", {"x": 1, "y": "abc"})
    expected = {
        "once": 1,
        "often": [0.5, "text"],
        "list": [1, 2],
        "one": [1],
        "row": {"a": 1, "b": "x"},
        "rows": {"a": [1, None], "b": [None, 2]},
        "table": {"x": [1, 2], "y": [None, 0.5]},
        "one row": {"x": [1], "y": ["abc"]},
    }
    assert run.get_metrics() == expected, "a handle sees its own writes"
    run.complete()
    found = another(live_ws).get_run(run.id).get_metrics()
    assert found == expected
    assert run.get_metrics("list") == {"list": [1, 2]}
    assert run.get_metrics("nope") == {}


@pytest.mark.parametrize("flushed", [True, False])
def test_metrics_come_in_the_order_of_first_logging(run: Run, flushed: bool) -> None:
    calls: dict[str, Callable[[str], None]] = {
        "row": lambda name: run.log_row(name, a=1),
        "scalar": lambda name: run.log(name, 1.0),
        "table": lambda name: run.log_table(name, {"a": [1]}),
        "text": lambda name: run.log(name, "x"),
        "batch": lambda name: run.log_batch(name, [1.0]),
        "list": lambda name: run.log_list(name, [1.0]),
    }
    for name, call in [*calls.items(), *calls.items()]:
        call(name)
        if flushed:
            run.flush()
        time.sleep(0.0001)
    assert list(run.get_metrics()) == list(calls)


def test_several_writers_join_in_order_of_time(run: Run) -> None:
    handles = [run, *(another(run.experiment.workspace).get_run(run.id) for _ in range(2))]
    for number in range(9):
        handles[number % 3].log("x", number)
        handles[number % 3].log("other", number)
        time.sleep(0.001)
    handles[0].log("first alone", 1)
    for handle in handles:
        handle.flush()
    assert run.get_metrics("x") == {"x": [*range(9)]}
    assert run.get_metrics("other") == {"other": [*range(9)]}


def test_steps_order_only_where_every_point_has_one(run: Run) -> None:
    for step, value in ((3, "c"), (1, "a"), (2, "b"), (1, "a again")):
        run.log("stepped", value, step=step)
        run.log("mixed", value, step=None if value == "b" else step)
    with pytest.warns(StepWarning, match="some points of 'mixed' have a step") as caught:
        found = run.get_metrics()
    assert [warning.filename for warning in caught] == [__file__]
    assert found == {"stepped": ["a", "a again", "b", "c"], "mixed": ["c", "a", "b", "a again"]}
    assert run.get_metrics("stepped") == {"stepped": found["stepped"]}


def test_steps_order_across_writers_and_flushes(run: Run) -> None:
    other = another(run.experiment.workspace).get_run(run.id)
    for step in (5, 3, 1):
        run.log("x", step, step=step)
        other.log("x", step + 1, step=step + 1)
        run.flush()
    other.flush()
    assert run.get_metrics() == {"x": [1, 2, 3, 4, 5, 6]}


def test_descriptions_change_nothing(run: Run) -> None:
    run.log("a", 1, "words")
    run.log_list("b", [1], "words")
    run.log_row("c", "words", x=1)
    run.log_table("d", {"x": [1]}, "words")
    assert run.get_metrics() == {"a": 1, "b": [1], "c": {"x": 1}, "d": {"x": [1]}}


def test_recursive_metrics_are_by_run(any_ws: Workspace) -> None:
    experiment = Experiment(any_ws, "digits")
    root = experiment.start_logging()
    assert root.get_metrics(recursive=True) == {}
    child, silent = root.child_run("child"), root.child_run("silent")
    grandchild = silent.child_run("grandchild")
    stranger = experiment.start_logging()
    for number, run in enumerate((root, child, grandchild, stranger)):
        run.log("x", number)
        run.log("y", -number)
        run.flush()
    assert root.get_metrics(recursive=True) == {
        root.id: {"x": 0, "y": 0},
        child.id: {"x": 1, "y": -1},
        grandchild.id: {"x": 2, "y": -2},
    }
    assert silent.get_metrics("x", recursive=True) == {grandchild.id: {"x": 2}}
    assert child.get_metrics(recursive=True) == {child.id: {"x": 1, "y": -1}}
    assert silent.get_metrics() == {}
    ids = set(root.metrics(recursive=True).collect()["run_id"])
    assert ids == {root.id, child.id, grandchild.id}


def test_run_type_is_asked_of_descendants_only(run: Run) -> None:
    workspace = run.experiment.workspace
    child, other = run.child_run(), run.child_run()
    child.add_properties({"azureml.runsource": "hyper"})
    for each in (run, child, other):
        each.log("x", 1)
        each.flush()
    found = another(workspace).get_run(run.id).get_metrics(recursive=True, run_type="hyper")
    assert set(found) == {run.id, child.id}


def test_log_metrics_is_one_step(run: Run) -> None:
    run.log_metrics({"a": 1, "b": 0.5}, step=2)
    run.log_metrics({"a": 0, "b": "x"}, step=1)
    assert run.get_metrics() == {"a": [0, 1], "b": ["x", 0.5]}


def test_logging_after_the_end_works(run: Run) -> None:
    run.log("x", 1.0)
    run.complete()
    run.log("x", 2.0)
    run.log("y", 3.0)
    run.tag("late", "yes")
    run.log_params({"late": True})
    run.flush()
    again = another(run.experiment.workspace).get_run(run.id)
    assert again.get_metrics() == {"x": [1.0, 2.0], "y": 3.0}
    assert (again.tags, again.get_params(), again.status) == (
        {"late": "yes"},
        {"late": True},
        "Completed",
    )


def test_a_frame_of_metrics_has_the_documented_columns(run: Run) -> None:
    assert run.metrics().collect_schema() == metrics.SCHEMA
    assert run.experiment.metrics().collect_schema() == metrics.SCHEMA
    run.log("x", 1)
    run.log_row("r", a=1)
    for frame in (run.metrics(), run.metrics(recursive=True), run.experiment.metrics()):
        assert isinstance(frame, pl.LazyFrame)
        assert frame.collect().schema == metrics.SCHEMA
        assert frame.collect().height == 2


def test_a_point_has_its_run_writer_and_offset(run: Run) -> None:
    for value in range(3):
        run.log("x", value)
        run.flush()
    frame = run.metrics().collect()
    assert frame["run_id"].to_list() == [run.id] * 3
    assert frame["offset"].to_list() == [0, 1, 2]
    assert frame["writer"].n_unique() == 1
    assert frame["time"].is_sorted()
