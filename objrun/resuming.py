"""Go on with a run in another process."""

from __future__ import annotations

from typing import TYPE_CHECKING

from objrun import clock
from objrun.experiment import Experiment
from objrun.format.names import check_run_id
from objrun.protocol.chain import Chain
from objrun.protocol.live import run_scheme
from objrun.protocol.updates import Resume
from objrun.run import Run, find_version

if TYPE_CHECKING:
    from objrun.workspace import Workspace


def resumed(workspace: Workspace, run_id: str) -> Run:
    """Return a run as a handle of its next attempt, or of this one if it is Running."""
    version = find_version(workspace, check_run_id(run_id))
    state = version.state
    if state is None:
        raise TypeError
    chain = Chain(workspace.writing(), run_scheme(state.experiment, run_id), version)
    if state.status != "Running":
        chain.commit(Resume(state.attempt + 1, clock.now()))
    return Run.of_version(Experiment(workspace, state.experiment), chain.head)
