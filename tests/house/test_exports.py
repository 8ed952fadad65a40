"""The public names of the package, pinned: taking one away or adding one is a decision."""

from __future__ import annotations

import subprocess
import sys

import pytest

import objrun

NAMES = [
    "ActivityFailedException",
    "DaskTarget",
    "Experiment",
    "LocalTarget",
    "Model",
    "ModelPathNotFoundException",
    "ObjrunError",
    "Run",
    "RunEnvironmentException",
    "ScriptRunConfig",
    "ServiceException",
    "UserErrorException",
    "VERSION",
    "WebserviceException",
    "Workspace",
    "__version__",
    "compare",
    "errors",
]


def test_the_public_names_are_these() -> None:
    assert sorted(objrun.__all__) == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_every_public_name_is_there(name: str) -> None:
    assert getattr(objrun, name)


def test_the_names_are_listed_before_they_are_loaded() -> None:
    tell = "import objrun; print(set(objrun.__all__) <= set(dir(objrun)))"
    done = subprocess.run([sys.executable, "-c", tell], check=True, capture_output=True, text=True)
    assert done.stdout == "True\n"


def test_another_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no_such_name"):
        objrun.no_such_name  # noqa: B018 - the access is the test
