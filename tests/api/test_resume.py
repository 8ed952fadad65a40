"""Going on with a run in another process: attempts, and who may end them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from objrun import Experiment, Run
from objrun.errors import RunNotFoundError, StatusWarning, UserErrorException
from tests.api.places import another, contents

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


def curve(run: Run) -> list[tuple[int, float]]:
    """The points of the metric "loss" that count, from a handle that has seen nothing."""
    frame = Run.get(another(run.experiment.workspace), run.id).metrics().collect()
    assert run.experiment.metrics().collect().equals(frame)
    return frame.filter(name="loss").select("step", "value").rows()


def log(run: Run, steps: range, value: float) -> None:
    for step in steps:
        run.log("loss", value, step=step)
    run.flush()


class TestFromStep:
    def test_three_preemptions_from_ever_older_checkpoints(self, any_ws: Workspace) -> None:
        run = Experiment(any_ws, "digits").start_logging()
        log(run, range(10), 0)
        for attempt, step in ((1, 8), (2, 5), (3, 1)):
            run = Run.resume(another(any_ws), run.id, from_step=step)
            log(run, range(step, 10), attempt)
            first = [(each, 0.0) for each in range(step)]
            assert curve(run) == [*first, *((each, attempt) for each in range(step, 10))]
        old = run.superseded().collect()
        assert sorted(old.select("value", "step").rows()) == [
            *((0, step) for step in range(1, 10)),
            *((1, step) for step in range(8, 10)),
            *((2, step) for step in range(5, 10)),
        ]
        assert old.schema == run.metrics().collect_schema()
        sums = run.experiment.runs(["metrics.loss.count", "metrics.loss.last"]).collect()
        assert sums.select("metrics.loss.count", "metrics.loss.last").rows() == [(10, 3)]

    def test_points_without_a_step_stay(self, run: Run) -> None:
        run.log("note", 1)
        run.log_list("folds", [1, 2])
        log(run, range(3), 0)
        again = Run.resume(run.experiment.workspace, run.id, from_step=-(2**63))
        assert again.get_metrics() == {"note": 1, "folds": [1, 2]}

    def test_who_was_taken_for_dead_logs_on_unseen(self, run: Run) -> None:
        log(run, range(5), 0)
        again = Run.resume(run.experiment.workspace, run.id, from_step=3)
        log(again, range(3, 5), 1)
        log(run, range(2, 9), 0)
        assert curve(run) == [(0, 0), (1, 0), (2, 0), (2, 0), (3, 1), (4, 1)]
        assert run.superseded().collect().height == 8

    def test_two_who_resume_one_after_the_other_lose_nothing_in_silence(self, run: Run) -> None:
        log(run, range(5), 0)
        first = Run.resume(run.experiment.workspace, run.id, from_step=3)
        log(first, range(3, 5), 1)
        second = Run.resume(run.experiment.workspace, run.id, from_step=3)
        log(second, range(3, 5), 2)
        assert curve(run) == [(0, 0), (1, 0), (2, 0), (3, 2), (4, 2)]
        with pytest.warns(StatusWarning, match="was resumed by somebody else"):
            first.complete()
        second.complete()
        assert run.superseded().collect().height == 4

    def test_history_tells_of_it(self, run: Run) -> None:
        Run.resume(run.experiment.workspace, run.id, from_step=7)
        (op,) = run.history()[-1]["ops"]
        assert (op["op"], op["attempt"], op["from_step"]) == ("resume", 2, 7)

    @pytest.mark.parametrize("step", ["3", 1.5, True, 2**63, -(2**63) - 1])
    def test_what_is_no_step(self, run: Run, step: Any) -> None:
        before = contents(run.experiment.workspace)
        with pytest.raises(UserErrorException):
            Run.resume(run.experiment.workspace, run.id, from_step=step)
        assert contents(run.experiment.workspace) == before
