"""Names, order and defaults of arguments stay; those of Azure ML are held by tests/azureml."""

from __future__ import annotations

import inspect

import pytest

from objrun import Experiment, Run, Workspace
from objrun.offline import OfflineRun

# What is objrun's own is written down once, in full.
OWN = {
    "Run.log_metrics": "(self, metrics, step=None)",
    "Run.log_batch": "(self, name, values, steps=None, times=None)",
    "Run.log_params": "(self, params)",
    "Run.get_params": "(self)",
    "Run.history": "(self)",
    "Run.unpack_snapshot": "(self, folder, snapshot_id=None)",
    "Run.git_diff": "(self)",
    "Run.metrics": "(self, recursive=False)",
    "Run.delete": "(self)",
    "Run.restore": "(self)",
    "Experiment.restore": "(workspace, experiment_id)",
    "Workspace.gc": "(self, older_than=datetime.timedelta(days=30), *, dry_run=False)",
    "Experiment.runs": "(self, columns=())",
    "Experiment.metrics": "(self)",
    "Workspace.__init__": "(self, url=None, storage_options=None, **others)",
    "Workspace.create": "(url=None, storage_options=None, *, exist_ok=False, **others)",
    "Workspace.get": "(url=None, storage_options=None, **others)",
    "Workspace.runs": "(self, columns=())",
}
CLASSES = {"Run": Run, "Experiment": Experiment, "Workspace": Workspace}

PROPERTIES = {
    "Run": (
        "id number name display_name description type status tags properties experiment parent"
    ),
    "Experiment": "name id workspace archived_time tags description",
    "Workspace": "name url store_id experiments",
}


def parameters(name: str) -> list[inspect.Parameter]:
    cls, _, method = name.partition(".")
    return [*inspect.signature(getattr(CLASSES[cls], method)).parameters.values()]


def told(parameters: list[inspect.Parameter]) -> str:
    bare = [p.replace(annotation=inspect.Parameter.empty) for p in parameters]
    return str(inspect.Signature(bare))


@pytest.mark.parametrize("name", OWN)
def test_arguments_of_objrun_stay(name: str) -> None:
    assert told(parameters(name)) == OWN[name]


@pytest.mark.parametrize("cls", PROPERTIES)
def test_properties_are_there(cls: str, run: Run) -> None:
    thing = {"Run": run, "Experiment": run.experiment, "Workspace": run.experiment.workspace}[cls]
    for name in PROPERTIES[cls].split():
        getattr(thing, name)


def test_an_offline_run_takes_what_a_run_takes() -> None:
    for name, method in inspect.getmembers(OfflineRun, inspect.isfunction):
        if name.startswith("__"):
            continue
        ours = told([*inspect.signature(method).parameters.values()])
        assert ours == told(parameters(f"Run.{name}")), name


def test_unknown_arguments_are_refused(run: Run) -> None:
    with pytest.raises(TypeError, match="nope"):
        run.experiment.start_logging(nope=1)  # type: ignore[call-arg]
    with pytest.raises(TypeError, match="nope"):
        run.experiment.get_runs(nope=1)  # type: ignore[call-arg]
