"""Points of lost tables: those that are nowhere are told, all others come back."""

from __future__ import annotations

from typing import TYPE_CHECKING

import polars as pl
import pytest

from tests.tables.verify.stores import (
    Made,
    all_points,
    fill,
    fresh,
    lose_table,
    mend,
    spoil_table,
    squeeze,
    told,
)

if TYPE_CHECKING:
    from collections.abc import Callable


@pytest.mark.parametrize("act", [lose_table, spoil_table])
def test_points_that_are_nowhere_are_told_and_the_rest_stays(
    act: Callable[[str], Callable[[Made], str]],
) -> None:
    made = fresh("tailed")
    points = all_points(made)
    key = act("metrics")(made)
    lost = next(f for f in made.checkpoint().of_kind("metrics") if key.endswith(f.name)).rows
    findings = made.find()
    assert told(findings)[0] == ("missing_table" if act is lose_table else "damaged", key)
    assert {finding.code for finding in findings[1:]} == {"lost_rows"}
    assert any("rows 0 to 60 of writer" in finding.message for finding in findings)
    mend(made)
    left = made.find()
    assert {(f.code, f.severity, f.repair) for f in left} == {("lost_rows", "warning", None)}
    assert points.height - all_points(made).height == lost
    assert made.checkpoint().extra == {"lost_points": lost}
    # Whoever logs on is heard, and a retry of old rows changes nothing.
    made.workspace.get_run("late").log("loss", 3.0)
    run = made.workspace.get_run("late")
    run.log("loss", 3.0)
    run.flush()
    squeeze(made)
    assert {f.severity for f in made.find()} == {"warning"}
    assert made.checkpoint().extra == {"lost_points": lost}


def test_rows_lost_after_a_repair_are_errors_again() -> None:
    made = fresh("vacuumed")
    lose_table("metrics")(made)
    mend(made)
    fill(made, 5, 6)
    squeeze(made)
    made.rewrite("metrics", lambda frame: frame.filter(pl.col("offset") != 3))
    assert {f.severity for f in made.find() if f.code == "lost_rows"} == {"error"}
