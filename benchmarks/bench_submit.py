"""Submitted runs: how soon a script works, how fast what it prints is stored, at what cost."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from objrun import Experiment, ScriptRunConfig, Workspace
from objrun.protocol.log_reader import LogReader
from objrun.protocol.log_writer import LogWriter
from objrun.storage import CountingStore, MemoryStore
from objrun.submission.pump import FIRST_FLUSH, SLOWEST_FLUSH, Pump, Secrets

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

Note = Callable[[str, str, str, str], None]
MEGABYTES = 200


def test_a_script_works_soon(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, note: Note) -> None:
    """From `submit` to the script's first line, beside an interpreter that is started as it is."""
    monkeypatch.setenv("OBJRUN_WORK", str(tmp_path / "work"))
    (tmp_path / "src").mkdir()
    (tmp_path / "src" / "train.py").write_text("import time; print(time.time())")
    experiment = Experiment(Workspace(tmp_path / "store"), "bench")
    bare, submitted, returned = [], [], []
    for _ in range(5):
        began = time.time()
        done = subprocess.run(
            [sys.executable, tmp_path / "src" / "train.py"], check=True, capture_output=True
        )
        bare.append(float(done.stdout) - began)
        began = time.time()
        run = experiment.submit(ScriptRunConfig(tmp_path / "src", "train.py"))
        returned.append(time.time() - began)
        run.wait_for_completion()
        with run.open("logs/std_log.txt") as file:
            submitted.append(float(file.read()) - began)
    more = f"submit returns after {min(returned):.2f} s, bare {min(bare):.2f} s"
    note("submit until the script works, best of 5", f"{min(submitted):.2f} s", "-", more)


def test_output_is_stored_quickly(tmp_path: Path, note: Note) -> None:
    store = MemoryStore("bench-log")
    secrets = Secrets(str(tmp_path))
    pump = Pump(LogWriter("r", "s"), secrets, lambda log: log.flush(store))
    pump.masker.add("a secret that is not there")
    script = f"import os\nfor _ in range({MEGABYTES}): os.write(1, b'x' * 1_000_000)"
    program = subprocess.Popen([sys.executable, "-c", script], stdout=pump.output)
    began = time.monotonic()
    pump.start()
    program.wait()
    pump.finish()
    seconds = time.monotonic() - began
    assert sum(map(len, LogReader(store, "r", "s").read())) == MEGABYTES * 1_000_000
    more = f"{len(store.list(''))} objects of {MEGABYTES} MB"
    note("a script's output into the log", f"{MEGABYTES / seconds:.0f} MB/s", "-", more)
    secrets.close()


def test_a_week_of_output_is_few_objects(note: Note) -> None:
    """A line of 100 bytes a second, as a pump would flush it."""
    store = CountingStore(MemoryStore("bench-week"))
    writer, pause, seconds, sent = LogWriter("r", "s"), FIRST_FLUSH, 0.0, 0
    while seconds < 7 * 86400:
        seconds += pause
        pause = min(SLOWEST_FLUSH, 1.5 * pause)
        writer.add(os.urandom(int(100 * pause)))
        sent += int(100 * pause)
        writer.flush(store)
    puts = store.counts["put"] / (7 * 24)
    more = f"{len(store.list(''))} objects, each byte sent {store.bytes_written / sent:.1f} times"
    note("a log of a line a second, for a week", f"{puts:.0f} PUT an hour", "360", more)
