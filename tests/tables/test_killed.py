"""Compactions and vacuums that are killed by a signal: nothing changes, the next ones finish."""

from __future__ import annotations

import random
import signal
import time
from typing import TYPE_CHECKING

import pytest

from objrun import Experiment
from objrun.format import keys
from objrun.tables.compaction import compact
from objrun.tables.vacuum import vacuum
from tests.processes.programs import RUNNING, Place, launch
from tests.tables.small import NAME, NOW

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from objrun.storage import Store
    from objrun.testing.servers import Server


def upkeep(store: Store) -> None:
    compact(store, NAME)
    vacuum(store, NAME, retention=NOW)


UPKEEP = """
    from datetime import timedelta
    from objrun.tables.compaction import compact, drop_runs
    from objrun.tables.vacuum import vacuum
    store = workspace().writing()
    say("ready")
    while True:
        compact(store, "e", whole=arguments[0] == "whole")
        vacuum(store, "e", retention=timedelta(0))
"""


@pytest.fixture
def _nothing_is_left_running() -> Iterator[None]:
    yield
    while RUNNING:
        RUNNING.pop().end()


def kill(place: Place, times: int) -> None:
    """Write while somebody compacts and vacuums, who is killed again and again."""
    chance = random.Random(1)
    workspace = place.workspace()
    runs = [Experiment(workspace, NAME).start_logging(run_id=f"r{n}") for n in range(3)]
    logged = 0
    for kills in range(times):
        program = launch(place, UPKEEP, chance.choice(["whole", "some"]))
        program.heard("ready")
        until = time.monotonic() + chance.uniform(0.0, 0.5)
        going = True
        while going:
            going = time.monotonic() < until
            for run in runs:
                run.log("x", float(logged))
                run.log("y", float(logged), step=logged)
                run.tag("kills", str(kills))
                run.flush()
            logged += 1
        program.send(signal.SIGKILL)
        assert program.ended().code == -signal.SIGKILL
        seen_by(place, logged, kills)
    upkeep(workspace.writing())
    seen_by(place, logged, times - 1)
    left = workspace.writing().list(keys.shards(NAME))
    assert not left


def seen_by(place: Place, logged: int, kills: int) -> None:
    points = Experiment(place.workspace(), NAME).metrics().collect()
    runs = Experiment(place.workspace(), NAME).runs(["tags.kills", "metrics.y.count"]).collect()
    for number in range(3):
        for name in ("x", "y"):
            values = points.filter(run_id=f"r{number}", name=name)["value"].to_list()
            assert values == [float(n) for n in range(logged)]
    assert runs["metrics.y.count"].to_list() == [logged] * 3
    assert runs["tags.kills"].to_list() == [str(kills)] * 3


@pytest.mark.usefixtures("_nothing_is_left_running")
def test_by_a_signal(tmp_path: Path) -> None:
    kill(Place(str(tmp_path / "store"), {"durability": "none"}), 2)


@pytest.mark.slow
@pytest.mark.usefixtures("_nothing_is_left_running")
def test_by_a_signal_in_s3(s3_server: Server) -> None:
    kill(Place(s3_server.new_bucket(), s3_server.options), 6)


@pytest.mark.slow
@pytest.mark.usefixtures("_nothing_is_left_running")
def test_by_many_signals(tmp_path: Path) -> None:
    kill(Place(str(tmp_path / "store"), {"durability": "none"}), 25)
