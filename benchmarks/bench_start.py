"""A cold process: import objrun, start a run or find one's own, log one point, make it durable."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path

Compare = Callable[..., None]

BARE = """
import sys
import pyarrow as pa
import pyarrow.parquet as pq

table = pa.table({"step": pa.array([1]), "value": pa.array([0.5])})
pq.write_table(table, sys.argv[1] + "/bare.parquet")
"""

OURS = """
import sys
from objrun import Experiment, Workspace

workspace = Workspace(sys.argv[1] + "/store", {"durability": sys.argv[2]})
run = Experiment(workspace, "bench").start_logging()
run.log("loss", 0.5, step=1)
run.flush()
"""

SUBMITTED = """
from objrun import Run

run = Run.get_context()
run.log("loss", 0.5, step=1)
run.flush()
"""


@pytest.mark.parametrize("durability", ["none", "fsync"])
def test_cold_start(compare: Compare, folder: Path, durability: str) -> None:
    def python(program: str) -> Callable[[], object]:
        command = [sys.executable, "-c", program, str(folder), durability]
        return lambda: subprocess.run(command, check=True, cwd=folder)

    compare(
        f"import objrun and first log, cold, durability={durability}",
        python(OURS),
        python(BARE),
        bar="1.5x",
        items=1,
        unit="start",
        rounds=15,
    )


def test_get_context(compare: Compare, folder: Path) -> None:
    """A script that was started as a run, beside one that starts its own."""
    started = subprocess.run(
        [sys.executable, "-c", OURS + "print(run.id)", str(folder), "none"],
        check=True,
        capture_output=True,
        text=True,
    ).stdout.strip()
    told = {
        "OBJRUN_RUN_ID": started,
        "OBJRUN_URL": f"{folder}/store",
        "OBJRUN_STORAGE_OPTIONS": '{"durability": "none"}',
    }

    def python(program: str, told: dict[str, str]) -> Callable[[], object]:
        command = [sys.executable, "-c", program, str(folder), "none"]
        return lambda: subprocess.run(command, check=True, cwd=folder, env={**os.environ, **told})

    compare(
        "get_context and first log, cold, beside start_logging and first log",
        python(SUBMITTED, told),
        python(OURS, {}),
        bar="1.2x",
        items=1,
        unit="start",
        rounds=15,
    )
