"""`objrun runs --watch` in a terminal of its own, while a run is logged by another process."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import select
import signal
import struct
import subprocess
import sys
import termios
import time
from contextlib import suppress
from typing import TYPE_CHECKING

import polars as pl

from objrun import Experiment, Workspace
from objrun.cli.remember import RememberingStore
from objrun.cli.run_table import Query, find_runs
from objrun.storage import CountingStore
from tests.cli.conftest import ANSI

if TYPE_CHECKING:
    from pathlib import Path

PATIENCE = 90.0


class Terminal:
    """A terminal of 100 columns in which a command runs."""

    def __init__(self, *command: str) -> None:
        self.screen, inside = pty.openpty()
        fcntl.ioctl(inside, termios.TIOCSWINSZ, struct.pack("HHHH", 20, 100, 0, 0))
        self.process = subprocess.Popen(
            command,
            stdin=inside,
            stdout=inside,
            stderr=inside,
            env={**os.environ, "TERM": "xterm-256color"},
            start_new_session=True,
        )
        os.close(inside)
        self.seen = ""

    def wait_for(self, pattern: str) -> None:
        """Read on until what was drawn since the last call has `pattern`."""
        deadline = time.monotonic() + PATIENCE
        while not (found := re.search(pattern, self.seen)):
            assert time.monotonic() < deadline, f"{pattern!r} is not in {self.seen!r}"
            self.read()
        self.seen = self.seen[found.end() :]

    def read(self) -> None:
        if select.select([self.screen], [], [], 0.1)[0]:
            # The terminal of a process that has ended cannot be read.
            with suppress(OSError):
                self.seen += ANSI.sub("", os.read(self.screen, 65536).decode(errors="replace"))

    def end(self) -> int:
        """Press Ctrl-C and return the exit code."""
        self.process.send_signal(signal.SIGINT)
        deadline = time.monotonic() + PATIENCE
        while self.process.poll() is None and time.monotonic() < deadline:
            self.read()
        os.close(self.screen)
        self.process.kill()
        return self.process.wait()


def test_drawing_again_fetches_nothing_twice(place: Path) -> None:
    workspace = Workspace(place)
    counting = CountingStore(workspace.reading())
    store = RememberingStore(counting)
    query = Query(["digits"], pl.col("parent_run_id").is_null(), limit=3)
    first = find_runs(store, workspace.known_runs, query)
    # Eight runs; of metrics only those of the three that are shown: one segment.
    assert counting.counts["get"] == 8 + 1
    counting.counts.clear()
    again = find_runs(store, workspace.known_runs, query)
    assert again == first
    assert set(counting.counts) == {"list"}


def test_a_run_is_seen_live(tmp_path: Path) -> None:
    url = str(tmp_path / "store")
    terminal = Terminal(sys.executable, "-m", "objrun", "runs", "--watch", "--url", url)
    terminal.wait_for("there is no objrun store")
    run = Experiment(Workspace(url, {"durability": "none"}), "live").start_logging(
        display_name="watched"
    )
    run.log("accuracy", 0.25)
    run.flush()
    terminal.wait_for(r"watched.*Running.*0\.25")
    run.log("accuracy", 0.75)
    run.flush()
    terminal.wait_for(r"watched.*Running.*0\.75")
    run.complete()
    terminal.wait_for(r"watched.*Completed.*0\.75")
    assert terminal.end() == 0
