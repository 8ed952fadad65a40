"""Programs for tests: each is a real process, started here, watched, and ended by its id.

A program is source text. It begins with `PREAMBLE`: `place` is where the store is, `run` the run
that it logs to, `say(...)` sends a line to the test, and `hear()` waits until the test calls `go`.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from textwrap import dedent
from typing import TYPE_CHECKING, Any, NamedTuple

from objrun import Run, Workspace

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parent.parent.parent
PATIENCE = 120.0
"""Seconds for a program that should take one or two: a hang is a failure, slowness is not."""

RUN_ID = "the-run"

PREAMBLE = f"""\
import atexit, json, logging, os, signal, sys, threading, time
import multiprocessing
from contextlib import suppress
from objrun import Experiment, Run, Workspace

logging.basicConfig(format="%(levelname)s %(name)s %(message)s")
signal.signal(signal.SIGHUP, signal.SIG_DFL)  # tests may be run by nohup
url, options = sys.argv[1], json.loads(sys.argv[2])
arguments = sys.argv[3:]

def workspace():
    return Workspace(url, options)

def say(*words):
    # One write, so that lines of several processes never mix.
    os.write(1, (" ".join(map(str, words)) + "\\n").encode())

def hear():
    os.read(0, 1)

def start(run_id="{RUN_ID}"):
    return Experiment(workspace(), "processes").start_logging(run_id=run_id)

def begin():
    # Objects of one key space: the run exists, whoever came first.
    return Run.get(workspace(), "{RUN_ID}")

"""


class Place(NamedTuple):
    """Where a store is."""

    url: str
    options: dict[str, Any]

    @property
    def is_local(self) -> bool:
        return "://" not in self.url

    def workspace(self) -> Workspace:
        return Workspace(self.url, self.options)

    def run(self, run_id: str = RUN_ID) -> Run:
        return Run.get(self.workspace(), run_id)

    def values(self, name: str = "x", run_id: str = RUN_ID) -> list[float]:
        """The values of a metric in the order logged, read by a new handle."""
        found = self.run(run_id).get_metrics(name).get(name, [])
        return found if isinstance(found, list) else [found]

    def writers(self, run_id: str = RUN_ID) -> dict[str, list[int]]:
        """By writer id, the offsets of its points."""
        frame = self.run(run_id).metrics().collect()
        return {
            str(part["writer"][0]): sorted(part["offset"].to_list())
            for part in frame.partition_by("writer")
        }


@dataclass
class Ended:
    """How a program ended: its exit code (negative for a signal), and what it said."""

    code: int
    out: list[str]
    err: str


class Program:
    """A running program."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process
        self.pid = process.pid

    def lines(self) -> Iterator[str]:
        """What it says, line by line, until it ends."""
        assert self.process.stdout is not None
        for line in self.process.stdout:
            yield line.rstrip("\n")

    def heard(self, word: str) -> None:
        """Wait until it says `word`."""
        for line in self.lines():
            if line == word:
                return
        raise AssertionError(f"it ended before it said {word!r}: {self.ended().err}")

    def end(self) -> None:
        """Kill it and its children if it still runs."""
        if self.process.returncode is None:
            with suppress(ProcessLookupError):
                os.killpg(self.pid, signal.SIGKILL)
            self.process.communicate()

    def send(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    def go(self) -> None:
        """Let it go on: it waits in `hear()`, or will not."""
        assert self.process.stdin is not None
        self.process.stdin.write("\n")
        self.process.stdin.flush()

    def ended(self, patience: float = PATIENCE) -> Ended:
        """Wait until it ends; a program that hangs shows where, is killed, and fails the test."""
        try:
            out, err = self.process.communicate(timeout=patience)
        except subprocess.TimeoutExpired:
            # Its children too, or they would hold the pipes open.
            os.killpg(self.pid, signal.SIGABRT)
            out, err = self.process.communicate()
            raise AssertionError(f"it did not end within {patience:g} s\n{out}\n{err}") from None
        return Ended(self.process.returncode, out.splitlines(), err)


RUNNING: list[Program] = []
"""Programs that the present test has started."""


def launch(place: Place, source: str, *arguments: object) -> Program:
    """Start a program of `source` after PREAMBLE."""
    text = PREAMBLE + dedent(source)
    compile(text, "program", "exec")
    options = json.dumps(place.options)
    command = [sys.executable, "-X", "faulthandler", "-c", text, place.url, options]
    process = subprocess.Popen(
        [*command, *map(str, arguments)],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    RUNNING.append(Program(process))
    return RUNNING[-1]


def perform(place: Place, source: str, *arguments: object, patience: float = PATIENCE) -> Ended:
    """Run a program to its end."""
    return launch(place, source, *arguments).ended(patience)
