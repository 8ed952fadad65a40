"""What Azure ML has and objrun has not is told where a script asks for it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

import objrun
from objrun import Experiment, Run, UserErrorException, Workspace
from objrun.elsewhere import MODULE, OF

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


@pytest.fixture
def run() -> Run:
    """A run, wherever: names are the same in all stores."""
    return Experiment(Workspace("memory://elsewhere"), "digits").start_logging()


@pytest.mark.parametrize("name", MODULE)
def test_an_import_of_what_is_not_there_says_what_to_do(name: str) -> None:
    with pytest.raises(ImportError, match=rf"objrun has no {name}: \w.{{30}}"):
        exec(f"from objrun import {name}")  # noqa: S102 - as a script does it
    assert name not in objrun.__all__
    assert not hasattr(objrun, name)
    with pytest.raises(AttributeError, match=f"objrun has no {name}: "):
        getattr(objrun, name)


@pytest.mark.parametrize(
    "name",
    [
        *("compute_targets", "datasets", "datastores", "delete", "environments", "tags"),
        *("get_default_compute_target", "get_default_datastore", "get_default_keyvault"),
        *("get_mlflow_tracking_uri", "set_default_datastore"),
    ],
)
def test_a_workspace_says_what_to_do_instead(name: str) -> None:
    assert not hasattr(Workspace, name)
    with pytest.raises(AttributeError, match=f"Workspace has no {name}: "):
        getattr(Workspace("memory://elsewhere"), name)


@pytest.mark.parametrize("name", ["input_datasets", "output_datasets"])
def test_a_run_says_what_to_do_instead(name: str, run: Run) -> None:
    assert not hasattr(run, name)
    with pytest.raises(AttributeError, match=f"Run has no {name}: "):
        getattr(run, name)


def test_what_is_told_of_is_not_there() -> None:
    assert {cls: [*OF[cls]] for cls in OF} == {
        cls.__name__: [name for name in OF[cls.__name__] if not hasattr(cls, name)]
        for cls in (Workspace, Run)
    }


def test_any_other_name_is_an_attribute_error(run: Run) -> None:
    with pytest.raises(AttributeError, match="'Run' object has no attribute 'nope'"):
        run.nope  # type: ignore[attr-defined]  # noqa: B018 - the access is the test
    assert not hasattr(run.experiment.workspace, "nope")


def test_a_configuration_of_azure_ml_is_told_from_one_of_objrun(folder: Path) -> None:
    (folder / "config.json").write_text(
        json.dumps({"subscription_id": "0", "resource_group": "r", "workspace_name": "w"}),
        encoding="utf-8",
    )
    with pytest.raises(UserErrorException, match=r"of Azure ML.*write_config"):
        Workspace.from_config()


def test_the_first_cell_of_a_notebook_prints(ws: Workspace) -> None:
    assert f"{ws.location}://" == ws.url[: len(ws.location) + 3]
    assert ws.name + ws.resource_group + ws.subscription_id == ws.url.rpartition("/")[2]
    assert objrun.__version__ == objrun.VERSION


def test_a_run_and_an_experiment_say_where_they_are(exp: Experiment) -> None:
    run = exp.start_logging()
    assert run.get_portal_url() == run.portal_url == f"{exp.workspace.url}/runs/{run.id}"
    place = f"{exp.workspace.url}/experiments/train-on-local"
    assert exp.get_portal_url() == exp.portal_url == place


def test_get_docs_url_is_not_there() -> None:
    assert not hasattr(Run, "get_docs_url")
    assert not hasattr(Experiment, "get_docs_url")


def test_from_directory_is_not_there() -> None:
    assert not hasattr(Experiment, "from_directory")


def test_workspace_object_is_not_there() -> None:
    assert not hasattr(Experiment, "workspace_object")


def test_workspaces_are_not_listed() -> None:
    assert not hasattr(Workspace, "list")


@pytest.mark.parametrize("make", [Workspace, Workspace.create, Workspace.get])
def test_a_workspace_of_azure_ml_is_told_to_be_a_url(make: Callable[..., Workspace]) -> None:
    with pytest.raises(TypeError, match=r"URL of a folder or a bucket.*not name, resource_group"):
        make(name="mine", resource_group="g")
