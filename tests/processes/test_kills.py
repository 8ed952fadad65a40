"""SIGKILL at any moment: what was flushed is there, nothing has a hole, others do not notice."""

from __future__ import annotations

import random
import signal
import time

import pytest

from tests.processes.programs import Place, launch, perform

KILLS = 3
"""Processes that one test kills, each at a moment of its own."""

UNDER_LOAD = """
    run = start(arguments[0])
    run.log_params({"seed": arguments[0]})
    count = 0
    def flush():
        while True:
            logged = count
            run.flush()
            say(logged)
            time.sleep(0.01)
    threading.Thread(target=flush, daemon=True).start()
    while True:
        for _ in range(100):
            run.log("x", float(count), step=count)
            run.log("y", float(count))
            count += 1
        time.sleep(0.001)
"""


@pytest.mark.parametrize("seed", [1])
def test_a_killed_process_loses_only_what_was_not_flushed(mostly_local: Place, seed: int) -> None:
    place, chance = mostly_local, random.Random(seed)
    perform(place, "run = start('other'); run.log('x', 1.0); run.complete()")
    programs = {f"run-{n}": launch(place, UNDER_LOAD, f"run-{n}") for n in range(KILLS)}
    for program in programs.values():
        program.heard("0")
    for run_id, program in programs.items():
        time.sleep(chance.uniform(0.02, 0.6))
        program.send(signal.SIGKILL)
        ended = program.ended()
        assert ended.code == -signal.SIGKILL
        flushed = max(map(int, ended.out), default=0)
        for name in ("x", "y"):
            values = place.values(name, run_id)
            assert values == list(range(len(values)))
            assert len(values) >= flushed
        assert place.run(run_id).status == "Running"
        assert place.run(run_id).get_params() == {"seed": run_id}
    assert place.values("x", "other") == [1.0]
    assert place.workspace().runs().collect().height == KILLS + 1


BUSY = """
    for number in range(1000):
        with start(f"{arguments[0]}-{number}") as run:
            run.tag("n", number)
            run.log("x", 1.0)
        say(number)
"""


@pytest.mark.parametrize("seed", [3])
def test_a_killed_process_leaves_no_half_made_run(place: Place, seed: int) -> None:
    """Killed while it starts, tags and completes runs: the next process goes on as if nothing."""
    chance = random.Random(seed)
    acknowledged = 0
    for n in range(KILLS):
        program = launch(place, BUSY, f"p{n}")
        program.heard("0")
        time.sleep(chance.uniform(0.02, 0.6))
        program.send(signal.SIGKILL)
        acknowledged += 1 + len(program.ended().out)
    frame = place.workspace().runs().collect()
    assert (frame["status"] == "Completed").sum() >= acknowledged
    # Of each killed process at most the last run is unfinished.
    assert (frame["status"] == "Running").sum() <= KILLS
    assert frame["number"].n_unique() == frame.height
    ended = perform(place, "with start('after') as run: run.log('x', 1.0)")
    assert ended.code == 0, ended.err
    assert place.run("after").number > max(frame["number"].to_list())
