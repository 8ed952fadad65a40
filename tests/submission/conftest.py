"""Scripts in a folder, and workspaces that other processes see."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from objrun import Experiment, ScriptRunConfig, Workspace, clock
from tests.conftest import proven_bucket

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from objrun import Run

    Submit = Callable[..., Run]

SLOWEST = 120.0
"""Seconds after which a test gives up waiting."""


@pytest.fixture(autouse=True)
def _own_places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave the work folders and queues of whoever runs the tests alone."""
    monkeypatch.setenv("OBJRUN_WORK", str(tmp_path / "work"))
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setenv("OBJRUN_ENVIRONMENT", "off")


@pytest.fixture
def local_ws(tmp_path: Path) -> Workspace:
    return Workspace(tmp_path / "store", {"durability": "none"})


@pytest.fixture(params=["local", "s3"])
def shared_ws(request: pytest.FixtureRequest, tmp_path: Path) -> Workspace:
    """A workspace in a folder, and in a bucket."""
    if request.param == "local":
        return Workspace(tmp_path / "store", {"durability": "none"})
    return Workspace(*proven_bucket(request.getfixturevalue("s3_server")))


@pytest.fixture
def submit(tmp_path: Path) -> Submit:
    """Submit a script, given as its text, to a workspace."""

    def submitted(ws: Workspace, text: str, *arguments: Any, **more: Any) -> Run:
        source = tmp_path / f"source-{clock.random_hex(4)}"
        source.mkdir()
        (source / "train.py").write_text(text)
        # A test that fails leaves nothing running.
        more = {"max_run_duration_seconds": 2 * SLOWEST, **more}
        config = ScriptRunConfig(source, "train.py", arguments, **more)
        return Experiment(ws, "digits").submit(config)

    return submitted


def until(is_so: Callable[[], object]) -> None:
    """Wait until something is so."""
    deadline, pause = clock.monotonic() + SLOWEST, 0.05
    while not is_so():
        assert clock.monotonic() < deadline, "it never was so"
        clock.sleep(pause)
        pause = min(0.3, 1.3 * pause)  # to look takes time of those who are looked at


def ended(run: Run) -> Run:
    """Return a run that has ended."""
    until(lambda: run.get_status() in ("Completed", "Failed", "Canceled"))
    return run


def log_of(run: Run) -> bytes:
    """Return what a run has printed."""
    with run.open("logs/std_log.txt") as file:
        return file.read()
