"""Where the examples run: in an empty folder, with a workspace on local disk and on S3."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from objrun import Experiment, Run, Workspace
from tests.conftest import proven_bucket

if TYPE_CHECKING:
    from pathlib import Path

    from objrun.testing.servers import Server

PLACES = ["local", "s3"]


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder that a script is started in."""
    work = tmp_path / "work"
    work.mkdir()
    monkeypatch.chdir(work)
    return work


@pytest.fixture(params=PLACES)
def ws(request: pytest.FixtureRequest, tmp_path: Path) -> Workspace:
    """A workspace that nothing was written to."""
    if request.param == "local":
        return Workspace(tmp_path / "store", {"durability": "none"})
    server: Server = request.getfixturevalue("s3_server")
    return Workspace(*proven_bucket(server))


@pytest.fixture
def exp(ws: Workspace) -> Experiment:
    """An experiment of it."""
    return Experiment(workspace=ws, name="train-on-local")


@pytest.fixture
def run(exp: Experiment) -> Run:
    """A run that has just been started."""
    return exp.start_logging()
