"""Sparklines, tables and conditions, held to their properties."""

from __future__ import annotations

import io
import math
import time

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len
from rich.console import Console

from objrun import clock
from objrun.cli.layout import GAP, Column, fit, make_table
from objrun.cli.sparkline import BLOCKS, DOWN, NAN, PLAIN, UP, sparkline
from objrun.cli.where import in_utc, parse_where
from objrun.query.quoting import quote_names

FINITE = st.floats(allow_nan=False, allow_infinity=False)
ANY = st.floats()
WIDTHS = st.integers(2, 60)


@given(st.lists(ANY, max_size=300), WIDTHS)
def test_a_sparkline_is_never_too_wide_nor_empty(values: list[float], width: int) -> None:
    line = sparkline(values, width)
    assert bool(line) == bool(values)
    assert len(line) <= max(width, 2)
    assert set(line) <= {*BLOCKS, NAN, UP, DOWN}


@given(st.lists(FINITE, min_size=1, max_size=300), WIDTHS)
def test_the_highest_and_the_lowest_point_are_drawn(values: list[float], width: int) -> None:
    line = sparkline(values, width)
    if min(values) == max(values):
        assert set(line) == {BLOCKS[3]}
    else:
        assert {BLOCKS[0], BLOCKS[-1]} <= set(line)


@given(st.integers(0, 9999), st.integers(50, 10_000), WIDTHS, st.sampled_from([1e-9, 1.0, 1e300]))
def test_a_single_spike_stays_visible(at: int, count: int, width: int, height: float) -> None:
    values = [0.0] * count
    values[at % count] = height
    line = sparkline(values, width)
    assert line.count(BLOCKS[-1]) == 1
    # It stands where it belongs: within one slice.
    assert abs(line.index(BLOCKS[-1]) - at % count * len(line) // count) <= 2


@given(st.lists(FINITE, min_size=2, max_size=20))
def test_few_points_are_drawn_one_by_one_in_order(values: list[float]) -> None:
    line = sparkline(values, 20)
    assert len(line) == len(values)
    levels = [BLOCKS.index(mark) for mark in line]
    for (a, x), (b, y) in zip(
        zip(values, levels, strict=True), list(zip(values, levels, strict=True))[1:], strict=False
    ):
        assert (a <= b) <= (x <= y)


@given(st.lists(ANY, min_size=1, max_size=40))
def test_nan_and_infinity_have_marks_of_their_own(values: list[float]) -> None:
    line = sparkline(values, 40)
    for value, mark in zip(values, line, strict=True):
        assert (mark == NAN) == math.isnan(value)
        assert (mark == UP) == (value == math.inf)
        assert (mark == DOWN) == (value == -math.inf)


@given(st.lists(ANY, max_size=100), WIDTHS)
def test_plain_sparklines_are_ascii(values: list[float], width: int) -> None:
    line = sparkline(values, width, plain=True)
    assert set(line) <= {*PLAIN, "!", "^", "v"}
    assert len(line) == len(sparkline(values, width))


COLUMN = st.builds(
    Column,
    title=st.text("abcé日 ", max_size=12),
    cells=st.lists(st.text("xyz日本[b] ", max_size=40), min_size=3, max_size=3),
    right=st.booleans(),
    least=st.integers(1, 10),
    most=st.integers(10, 40),
    rank=st.integers(0, 4),
)


@given(st.lists(COLUMN, max_size=8), st.integers(40, 200))
def test_a_table_fits(columns: list[Column], width: int) -> None:
    shown = fit(columns, width)
    assert sum(cells for _, cells in shown) + GAP * max(len(shown) - 1, 0) <= width
    kept = [column for column, _ in shown]
    assert [column for column in columns if column.rank == 0 and column not in kept] == []
    console = Console(file=io.StringIO(), width=width, highlight=False, markup=False)
    with console.capture() as captured:
        console.print(make_table(columns, width))
    assert all(cell_len(line) <= width for line in captured.get().splitlines())


@given(st.lists(COLUMN, max_size=8))
def test_without_a_width_nothing_is_cut(columns: list[Column]) -> None:
    console = Console(file=io.StringIO(), width=10_000, highlight=False, markup=False)
    with console.capture() as captured:
        console.print(make_table(columns, None))
    text = captured.get()
    assert all(str(cell).strip() in text for column in columns for cell in column.cells)


NAMES = st.lists(st.from_regex(r"[A-Za-z_][A-Za-z0-9_]{0,8}", fullmatch=True), min_size=1)


@given(st.sampled_from(["metrics", "params", "tags", "properties"]), NAMES)
def test_dotted_names_are_columns(part: str, pieces: list[str]) -> None:
    name = ".".join([part, *pieces])
    assert parse_where(f"{name} < 1 AND number=2").meta.root_names() == [name, "number"]
    assert parse_where(f'"{name}" < 1').meta.root_names() == [name]


@pytest.mark.parametrize("zone", ["UTC", "Asia/Tokyo", "America/New_York"])
def test_now_is_utc_wherever_the_shell_is(zone: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", zone)
    time.tzset()
    try:
        started = pl.DataFrame({"started": [clock.now()]})
        within = parse_where("started BETWEEN now() - interval '1 minute' AND now()")
        assert started.filter(within).height == 1
    finally:
        monkeypatch.undo()
        time.tzset()


@pytest.mark.parametrize(
    "text", ["tags.started = '2026'", "status = 'started > now()'", "\"params.ended\" = 'x'"]
)
def test_only_times_are_taken_for_times(text: str) -> None:
    assert in_utc(text) == text


@given(st.text(max_size=40))
def test_text_in_quotes_is_left_alone(text: str) -> None:
    quoted = "'" + text.replace("'", "''") + "'"
    assert quote_names(f"status = {quoted}") == f"status = {quoted}"
    named = '"' + text.replace('"', '""') + '"'
    assert quote_names(named) == named
