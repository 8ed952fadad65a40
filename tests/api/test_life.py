"""The life of a run: statuses, the context manager, errors, details, waiting."""

from __future__ import annotations

import os
import re
import sys
import threading
import warnings
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from objrun import ActivityFailedException, Experiment, Run, Workspace
from objrun.errors import (
    ExperimentExecutionException,
    PermissionDeniedError,
    PointsLostError,
    RunNotFoundError,
    StatusWarning,
)
from objrun.storage.memory import MemoryStore
from tests.api.places import another, contents

if TYPE_CHECKING:
    from collections.abc import Iterator

ISO = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z")


def stored(run: Run) -> Run:
    """The run through a handle that knows nothing but the store."""
    return another(run.experiment.workspace).get_run(run.id)


def test_a_run_is_running_at_once(any_ws: Workspace) -> None:
    run = Experiment(any_ws, "digits").start_logging()
    assert run.status == run.get_status() == stored(run).status == "Running"
    assert run.get_detailed_status() == {"status": "Running", "details": None}


@pytest.mark.parametrize(
    ("end", "status"), [("complete", "Completed"), ("fail", "Failed"), ("cancel", "Canceled")]
)
def test_every_end_makes_metrics_durable(any_ws: Workspace, end: str, status: str) -> None:
    run = Experiment(any_ws, "digits").start_logging()
    run.log("x", 1)
    assert getattr(run, end)() is None
    assert run.status == run.get_status() == status
    assert stored(run).status == status
    assert stored(run).get_metrics() == {"x": 1}


@pytest.mark.parametrize("first", ["complete", "fail", "cancel"])
@pytest.mark.parametrize("second", ["complete", "fail", "cancel", "start"])
def test_the_first_end_stays(run: Run, first: str, second: str) -> None:
    getattr(run, first)()
    before = contents(run.experiment.workspace)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        getattr(run, second)()
    assert contents(run.experiment.workspace) == before
    assert [w.category for w in caught] == ([] if first == second else [StatusWarning])
    if caught:
        assert run.id in str(caught[0].message)
        assert "stays" in str(caught[0].message)


def test_an_end_through_another_handle_stays_too(run: Run) -> None:
    stored(run).fail("there")
    assert run.status == "Running"
    with pytest.warns(StatusWarning, match="is Failed and stays so: Completed is ignored"):
        run.complete()
    assert run.status == stored(run).status == "Failed"
    assert run.get_details()["error"]["error"]["message"] == "there"


class TestFail:
    @pytest.mark.parametrize(
        ("details", "code", "expected"),
        [
            (None, None, {"code": "UserError"}),
            (None, "Mine", {"code": "Mine"}),
            ("text", None, {"code": "UserError", "message": "text"}),
            (ValueError("bad"), "Mine", {"code": "Mine", "message": "ValueError: bad"}),
            ("", None, {"code": "UserError", "message": ""}),
            ("x", 500, {"code": "500", "message": "x"}),
        ],
    )
    def test_keeps_the_error(self, run: Run, details: Any, code: Any, expected: Any) -> None:
        run.fail(details, code)
        for each in (run, stored(run)):
            assert each.status == "Failed"
            assert each.get_details()["error"] == {"error": expected}
        frame = run.experiment.runs().collect()
        assert frame["error_code"].to_list() == [expected["code"]]
        assert frame["error_message"].to_list() == [expected.get("message")]

    def test_records_what_utf_8_cannot_hold(self, run: Run) -> None:
        run.fail(OSError("no file \udcff"), "\ud800")
        error = stored(run).get_details()["error"]["error"]
        assert error == {"code": "\\ud800", "message": "OSError: no file \\udcff"}

    def test_of_another_type_changes_nothing(self, run: Run) -> None:
        before = contents(run.experiment.workspace)
        with pytest.raises(TypeError, match="text or an exception, not int"):
            run.fail(5)  # type: ignore[arg-type]
        assert contents(run.experiment.workspace) == before
        assert run.get_status() == "Running"

    def test_without_status_only_makes_metrics_durable(self, run: Run) -> None:
        run.log("x", 1)
        run.fail("x", _set_status=False)
        assert stored(run).status == "Running"
        assert stored(run).get_metrics() == {"x": 1}


class TestWith:
    def test_completes(self, live_ws: Workspace) -> None:
        with Experiment(live_ws, "digits").start_logging() as run:
            run.log("x", 1)
            assert run.status == "Running"
        assert stored(run).status == "Completed"
        assert stored(run).get_metrics() == {"x": 1}

    @pytest.mark.parametrize(
        ("error", "code", "message"),
        [
            (ValueError("bad"), "UserError", "ValueError: bad"),
            (KeyboardInterrupt(), "Interrupted", "Ctrl-C ended the program"),
            (SystemExit(1), "Exited", "exit code 1"),
            (SystemExit("text"), "Exited", "text"),
            (SystemExit(143), "Terminated", "SIGTERM ended the process"),
        ],
        ids=repr,
    )
    def test_fails_and_lets_the_error_go_on(
        self, run: Run, error: BaseException, code: str, message: str
    ) -> None:
        with pytest.raises(type(error)) as caught, run:  # noqa: PT012
            run.log("x", 1)
            raise error
        assert caught.value is error
        assert stored(run).status == "Failed"
        told = stored(run).get_details()["error"]["error"]
        assert (told["code"], told["message"]) == (code, message)
        assert told["traceback"].endswith(" in test_fails_and_lets_the_error_go_on")
        assert stored(run).get_metrics() == {"x": 1}

    @pytest.mark.parametrize("code", [0, None])
    def test_completes_when_the_program_ends_well(self, run: Run, code: int | None) -> None:
        with pytest.raises(SystemExit), run:
            sys.exit(code)
        assert stored(run).status == "Completed"
        assert "error" not in stored(run).get_details()

    @pytest.mark.parametrize(
        ("end", "status"), [("complete", "Completed"), ("fail", "Failed"), ("cancel", "Canceled")]
    )
    def test_is_quiet_about_a_run_that_ended_inside(self, run: Run, end: str, status: str) -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            with run:
                getattr(run, end)()
                run.log("late", 1)
        assert stored(run).status == status
        assert stored(run).get_metrics() == {"late": 1}

    def test_keeps_the_end_that_came_before_an_error(self, run: Run) -> None:
        with pytest.raises(ValueError, match="bad"), run:  # noqa: PT012
            run.complete()
            msg = "bad"
            raise ValueError(msg)
        assert stored(run).status == "Completed"

    def test_is_in_the_working_directory_of_before_again(
        self, run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.chdir(tmp_path)
        (tmp_path / "below").mkdir()
        with pytest.raises(ValueError, match="bad"), run:  # noqa: PT012
            os.chdir("below")
            with run.child_run():
                os.chdir("/")
            assert Path.cwd() == tmp_path / "below"
            msg = "bad"
            raise ValueError(msg)
        assert Path.cwd() == tmp_path
        with ThreadPoolExecutor(1) as pool, run.child_run() as child:
            pool.submit(child.__enter__).result()
            os.chdir("below")
            pool.submit(child.__exit__, None, None, None).result()
            assert Path.cwd() == tmp_path / "below"

    def test_works_on_children_and_returns_the_run(self, run: Run) -> None:
        with run, run.child_run("child") as child:
            child.log("x", 1)
        assert child.parent is not None
        assert (child.parent.id, child.status, run.status) == (run.id, "Completed", "Completed")


class TestDetails:
    def test_of_a_running_run(self, run: Run) -> None:
        details = run.get_details()
        assert details["runId"] == run.id
        assert details["status"] == "Running"
        assert details["target"] == "local"
        assert ISO.fullmatch(details["startTimeUtc"])
        assert details["properties"] == run.properties
        assert details["inputDatasets"] == details["outputDatasets"] == []
        assert details["logFiles"] == {}
        assert not {"endTimeUtc", "error", "warnings"} & set(details)

    def test_of_a_run_that_ended(self, run: Run) -> None:
        run.fail("why")
        details = run.get_details()
        assert ISO.fullmatch(details["endTimeUtc"])
        assert details["endTimeUtc"] >= details["startTimeUtc"]

    def test_are_read_again(self, run: Run) -> None:
        stored(run).add_properties({"late": "1"})
        assert "late" not in run.properties
        assert run.get_details()["properties"]["late"] == "1"


class TestWait:
    def test_returns_the_details_of_a_run_that_ended(self, run: Run) -> None:
        run.complete()
        assert run.wait_for_completion() == run.get_details()

    def test_raises_where_the_run_failed(self, run: Run) -> None:
        run.fail(ValueError("why"))
        with pytest.raises(ActivityFailedException, match=f"{run.id}.*ValueError: why"):
            run.wait_for_completion()
        assert run.wait_for_completion(raise_on_error=False)["status"] == "Failed"

    def test_returns_where_it_was_canceled(self, run: Run) -> None:
        run.cancel()
        assert run.wait_for_completion()["status"] == "Canceled"

    def test_sees_the_end_that_another_handle_sets(self, run: Run) -> None:
        other = stored(run)
        timer = threading.Timer(0.2, other.complete)
        timer.start()
        assert run.wait_for_completion()["status"] == "Completed"
        timer.join()

    def test_prints_on_request(self, run: Run, capsys: pytest.CaptureFixture[str]) -> None:
        run.complete()
        run.wait_for_completion(show_output=True)
        told = capsys.readouterr().out
        assert told.splitlines()[0] == f"RunId: {run.id}"
        assert "Execution Summary" in told
        run.wait_for_completion()
        assert capsys.readouterr().out == ""

    def test_may_be_interrupted(self, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
        def interrupt(_seconds: float) -> None:
            raise KeyboardInterrupt

        monkeypatch.setattr("objrun.clock.sleep", interrupt)
        with pytest.raises(ExperimentExecutionException, match=run.id):
            run.wait_for_completion()
        assert run.get_status() == "Running"


def test_a_run_is_found_in_any_experiment(any_ws: Workspace) -> None:
    run = Experiment(any_ws, "digits").start_logging(run_id="my_run-1.a")
    for found in (Run.get(any_ws, run.id), another(any_ws).get_run(run.id)):
        assert (found.id, found.experiment.name, found.number) == (run.id, "digits", run.number)
    with pytest.raises(RunNotFoundError, match="nope"):
        any_ws.get_run("nope")
    with pytest.raises(RunNotFoundError, match=r"other.*my_run-1\.a"):
        Run(Experiment(any_ws, "other"), run.id)
    assert Run(Experiment(any_ws, "digits"), run.id).number == run.number


def test_a_run_that_is_not_there_is_404(run: Run) -> None:
    with pytest.raises(RunNotFoundError) as caught:
        run.experiment.workspace.get_run("nope")
    assert caught.value.status_code == 404


def test_names(run: Run, experiment: Experiment) -> None:
    assert re.fullmatch(
        r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}", run.id
    )
    assert run.name == f"run_{run.id}"
    assert run.display_name == "digits_1"
    named = experiment.start_logging("my name", description="words", display_name="shown")
    assert (named.name, named.display_name, named.description) == ("my name", "shown", "words")
    assert experiment.start_logging("only name").display_name == "only name"
    assert run.type is None
    assert run.parent is None


def test_texts_are_set_and_read_by_others(run: Run) -> None:
    run.display_name = "shown ä"
    run.description = "words"
    other = stored(run)
    assert (other.display_name, other.description) == ("shown ä", "words")
    run.description = None
    assert stored(run).description is None


@pytest.mark.parametrize("what", ["display_name", "description"])
def test_texts_of_another_type_become_text(experiment: Experiment, what: str) -> None:
    started = experiment.start_logging(**{what: 5})  # type: ignore[arg-type]
    assert getattr(stored(started), what) == "5"
    setattr(started, what, 6)
    assert getattr(stored(started), what) == "6"
    child = started.child_run(7)  # type: ignore[arg-type]
    assert stored(child).display_name == "7"


def test_a_run_looks_as_in_azure_ml(run: Run) -> None:
    told = f"Run(Experiment: digits,\nId: {run.id},\nType: None,\nStatus: Running)"
    assert repr(run) == str(run) == told
    run.tag("<b>", "&")
    html = run._repr_html_()
    assert run.id in html
    assert "&lt;b&gt;=&amp;" in html


class TestEndsWhereMetricsCannotBeStored:
    """Segments are refused, everything else works."""

    @pytest.fixture
    def refusing(self, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[bool]]:
        """Stores that refuse segments as long as the list is not empty."""
        refused = [True]
        put = MemoryStore.put

        def refuse(self: MemoryStore, key: str, data: bytes) -> None:
            if refused and key.endswith(".parquet"):
                message = "no metrics here"
                raise PermissionDeniedError(message)
            put(self, key, data)

        monkeypatch.setattr(MemoryStore, "put", refuse)
        yield refused
        refused.clear()

    def test_complete_raises_and_can_be_called_again(self, run: Run, refusing: list[bool]) -> None:
        run.log("x", 1)
        with pytest.raises(PermissionDeniedError, match="no metrics here"):
            run.complete()
        assert stored(run).status == "Running"
        refusing.clear()
        run.complete()
        assert (stored(run).status, stored(run).get_metrics()) == ("Completed", {"x": 1})

    def test_fail_fails_and_then_raises(self, run: Run, refusing: list[bool]) -> None:
        run.log("x", 1)
        with pytest.raises(PermissionDeniedError, match="no metrics here"):
            run.fail("diverged")
        assert stored(run).get_details()["error"]["error"]["message"] == "diverged"
        refusing.clear()
        run.flush()
        assert (stored(run).status, stored(run).get_metrics()) == ("Failed", {"x": 1})

    def test_the_error_of_the_block_goes_on(
        self, run: Run, refusing: list[bool], caplog: pytest.LogCaptureFixture
    ) -> None:
        with pytest.raises(ValueError, match="bad"), run:  # noqa: PT012
            run.log("x", 1)
            msg = "bad"
            raise ValueError(msg)
        assert refusing
        assert "no metrics here" in caplog.text
        assert stored(run).status == "Failed"

    def test_lost_points_are_told_and_the_run_ends(self, run: Run) -> None:
        run.log("x", 1)
        assert run._writer is not None  # noqa: SLF001 - points are lost only after hours
        run._writer._lost = 3  # noqa: SLF001
        with pytest.raises(PointsLostError, match="3 points"):
            run.complete()
        assert (stored(run).status, stored(run).get_metrics()) == ("Completed", {"x": 1})


def test_numbers_follow_each_other_from_handle_to_handle(ws: Workspace) -> None:
    one, two = Experiment(ws, "digits"), Experiment(another(ws), "digits")
    runs = [handle.start_logging() for handle in (one, two, one, one, two, two, one, two)]
    assert [run.number for run in runs] == [1, 2, 3, 4, 5, 6, 7, 8]


def test_numbers_count_children_and_follow_each_other(any_ws: Workspace) -> None:
    experiment = Experiment(any_ws, "digits")
    first = experiment.start_logging()
    child = first.child_run()
    children = first.create_children(2)
    last = Experiment(another(any_ws), "digits").start_logging()
    numbers = [run.number for run in (first, child, *children, last)]
    assert sorted(numbers) == [1, 2, 3, 4, 5]
    assert (numbers[0], numbers[-1]) == (1, 5)
    assert Experiment(any_ws, "other").start_logging().number == 1


def test_history_is_what_was_done(run: Run) -> None:
    run.tag("a", 1)
    run.log_params({"lr": 0.1})
    run.log_params({"lr": 0.2})
    run.tag("a", "1")
    run.complete()
    history = run.history()
    assert [entry["version"] for entry in history] == [1, 2, 3, 4, 5]
    assert [entry["ops"][0]["op"] for entry in history] == [
        "create",
        "set_tags",
        "set_params",
        "set_params",
        "set_status",
    ]
    assert [entry["status"] for entry in history] == ["Running"] * 4 + ["Completed"]
    assert [entry["ops"][0].get("params") for entry in history][2:4] == [{"lr": 0.1}, {"lr": 0.2}]
    times = [entry["time"] for entry in history]
    assert times == sorted(times)
    assert stored(run).history() == history


def test_history_tells_what_a_run_began_with(experiment: Experiment) -> None:
    run = experiment.start_logging(tags={"stage": "first"}, properties={"data": "v3"})
    run.tag("stage", "second")
    ops = [op for entry in run.history() for op in entry["ops"]]
    assert [op["tags"] for op in ops if op["op"] == "set_tags"] == [
        {"stage": "first"},
        {"stage": "second"},
    ]
    (properties,) = (op["properties"] for op in ops if op["op"] == "add_properties")
    assert properties["data"] == "v3"


def test_a_run_starts_where_the_folder_is_gone(
    experiment: Experiment, tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    assert experiment.start_logging().status == "Running"


def test_types_are_made_by_their_provider(ws: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Run, "_factories", {})
    made: list[Any] = []

    class Special(Run):
        pass

    def factory(experiment: Experiment, record: Any, **_: Any) -> Run:
        made.append(record)
        return Special(experiment, record.id)

    Run.add_type_provider("special", factory)
    with pytest.raises(ValueError, match="'special' already"):
        Run.add_type_provider("special", factory)
    experiment = Experiment(ws, "digits")
    parent = experiment.start_logging()
    child = parent.child_run()
    child.add_properties({"azureml.runsource": "special"})
    assert child.type == "special"
    assert type(ws.get_run(child.id)) is Special
    assert [type(run) for run in parent.get_children()] == [Special]
    assert {type(run) for run in experiment.get_runs(include_children=True)} == {Special, Run}
    assert type(ws.get_run(parent.id)) is Run
    assert len(made) == 3
