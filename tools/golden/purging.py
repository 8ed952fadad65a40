"""A golden store in which runs and experiments were purged, wholly or in part."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from objrun.format import keys
from objrun.format.documents import encode_experiment, encode_run
from objrun.format.states import ExperimentState, Version
from tools.golden.build import CREATE, Case, Row, at, write_id

if TYPE_CHECKING:
    from objrun.format.states import RunState


def _tombstone(key: str, number: int, experiment: str, op: str) -> Version[Any]:
    return Version(
        version=number,
        write_id=write_id(key),
        written=at(100),
        ops=({"op": op},),
        state=None,
        purged=at(100),
        experiment=experiment,
    )


def _end(case: Case, run: RunState, number: int) -> None:
    """Put the tombstone of a run behind its chain, and its marker."""
    key = keys.run_state(run.run_id, number)
    case.objects[key] = encode_run(_tombstone(key, number, run.experiment, "purge"))
    case.marker(run, number)
    del case.runs[run.run_id]


def purged() -> Case:
    case = Case("purged", "tombstones of runs and experiments", ("5.6", "7", "9.2", "9.5"))
    case.header()
    case.experiment()
    case.run("kept")
    _runs(case)
    _experiments(case)
    return case


def _runs(case: Case) -> None:
    """Put three purged runs: one just begun, one done, one with a blind version behind it."""
    begun = case.run("begun", number=2, lifecycle="deleted")
    case.segment("begun", [Row("m", 1.0)])
    _end(case, begun, 2)
    done = case.run("done", number=3, lifecycle="deleted")
    _end(case, done, 2)
    for key in (
        keys.run_state("done", 1),
        keys.marker("digits", "done", 1),
        keys.marker("digits", "done", 2),
    ):
        del case.objects[key]
    late = case.run("late", number=4, lifecycle="deleted")
    _end(case, late, 2)
    case.run_version(3, late, {"op": "set_tags", "tags": {"a": "1"}}, blind_base=1)
    del case.runs["late"]


def _experiments(case: Case) -> None:
    """Put an experiment whose purge has begun, one that is gone, and one made anew since."""

    def end(name: str, number: int, op: str) -> None:
        key = keys.experiment_state(name, number)
        case.objects[key] = encode_experiment(_tombstone(key, number, name, op))

    case.experiment("begun", lifecycle="deleted")
    del case.experiments["begun"]
    end("begun", 2, "purge")
    end("gone", 3, "free")
    end("again", 3, "free")
    anew = ExperimentState(experiment_id="anew", name="again", created=at(200))
    case.experiment_version(4, anew, CREATE)
