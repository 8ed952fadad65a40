"""The tests of logging, by workers that may only create: see `tests/permissions/blindly.py`."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.processes.programs import ROOT

DIFFERS = {
    "names": "the number is in the name",
    "numbers": "they are drawn",
    "first_end_stays": "what changes nothing is written all the same",
    "history": "the same",
    "another_handle": "it cannot know what others have done",
    "another_took": "nor what they hold",
    "CannotBeStored": "what fails there is a request that is not made",
}
"""Tests of what differs, as docs/permissions.md says, by words of their names."""


@pytest.mark.parametrize(
    "modules",
    [
        ["tags", "metric_shapes", "life", "children", "threads"],
        pytest.param(["exact"], marks=pytest.mark.slow),
    ],
)
def test_logging(modules: list[str]) -> None:
    plugin = ["-p", "tests.permissions.blindly", "-p", "no:cacheprovider", "-n0", "-q"]
    chosen = ["-k", f"not ({' or '.join(DIFFERS)})"]
    files = [f"tests/api/test_{module}.py" for module in modules]
    command = [sys.executable, "-m", "pytest", *plugin, *chosen, *files]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-3000:]
    assert " passed" in done.stdout
