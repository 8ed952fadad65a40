"""What every query says of a store, so that two moments of it can be compared."""

from __future__ import annotations

import math
import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING

import polars as pl

from objrun import Experiment
from objrun.errors import StepWarning
from objrun.query.metrics import SUMMARY, summary_frame

if TYPE_CHECKING:
    from collections.abc import Collection

    from objrun import Workspace

NAME = "e"
METRICS = ("m0", "m1", "m2")
EXACT = [s for s in SUMMARY if s != "mean"]
COLUMNS = [
    "params.p",
    "tags.t",
    *(f"metrics.{name}.{summed}" for name in METRICS for summed in SUMMARY),
]


@dataclass
class Answers:
    """All answers: `exact` by question, as text; `means` by run and metric."""

    exact: dict[str, str]
    means: dict[tuple[str, str], float | None]


def experiment(workspace: Workspace) -> Experiment:
    return Experiment(workspace, NAME)


def quick_answers(workspace: Workspace, hidden: Collection[str] = ()) -> Answers:
    """The runs with what their metrics come to, and the points; without those of runs `hidden`."""
    runs = experiment(workspace).runs(COLUMNS).collect()
    points = experiment(workspace).metrics().collect()
    points = points.filter(~pl.col("run_id").is_in([*hidden]))
    _sums_are_of_points(runs, points)
    means = {
        (run, name): mean
        for name in METRICS
        for run, mean in runs.select("run_id", f"metrics.{name}.mean").iter_rows()
    }
    # When a run was last seen markers tell, as long as they are there.
    exact = runs.drop("last_seen", *(f"metrics.{name}.mean" for name in METRICS))
    return Answers({"runs": _text(exact), "points": _text(points)}, means)


def answers(workspace: Workspace, hidden: Collection[str] = ()) -> Answers:
    """The same and what is asked of each run."""
    found = quick_answers(workspace, hidden)
    given = experiment(workspace)
    first = pl.col("metrics.m0.last") > 1
    lists = {
        "roots": given.get_runs(),
        "all": given.get_runs(include_children=True),
        "tagged": given.get_runs(tags="t", include_children=True),
        "completed": given.get_runs(status="Completed", include_children=True),
        "where": given.get_runs(include_children=True, where=first),
    }
    for question, runs in lists.items():
        found.exact[question] = repr([run.state for run in runs])
    for run in lists["all"]:
        found.exact[f"below {run.id}"] = repr([r.id for r in run.get_children(recursive=True)])
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", StepWarning)
            values = run.get_metrics(recursive=True)
        found.exact[f"values {run.id}"] = repr(sorted((k, [*v.items()]) for k, v in values.items()))
        found.exact[f"superseded {run.id}"] = _text(run.superseded().collect())
        found.exact[f"points {run.id}"] = _text(run.metrics(recursive=True).collect())
    return found


def assert_same(before: Answers, after: Answers, when: str = "") -> None:
    assert before.exact.keys() == after.exact.keys(), when
    for question, answer in before.exact.items():
        assert answer == after.exact[question], (when, question)
    assert before.means.keys() == after.means.keys(), when
    for which, mean in before.means.items():
        assert close(mean, after.means[which]), (when, which, mean, after.means[which])


def close(a: float | None, b: float | None) -> bool:
    """Whether two means are the same but for the order of the sum."""
    if a is None or b is None:
        return a is b
    return math.isclose(a, b, rel_tol=1e-12) or (math.isnan(a) and math.isnan(b))


def _text(frame: pl.DataFrame) -> str:
    return f"{frame.schema}\n" + "\n".join(map(repr, frame.rows()))


def _sums_are_of_points(runs: pl.DataFrame, points: pl.DataFrame) -> None:
    """What tables and tail come to is what the points in reading order come to."""
    expected = summary_frame(points)
    for name in METRICS:
        sums = expected.filter(pl.col("name") == name).drop("name")
        right = runs.select("run_id").join(sums, on="run_id", how="left", maintain_order="left")
        for summed in SUMMARY:
            ours = runs[f"metrics.{name}.{summed}"].to_list()
            theirs = right[summed].to_list()
            if summed in EXACT:
                assert repr(ours) == repr(theirs), (name, summed)
            else:
                assert all(map(close, ours, theirs)), (name, summed)
