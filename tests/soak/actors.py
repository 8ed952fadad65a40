"""What each process of a soak does.

An actor works until FOLDER/over is there. Before it asks the store for anything that must not be
lost it writes down what it tries, and what was acknowledged after: lines of JSON in
FOLDER/journal/NAME, which stay whatever becomes of the process.
"""

from __future__ import annotations

import json
import os
import random
import time
from contextlib import suppress
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final

from objrun import Experiment, Run, Workspace
from objrun import spool as spools
from objrun.errors import CredentialsError, ObjrunError
from objrun.protocol import endings, post, settle

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

EXPERIMENT: Final = "soak"
HOSTED: Final = 20.0
"""Seconds for which one run is everybody's."""


class Actor:
    """One process: its name, the store, and the folder of the soak."""

    def __init__(self, name: str, workspace: Workspace, folder: Path) -> None:
        self.name = name
        self.workspace = workspace
        self.folder = folder
        self.chance = random.Random(name)
        self._journal = os.open(
            folder / "journal" / name, os.O_CREAT | os.O_WRONLY | os.O_APPEND, 0o644
        )

    def note(self, what: str, *about: Any) -> None:
        """Write one line, in one call, so that it is whole or not there."""
        os.write(self._journal, (json.dumps([what, *about]) + "\n").encode())

    def goes_on(self, pause: float) -> bool:
        """Wait, and say whether there is more to do."""
        time.sleep(self.chance.uniform(0, 2 * pause))
        return not (self.folder / "over").exists()

    def start(self, run_id: str) -> Run:
        """Start a run, again while the credentials have expired: a process may not begin so."""
        self.note("try run", run_id)
        while True:
            with suppress(CredentialsError):
                run = Experiment(self.workspace, EXPERIMENT).start_logging(run_id=run_id)
                self.note("run", run_id)
                return run
            time.sleep(0.5)

    def complete(self, run: Run) -> None:
        run.complete()
        self.note("end", run.id)

    def shared(self) -> Run | None:
        """Return the run of all, which may still be in the spool of who started it."""
        with suppress(FileNotFoundError, ObjrunError):
            return Run.get(self.workspace, (self.folder / "shared").read_text())
        return None


def host(actor: Actor) -> None:
    """Start a run for all now and then."""
    number = 0
    while actor.goes_on(HOSTED / 2):
        run = actor.start(f"{actor.name}-{number}")
        new = actor.folder / f"{actor.name}.new"
        new.write_text(run.id)
        new.replace(actor.folder / "shared")
        number += 1


def log(actor: Actor) -> None:
    """Log one metric, named like the process, to a run of one's own or of all; flush at times."""
    run = None if actor.chance.random() < 0.5 else actor.start(f"{actor.name}-own")
    is_own = run is not None
    while run is None:
        run = actor.shared()
        if not actor.goes_on(0.1) and run is None:
            return
    count = 0
    while actor.goes_on(0.1):
        for _ in range(actor.chance.randrange(100)):
            run.log(actor.name, float(count), step=count)
            count += 1
        if actor.chance.random() < 0.2:
            run.flush()
            actor.note("points", run.id, actor.name, count)
    run.flush()
    actor.note("points", run.id, actor.name, count)
    if is_own:
        actor.complete(run)


def tag(actor: Actor) -> None:
    """Tag the run of all."""
    number, run, until = 0, None, 0.0
    while actor.goes_on(0.3):
        if run is None or time.monotonic() > until:
            run, until = actor.shared(), time.monotonic() + HOSTED
            continue
        key = f"{actor.name}-{number}"
        actor.note("try tag", run.id, key, str(number))
        run.tag(key, number)
        actor.note("tag", run.id, key, str(number))
        number += 1


def create(actor: Actor) -> None:
    """Start, log, tag and complete short runs."""
    number = 0
    while actor.goes_on(0.4):
        run = actor.start(f"{actor.name}-{number}")
        run.log("y", float(number))
        run.tag("n", number)
        actor.note("tag", run.id, "n", str(number))
        actor.complete(run)
        actor.note("points", run.id, "y", 1)
        number += 1


def doom(actor: Actor) -> None:
    """Make runs and delete them; where the store fails they stay."""
    number = 0
    while actor.goes_on(1.0):
        with suppress(ObjrunError):
            run_id = f"{actor.name}-{number}"
            number += 1
            actor.note("try doomed", run_id)
            run = Experiment(actor.workspace, EXPERIMENT).start_logging(run_id=run_id)
            run.log("y", 0.0)
            run.complete()
            run.delete()
            actor.note("deleted", run_id)


def collect(actor: Actor) -> None:
    """Purge what was deleted a while ago."""
    while actor.goes_on(3.0):
        with suppress(ObjrunError):
            freed = actor.workspace.gc(timedelta(seconds=5))
            actor.note("purged", len(freed))


def compact(actor: Actor) -> None:
    """Compact, and remove what that made needless."""
    while actor.goes_on(3.0):
        with suppress(ObjrunError):
            done = actor.workspace.compact()
            actor.note("compacted", sum(one.points for one in done.values()))
            gone = actor.workspace.vacuum(retention=timedelta(minutes=2))
            actor.note("vacuumed", sum(len(one.removed) for one in gone.values()))


def read(actor: Actor) -> None:
    """Ask for everything: nothing is there twice, has a hole, or is less than before."""
    import polars as pl

    before: dict[tuple[str, str], int] = {}
    runs: set[str] = set()
    while actor.goes_on(1.0):
        with suppress(ObjrunError):
            points = actor.workspace.metrics().collect()
            found = points.group_by("run_id", "name").agg(
                count=pl.len(), last=pl.max("value"), distinct=pl.n_unique("value")
            )
            counts = {}
            for run_id, name, count, last, distinct in found.iter_rows():
                if name != "y" and not count == distinct == last + 1:
                    actor.note("wrong", f"{run_id} {name}: {count}, {distinct}, {last}")
                counts[run_id, name] = count
            less = [key for key, count in before.items() if counts.get(key, 0) < count]
            now = set(actor.workspace.runs().collect()["run_id"])
            gone = [*less, *(run for run in runs - now)]
            if wrong := [each for each in gone if "doom" not in str(each)]:
                actor.note("wrong", f"gone: {wrong}")
            before, runs = counts, now
            actor.note("read", points.height)


ROLES: Final[dict[str, Callable[[Actor], None]]] = {
    each.__name__: each for each in (host, log, tag, create, doom, collect, compact, read)
}


def perform(role: str, name: str, url: str, options: Mapping[str, Any], folder: Path) -> None:
    """Play one role until the soak is over."""
    # A soak has outages of seconds where the world has them of minutes.
    settle.PATIENCE, endings.EXIT_PATIENCE = 2.0, 20.0
    vars(post)["ESCAPE"] = 3.0
    vars(spools).update(FIRST_LOOK=1.0, SLOWEST_LOOK=3.0)
    # What is deleted must not come home from a spool later.
    spool = False if role == "doom" else str(folder / "spools")
    ROLES[role](Actor(name, Workspace(url, {**options, "spool": spool}), folder))
