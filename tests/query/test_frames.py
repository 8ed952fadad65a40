"""Frames of runs and of metrics: documented columns and types, also of nothing; sums of metrics."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from objrun import Experiment, UserErrorException, Workspace, clock
from objrun.query import metrics, runs

if TYPE_CHECKING:
    from collections.abc import Callable

WAYS: dict[str, Callable[[Experiment], pl.LazyFrame]] = {
    "experiment": lambda e: e.runs(),
    "workspace": lambda e: e.workspace.runs(),
}
TYPES = {
    "tags.n": pl.String,
    "params.lr": pl.Float64,
    "params.layers": pl.Int64,
    "params.on": pl.Boolean,
    "params.text": pl.String,
    "properties.objrun.host": pl.String,
    "metrics.loss.last": pl.Float64,
    "metrics.loss.count": pl.UInt32,
    "metrics.loss.first_step": pl.Int64,
    "metrics.val.acc.mean": pl.Float64,
}


@pytest.mark.parametrize("way", WAYS)
def test_the_columns_are_those_that_are_documented(swept: Experiment, way: str) -> None:
    frame = WAYS[way](swept)
    assert isinstance(frame, pl.LazyFrame)
    assert frame.collect_schema() == runs.SCHEMA
    assert frame.collect().schema == runs.SCHEMA


@pytest.mark.parametrize("way", WAYS)
def test_also_of_no_runs(experiment: Experiment, way: str) -> None:
    frame = WAYS[way](experiment).collect()
    assert frame.schema == runs.SCHEMA
    assert frame.height == 0
    assert experiment.metrics().collect().schema == metrics.SCHEMA


def test_one_row_a_run_newest_first(swept: Experiment) -> None:
    child = swept.get_runs()[0].child_run("child")
    other = Experiment(swept.workspace, "other").start_logging()
    frame = swept.runs().collect()
    assert frame["number"].to_list() == [5, 4, 3, 2, 1]
    assert frame["status"].to_list() == ["Running", "Failed"] + ["Completed"] * 3
    assert frame["parent_run_id"].to_list() == [frame["run_id"][1], None, None, None, None]
    assert frame["root_run_id"].to_list() == [frame["run_id"][1], *frame["run_id"][1:]]
    assert frame["run_id"][0] == child.id
    assert frame["error_code"].to_list()[:2] == [None, "Code"]
    assert frame["error_message"].to_list()[:2] == [None, "why"]
    assert frame["ended"].null_count() == 1
    assert (frame["started"] >= frame["created"]).all()
    assert frame["version"].to_list() == [1, 2, 3, 3, 3]
    everything = swept.workspace.runs().collect()
    assert everything["experiment"].to_list() == ["other"] + ["digits"] * 5
    assert everything["run_id"][0] == other.id


def test_tags_params_and_properties_are_pairs(swept: Experiment) -> None:
    row = swept.runs().filter(pl.col("number") == 2).collect()
    assert row["tags"].to_list() == [
        [{"key": "n", "value": "2"}, {"key": "all", "value": "x"}]
    ] or row["tags"].to_list() == [[{"key": "all", "value": "x"}, {"key": "n", "value": "2"}]]
    pairs = {pair["key"]: pair["value"] for pair in row["params"].to_list()[0]}
    assert pairs == {"lr": "0.2", "layers": "2", "on": "True", "text": "abc"}
    properties = {pair["key"] for pair in row["properties"].to_list()[0]}
    assert "objrun.host" in properties


@pytest.mark.parametrize("column", TYPES)
def test_columns_by_name_have_a_type(swept: Experiment, column: str) -> None:
    frame = swept.runs([column])
    assert frame.collect_schema() == {**runs.SCHEMA, column: TYPES[column]}
    assert frame.collect().height == 4
    assert swept.runs(column).collect_schema() == frame.collect_schema()


def test_columns_by_name_hold_the_values(swept: Experiment) -> None:
    wanted = ["params.lr", "tags.n", "params.nope", "tags.nope", "metrics.nope.last", "status"]
    frame = swept.runs(wanted).collect()
    assert frame["params.lr"].to_list() == [None, 0.1 * 3, 0.2, 0.1]
    assert frame["tags.n"].to_list() == [None, "3", "2", "1"]
    for name in ("params.nope", "tags.nope", "metrics.nope.last"):
        assert frame[name].null_count() == 4
    assert frame["number"].to_list() == [4, 3, 2, 1]


def test_metrics_are_summed_up(swept: Experiment) -> None:
    names = [f"metrics.loss.{what}" for what in metrics.SUMMARY]
    rows = swept.runs(names).select(names).collect().rows()
    assert rows[0] == (None,) * 8
    assert rows[3] == (2, 2.0, 1.0, 2.0, 1.5, 1, 2, 0)
    assert rows[2] == (2, 1.0, 0.5, 1.0, 0.75, 1, 2, 0)
    count, last, *rest = rows[1]
    assert (count, math.isnan(last), *rest) == (2, True, 1 / 3, 1 / 3, 1 / 3, 1, 2, 1)


POINTS = st.lists(
    st.tuples(
        st.sampled_from(["a", "b"]),
        st.floats(-100, 100) | st.sampled_from([math.nan, math.inf]) | st.booleans() | st.none(),
        st.none() | st.integers(-3, 3),
    ),
    min_size=1,
    max_size=10,
)


@settings(max_examples=30)
@given(POINTS)
def test_sums_are_those_of_the_points(points: list[tuple[str, Any, int | None]]) -> None:
    experiment = Experiment(Workspace(f"memory://{clock.random_hex(8)}"), "e")
    run = experiment.start_logging()
    for name, value, step in points:
        run.log(name, value, step=step)
    run.flush()
    for name in ("a", "b"):
        own = [(float(v), s) for n, v, s in points if n == name and v is not None]
        everything = [s for n, _, s in points if n == name]
        row = experiment.runs([f"metrics.{name}.{what}" for what in metrics.SUMMARY]).collect()
        found = {what: row[f"metrics.{name}.{what}"][0] for what in metrics.SUMMARY}
        if not own:
            assert set(found.values()) == {None}
            continue
        steps = [s for _, s in own if s is not None]
        ordered = sorted(own, key=lambda p: p[1] or 0) if None not in everything else own
        finite = [v for v, _ in own if not math.isnan(v)]
        assert found["count"] == len(own)
        assert same(found["last"], ordered[-1][0])
        assert found["min"] == (min(finite) if finite else None)
        assert found["max"] == (max(finite) if finite else None)
        assert found["first_step"] == min(steps, default=None)
        assert found["last_step"] == max(steps, default=None)
        assert found["nan_count"] == len(own) - len(finite)
        mean = math.fsum(finite) / len(finite) if finite else None
        assert found["mean"] == pytest.approx(mean, abs=1e-9)


def same(one: float, other: float) -> bool:
    return one == other or (math.isnan(one) and math.isnan(other))


@pytest.mark.parametrize(
    "column",
    ["nope", "metrics.loss", "metrics.loss.nope", "tags", "tags.", "params.", "metrics..last", ""],
)
def test_columns_that_cannot_be_are_refused(swept: Experiment, column: str) -> None:
    if column == "tags":
        assert swept.runs([column]).collect_schema() == runs.SCHEMA
        return
    with pytest.raises(UserErrorException) as caught:
        swept.runs([column])
    assert repr(column) in str(caught.value)
    assert any(told in str(caught.value) for told in ("metrics.<name>.<", f"perhaps {column}"))


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([1, 0.5], pl.Float64),
        ([1, "x"], pl.String),
        ([True, False], pl.Boolean),
        ([True, 1], pl.String),
        ([2**63 - 1, -(2**63) + 1], pl.Int64),
        ([2**63, 1], pl.Float64),
        ([10**400, 1], pl.Float64),
        ([math.nan, math.inf], pl.Float64),
    ],
)
def test_parameters_of_several_types_have_one(
    experiment: Experiment, values: list[Any], expected: Any
) -> None:
    for value in values:
        experiment.start_logging().log_params({"x": value})
    column = experiment.runs(["params.x"]).collect()["params.x"]
    assert column.dtype == expected
    found = column.to_list()[::-1]
    if expected == pl.Float64:
        nearest = [v if isinstance(v, float) or v < 10**300 else math.inf for v in values]
        assert all(same(*pair) for pair in zip(found, nearest, strict=True))
    elif expected == pl.String:
        assert found == [str(value) for value in values]
    else:
        assert found == values


def test_a_frame_can_be_kept_while_runs_go_on(swept: Experiment) -> None:
    frame, points = swept.runs(["metrics.loss.min"]), swept.metrics()
    before = frame.collect(), points.collect()
    run = swept.get_runs()[0]
    run.log("loss", 0.0)
    run.flush()
    swept.start_logging()
    assert frame.collect().equals(before[0])
    assert points.collect().equals(before[1], null_equal=True)
    assert swept.runs().collect().height == 5


def test_points_of_all_runs_are_one_frame(swept: Experiment) -> None:
    frame = swept.metrics()
    assert frame.collect().height == 9
    best = frame.filter(pl.col("name") == "loss").group_by("run_id").agg(pl.col("value").min())
    assert best.collect().height == 3
    joined = swept.runs().join(best, on="run_id").sort("value").collect()
    assert joined["number"].to_list()[0] in (2, 3)
