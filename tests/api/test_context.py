"""The run that a process was started for, and the offline run of a script on its own."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import pytest

from objrun import Experiment, Run, RunEnvironmentException, UserErrorException, Workspace
from objrun.errors import FileNotInRunError, StatusWarning
from objrun.offline import LACKS, OfflineRun

if TYPE_CHECKING:
    from pathlib import Path

INNER = (
    *("begin_work", "begun", "end_work", "fail_at_exit", "go_on", "is_spooled", "keep_log"),
    *("keep_snapshot", "of_version", "outputs", "state"),
    *("log_system", "sample_as_asked", "stop_sampling"),
)
"""Public names by which the parts of a run work together; no script calls them."""


@pytest.fixture
def submitted(run: Run, monkeypatch: pytest.MonkeyPatch) -> Run:
    """What a script sees as its run, when `run` was started for it."""
    monkeypatch.setenv("OBJRUN_RUN_ID", run.id)
    monkeypatch.setenv("OBJRUN_URL", run.experiment.workspace.url)
    context: Run = Run.get_context()
    return context


class TestSubmitted:
    def test_is_the_same_at_every_call(self, run: Run, submitted: Run) -> None:
        assert submitted.id == run.id
        assert submitted.experiment.name == "digits"
        assert Run.get_context() is submitted
        assert Run.get_context(allow_offline=False) is submitted
        with pytest.warns(DeprecationWarning, match="get_context") as caught:
            assert Run.get_submitted_run() is submitted
        assert caught[0].filename == __file__

    def test_leaves_its_status_to_the_launcher(self, run: Run, submitted: Run) -> None:
        submitted.log("x", 1)
        submitted.complete()
        assert run.get_status() == "Running"
        assert run.get_metrics() == {"x": 1}

    def test_does_not_fail_from_inside(self, run: Run, submitted: Run) -> None:
        submitted.log("x", 1)
        with pytest.warns(StatusWarning, match="raise the error"):
            submitted.fail("bad")
        assert run.get_status() == "Running"
        assert run.get_metrics() == {"x": 1}

    def test_cannot_wait_for_itself(self, submitted: Run) -> None:
        with pytest.raises(UserErrorException, match="in its own script"):
            submitted.wait_for_completion()

    def test_is_not_canceled_from_inside(self, run: Run, submitted: Run) -> None:
        with pytest.warns(StatusWarning, match="end the script"):
            submitted.cancel()
        assert run.get_status() == "Running"

    @pytest.mark.parametrize("error", [ValueError("bad"), SystemExit(0)])
    def test_lets_errors_go_on(self, run: Run, submitted: Run, error: BaseException) -> None:
        with pytest.raises(type(error)) as caught, submitted:  # noqa: PT012
            submitted.log("x", 1)
            raise error
        assert caught.value is error
        assert run.get_status() == "Running"
        assert run.get_metrics() == {"x": 1}

    def test_takes_options_from_the_environment(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        workspace = Workspace(tmp_path, {"durability": "none"})
        run = Experiment(workspace, "digits").start_logging()
        monkeypatch.setenv("OBJRUN_RUN_ID", run.id)
        monkeypatch.setenv("OBJRUN_URL", str(tmp_path))
        monkeypatch.setenv("OBJRUN_STORAGE_OPTIONS", '{"durability": "none"}')
        context = Run.get_context()
        assert context.id == run.id
        assert context.experiment.workspace.storage_options == {"durability": "none"}

    @pytest.mark.parametrize(
        "options",
        ['{"secret": "hunter2"', "secret=hunter2", '["hunter2"]', '"hunter2"', "[" * 100_000],
    )
    def test_refuses_malformed_options_and_shows_none(
        self, run: Run, monkeypatch: pytest.MonkeyPatch, options: str
    ) -> None:
        monkeypatch.setenv("OBJRUN_RUN_ID", run.id)
        monkeypatch.setenv("OBJRUN_URL", run.experiment.workspace.url)
        monkeypatch.setenv("OBJRUN_STORAGE_OPTIONS", options)
        with pytest.raises(UserErrorException, match="OBJRUN_STORAGE_OPTIONS") as caught:
            Run.get_context()
        assert "JSON object" in str(caught.value)
        assert "hunter2" not in str(caught.value)

    def test_has_children_of_its_own(self, run: Run, submitted: Run) -> None:
        child = submitted.child_run("fold")
        child.complete()
        assert run.get_children()[0].id == child.id
        assert run.get_children()[0].status == "Completed"


class TestOffline:
    @pytest.fixture(autouse=True)
    def alone(self, monkeypatch: pytest.MonkeyPatch) -> None:
        for name in ("OBJRUN_RUN_ID", "OBJRUN_URL", "OBJRUN_STORAGE_OPTIONS"):
            monkeypatch.delenv(name, raising=False)

    def test_is_another_at_every_call(self) -> None:
        first, second = Run.get_context(), Run.get_context()
        assert first.id.startswith("OfflineRun_")
        assert first.id != second.id

    def test_is_refused_on_request(self, monkeypatch: pytest.MonkeyPatch) -> None:
        with pytest.raises(RunEnvironmentException, match="OBJRUN_RUN_ID and OBJRUN_URL"):
            Run.get_context(allow_offline=False)
        with (
            pytest.warns(DeprecationWarning, match="get_context"),
            pytest.raises(RunEnvironmentException, match="OBJRUN_RUN_ID and OBJRUN_URL"),
        ):
            Run.get_submitted_run()
        monkeypatch.setenv("OBJRUN_RUN_ID", "x")
        assert isinstance(Run.get_context(), OfflineRun)

    @pytest.mark.parametrize("name", LACKS)
    def test_lacks_what_scripts_probe_for(self, name: str) -> None:
        assert not hasattr(Run.get_context(), name)

    def test_has_all_else_that_a_run_has(self, run: Run) -> None:
        offline = Run.get_context()
        wanted = {name for name in dir(run) if not name.startswith("_")} - {*LACKS, *INNER}
        assert {name for name in wanted if not hasattr(offline, name)} == set()
        missing = {*INNER} - {*dir(run)}
        assert missing == set(), "no method of a run any more"

    def test_answers_what_a_run_without_a_store_can(self) -> None:
        run = Run.get_context()
        run.set_tags({"a": 1})
        run.tag("b")
        assert run.remove_tags("a") == run.tags == run.get_tags() == {"b": None}
        run.add_properties({"p": 1})
        run.log_params({"lr": 0.1})
        assert (run.properties, run.get_params()) == ({"p": "1"}, {"lr": 0.1})
        assert (run.get_metrics(), run.get_file_names(), run.get_snapshot_id()) == ({}, [], None)
        child = run.child_run("x")
        assert (child.parent.id, run.parent, child.name) == (run.id, None, "x")
        twins = run.create_children(tag_key="fold", tag_values=[1, 2])
        assert [twin.tags for twin in twins] == [{"fold": "1"}, {"fold": "2"}]
        assert run.get_status() == run.get_details()["status"] == "Running"
        run.complete()
        child.fail("why")
        assert (run.status, child.wait_for_completion()["status"]) == ("Completed", "Failed")
        with pytest.raises(FileNotInRunError, match="offline"):
            run.download_file("a")
        with pytest.raises(RunEnvironmentException, match="offline"):
            run.submit_child(None)
        with pytest.raises(TypeError, match="nope"):
            run.upload_file("a", "b", nope=1)

    @pytest.mark.parametrize(
        ("call", "said"),
        [
            (lambda run: run.log("loss", 0.5), ("scalar", "loss", "0.5")),
            (lambda run: run.log("loss", [1], "words", 3), ("loss", "[1]")),
            (lambda run: run.log_list("x", [1, 2]), ("list", "x", "[1, 2]")),
            (lambda run: run.log_row("x", a=1), ("row", "x", "'a': 1")),
            (lambda run: run.log_table("x", {"a": [1]}), ("table", "x", "'a': [1]")),
            (lambda run: run.log_metrics({"a": 1}, step=2), ("a", "1")),
            (lambda run: run.log_params({"lr": 1}), ("lr", "1")),
            (lambda run: run.log_batch("x", [1, 2]), ("x", "2")),
            (lambda run: run.tag("a", "b"), ("a", "b")),
            (lambda run: run.set_tags({"a": "b"}), ("a", "b")),
            (lambda run: run.add_properties({"a": "b"}), ("a", "b")),
            (lambda run: run.fail("why", "Code"), ("why", "Code")),
            (lambda run: run.log_image("i", "i.png"), ("image", "i")),
            (lambda run: run.log_confusion_matrix("c", {"a": 1}), ("confusion", "c", "'a': 1")),
            (lambda run: run.log_accuracy_table("t", {"a": 1}), ("accuracy table", "t")),
            (lambda run: run.log_residuals("r", {"a": 1}), ("residuals", "r")),
            (lambda run: run.log_predictions("p", {"a": 1}), ("predictions", "p")),
            (lambda run: run.log_histogram("h", [1, 2]), ("histogram", "h")),
            (lambda run: run.log_text("x", "words"), ("text", "x")),
            (lambda run: run.upload_file("f", "here"), ("file", "f")),
            (lambda run: run.upload_files(["f"], ["here"]), ("files", "f")),
            (lambda run: run.upload_folder("d", "here"), ("folder", "d", "here")),
            (lambda run: run.register_model("m"), ("model", "m")),
        ],
    )
    def test_prints_what_it_is_told(
        self, call: Any, said: tuple[str, ...], capsys: pytest.CaptureFixture[str]
    ) -> None:
        call(Run.get_context())
        out = capsys.readouterr().out
        assert all(words in out for words in said), out

    def test_is_otherwise_quiet(self, capsys: pytest.CaptureFixture[str]) -> None:
        run = Run.get_context()
        run.start()
        run.flush(timeout_seconds=1)
        run.complete()
        run.cancel()
        assert capsys.readouterr().out == ""
        with run as same:
            assert same is run
        out = capsys.readouterr().out
        assert "START" in out.splitlines()[0]
        assert "STOP" in out.splitlines()[-1]

    def test_has_offline_children(self) -> None:
        run = Run.get_context()
        assert run.child_run("x").id == f"{run.id}.x"

    def test_touches_no_file(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.chdir(tmp_path)
        with Run.get_context() as run:
            run.log("x", 1)
        assert os.listdir(tmp_path) == []  # noqa: PTH208
