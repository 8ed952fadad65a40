"""`where=`: any polars expression over the frame of runs, and errors that say what it may use."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import polars as pl
import pytest

from objrun import Run, UserErrorException

if TYPE_CHECKING:
    from objrun import Experiment

C = pl.col
WHERE: list[tuple[pl.Expr, list[int]]] = [
    (C("status") == "Failed", [4]),
    (C("number") > 2, [4, 3]),
    (C("metrics.loss.min") < 0.6, [3, 2]),
    (C("metrics.loss.nan_count") > 0, [3]),
    (C("metrics.val.acc.last") == 2, [2]),
    (C("metrics.nope.last") > 0, []),
    (C("metrics.loss.count").is_null(), [4]),
    (C("params.lr") >= 0.2, [3, 2]),
    (C("params.layers") == 1, [1]),
    (C("params.on"), [3, 2]),
    (C("params.text").str.starts_with("a"), [3, 2, 1]),
    (C("params.nope") > 1, []),
    (C("params.nope") == "x", []),
    (C("params.nope").str.contains("x"), []),
    (C("params.nope"), []),
    ((C("params.nope") > 1) | C("params.on"), [3, 2]),
    (C("params.nope").is_null(), [4, 3, 2, 1]),
    (C("tags.n") == "2", [2]),
    (C("tags.n").is_in(["1", "3"]), [3, 1]),
    (C("tags.nope") == "x", []),
    (C("properties.objrun.host").is_not_null(), [4, 3, 2, 1]),
    ((C("params.lr") < 0.25) & (C("metrics.loss.last") < 1.5), [2]),
    (C("ended").is_not_null() & (C("started") <= C("ended")), [4, 3, 2, 1]),
    (C("name").str.contains("[12]"), [2, 1]),
    (C("number") == C("number").max(), [4]),
    (C("number").rank() > 2, [4, 3]),
    (pl.lit(value=True), [4, 3, 2, 1]),
    (C("metrics.loss.min") == C("metrics.loss.min").min(), [3]),
    (C("tags").list.len() > 0, [3, 2, 1]),
]


@pytest.mark.parametrize(("where", "expected"), WHERE, ids=range(len(WHERE)))
def test_runs_are_found(swept: Experiment, where: pl.Expr, expected: list[int]) -> None:
    assert [run.number for run in swept.get_runs(where=where)] == expected
    assert [run.number for run in Run.list(swept, where=where)] == expected


def test_it_joins_the_other_filters(swept: Experiment) -> None:
    found = swept.get_runs(tags="n", where=C("number") > 1)
    assert [run.number for run in found] == [3, 2]
    parent = found[0]
    for number in (1, 2):
        child = parent.child_run()
        child.log("x", number)
        child.flush()
    children = parent.get_children(where=C("metrics.x.last") > 1)
    assert [child.get_metrics() for child in children] == [{"x": 2}]
    assert list(swept.get_runs(status="Failed", where=C("number") == 1)) == []


@pytest.mark.parametrize(
    "where", [C("params.lr") > 1, C("metrics.loss.min") < 1, C("params.on"), C("number") > 0]
)
def test_of_no_runs_none_are_found(experiment: Experiment, where: pl.Expr) -> None:
    """A sweep whose first run has not logged its parameters yet can be asked about them."""
    assert list(experiment.get_runs(where=where)) == []
    experiment.start_logging()
    assert len(experiment.get_runs(where=where)) == int("number" in str(where))


BAD: list[tuple[Any, tuple[str, ...]]] = [
    ("status == 'Failed'", ("where is a polars expression", "pl.col('status') == 'Failed'")),
    (True, ("where is a polars expression", "True")),
    ([C("status") == "x"], ("where is a polars expression",)),
    (C("nope") == 1, ("there is no column 'nope'", "tags.<key>", "status")),
    (C("metrics.loss") > 1, ("there is no column 'metrics.loss'", "metrics.<name>.<count|")),
    (C("tags.") == "x", ("there is no column 'tags.'",)),
    (C("number"), ("where cannot be applied to runs", "Boolean")),
    (C("number") > "a", ("where cannot be applied to runs",)),
    (pl.all(), ("where",)),
    (pl.all() == 1, ("where",)),
    (C("number").str.to_uppercase() == "A", ("where cannot be applied to runs",)),
    (pl.lit(1), ("where cannot be applied to runs",)),
]


@pytest.mark.parametrize(("where", "words"), BAD, ids=range(len(BAD)))
def test_what_is_no_condition_is_refused(
    swept: Experiment, where: Any, words: tuple[str, ...]
) -> None:
    with pytest.raises(UserErrorException) as caught:
        swept.get_runs(where=where)
    assert all(word in str(caught.value) for word in words), str(caught.value)
