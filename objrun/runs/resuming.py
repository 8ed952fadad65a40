"""Go on with a run in another process."""

from __future__ import annotations

from typing import TYPE_CHECKING

from objrun import clock
from objrun.experiment import Experiment
from objrun.format.names import check_run_id
from objrun.protocol.chain import Chain
from objrun.protocol.live import run_scheme
from objrun.protocol.updates import Resume
from objrun.run import Run
from objrun.runs.finding import find_version
from objrun.values.conversion import to_step

if TYPE_CHECKING:
    from objrun.workspace import Workspace


def resumed(workspace: Workspace, run_id: str, from_step: int | None) -> Run:
    """Return a run as a handle of its next attempt, or of this one if it is only joined.

    What is superseded is so in the store when this returns: before the first new point.
    """
    step = to_step(from_step)
    version = find_version(workspace, check_run_id(run_id))
    state = version.state
    if state is None:
        raise TypeError
    store = workspace.writing()
    chain = Chain(store, run_scheme(state.experiment, run_id), version)
    if step is not None or state.status != "Running":
        chain.commit(Resume(state.attempt + 1, clock.now(), step))
    if step is not None:
        from objrun.tables.cuts import rewind  # brings polars

        rewind(store, state.experiment, (state.root_run_id, run_id), step)
    return Run.begun(Experiment(workspace, state.experiment), chain.head)
