"""Every golden store through the API: what users see is what the SPEC says."""

from __future__ import annotations

import warnings
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from objrun import Experiment, Model, Workspace
from objrun.errors import (
    CorruptObjectError,
    CorruptObjectWarning,
    FormatError,
    RunNotFoundError,
    UnsupportedFormatError,
)
from objrun.format.checking import format_time
from objrun.format.values import from_json, from_point, to_json
from objrun.query.metrics import SUMMARY
from tests.golden.cases import LAYOUT, READABLE, REFUSALS, REFUSED, expected, objects

if TYPE_CHECKING:
    from pathlib import Path

    import polars as pl

WHOLE = [case for case in READABLE if case.name != "newer_checkpoint"]
GOLDEN = LAYOUT / "golden" / "v1"


@pytest.fixture(autouse=True)
def _nobody_is_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    """Golden runs were written once, so none gives signs of life; when, their files do not say."""
    monkeypatch.setattr("objrun.protocol.heartbeat.GRACE", timedelta(days=100_000))


def workspace(case: Path) -> Workspace:
    return Workspace.get(case / "store")


def typed(value: Any) -> Any:
    """Return a value as expected/metrics.json holds it."""
    if isinstance(value, list):
        return [to_json(item) for item in value]
    if isinstance(value, dict):
        return {name: typed(item) for name, item in value.items()}
    return to_json(value)


def plain(value: Any) -> Any:
    """Return what expected/metrics.json holds as the value it means."""
    if isinstance(value, list):
        return [from_json(item) for item in value]
    if isinstance(value, dict) and not value.keys() & {"int", "float"}:
        return {name: plain(item) for name, item in value.items()}
    return from_json(value)


def known_runs(case: Path) -> list[dict[str, Any]]:
    return [run for run in expected(case, "runs") if run["lifecycle"] != "deleted"]


@pytest.mark.parametrize("case", REFUSED, ids=lambda case: case.name)
def test_a_store_that_must_be_refused_is_refused(case: Path) -> None:
    (problem,) = expected(case, "errors")
    with pytest.raises(FormatError) as caught:
        workspace(case)
    assert isinstance(caught.value, REFUSALS[problem["code"]])


@pytest.mark.parametrize("case", READABLE, ids=lambda case: case.name)
def test_experiments(case: Path) -> None:
    ws = workspace(case)
    wanted = {state["name"]: state for state in expected(case, "experiments")}
    ended = {"begun", "gone"} if case.name == "purged" else set()
    assert ws.experiment_names() == sorted({*wanted, *ended})
    active = {name for name, state in wanted.items() if state["lifecycle"] == "active"}
    assert set(ws.experiments) == active
    archived = {name for name, state in wanted.items() if state["lifecycle"] == "archived"}
    assert {e.name for e in Experiment.list(ws, view_type="ArchivedOnly")} == archived
    for experiment in Experiment.list(ws, view_type="All"):
        state = wanted[experiment.name]
        assert experiment.id == state["experiment_id"]
        assert experiment.tags == state["tags"]
        assert experiment.description == state["description"]
        time = experiment.archived_time
        assert (time and format_time(time)) == state["archived"]


@pytest.mark.parametrize("case", WHOLE, ids=lambda case: case.name)
def test_the_frame_of_runs(case: Path) -> None:
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always", CorruptObjectWarning)
        frame = workspace(case).runs().collect()
    told = {e["key"] for e in expected(case, "errors") if e["key"].startswith("runs/")}
    assert len(warned) == len(told)
    assert all(any(key in str(w.message) for w in warned) for key in told)
    wanted = {run["run_id"]: run for run in known_runs(case)}
    assert set(frame["run_id"]) == wanted.keys()
    for row in frame.iter_rows(named=True):
        run = wanted[row["run_id"]]
        for name, value in row.items():
            shown = format_time(value) if isinstance(value, datetime) else value
            if name in ("tags", "properties"):
                shown = {pair["key"]: pair["value"] for pair in value}
            if name == "type":
                assert shown == (run["type"] or run["properties"].get("azureml.runsource"))
            elif name in run and name != "params":
                assert shown == run[name], name
        assert [pair["key"] for pair in row["params"]] == list(run["params"])
        error = run["error"] or {}
        assert row["error_code"] == error.get("code")
        assert row["error_message"] == error.get("message")


@pytest.mark.parametrize("case", WHOLE, ids=lambda case: case.name)
def test_one_run_after_the_other(case: Path) -> None:
    ws = workspace(case)
    children: dict[str | None, set[str]] = {}
    for state in known_runs(case):
        children.setdefault(state["parent_run_id"], set()).add(state["run_id"])
    for state in known_runs(case):
        run = ws.get_run(state["run_id"])
        assert run.number == state["number"]
        assert run.status == state["status"]
        assert run.experiment.name == state["experiment"]
        assert run.get_tags() == state["tags"]
        assert run.get_properties() == state["properties"]
        params = {name: to_json(value) for name, value in run.get_params().items()}
        assert repr(params) == repr(state["params"])
        if not expected(case, "errors"):
            found = {child.id for child in run.get_children()}
            assert found == children.get(run.id, set())


@pytest.mark.parametrize("case", WHOLE, ids=lambda case: case.name)
def test_points_in_reading_order(case: Path) -> None:
    ws = workspace(case)
    damaged = [e["key"] for e in expected(case, "errors") if "/shards/" in e["key"]]
    wanted = expected(case, "metrics")
    for state in known_runs(case):
        run = ws.get_run(state["run_id"])
        if any(f"/{run.id}/" in key for key in damaged):
            with pytest.raises(CorruptObjectError, match="bad_parquet"):
                run.metrics()
            continue
        got = points_of(run.metrics().collect())
        metrics = wanted.get(run.id, [])
        listed = [point | {"name": m["name"]} for m in metrics for point in m["points"]]
        # As text, in which 1 is not 1.0.
        assert [repr(sorted(p.items())) for p in got] == [repr(sorted(p.items())) for p in listed]


def points_of(frame: pl.DataFrame) -> list[dict[str, Any]]:
    points = []
    for row in frame.iter_rows(named=True):
        value = from_point(row["type"], row["value"], row["data"])
        point = {name: row[name] for name in ("writer", "offset", "step", "kind", "name")}
        points.append(point | {"time": format_time(row["time"]), "value": typed(value)})
    return points


@pytest.mark.filterwarnings("ignore::objrun.errors.StepWarning")
@pytest.mark.parametrize("case", WHOLE, ids=lambda case: case.name)
def test_metrics_as_python_values(case: Path) -> None:
    ws = workspace(case)
    wanted = expected(case, "metrics")
    for state in known_runs(case):
        run = ws.get_run(state["run_id"])
        if run.id in wanted:
            values = run.get_metrics()
            assert list(values) == [metric["name"] for metric in wanted[run.id]]
            for metric in wanted[run.id]:
                assert repr(values[metric["name"]]) == repr(python_value(metric))
                assert repr(run.get_metrics(metric["name"])) == repr(
                    {metric["name"]: python_value(metric)}
                )


def python_value(metric: dict[str, Any]) -> Any:
    """Return what get_metrics gives for the points of a metric."""
    points = metric["points"]
    values = [plain(point["value"]) for point in points]
    if metric["family"] == "scalar" and any(point["kind"] == "list" for point in points):
        return [x for value in values for x in (value if isinstance(value, list) else [value])]
    if metric["family"] not in ("row", "table") or len(values) == 1:
        return values[0] if len(values) == 1 else values
    columns = dict.fromkeys(name for value in values for name in value)
    return {name: [value.get(name) for value in values] for name in columns}


@pytest.mark.parametrize("case", WHOLE, ids=lambda case: case.name)
def test_what_metrics_come_to(case: Path) -> None:
    damaged = {e["key"].split("/")[3] for e in expected(case, "errors") if "/shards/" in e["key"]}
    summaries = expected(case, "summaries")
    names = {metric["name"] for metrics in expected(case, "metrics").values() for metric in metrics}
    columns = [f"metrics.{name}.{each}" for name in sorted(names) for each in SUMMARY]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", CorruptObjectWarning)
        frame = workspace(case).runs(columns=columns).collect()
    for row in frame.iter_rows(named=True):
        for name in names if row["run_id"] not in damaged else ():
            got = {each: row[f"metrics.{name}.{each}"] for each in SUMMARY}
            wanted = summaries.get(row["run_id"], {}).get(name, dict.fromkeys(SUMMARY))
            assert got == {each: nearly(plain(value)) for each, value in wanted.items()}


def nearly(value: Any) -> Any:
    """Return what a sum is compared with: a mean may be added up in any order, NaN is NaN."""
    return pytest.approx(value, rel=1e-12, nan_ok=True) if isinstance(value, float) else value


def test_an_experiment_whose_checkpoint_is_newer_is_refused_and_others_are_not() -> None:
    ws = workspace(GOLDEN / "newer_checkpoint")
    newer = r"checkpoints/00000001\.json has format 2"
    with pytest.raises(UnsupportedFormatError, match=newer):
        Experiment(ws, "digits").get_runs()
    with pytest.raises(UnsupportedFormatError, match=newer):
        Experiment(ws, "digits").metrics()
    assert [run.id for run in Experiment(ws, "other").get_runs()] == ["r2"]


def test_damaged_runs_are_named_when_asked_for() -> None:
    ws = workspace(GOLDEN / "damaged")
    with pytest.raises(CorruptObjectError, match=r"runs/bad-json/state/00000001\.json"):
        ws.get_run("bad-json")
    with pytest.raises(UnsupportedFormatError, match=r"runs/too-new/state/00000001\.json"):
        ws.get_run("too-new")
    with pytest.raises(CorruptObjectError, match="unknown_op"):
        workspace(GOLDEN / "blind").get_run("r2")


def test_a_marker_alone_is_no_run() -> None:
    with pytest.raises(RunNotFoundError):
        workspace(GOLDEN / "markers").get_run("never-started")


@pytest.mark.parametrize("case", READABLE, ids=lambda case: case.name)
def test_reading_writes_nothing(case: Path) -> None:
    before = objects(case)
    ws = workspace(case)
    assert ws.store_id == "golden"
    assert ws.experiment_names() is not None
    assert objects(case) == before


def test_an_experiment_that_cannot_be_read_hides_no_others() -> None:
    ws = workspace(GOLDEN / "newer_checkpoint")
    with pytest.warns(CorruptObjectWarning, match="upgrade"):
        frame = ws.runs(["metrics.loss.last"]).collect()
    assert {*frame["experiment"]} == {*ws.experiment_names()} - {"digits"}
    with pytest.warns(CorruptObjectWarning, match="upgrade"):
        points = ws.metrics().collect()
    assert {*points["run_id"]} <= {*frame["run_id"]}


@pytest.mark.parametrize("case", READABLE, ids=lambda case: case.name)
def test_files(case: Path) -> None:
    ws = workspace(case)
    told, blobs = (
        expected(case, what) if (case / "expected" / f"{what}.json").exists() else {}
        for what in ("files", "blobs")
    )
    for known in known_runs(case):
        run = ws.get_run(known["run_id"])
        for reference, text in blobs.get(run.id, {}).items():
            with run.open(reference) as opened:
                assert opened.read() == text.encode()
        wanted = told.get(run.id, {})
        assert run.get_file_names() == sorted(wanted)
        for name, file in wanted.items():
            with run.open(name) as opened:
                assert opened.read() == file["text"].encode()


def test_models() -> None:
    case = GOLDEN / "models"
    wanted = {(m["name"], m["number"]): m for m in expected(case, "models")}
    there = [whose for whose, state in wanted.items() if state["lifecycle"] == "active"]
    models = Model.list(workspace(case))
    assert [(model.name, model.version) for model in models] == sorted(there)
    for model in models:
        state = wanted[model.name, model.version]
        assert (model.tags, model.properties) == (state["tags"], state["properties"])
        assert (model.run_id, model.experiment_name) == (state["run_id"], state["experiment"])
        assert format_time(model.created_time) == state["created"]
        assert {name: file.size for name, file in model.files.items()} == {
            name: len(text) for name, text in state["texts"].items()
        }
