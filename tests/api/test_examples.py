"""Scripts as people write them for Azure ML, with nothing changed but the imports."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import pytest

from objrun import Experiment, Run, UserErrorException, Workspace

if TYPE_CHECKING:
    from pathlib import Path


def test_a_training_loop(any_ws: Workspace) -> None:
    exp = Experiment(workspace=any_ws, name="train-on-local")
    run = exp.start_logging()
    run.log("trial", 30)
    for epoch in range(3):
        run.log(name="loss", value=1 / (epoch + 1), step=epoch)
    run.log_list("accuracies", [0.6, 0.7, 0.87])
    run.log_row("Y over X", x=1, y=0.4)
    citrus = ["orange", "lemon", "lime"]
    sizes = [10, 7, 3]
    for index in range(len(citrus)):
        run.log_row("citrus", fruit=citrus[index], size=sizes[index])
    run.log_table("sine", {"x": [0.0, 0.1], "y": [math.sin(0.0), math.sin(0.1)]})
    run.complete()

    metrics = run.get_metrics()
    assert metrics["trial"] == 30
    assert metrics["loss"] == [1.0, 0.5, 1 / 3]
    assert metrics["accuracies"] == [0.6, 0.7, 0.87]
    assert metrics["Y over X"] == {"x": 1, "y": 0.4}
    assert metrics["citrus"] == {"fruit": citrus, "size": sizes}
    assert metrics["sine"]["y"] == [0.0, math.sin(0.1)]
    assert run.get_details()["status"] == "Completed"
    best = min(run.get_metrics("loss")["loss"])
    assert best == 1 / 3


def test_a_sweep_of_children(any_ws: Workspace) -> None:
    exp = Experiment(any_ws, "sweep")
    with exp.start_logging() as parent:
        for alpha in (0.1, 0.2, 0.3):
            with parent.child_run(name=f"alpha {alpha}") as child:
                child.log("alpha", alpha)
                child.log("mse", (alpha - 0.2) ** 2)
                child.tag("kind", "ridge")
    children = list(parent.get_children())
    assert len(children) == 3
    assert all(child.parent.id == parent.id for child in children if child.parent)
    scores = {child.id: child.get_metrics()["mse"] for child in children}
    best_id = min(scores, key=lambda run_id: scores[run_id])
    assert Run(exp, best_id).get_metrics()["alpha"] == 0.2
    everything = parent.get_metrics(name="mse", recursive=True)
    assert {run_id: found["mse"] for run_id, found in everything.items()} == scores
    latest = next(parent.get_children())
    assert latest.id == children[0].id
    assert latest.get_metrics()["alpha"] == 0.3


def test_tags_and_properties_find_runs(any_ws: Workspace) -> None:
    exp = Experiment(any_ws, "tagged")
    run = exp.start_logging()
    run.add_properties({"author": "azureml-user"})
    run.tag("quality", "great run")
    run.tag("worth another look")
    with pytest.raises(UserErrorException, match="author"):
        run.add_properties({"author": "different-user"})
    assert run.get_properties()["author"] == "azureml-user"
    assert run.get_tags() == {"quality": "great run", "worth another look": None}
    run.complete()
    assert (
        len(
            list(exp.get_runs(properties={"author": "azureml-user"}, tags={"quality": "great run"}))
        )
        == 1
    )
    assert len(list(exp.get_runs(properties={"author": "someone"}, tags="worth another look"))) == 0
    assert [r.id for r in exp.get_runs(tags="worth another look")] == [run.id]


def test_a_run_that_fails_and_one_that_is_canceled(any_ws: Workspace) -> None:
    exp = Experiment(any_ws, "ends")
    local_run = exp.start_logging()
    assert local_run.get_status() == "Running"
    local_run.cancel()
    assert local_run.get_status() == "Canceled"
    failing = exp.start_logging()
    failing.fail(error_details="my file not found", error_code="404")
    assert failing.get_status() == "Failed"
    details = failing.get_details()
    assert details["error"]["error"] == {"code": "404", "message": "my file not found"}
    assert [run.get_status() for run in exp.get_runs()] == ["Failed", "Canceled"]


def test_a_workspace_of_a_project(tmp_path: Path) -> None:
    ws = Workspace.create(tmp_path / "store")
    ws.write_config(path=str(tmp_path))
    ws = Workspace.from_config(path=str(tmp_path))
    exp = Experiment(ws, "first")
    run = exp.start_logging(tags={"owner": "me"})
    run.complete()
    list_of_runs = list(ws.experiments["first"].get_runs())
    assert [r.id for r in list_of_runs] == [run.id]
    assert ws.get_run(run.id).tags == {"owner": "me"}
    assert Run.get(ws, run_id=run.id).get_details()["runId"] == run.id


def test_a_script_that_runs_anywhere() -> None:
    run = Run.get_context()
    run.log("lr", 0.1)
    if not run.id.startswith("OfflineRun"):
        raise AssertionError
    ws = run.experiment.workspace if hasattr(run, "experiment") else None
    assert ws is None
    run.complete()
