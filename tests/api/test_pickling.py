"""Handles travel to other processes: pickled, copied, spawned with."""

# ruff: noqa: S301 - what is unpickled was pickled here
from __future__ import annotations

import copy
import inspect
import multiprocessing
import pickle
from typing import TYPE_CHECKING, Any

import pytest

from objrun import Experiment, Run, Workspace, clock, errors
from objrun.context import SubmittedRun
from objrun.storage import connect
from objrun.storage.wrappers import CountingStore
from tests.processes.workers import log_with

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

WAYS = {
    "pickle": lambda thing: pickle.loads(pickle.dumps(thing)),
    "oldest pickle": lambda thing: pickle.loads(pickle.dumps(thing, protocol=0)),
    "copy": copy.copy,
    "deepcopy": copy.deepcopy,
}


@pytest.fixture(params=WAYS)
def travel(request: pytest.FixtureRequest) -> Callable[[Any], Any]:
    """One way to make another handle of a handle."""
    return WAYS[request.param]


def test_a_workspace_travels(tmp_path: Path, travel: Callable[[Any], Any]) -> None:
    workspace = Workspace(tmp_path / "a b", {"durability": "none"})
    same = travel(workspace)
    assert (same.url, same.storage_options) == (workspace.url, workspace.storage_options)
    run = Experiment(same, "e").start_logging()
    assert travel(same).get_run(run.id).id == run.id
    assert travel(same).store_id == workspace.store_id


def test_an_experiment_travels(experiment: Experiment, travel: Callable[[Any], Any]) -> None:
    assert travel(experiment).start_logging().number == 1
    experiment.tag("a", "b")
    same = travel(experiment)
    assert (same.name, same.id, same.tags) == ("digits", experiment.id, {"a": "b"})
    assert [same.start_logging().number, experiment.start_logging().number] == [2, 3]


def test_a_run_travels(run: Run, travel: Callable[[Any], Any]) -> None:
    run.tag("a", "b")
    run.log("x", 1.0)
    same = travel(run)
    assert (same.id, same.number, same.status, same.tags) == (run.id, 1, "Running", {"a": "b"})
    same.log("x", 2.0)
    same.flush()
    run.flush()
    assert sorted(run.get_metrics()["x"]) == [1.0, 2.0]
    same.complete()
    assert run.get_status() == "Completed"


def test_a_run_travels_as_what_it_is(run: Run, travel: Callable[[Any], Any]) -> None:
    submitted = travel(SubmittedRun(run.experiment, run.id))
    submitted.complete()
    assert type(submitted) is SubmittedRun
    assert run.get_status() == "Running"


def test_things_that_travel_together_stay_together(run: Run) -> None:
    same_run, same_experiment = pickle.loads(pickle.dumps((run, run.experiment)))
    assert same_run.experiment is same_experiment


def test_unpickling_sends_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    counting = CountingStore(connect(f"memory://{clock.random_hex(8)}"))
    monkeypatch.setattr("objrun.workspace.connect", lambda *_, **__: counting)
    run = Experiment(Workspace("memory://counted"), "e").start_logging(tags={"a": "b"})
    data = pickle.dumps(run)
    counting.reset()
    assert pickle.loads(data).tags == {"a": "b"}
    assert counting.log == []


def test_a_spawned_process_logs_with_the_handle_it_is_given(tmp_path: Path) -> None:
    run = Experiment(Workspace(tmp_path, {"durability": "none"}), "e").start_logging()
    run.log("here", 0.5)
    worker = multiprocessing.get_context("spawn").Process(target=log_with, args=(run, "there"))
    worker.start()
    worker.join(150)
    assert worker.exitcode == 0
    found = run.get_metrics()
    assert found["there"] == [float(number) for number in range(50)]
    assert found["here"] == 0.5


@pytest.mark.parametrize(
    "kind",
    [c for _, c in inspect.getmembers(errors, inspect.isclass) if issubclass(c, BaseException)],
    ids=lambda kind: kind.__name__,
)
def test_errors_come_back_from_workers(kind: type[Exception]) -> None:
    if kind is errors.CorruptObjectError:
        error: Exception = kind("objrun.json", [errors.Problem("$", "json_syntax", "not JSON")])
    else:
        error = kind("what went wrong")
    same = pickle.loads(pickle.dumps(error))
    assert (type(same), str(same), vars(same)) == (kind, str(error), vars(error))
