"""Going on with a run in another process: attempts, and who may end them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from objrun import Experiment, Run
from objrun.errors import RunNotFoundError, StatusWarning
from tests.api.places import another

if TYPE_CHECKING:
    from objrun import Workspace


def resumed(run: Run) -> Run:
    """The run, resumed by another process."""
    return Run.resume(another(run.experiment.workspace), run.id)


@pytest.mark.parametrize("end", ["complete", "fail", "cancel"])
def test_a_run_that_has_ended_goes_on(any_ws: Workspace, end: str) -> None:
    run = Experiment(any_ws, "digits").start_logging()
    run.log("x", 1)
    getattr(run, end)()
    again = resumed(run)
    assert again.status == run.get_status() == "Running"
    assert "error" not in again.get_details()
    assert again.state.started == run.state.started
    again.log("x", 2)
    again.complete()
    assert run.get_status() == "Completed"
    assert run.get_metrics() == {"x": [1, 2]}


def test_who_was_taken_for_dead_does_not_end_the_next_attempt(run: Run) -> None:
    Run.get(run.experiment.workspace, run.id).fail("no heartbeat")
    again = resumed(run)
    for late in (run.complete, run.fail, run.cancel, run.start):
        with pytest.warns(StatusWarning, match="was resumed by somebody else"):
            late()
    assert again.get_status() == "Running"
    again.complete()
    assert run.get_status() == "Completed"


def test_a_run_that_is_running_is_joined(run: Run) -> None:
    other = resumed(run)
    assert other.state == run.state
    other.complete()
    assert run.get_status() == "Completed"


def test_two_who_resume_at_once_are_of_one_attempt(run: Run) -> None:
    run.fail()
    first, second = resumed(run), resumed(run)
    assert first.state.attempt == second.state.attempt == 2
    second.complete()
    assert first.get_status() == "Completed"


def test_a_run_that_is_not_there(run: Run) -> None:
    with pytest.raises(RunNotFoundError):
        Run.resume(run.experiment.workspace, "nobody")
