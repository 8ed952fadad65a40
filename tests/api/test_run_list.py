"""A list of runs is a sequence whose runs are made when they are asked for, also of stored rows."""

from __future__ import annotations

import pickle
from typing import TYPE_CHECKING, Any

import pytest

from objrun import Experiment, Run, Workspace, clock

if TYPE_CHECKING:
    from objrun.runs.lists import RunList

COUNT = 5
SLICES = [
    slice(None), slice(1, 3), slice(None, None, -1), slice(-2, None, -2), slice(3, 1),
    slice(5, None), slice(-9, 2), slice(0, 9, 3),
]  # fmt: skip


@pytest.fixture
def experiment() -> Experiment:
    made = Experiment(Workspace(f"memory://{clock.random_hex(8)}"), "digits")
    for number in range(1, COUNT + 1):
        run = made.start_logging(tags={"n": number})
        run.log_params({"nan": float("nan"), "huge": 2**70})
        run.fail("why", "Code")
    return made


@pytest.fixture(params=["as they were read", "of rows alone"])
def runs(request: pytest.FixtureRequest, experiment: Experiment) -> RunList:
    found = experiment.get_runs()
    if request.param == "of rows alone":
        experiment.workspace.known_runs(experiment.name).versions.clear()
    return found


@pytest.mark.parametrize("part", SLICES, ids=str)
def test_parts_are_those_of_a_list(runs: RunList, part: slice) -> None:
    everything = [*runs]
    assert [run.number for run in everything] == [5, 4, 3, 2, 1]
    assert [*runs[part]] == everything[part]
    assert len(runs[part]) == len(everything[part])


@pytest.mark.parametrize("place", [COUNT, -COUNT - 1])
def test_beyond_the_end_there_is_none(runs: RunList, place: int) -> None:
    with pytest.raises(IndexError):
        runs[place]
    assert [next(runs).number for _ in range(COUNT)] == [5, 4, 3, 2, 1]
    with pytest.raises(StopIteration):
        next(runs)


def test_a_run_stays_the_same_object(runs: RunList) -> None:
    """Points that wait to be stored, and what was changed, are those of one handle."""
    assert runs[1] is runs[1]
    assert runs[1:][0] is runs[1]
    assert next(runs) is runs[0]
    runs[0].tag("seen")
    assert "seen" in next(iter(runs)).tags
    assert "seen" in runs._repr_html_()
    assert repr(runs) == repr([*runs])


def test_a_run_of_a_row_is_whole(runs: RunList) -> None:
    run = runs[0]
    assert run.get_params() == {"nan": pytest.approx(float("nan"), nan_ok=True), "huge": 2**70}
    assert run.get_status() == "Failed"
    told = run.history()
    assert [entry["version"] for entry in told] == [1, 2, 3]
    assert [entry["ops"][0]["op"] for entry in told] == ["create", "set_params", "set_status"]
    assert told[-1]["ops"][0]["error"] == {"code": "Code", "message": "why"}
    run.tag("later")
    assert [entry["ops"][0]["op"] for entry in run.history()][3:] == ["set_tags"]
    assert Run.get(run.experiment.workspace, run.id).tags == {"n": "5", "later": None}


def test_it_can_be_pickled(runs: RunList) -> None:
    copy: Any = pickle.loads(pickle.dumps(runs))  # noqa: S301 - what this test wrote itself
    assert [run.id for run in copy] == [run.id for run in runs]
    assert copy[0].get_status() == "Failed"


def test_runs_are_made_when_they_are_asked_for(runs: RunList) -> None:
    class Special(Run):
        """A run of a type of its own."""

    made: list[Run] = []

    def factory(_: Experiment, run: Run) -> Run:
        made.append(run)
        return run

    name = f"type {clock.random_hex(4)}"
    Run.add_type_provider(name, factory)
    experiment = runs[0].experiment
    experiment.start_logging(properties={"azureml.runsource": name})
    made.clear()
    found = experiment.get_runs(type=name)
    assert len(found) == 1
    assert made == []
    assert [found[0]] == made
