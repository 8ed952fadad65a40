"""An experiment with runs of all kinds."""

from __future__ import annotations

import math

import pytest

from objrun import Experiment, Workspace, clock


@pytest.fixture
def experiment() -> Experiment:
    """Nothing written yet, in a store of its own that exists."""
    return Experiment(Workspace.create(f"memory://{clock.random_hex(8)}"), "digits")


@pytest.fixture
def swept(experiment: Experiment) -> Experiment:
    """Four runs: `loss` falls with the number, but the third is NaN and the fourth logs nothing."""
    for number in (1, 2, 3):
        run = experiment.start_logging(f"run {number}", tags={"n": number, "all": "x"})
        run.log_params({"lr": 0.1 * number, "layers": number, "on": number > 1, "text": "abc"})
        for step in (2, 1):
            loss = math.nan if number == 3 and step == 2 else step / number
            run.log("loss", loss, step=step)
        run.log("val.acc", number)
        run.complete()
    experiment.start_logging("run 4").fail("why", "Code")
    return experiment
