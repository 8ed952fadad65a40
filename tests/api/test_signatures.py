"""Names, order and defaults of arguments are those that scripts for Azure ML pass."""

from __future__ import annotations

import inspect
from typing import Any

import pytest

from objrun import Experiment, Run, Workspace
from objrun.offline import OfflineRun

# What Azure ML's SDK has; objrun may add arguments behind, each with a default.
AZURE = {
    "Run.log": "(self, name, value, description='', step=None)",
    "Run.log_list": "(self, name, value, description='')",
    "Run.log_row": "(self, name, description=..., **kwargs)",
    "Run.log_table": "(self, name, value, description='')",
    "Run.get_metrics": "(self, name=None, recursive=False, run_type=None, populate=False)",
    "Run.flush": "(self, timeout_seconds=300)",
    "Run.start": "(self)",
    "Run.complete": "(self)",
    "Run.fail": "(self, error_details=None, error_code=None, _set_status=True)",
    "Run.cancel": "(self)",
    "Run.get_status": "(self)",
    "Run.get_detailed_status": "(self)",
    "Run.get_details": "(self)",
    "Run.wait_for_completion": (
        "(self, show_output=False, wait_post_processing=False, raise_on_error=True)"
    ),
    "Run.get": "(workspace, run_id)",
    "Run.list": (
        "(experiment, type=None, tags=None, properties=None, status=None, include_children=False)"
    ),
    "Run.get_children": (
        "(self, recursive=False, tags=None, properties=None, type=None, status=None)"
    ),
    "Run.child_run": "(self, name=None, run_id=None, outputs=None)",
    "Run.create_children": "(self, count=None, tag_key=None, tag_values=None)",
    "Run.tag": "(self, key, value=None)",
    "Run.set_tags": "(self, tags)",
    "Run.remove_tags": "(self, tags)",
    "Run.get_tags": "(self)",
    "Run.add_properties": "(self, properties)",
    "Run.get_properties": "(self)",
    "Run.get_context": "(allow_offline=True)",
    "Run.get_submitted_run": "()",
    "Run.add_type_provider": "(runtype, run_factory)",
    "Run.take_snapshot": "(self, file_or_folder_path)",
    "Run.get_snapshot_id": "(self)",
    "Run.restore_snapshot": "(self, snapshot_id=None, path=None)",
    "Run.get_environment": "(self)",
    "Run.get_secret": "(self, name)",
    "Run.get_secrets": "(self, secrets)",
    "Run.__init__": "(self, experiment, run_id)",
    "Experiment.__init__": "(self, workspace, name)",
    "Experiment.start_logging": (
        "(self, name=None, run_id=None, outputs=None, snapshot_directory='.', display_name=None,"
        " description=None, tags=None)"
    ),
    "Experiment.get_runs": (
        "(self, type=None, tags=None, properties=None, include_children=False)"
    ),
    "Experiment.list": "(workspace, experiment_name=None, view_type='ActiveOnly', tags=None)",
    "Experiment.tag": "(self, key, value=None)",
    "Experiment.set_tags": "(self, tags)",
    "Experiment.remove_tags": "(self, tags)",
    "Experiment.refresh": "(self)",
    "Experiment.archive": "(self)",
    "Experiment.reactivate": "(self, new_name=None)",
    "Experiment.delete": "(workspace, experiment_id)",
    "Workspace.from_config": "(path=None)",
    "Workspace.write_config": "(self, path=None, file_name=None)",
    "Workspace.get_run": "(self, run_id)",
    "Workspace.get_details": "(self)",
}

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


def wanted(text: str) -> list[inspect.Parameter]:
    made: dict[str, Any] = {}
    exec(f"def wanted{text}: ...", made)  # noqa: S102 - the table above
    return [*inspect.signature(made["wanted"]).parameters.values()]


@pytest.mark.parametrize("name", AZURE)
def test_arguments_are_those_of_azure_ml(name: str) -> None:
    theirs, ours = wanted(AZURE[name]), parameters(name)
    for place, argument in enumerate(theirs):
        own = ours[place]
        assert (own.name, own.kind) == (argument.name, argument.kind)
        assert argument.default in (..., own.default)
    for added in ours[len(theirs) :]:
        assert added.default is not inspect.Parameter.empty, f"{added} has no default"


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
