"""What a process that only logs has imported."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.processes.programs import Place, perform

if TYPE_CHECKING:
    from pathlib import Path

HEAVY = ("asyncio", "fsspec", "matplotlib", "numpy", "pandas", "polars", "rich", "typer")


def test_a_worker_on_a_folder_stays_light(tmp_path: Path) -> None:
    source = f"""
        run = start()
        run.log("x", 1.0, step=1)
        run.log("text", "hello")
        run.log_row("row", a=1, b=2.0)
        run.log_table("table", {{"a": [1, 2]}})
        run.tag("a", 1)
        run.log_params({{"lr": 0.1}})
        run.complete()
        # pyarrow imports numpy by itself if it is there.
        import subprocess
        say(*sorted(set({HEAVY}) & set(sys.modules)))
    """
    place = Place(str(tmp_path / "store"), {})
    ended = perform(place, source.replace("import subprocess", ""))
    assert ended.code == 0, ended.err
    light = perform(place, "import pyarrow.parquet; say(*sorted(set(sys.modules)))").out[0].split()
    assert set(ended.out[0].split()) <= set(light)
