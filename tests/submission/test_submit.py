"""Scripts that are submitted, each in real processes: how they end, and what is kept of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from objrun.errors import ExperimentExecutionException, UserErrorException
from tests.submission.conftest import ended, log_of

if TYPE_CHECKING:
    from objrun import Workspace
    from tests.submission.conftest import Submit

WHOLE = """
import os, sys
from objrun import Run
with Run.get_context(allow_offline=False) as run:
    run.log("loss", 0.5)
    os.makedirs("outputs/deep", exist_ok=True)
    open("outputs/deep/model.txt", "w").write("weights")
    os.makedirs("logs", exist_ok=True)
    open("logs/own.txt", "w").write("own")
    print(sys.argv[1:], flush=True)
    print("to stderr", file=sys.stderr)
"""


HANDLED = """
import sys, traceback
try:
    1 / 0
except ZeroDivisionError:
    traceback.print_exc()
"""


def statuses(run: object) -> list[str]:
    return [entry["status"] for entry in run.history()]  # type: ignore[attr-defined]


def test_a_script_runs_and_all_of_it_is_kept(local_ws: Workspace, submit: Submit) -> None:
    run = submit(local_ws, WHOLE, "--lr", 0.1)
    assert run.status == "Queued"
    assert run.type == "azureml.scriptrun"
    assert run.state.started is None
    assert ended(run).status == "Completed"
    assert statuses(run) == ["Queued", "Starting", "Running", "Finalizing", "Completed"]
    assert run.get_metrics() == {"loss": 0.5}
    assert log_of(run) == b"['--lr', '0.1']\nto stderr\n"
    assert run.get_file_names() == ["logs/own.txt", "logs/std_log.txt", "outputs/deep/model.txt"]
    assert run.get_snapshot_id()
    assert run.get_properties()["objrun.command"] == "python train.py --lr 0.1"
    assert run.state.error is None


@pytest.mark.parametrize(
    ("script", "code", "message"),
    [
        ("raise SystemExit(3)", "Exited", "exit code 3"),
        ("print('so far'); raise ValueError('boom')", "UserError", "ValueError: boom"),
        ("import os; os.kill(os.getpid(), 9)", "Killed", "SIGKILL ended the script"),
        ("import", "UserError", "SyntaxError: invalid syntax"),
        (f"{HANDLED}\nsys.exit(3)", "Exited", "exit code 3"),
    ],
)
def test_how_a_script_fails_is_told(
    local_ws: Workspace, submit: Submit, script: str, code: str, message: str
) -> None:
    run = ended(submit(local_ws, script))
    error = dict(run.state.error or {})
    assert (run.status, error["code"], error["message"]) == ("Failed", code, message)
    if "boom" in script:
        assert "so far\nTraceback" in error["output"]


def test_what_cannot_be_submitted_makes_no_run(local_ws: Workspace, submit: Submit) -> None:
    from objrun import Experiment, ScriptRunConfig, Workspace

    experiment = Experiment(local_ws, "digits")
    with pytest.raises(ExperimentExecutionException, match=r"no script 'none.py'"):
        experiment.submit(ScriptRunConfig(".", "none.py"))
    with pytest.raises(ExperimentExecutionException, match="no folder"):
        experiment.submit(ScriptRunConfig("nowhere", "none.py"))
    with pytest.raises(UserErrorException, match="ScriptRunConfig"):
        experiment.submit("train.py")
    with pytest.raises(UserErrorException, match="memory"):
        submit(Workspace("memory://nobody"), "")
    assert local_ws.store.list("runs/") == []


@pytest.mark.parametrize("seconds", [0, -1.0, float("nan")])
def test_no_time_at_all_is_refused(local_ws: Workspace, submit: Submit, seconds: float) -> None:
    with pytest.raises(UserErrorException, match="max_run_duration_seconds"):
        submit(local_ws, "", max_run_duration_seconds=seconds)
