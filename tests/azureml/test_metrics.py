"""Metrics of every form, logged and read back as scripts for Azure ML do."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from objrun import Experiment, Run

if TYPE_CHECKING:
    from objrun import Workspace


def test_text(run: Run) -> None:
    run.log(name="colour", value="Red")
    run.log("note", "two words", "what it is about")
    assert run.get_metrics() == {"colour": "Red", "note": "two words"}


def test_numbers(run: Run) -> None:
    run.log("accuracy", 0.95)
    run.log("epochs", 12)
    run.log("gpu", True)
    run.log("score", np.float32(0.5), description="a scalar of numpy")
    assert run.get_metrics() == {"accuracy": 0.95, "epochs": 12, "gpu": True, "score": 0.5}


def test_the_same_name_again_makes_a_vector(run: Run) -> None:
    for x in range(-3, 4):
        run.log(name="sigmoid", value=1 / (1 + np.exp(-x)))
    assert run.get_metrics(name="sigmoid")["sigmoid"][3] == 0.5
    assert len(run.get_metrics("sigmoid")["sigmoid"]) == 7


def test_steps(run: Run) -> None:
    for epoch in (2, 0, 1):
        run.log("loss", 1 / (1 + epoch), step=epoch)
    assert run.get_metrics("loss") == {"loss": [1.0, 0.5, 1 / 3]}


def test_vectors(run: Run) -> None:
    run.log_list("folds", [0.6, 0.7, 0.87])
    run.log_list(name="squares", value=(i * i for i in range(4)))
    run.log_list("of numpy", np.arange(3))
    metrics = run.get_metrics()
    assert metrics["folds"] == [0.6, 0.7, 0.87]
    assert metrics["squares"] == [0, 1, 4, 9]
    assert metrics["of numpy"] == [0, 1, 2]


def test_rows(run: Run) -> None:
    run.log_row("Y over X", x=1, y=0.4)
    assert run.get_metrics("Y over X") == {"Y over X": {"x": 1, "y": 0.4}}
    trees = {"birch": 25.0, "oak": 40.0, "yew": 20.0}
    for kind, height in trees.items():
        run.log_row(name="trees", description="in metres", kind=kind, height=height)
    assert run.get_metrics("trees")["trees"] == {
        "kind": ["birch", "oak", "yew"],
        "height": [25.0, 40.0, 20.0],
    }


def test_tables(run: Run) -> None:
    run.log_table("Y over X", {"x": [1, 2, 3], "y": [0.6, 0.7, 0.89]})
    wave: dict[str, list[float]] = {"angle": [], "cos": []}
    for angle in np.linspace(0, 3, 4):
        wave["angle"].append(angle)
        wave["cos"].append(np.cos(angle))
    run.log_table(name="wave", value=wave)
    metrics = run.get_metrics()
    assert metrics["Y over X"] == {"x": [1, 2, 3], "y": [0.6, 0.7, 0.89]}
    assert metrics["wave"]["cos"][0] == 1.0
    assert metrics["wave"] == wave


def test_what_was_logged_is_seen_at_once(run: Run) -> None:
    run.log("loss", 0.5)
    assert run.get_metrics() == {"loss": 0.5}
    assert run.get_metrics("never logged") == {}
    run.flush(timeout_seconds=60)


def test_metrics_of_a_tree_of_runs(run: Run) -> None:
    run.log("A", 1)
    with run.child_run() as child:
        child.log("A", 2)
        child.log("B", 3)
    run.child_run("without metrics").complete()
    assert run.get_metrics() == {"A": 1}
    assert run.get_metrics(recursive=True) == {run.id: {"A": 1}, child.id: {"A": 2, "B": 3}}
    assert run.get_metrics("B", recursive=True) == {child.id: {"B": 3}}


def test_the_best_of_many_runs(ws: Workspace) -> None:
    exp = Experiment(ws, "ridge")
    for alpha in np.arange(0.0, 1.0, 0.25):
        with exp.start_logging() as run:
            run.log("alpha", alpha)
            run.log("mse", (alpha - 0.5) ** 2)
    scores, alphas = {}, {}
    for found in exp.get_runs():
        metrics = found.get_metrics()
        scores[found.id] = metrics["mse"]
        alphas[found.id] = metrics["alpha"]
    best = min(scores, key=lambda run_id: scores[run_id])
    assert alphas[best] == 0.5
    assert Run(exp, best).get_metrics()["mse"] == 0.0


def test_a_wrong_call_is_refused_and_the_script_can_go_on(run: Run) -> None:
    with pytest.raises(Exception, match="log_list"):
        run.log("many", [1, 2])
    run.log("one", 1)
    assert run.get_metrics() == {"one": 1}
