"""Bars for files that take long: on a terminal, and nowhere else."""

from __future__ import annotations

import os
import pty
import subprocess
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

PROGRAM = """
import os
from objrun import Experiment, Workspace
from objrun.runs import progress
progress.PATIENCE = -1.0
run = Experiment(Workspace("store"), "files").start_logging(outputs=False)
open("file", "wb").write(os.urandom(40 << 20))
run.upload_file("large", "file")
run.download_file("large", "same")
assert open("same", "rb").read() == open("file", "rb").read()
os.makedirs("two")
for name in "ab":
    open(f"two/{name}", "wb").write(bytes(20 << 20))
run.upload_folder("two", "two")
run.complete()
"""


def shown(folder: Path, **environment: str) -> str:
    """Return what a program writes to a terminal while it stores files and fetches them."""
    ours, theirs = pty.openpty()
    program = subprocess.Popen(
        [sys.executable, "-c", PROGRAM],
        cwd=folder,
        stderr=theirs,
        env={**os.environ, "TERM": "xterm", "COLUMNS": "80", **environment},
    )
    os.close(theirs)
    text = b""
    while True:
        try:
            data = os.read(ours, 65536)
        except OSError:  # what Linux says at the end
            break
        if not data:
            break
        text += data
    os.close(ours)
    assert program.wait(150) == 0, text.decode()
    return text.decode()


def test_a_terminal_shows_them(tmp_path: Path) -> None:
    text = shown(tmp_path)
    assert "storing" in text
    assert "fetching" in text
    assert "MB" in text


def test_they_can_be_switched_off(tmp_path: Path) -> None:
    assert shown(tmp_path, OBJRUN_PROGRESS="off") == ""
