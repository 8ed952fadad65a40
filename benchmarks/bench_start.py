"""A cold process: import objrun, start a run, log one point, make it durable."""

from __future__ import annotations

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
