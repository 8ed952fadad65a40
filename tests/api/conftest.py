"""Workspaces for the tests of the API: in memory, and on every backend."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from objrun import Experiment, Workspace, clock
from tests.conftest import BACKENDS, proven_bucket

if TYPE_CHECKING:
    from pathlib import Path

    from objrun import Run


@pytest.fixture
def ws() -> Workspace:
    """An empty place in memory."""
    return Workspace(f"memory://{clock.random_hex(8)}")


@pytest.fixture
def experiment(ws: Workspace) -> Experiment:
    """An experiment that nothing was written to yet."""
    return Experiment(ws, "digits")


@pytest.fixture
def run(experiment: Experiment) -> Run:
    """A run that has just been started."""
    return experiment.start_logging()


@pytest.fixture(params=["local", "memory"])
def any_ws(request: pytest.FixtureRequest, tmp_path: Path) -> Workspace:
    """A workspace in a fresh folder, and in memory."""
    return any_place(request.param, tmp_path)


def any_place(kind: str, tmp_path: Path) -> Workspace:
    """A workspace in a fresh folder, or in memory."""
    if kind == "local":
        return Workspace(tmp_path / "store", {"durability": "none"})
    return Workspace(f"memory://{clock.random_hex(8)}")


@pytest.fixture(params=BACKENDS)
def live_ws(request: pytest.FixtureRequest, tmp_path: Path) -> Workspace:
    """A workspace in a fresh store, once for each backend."""
    if request.param in ("local", "memory"):
        return any_place(request.param, tmp_path)
    return Workspace(*proven_bucket(request.getfixturevalue(f"{request.param}_server")))
