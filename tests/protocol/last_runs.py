"""The last versions of runs, read from markers and chains alone: what there is without tables."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from objrun.protocol.live import Marked, last_markers, read_changed
from objrun.storage import together

if TYPE_CHECKING:
    from collections.abc import Mapping

    from objrun.errors import FormatError
    from objrun.format.states import RunState, Version
    from objrun.storage import Store

    Known = Mapping[str, Version[RunState]]


class Runs(NamedTuple):
    """The runs of an experiment by id, the errors of damaged ones, and the ids of purged ones."""

    versions: dict[str, Version[RunState]]
    damaged: list[FormatError]
    purged: set[str]


def read_runs(store: Store, known: Mapping[str, Known]) -> dict[str, Runs]:
    """Return the last version of every run of some experiments, by the experiment's name.

    Two LISTs an experiment, one GET a changed run, many at once. `known` holds the experiments,
    each with versions read before, by run id; a run that has no newer marker is not fetched.
    """
    listed = together(store, lambda experiment: last_markers(store, experiment), known)
    asked: list[Marked] = []
    found: dict[str, Runs] = {}
    for (experiment, seen), last in zip(known.items(), listed, strict=True):
        found[experiment] = Runs({}, [], set())
        for run, marked in last().items():
            if run in seen:
                found[experiment].versions[run] = seen[run]
            before = seen[run].version if run in seen else 0
            if marked > before:
                asked.append(Marked(experiment, run, before, marked))
    read = read_changed(store, asked)
    for one in (*read.damaged, *read.purged):
        found[one.experiment].versions.pop(one.run, None)
    for one, error in read.damaged.items():
        found[one.experiment].damaged.append(error)
    for one in read.purged:
        found[one.experiment].purged.add(one.run)
    for one, version in read.versions.items():
        found[one.experiment].versions[one.run] = version
    return found
