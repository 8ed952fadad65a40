"""The run that a person means: by id, by the beginning of an id, or by experiment and number."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from objrun.errors import (
    ExperimentNotFoundError,
    NotFoundError,
    RunNotFoundError,
    UserErrorException,
)
from objrun.format import keys
from objrun.format.documents import decode_number
from objrun.format.names import check_run_id, choices
from objrun.protocol.settle import insist

if TYPE_CHECKING:
    from objrun.experiment import Experiment
    from objrun.format.states import RunState
    from objrun.run import Run
    from objrun.workspace import Workspace

RUNS = "runs/"
"""The folder of all runs."""

_NAMED = 5


def find_run(workspace: Workspace, text: str) -> Run:
    """Return the run that `text` names.

    Raises RunNotFoundError, and UserErrorException where several ids begin so.

    >>> find_run(ws, run.id[:8]).number, find_run(ws, "digits/1").id == run.id
    (1, True)
    """
    if "/" in text:
        return _by_number(workspace, text)
    check_run_id(text)
    try:
        return workspace.get_run(text)
    except RunNotFoundError as error:
        return workspace.get_run(_completed(workspace, text, error))


def shown_state(run: Run) -> RunState:
    """Return the state of a run as it is shown: with the status NotResponding if it is lost.

    >>> shown_state(run).status
    'Running'
    """
    status = run.get_status()
    return replace(run.state, status=status)


def find_experiment(workspace: Workspace, name: str) -> Experiment:
    """Return an experiment that exists; ExperimentNotFoundError names those that do.

    >>> find_experiment(ws, "digits").name
    'digits'
    """
    from objrun.experiment import Experiment  # which brings pyarrow, and `--help` needs none

    experiment = Experiment(workspace, name)
    if experiment.find() is None:
        # One that was purged has a name, too.
        there = choices(name, [other for other in workspace.experiment_names() if other != name])
        message = f"there is no experiment {name!r} in {workspace.url}: {there}"
        raise ExperimentNotFoundError(message)
    return experiment


def _by_number(workspace: Workspace, text: str) -> Run:
    name, _, digits = text.rpartition("/")
    if not (digits.isascii() and digits.isdigit()) or not 0 < int(digits[:9]) < 10**8:
        message = f"{text!r} is not EXPERIMENT/NUMBER, such as digits/3"
        raise UserErrorException(message)
    experiment = find_experiment(workspace, name)
    key = keys.number(name, int(digits))
    try:
        claim = decode_number(key, insist(lambda: workspace.reading().get(key)))
    except NotFoundError:
        message = (
            f"experiment {experiment.name!r} has no run number {int(digits)}; "
            "numbers may have gaps where runs start at the same time"
        )
        raise RunNotFoundError(message) from None
    return workspace.get_run(claim.run_id)


def _completed(workspace: Workspace, start: str, missing: RunNotFoundError) -> str:
    """Return the one id that begins with `start`, by one LIST."""
    store = workspace.reading()
    ids = [name for name in insist(lambda: store.folders(RUNS)) if name.startswith(start)]
    if not ids and start in workspace.experiment_names():
        message = f"{missing.message}; {start} is an experiment: its runs are {start}/NUMBER"
        raise RunNotFoundError(message)
    if not ids:
        raise missing
    if len(ids) > 1:
        more = ", ..." if len(ids) > _NAMED else ""
        message = f"{len(ids)} runs begin with {start!r}: {', '.join(ids[:_NAMED])}{more}"
        raise UserErrorException(message)
    return ids[0]
