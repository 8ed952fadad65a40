"""Scripts submitted, followed and canceled as scripts for Azure ML do."""

from __future__ import annotations

import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from objrun import ActivityFailedException, Experiment, Run, ScriptRunConfig, UserErrorException
from tests.submission.conftest import until

HELLO = """
import argparse
from objrun import Run

parser = argparse.ArgumentParser()
parser.add_argument("--name", default="nobody")
parser.add_argument("--folds", type=int, default=0)
args = parser.parse_args()
run = Run.get_context()
run.log(name="greeting", value="Hello " + args.name)
print("Hello", args.name)
if args.folds:
    for fold, child in enumerate(run.create_children(count=args.folds)):
        child.log(name="fold", value=fold)
        child.complete()
    with run.child_run("last") as child:
        child.log("fold", args.folds)
"""

SLOW = """
import time
from objrun import Run

run = Run.get_context()
run.log("started", True)
run.flush()
time.sleep(600)
"""


@pytest.fixture(autouse=True)
def source(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with scripts, and places of its own for what is submitted."""
    monkeypatch.setenv("OBJRUN_WORK", str(folder.parent / "jobs"))
    monkeypatch.setenv("XDG_STATE_HOME", str(folder.parent / "state"))
    scripts = {"hello.py": HELLO, "slow.py": SLOW}
    for name, text in {**scripts, "fails.py": "raise ValueError('too hot')"}.items():
        (folder / name).write_text(text, encoding="utf-8")
    (folder / ".amlignore").write_text("/outputs\n", encoding="utf-8")
    return folder


def test_a_script_is_submitted(exp: Experiment, capsys: pytest.CaptureFixture[str]) -> None:
    config = ScriptRunConfig(
        source_directory=".",
        script="hello.py",
        arguments=["--name", "you", "--folds", 3],
        compute_target="local",
    )
    assert (config.source_directory, config.script) == (".", "hello.py")
    assert config.arguments == ["--name", "you", "--folds", 3]
    assert (config.command, config.run_config.target) == (None, None)
    run = exp.submit(config, tags={"kind": "greeting"})
    assert run.get_status() in ("Queued", "Starting", "Running", "Finalizing", "Completed")
    details = run.wait_for_completion(show_output=True)
    assert (details["status"], run.get_status()) == ("Completed", "Completed")
    shown = capsys.readouterr().out
    assert "Hello you" in shown
    assert f"RunId: {run.id}\nWeb View: {run.get_portal_url()}\n" in shown
    (log,) = details["logFiles"]
    assert run.get_details_with_logs()["logFiles"][log] == "Hello you\n"
    (path,) = run.get_all_logs(destination="logs-of-it")
    assert Path(path).read_text(encoding="utf-8") == "Hello you\n"
    assert run.get_metrics() == {"greeting": "Hello you"}
    assert run.get_tags() == {"kind": "greeting"}
    assert run.type == "azureml.scriptrun"
    assert [each.id for each in Run.list(exp, type="azureml.scriptrun")] == [run.id]
    assert run.get_detailed_status() == {"status": "Completed", "details": None}
    assert run.clean() == []
    folds = [child.get_metrics()["fold"] for child in run.get_children()]
    assert sorted(folds) == [0, 1, 2, 3]
    assert {child.get_status() for child in run.get_children()} == {"Completed"}


def test_trials_are_submitted_as_children(exp: Experiment) -> None:
    """One by its script, one by a command."""
    with exp.start_logging(snapshot_directory=None) as parent:
        configs = {
            "a": ScriptRunConfig(".", "hello.py", arguments="--name a"),
            "b": ScriptRunConfig(".", command=["python", "hello.py", "--name", "b"]),
        }
        trials = [
            parent.submit_child(config, tags={"trial": name}) for name, config in configs.items()
        ]
        for trial in trials:
            trial.wait_for_completion(raise_on_error=True)
    found = parent.get_metrics(name="greeting", recursive=True)
    assert sorted(each["greeting"] for each in found.values()) == ["Hello a", "Hello b"]
    assert len(list(parent.get_children(tags={"trial": "a"}))) == 1


def test_a_script_is_canceled(exp: Experiment) -> None:
    run = exp.submit(ScriptRunConfig(source_directory=".", script="slow.py"))
    until(lambda: run.get_metrics() == {"started": True})
    assert [each.id for each in Run.list_by_compute("local", workspace=exp.workspace)] == [run.id]
    run.cancel()
    until(lambda: run.get_status() == "Canceled")
    assert run.wait_for_completion()["status"] == "Canceled"
    assert not [*Run.list_by_compute("local", workspace=exp.workspace)]


def test_a_script_that_fails(exp: Experiment) -> None:
    run = exp.submit(ScriptRunConfig(source_directory=".", script="fails.py"))
    with pytest.raises(ActivityFailedException, match="too hot"):
        run.wait_for_completion()
    assert run.get_details()["error"]["error"]["message"] == "ValueError: too hot"


def test_the_run_configuration_of_a_notebook_is_heeded() -> None:
    src = ScriptRunConfig(source_directory=".", script="hello.py", compute_target="nowhere")
    src.run_config.environment = sys.prefix
    src.run_config.target = "local"
    src.run_config.arguments = ["--name", "you"]
    assert src.line() == ["python", "hello.py", "--name", "you"]
    assert src.interpreter() == f"{sys.prefix}/bin/python"
    assert (src.compute_target, src.environment) == ("local", sys.prefix)
    with pytest.raises(AttributeError, match=r"run_config has .*environment.*and no docker"):
        src.run_config.docker.use_docker = True
    with pytest.raises(AttributeError, match="node_count"):
        src.run_config.node_count = 2
    theirs = SimpleNamespace(target="local", script=None)
    src = ScriptRunConfig(".", "hello.py", run_config=theirs)
    theirs.environment = "no-such-place"
    with pytest.raises(UserErrorException, match="no-such-place"):
        src.interpreter()
    assert (src.run_config, src.compute_target, src.script) == (theirs, "local", "hello.py")


def test_what_there_is_not_is_refused() -> None:
    with pytest.raises(UserErrorException, match="leave them out"):
        ScriptRunConfig(".", "hello.py", distributed_job_config=object())
    with pytest.raises(UserErrorException, match="leave them out"):
        ScriptRunConfig(".", "hello.py", resume_from=object())
    with pytest.raises(UserErrorException, match="folder of a virtual environment"):
        ScriptRunConfig(".", "hello.py", environment=object()).interpreter()
    assert ScriptRunConfig(".", "hello.py", docker_runtime_config=object()).script == "hello.py"
    assert ScriptRunConfig(".", "hello.py").max_run_duration_seconds is None
