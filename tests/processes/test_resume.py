"""Preemptions: processes die by SIGKILL, or live on unseen, and others go on from older steps."""

from __future__ import annotations

import signal
from datetime import timedelta
from typing import TYPE_CHECKING

from objrun.tables.verify.store import verify
from tests.processes.programs import RUN_ID, Place, Program, launch

if TYPE_CHECKING:
    import polars as pl

STEPS = 80
FROM = (0, 60, 40, 20)
"""The step from which each attempt logs: its value is that of a step and 1000 for each attempt."""

TRAINING = f"""
    attempt, first = map(int, arguments)
    if attempt:
        run = Run.resume(workspace(), "{RUN_ID}", from_step=first)
    else:
        run = start()
    is_last = attempt == {len(FROM) - 1}
    for step in range(first, {STEPS} if is_last else 1_000_000):
        run.log("loss", float(1000 * attempt + step), step=step)
        if step % 10 == 9:
            run.flush()
        if step == {STEPS - 1}:
            say("so far")
        if step >= {STEPS}:
            time.sleep(0.001)
    run.complete()
"""


def told(place: Place) -> tuple[list[tuple[int, float]], set[tuple[int, float]], object]:
    """The curve, what was superseded, and what the curve comes to, as a new handle sees them."""
    run = place.run()

    def points(frame: pl.LazyFrame) -> list[tuple[int, float]]:
        return frame.select("step", "value").collect().rows()

    columns = [f"metrics.loss.{name}" for name in ("count", "last", "min", "max", "first_step")]
    sums = run.experiment.runs(columns).select(columns).collect().rows()
    assert points(run.experiment.metrics()) == points(run.metrics())
    return points(run.metrics()), {*points(run.superseded())}, sums


def killed(program: Program) -> None:
    program.send(signal.SIGKILL)
    assert program.ended().code == -signal.SIGKILL


def test_three_preemptions_from_ever_older_checkpoints(mostly_local: Place) -> None:
    programs = []
    for attempt, first in enumerate(FROM):
        programs.append(launch(mostly_local, TRAINING, attempt, first))
        programs[-1].heard("so far")
        if attempt in (1, 2):
            # The first one lives on, and logs, as one that only its scheduler takes for dead.
            killed(programs[-1])
        if attempt == 2:
            mostly_local.workspace().compact()
            mostly_local.workspace().vacuum()
    ended = programs[-1].ended()
    assert ended.code == 0, ended.err
    killed(programs[0])

    curve, superseded, sums = told(mostly_local)
    last = len(FROM) - 1
    assert curve == [
        *((step, float(step)) for step in range(FROM[last])),
        *((step, float(1000 * last + step)) for step in range(FROM[last], STEPS)),
    ]
    assert sums == [(STEPS, 1000.0 * last + STEPS - 1, 0.0, 1000.0 * last + STEPS - 1, 0)]
    for attempt, first in enumerate(FROM[:last]):
        mine = range(max(first, FROM[last]), STEPS)
        assert {(step, float(1000 * attempt + step)) for step in mine} <= superseded
    assert mostly_local.run().status == "Completed"
    mostly_local.workspace().compact()
    assert told(mostly_local) == (curve, superseded, sums)
    mostly_local.workspace().vacuum(retention=timedelta(0))
    assert told(mostly_local) == (curve, superseded, sums)
    assert [*verify(mostly_local.workspace().store, deep=True)] == []
