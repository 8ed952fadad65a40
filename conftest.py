"""What doctests find as `ws` and `run`: a workspace in memory, and a run in it."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
from hypothesis import settings

# Every change is tried with these, always the same; `pyproject.toml` says how to search for others.
settings.register_profile("ci", settings.get_profile("ci"), max_examples=50)

_numbers = itertools.count()


@pytest.fixture(autouse=True)
def doctest_names(
    request: pytest.FixtureRequest,
    doctest_namespace: dict[str, Any],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Give each doctest its own workspace with one run, tagged `model`."""
    if type(request.node).__name__ != "DoctestItem":
        return
    from objrun import Experiment, Workspace

    monkeypatch.setenv("OBJRUN_GIT_DIFF", "off")
    ws = Workspace(f"memory://doctest-{next(_numbers)}")
    run = Experiment(ws, "digits").start_logging(tags={"model": "cnn"})
    run.log_params({"lr": 0.1, "layers": 3})
    run.log("accuracy", 0.9)
    doctest_namespace.update(ws=ws, run=run)


def pytest_unconfigure() -> None:
    """Let the end of the tests not see to what they have left open or unsent: stores are gone."""
    from objrun.protocol import endings
    from objrun.runs.open import OPEN

    OPEN.forked()
    endings.EXIT_PATIENCE = 0.0
