"""Workspaces for the tests of the API: in memory, and on every backend."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from objrun import Experiment, Workspace, clock

if TYPE_CHECKING:
    from pathlib import Path

    from objrun import Run
    from tests.conftest import StoreURL


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
    if request.param == "local":
        return Workspace(tmp_path / "store", {"durability": "none"})
    return Workspace(f"memory://{clock.random_hex(8)}")


@pytest.fixture
def live_ws(store_url: StoreURL) -> Workspace:
    """A workspace in a fresh store, once for each backend."""
    return Workspace(store_url.url, storage_options=store_url.storage_options)
