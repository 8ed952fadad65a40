"""Runs begun, ended, annotated and found as scripts for Azure ML do."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

import pytest

from objrun import ActivityFailedException, Experiment, Run, UserErrorException, Workspace

if TYPE_CHECKING:
    from pathlib import Path


def test_start_log_and_complete(exp: Experiment) -> None:
    run = exp.start_logging(outputs=None, snapshot_directory=".", display_name="first try")
    assert run.get_status() == "Running"
    run.log(name="message", value="hello")
    assert (run.display_name, run.name, run.type) == ("first try", run.name, None)
    run.complete()
    assert run.get_status() == "Completed"
    assert run.get_snapshot_id()
    details = run.get_details()
    assert details["runId"] == run.id
    assert details["status"] == "Completed"
    assert datetime.fromisoformat(details["startTimeUtc"]) <= datetime.fromisoformat(
        details["endTimeUtc"]
    )
    assert details["properties"]["ContentSnapshotId"] == run.get_snapshot_id()
    assert run.get_detailed_status() == {"status": "Completed", "details": None}


def test_with(exp: Experiment) -> None:
    with exp.start_logging(snapshot_directory=None) as run:
        run.log("x", 1)
        assert run.get_status() == "Running"
    assert run.get_status() == "Completed"
    with pytest.raises(ValueError, match="too hot"), exp.start_logging() as run:
        raise ValueError("too hot")
    assert run.get_status() == "Failed"
    assert "too hot" in run.get_details()["error"]["error"]["message"]


def test_fail_and_cancel(exp: Experiment) -> None:
    run = exp.start_logging()
    run.fail(error_details="no such data", error_code="404")
    assert run.get_status() == "Failed"
    assert run.get_details()["error"]["error"] == {"code": "404", "message": "no such data"}
    with pytest.raises(ActivityFailedException, match="no such data"):
        run.wait_for_completion()
    assert run.wait_for_completion(raise_on_error=False)["status"] == "Failed"
    canceled = exp.start_logging()
    canceled.cancel()
    assert canceled.get_status() == canceled.status == "Canceled"
    assert canceled.wait_for_completion(show_output=True)["status"] == "Canceled"
    assert [each.id for each in Run.list(exp, status="Failed")] == [run.id]


def test_tags_and_properties(run: Run) -> None:
    run.tag("candidate")
    run.tag("changed-by", "one pipeline")
    run.tag("changed-by", "another pipeline")
    assert run.get_tags() == run.tags == {"candidate": None, "changed-by": "another pipeline"}
    run.set_tags({"season": "autumn", "year": 2026})
    run.remove_tags(["candidate", "season"])
    assert run.get_tags() == {"changed-by": "another pipeline", "year": "2026"}
    run.add_properties({"author": "somebody"})
    with pytest.raises(UserErrorException, match="author"):
        run.add_properties({"author": "somebody else"})
    assert run.get_properties()["author"] == run.properties["author"] == "somebody"


def test_runs_are_found_by_tags_and_properties(exp: Experiment) -> None:
    runs = [exp.start_logging(tags={"colour": colour}) for colour in ("red", "green", "red")]
    for number, run in enumerate(runs):
        run.add_properties({"author": f"author-{number % 2}"})
        run.complete()
    runs[2].tag("worth another look")
    first, second, third = (run.id for run in runs)

    def ids(found: object) -> list[str]:
        return [run.id for run in list(found)]  # type: ignore[call-overload]

    assert ids(exp.get_runs()) == [third, second, first]
    assert ids(exp.get_runs(tags="worth another look")) == [third]
    assert ids(exp.get_runs(tags={"worth another look": None})) == [third]
    assert ids(exp.get_runs(tags={"colour": "red"})) == [third, first]
    assert ids(exp.get_runs(properties={"author": "author-1"})) == [second]
    assert ids(exp.get_runs(properties={"author": "author-0"}, tags={"colour": "red"})) == [
        third,
        first,
    ]
    assert ids(Run.list(exp, status="Completed", tags="worth another look")) == [third]
    assert Run.get(exp.workspace, run_id=second).tags == {"colour": "green"}
    assert exp.workspace.get_run(second).properties["author"] == "author-1"


def test_children(exp: Experiment) -> None:
    with exp.start_logging(name="parent") as parent:
        for count in range(3):
            with parent.child_run(name=f"child-{count}") as child:
                child.log(name="count", value=count)
                child.tag("even", count % 2 == 0)
                assert child.parent
                assert child.parent.id == parent.id
    children = list(parent.get_children())
    assert [child.get_metrics()["count"] for child in children] == [2, 1, 0]
    assert [child.name for child in children] == [
        "parent>child-2",
        "parent>child-1",
        "parent>child-0",
    ]
    assert len(list(parent.get_children(tags={"even": "True"}))) == 2
    with children[0].child_run() as grandchild:
        grandchild.log("count", 9)
    assert grandchild.id in [run.id for run in parent.get_children(recursive=True)]
    assert [run.id for run in exp.get_runs()] == [parent.id]
    assert len(list(exp.get_runs(include_children=True))) == 5
    assert sorted(run.number for run in exp.get_runs(include_children=True)) == [1, 2, 3, 4, 5]


def test_many_children_at_once(run: Run) -> None:
    five = run.create_children(count=5)
    assert [child.tags["azureml.batch_child_number"] for child in five] == [*"01234"]
    folds = run.create_children(tag_key="fold", tag_values=["a", "b"])
    for child in folds:
        with child:
            child.log("fold", child.tags["fold"])
    assert [child.get_metrics()["fold"] for child in folds] == ["a", "b"]
    assert len(list(run.get_children())) == 7
    assert len(list(run.get_children(tags="fold"))) == 2


def test_a_run_can_be_described(run: Run) -> None:
    run.display_name = "ridge, second try"
    run.description = "with more data"
    again = Run(run.experiment, run.id)
    assert (again.display_name, again.description) == ("ridge, second try", "with more data")
    assert "Status: Running" in repr(again)


def test_experiments(ws: Workspace) -> None:
    exp = Experiment(ws, "digits")
    exp.tag("candidate")
    exp.set_tags({"team": "vision"})
    exp.start_logging().complete()
    assert list(ws.experiments) == ["digits"]
    assert Experiment.list(ws, tags="team")[0].name == "digits"
    exp.remove_tags(["team"])
    exp.refresh()
    assert exp.tags == {"candidate": None}
    exp.archive()
    assert exp.archived_time
    assert Experiment.list(ws) == []
    assert [each.id for each in Experiment.list(ws, view_type="ArchivedOnly")] == [exp.id]
    exp.reactivate()
    assert "digits" in ws.experiments
    empty = Experiment(ws, "empty")
    empty.tag("soon gone")
    Experiment.delete(ws, empty.id)
    assert list(ws.experiments) == ["digits"]


def test_a_project_has_a_configuration(ws: Workspace) -> None:
    ws.write_config(path=".", file_name="ws_config.json")
    ws.write_config()
    assert Workspace.from_config().url == ws.url
    assert Workspace.from_config(path=".objrun/ws_config.json").url == ws.url


def test_outputs_of_a_run_that_is_fetched(exp: Experiment, folder: Path) -> None:
    again = Run(exp, exp.start_logging(outputs=False).id, outputs="results")
    (folder / "results").mkdir(exist_ok=True)
    (folder / "results" / "plot.svg").write_text("<svg/>", encoding="utf-8")
    again.complete()
    assert again.get_file_names() == ["results/plot.svg"]


def test_a_run_that_is_started_again(run: Run) -> None:
    run.start()
    assert run.status == "Running"
    run.complete()
    with pytest.warns(UserWarning, match="stays so"):
        run.start()
    assert run.get_status() == "Completed"
