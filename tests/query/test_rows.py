"""Rows of the table of runs, filtered and with columns by name, as each run alone gives it."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import polars as pl
from hypothesis import example, given
from hypothesis import strategies as st
from polars.testing import assert_series_equal

from objrun.format.states import RunState, type_of
from objrun.format.values import nearest
from objrun.query.filters import matches, run_filter
from objrun.query.listing import descendants
from objrun.query.named import keys_of
from objrun.query.runs import SCHEMA, runs_frame
from objrun.tables.run_rows import stored_frame
from tests.format.strategies import scalars
from tests.tables.test_run_rows import FIRST, STATE

if TYPE_CHECKING:
    from collections.abc import Mapping

KEYS = ["a", "b.c", "é", ""]
VALUES = st.none() | st.sampled_from(["", "1", "x"])
texts = st.dictionaries(st.sampled_from(KEYS), VALUES, max_size=3)
numbers = st.sampled_from(
    [0, -1, 2**63 - 1, -(2**63), -(2**63) + 1, 2**63, 2**64 + 1, 10**400, -(10**400), 10**22 + 1]
)
floats = st.floats() | st.sampled_from([5e-324, -0.0, 1e16, 1.7976931348623157e308, float("-inf")])
params: st.SearchStrategy[dict[str, Any]] = st.sampled_from(
    [numbers, numbers | floats, floats, st.booleans(), scalars]
).flatmap(lambda each: st.dictionaries(st.sampled_from(KEYS), st.none() | each, max_size=3))
states = st.builds(
    lambda tags, params, properties, status, type_: replace(
        STATE, tags=tags, params=params, properties=properties, status=status, type=type_
    ),
    texts, params, texts, st.sampled_from(["Running", "Failed"]), st.sampled_from([None, "x"]),
)  # fmt: skip
all_states = st.lists(states, max_size=6)


def rows_of(found: list[RunState]) -> pl.DataFrame:
    return stored_frame(
        replace(FIRST, state=replace(state, run_id=str(place))) for place, state in enumerate(found)
    ).with_columns(last_seen="written")


def plainly_typed(name: str, cells: list[Any]) -> pl.Series:
    """The narrowest type that holds all cells."""
    kinds = {type(cell) for cell in cells if cell is not None}
    if kinds == {bool}:
        return pl.Series(name, cells, pl.Boolean)
    if kinds == {int} and all(cell is None or abs(cell) < 2**63 for cell in cells):
        return pl.Series(name, cells, pl.Int64)
    if kinds and kinds <= {int, float}:
        return pl.Series(name, [None if c is None else nearest(c) for c in cells], pl.Float64)
    return pl.Series(name, [None if cell is None else str(cell) for cell in cells], pl.String)


@example([replace(STATE, params={"a": -(2**63)})])
@example([replace(STATE, params={"a": 1}), replace(STATE, params={"a": True})])
@example([replace(STATE, params={"a": each, "b.c": str(each)}) for each in (1, 2, 3)])
@example([replace(STATE, params={"a": 1, "b.c": x}) for x in (0.5, None, 2)])
@example([replace(STATE, params=x) for x in ({"a": 1, "b.c": 2}, {"b.c": 3, "a": 4})])
@example([replace(STATE, tags=x) for x in ({"a": "1"}, {}, {"b.c": "2", "é": "3"})])
@given(all_states)
def test_columns_by_name_are_those_of_each_run(found: list[RunState]) -> None:
    names = [f"{part}.{key}" for key in KEYS if key for part in ("tags", "params", "properties")]
    frame = runs_frame(rows_of(found), [*names, "status", names[0]])
    assert frame.columns == [*SCHEMA, *names]
    for name in names:
        part, _, key = name.partition(".")
        wanted = plainly_typed(name, [getattr(state, part).get(key) for state in found])
        assert_series_equal(frame[name], wanted, check_exact=True)


@given(all_states)
def test_keys_are_counted(found: list[RunState]) -> None:
    for part in ("tags", "params", "properties"):
        every = [key for state in found for key in getattr(state, part)]
        counts = keys_of(rows_of(found), part)
        assert [*counts.items()] == [(key, every.count(key)) for key in dict.fromkeys(every)]


wanted_pairs = st.none() | st.sampled_from(KEYS) | texts


@given(all_states, wanted_pairs, wanted_pairs, st.sampled_from([None, "Failed"]), VALUES)
def test_filters_pass_what_the_same_filter_passes_of_one_run(
    found: list[RunState],
    tags: Any,
    properties: Any,
    status: str | None,
    type_: str | None,
) -> None:
    passes = run_filter(type=type_, tags=tags, properties=properties, status=status)
    wanted = [
        str(place)
        for place, state in enumerate(found)
        if type_ in (None, type_of(state))
        and status in (None, state.status)
        and matches(state.tags, tags)
        and matches(state.properties, properties)
    ]
    assert rows_of(found).filter(passes)["run_id"].to_list() == wanted


def plainly_below(parents: Mapping[int, int | None], top: int) -> set[str]:
    found = {top}
    while more := {run for run, parent in parents.items() if parent in found} - found:
        found |= more
    return {str(run) for run in found - {top}}


@given(st.lists(st.none() | st.integers(0, 9), max_size=10), st.integers(0, 9))
def test_descendants_are_those_that_parents_lead_to(links: list[int | None], top: int) -> None:
    """Also where a parent is missing, or where damage makes a circle."""
    parents = dict(enumerate(links))
    rows = stored_frame(
        replace(
            FIRST,
            state=replace(
                STATE, run_id=str(run), parent_run_id=None if parent is None else str(parent)
            ),
        )
        for run, parent in parents.items()
    )
    assert {*descendants(rows, str(top), "a")["run_id"]} == plainly_below(parents, top)
    assert descendants(rows, str(top), "another").is_empty()
