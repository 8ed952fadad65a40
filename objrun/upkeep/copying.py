"""Copy experiments and runs from one workspace to another."""

from __future__ import annotations

from typing import TYPE_CHECKING

from objrun.errors import ExperimentNotFoundError, UserErrorException
from objrun.protocol.copy.carry import Carrier
from objrun.protocol.copy.copying import copy_experiments
from objrun.protocol.copy.models import copy_models, left_behind
from objrun.protocol.copy.pair import Pair
from objrun.protocol.copy.work import Copied, Estimate

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from objrun.workspace import Workspace

    Chosen = dict[str, Collection[str] | None]


def choose(source: Workspace, experiments: Collection[str], runs: Collection[str]) -> Chosen | None:
    """Return what is meant by some experiments and some ids of runs, None for everything.

    It maps names of experiments to runs, None for all. Raises ExperimentNotFoundError and
    RunNotFoundError.

    >>> choose(ws, [], [run.id]) == {"digits": {run.id}}, choose(ws, [], [])
    (True, None)
    """
    from objrun.experiment import Experiment

    found: dict[str, set[str]] = {}
    for run_id in runs:
        run = source.get_run(run_id)
        found.setdefault(run.experiment.name, set()).add(run.id)
    for name in experiments:
        if Experiment(source, name).find() is None:
            raise ExperimentNotFoundError(f"there is no experiment {name!r} in {source.url}")
    if not experiments and not runs:
        return None
    return {**found, **dict.fromkeys(experiments)}


def copy_workspace(
    source: Workspace,
    target: Workspace,
    chosen: Chosen | None = None,
    tell: Callable[[Copied], None] | None = None,
) -> Copied:
    """Copy what the target lacks of what is chosen, and return what was done.

    Models are copied with everything, and not with chosen experiments or runs: their versions are
    numbers in one row, which other models may have there. Those that stay are named in the result.

    Without `tell` it is only counted what would be done; else that is told after each object.
    Conflicts are not raised: they stand in the result.
    """
    from objrun.tables import copying as tables  # brings polars

    if source.url == target.url:
        raise UserErrorException(f"{source.url} is both where to copy from and where to copy to")
    pair = Pair(source.store, target.store)
    work = Carrier(pair, tables, tell) if tell else Estimate()
    names: Chosen = dict.fromkeys(source.experiment_names()) if chosen is None else chosen
    runs = copy_experiments(pair, names, work, tables, whole=chosen is None)
    if chosen is None:
        copy_models(pair, work)
    else:
        work.copied.models = left_behind(pair, runs)
    return work.copied
