"""A soak: processes of every kind at one store, killed at random.

`python -m tests.soak.soak URL OPTIONS FOLDER SECONDS SEED` makes all imports once and forks them;
their figures are in FOLDER/played at the end, what they did is in their journals.
"""

from __future__ import annotations

import json
import os
import random
import signal
import sys
import time
import traceback
from collections import Counter
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from tests.soak.actors import perform

if TYPE_CHECKING:
    from collections.abc import Mapping

CAST: Final = {
    "host": 1,
    "log": 4,
    "tag": 2,
    "create": 2,
    "doom": 1,
    "collect": 1,
    "compact": 2,
    "read": 1,
}
"""How many of each play at once."""

SPARED: Final = "read"
"""What is never killed: it remembers what it saw."""

PAUSE: Final = 1.5
"""Seconds between two kills, about."""

PATIENCE: Final = 300.0
"""Seconds in which every process must end when it is asked to."""


class Soak:
    """Processes at one store; `folder` is where they write down what they do."""

    def __init__(self, url: str, options: Mapping[str, Any], folder: Path, seed: int) -> None:
        self.url = url
        self.options = options
        self.folder = folder
        self.processes = 0
        self.ends: Counter[str] = Counter()
        self.wrong: list[str] = []
        self._chance = random.Random(seed)
        self._alive: dict[str, int] = {}
        self._leaving: dict[str, int] = {}

    def play(self, seconds: float) -> None:
        """Let everybody work for so long, end one of them now and then, and at last all."""
        begun = time.monotonic()
        for role, count in CAST.items():
            for _ in range(count):
                self._begin(role)
        while time.monotonic() - begun < seconds:
            time.sleep(self._chance.uniform(0, 2 * PAUSE))
            self._look()
            self._end_one()
        (self.folder / "over").touch()
        deadline = time.monotonic() + PATIENCE
        while (self._alive or self._leaving) and time.monotonic() < deadline:
            self._look(over=True)
            time.sleep(0.1)
        for name, pid in {**self._alive, **self._leaving}.items():
            self.wrong.append(f"{name} does not end")
            os.kill(pid, signal.SIGKILL)

    def _begin(self, role: str) -> None:
        name = f"{role}-{self.processes}"
        self.processes += 1
        pid = os.fork()
        if pid:
            self._alive[name] = pid
            return
        try:
            perform(role, name, self.url, self.options, self.folder)
        except BaseException as error:
            if not isinstance(error, SystemExit):
                (self.folder / f"{name}.error").write_text(traceback.format_exc())
            raise
        sys.exit(0)

    def _end_one(self) -> None:
        """SIGKILL for most, SIGTERM for some."""
        name = self._chance.choice([each for each in self._alive if not each.startswith(SPARED)])
        pid = self._alive.pop(name)
        is_term = self._chance.random() < 0.25
        os.kill(pid, signal.SIGTERM if is_term else signal.SIGKILL)
        self.ends["SIGTERM" if is_term else "SIGKILL"] += 1
        if is_term:
            self._leaving[name] = pid
        else:
            os.waitpid(pid, 0)
        self._begin(name.partition("-")[0])

    def _look(self, *, over: bool = False) -> None:
        """Note who has ended, and how."""
        for processes in (self._alive, self._leaving):
            for name, pid in [*processes.items()]:
                done, status = os.waitpid(pid, os.WNOHANG)
                if not done:
                    continue
                del processes[name]
                code = os.waitstatus_to_exitcode(status)
                if code not in ((0,) if over else ()) + (
                    (0, 143, -signal.SIGTERM) if processes is self._leaving else ()
                ):
                    error = self.folder / f"{name}.error"
                    told = error.read_text()[-2000:] if error.exists() else ""
                    self.wrong.append(f"{name} ended with {code}: {told}")


def main() -> None:
    url, options, folder, seconds, seed = sys.argv[1:]
    # Imported, not used: so no thread is forked.
    for module in ("polars", "pyarrow.parquet", "objrun.tables.compaction", "objrun.query.scan"):
        import_module(module)
    if url.startswith("s3"):
        import_module("objrun.storage.s3")
    soak = Soak(url, json.loads(options), Path(folder), int(seed))
    soak.play(float(seconds))
    played = {"processes": soak.processes, "ends": soak.ends, "wrong": soak.wrong}
    (Path(folder) / "played").write_text(json.dumps(played))


if __name__ == "__main__":
    main()
