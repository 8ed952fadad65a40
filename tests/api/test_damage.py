"""A damaged object is named; everything else stays readable."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

import pytest

from objrun import Experiment, Run, Workspace
from objrun.errors import CorruptObjectError, CorruptObjectWarning
from tests.api.places import another, store_of

if TYPE_CHECKING:
    from collections.abc import Callable

DAMAGE: dict[str, Callable[[bytes], bytes]] = {
    "truncated": lambda data: data[: len(data) // 2],
    "empty": lambda _: b"",
    "one byte missing": lambda data: data[:-2],
    "bytes turned": lambda data: data[:20] + bytes(255 - byte for byte in data[20:60]) + data[60:],
    "something else": lambda _: b"<html>Bad Gateway</html>",
}


@pytest.fixture
def runs(any_ws: Workspace) -> list[Run]:
    """Three runs with a tag and a metric each."""
    experiment = Experiment(any_ws, "digits")
    made = [experiment.start_logging(tags={"n": n}) for n in range(3)]
    for number, run in enumerate(made):
        run.log("x", number)
        run.complete()
    return made


def hurt(ws: Workspace, key: str, damage: str) -> None:
    store = store_of(ws)
    store.put(key, DAMAGE[damage](store.get(key)))


def caught(act: Callable[[], Any]) -> tuple[Any, list[str]]:
    """What `act` returns, and which damage it warns of."""
    with warnings.catch_warnings(record=True) as found:
        warnings.simplefilter("always")
        result = act()
    assert {warning.category for warning in found} <= {CorruptObjectWarning}
    return result, [str(warning.message) for warning in found]


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_run(any_ws: Workspace, runs: list[Run], damage: str) -> None:
    key = f"runs/{runs[1].id}/state/00000002.json"
    hurt(any_ws, key, damage)
    with pytest.raises(CorruptObjectError) as error:
        another(any_ws).get_run(runs[1].id)
    assert error.value.key == key
    assert str(error.value).startswith(f"{key} is damaged: ")
    fresh = another(any_ws)
    experiment = Experiment(fresh, "digits")
    for act in (experiment.get_runs, lambda: experiment.runs().collect()["run_id"]):
        found, told = caught(act)
        ids = [getattr(run, "id", run) for run in found]
        assert ids == [runs[2].id, runs[0].id]
        assert len(told) == 1
        assert key in told[0]
    assert fresh.get_run(runs[0].id).get_metrics() == {"x": 0}
    with experiment.start_logging() as run:
        run.log("x", 1)
    assert run.number == 4


def test_a_run_known_before_is_not_told_from_an_earlier_version(
    any_ws: Workspace, runs: list[Run]
) -> None:
    reader = Experiment(another(any_ws), "digits")
    assert len(reader.get_runs()) == 3
    runs[1].tag("later", "1")
    hurt(any_ws, f"runs/{runs[1].id}/state/00000003.json", "truncated")
    found, told = caught(reader.get_runs)
    assert [run.id for run in found] == [runs[2].id, runs[0].id]
    assert "00000003.json" in told[0]


@pytest.mark.parametrize("damage", DAMAGE)
def test_metrics(any_ws: Workspace, runs: list[Run], damage: str) -> None:
    store = store_of(any_ws)
    (key,) = [info.key for info in store.list(f"experiments/digits/shards/{runs[1].id}/")]
    hurt(any_ws, key, damage)
    fresh = another(any_ws)
    hurt_run = fresh.get_run(runs[1].id)
    for act in (hurt_run.get_metrics, hurt_run.metrics):
        with pytest.raises(CorruptObjectError) as error:
            act()
        assert error.value.key == key
    assert hurt_run.status == "Completed"
    assert fresh.get_run(runs[0].id).get_metrics() == {"x": 0}
    experiment = Experiment(fresh, "digits")
    frame, told = caught(lambda: experiment.metrics().collect())
    assert sorted(frame["value"]) == [0.0, 2.0]
    assert [key in words for words in told] == [True]
    summed, told = caught(lambda: experiment.runs(["metrics.x.last"]).collect())
    assert summed["metrics.x.last"].to_list() == [2.0, None, 0.0]
    assert [key in words for words in told] == [True]


def test_a_segment_with_fewer_rows_than_it_says(any_ws: Workspace, runs: list[Run]) -> None:
    store = store_of(any_ws)
    (key,) = [info.key for info in store.list(f"experiments/digits/shards/{runs[0].id}/")]
    longer = key.replace("-000000000001.", "-000000000009.")
    store.put(longer, store.get(key))
    with pytest.raises(CorruptObjectError, match="1 rows under a key that says 9"):
        another(any_ws).get_run(runs[0].id).get_metrics()


@pytest.mark.parametrize("damage", DAMAGE)
def test_the_header(any_ws: Workspace, runs: list[Run], damage: str) -> None:
    assert runs
    hurt(any_ws, "objrun.json", damage)
    for act in (
        lambda: another(any_ws).experiments,
        lambda: Experiment(another(any_ws), "digits").start_logging(),
    ):
        with pytest.raises(CorruptObjectError, match=r"^objrun\.json is damaged"):
            act()


@pytest.mark.parametrize("damage", DAMAGE)
def test_an_experiment(any_ws: Workspace, runs: list[Run], damage: str) -> None:
    key = "experiments/digits/state/00000001.json"
    Experiment(any_ws, "other").start_logging()
    hurt(any_ws, key, damage)
    fresh = another(any_ws)
    with pytest.raises(CorruptObjectError, match="experiments/digits/state/"):
        Experiment(fresh, "digits").tag("a")
    assert fresh.get_run(runs[0].id).get_metrics() == {"x": 0}
    assert len(Experiment(fresh, "other").get_runs()) == 1
    assert len(Experiment(fresh, "digits").get_runs()) == 3


def test_one_damaged_experiment_does_not_hide_the_others(
    any_ws: Workspace, runs: list[Run]
) -> None:
    assert runs
    Experiment(any_ws, "other").start_logging()
    hurt(any_ws, "experiments/digits/state/00000001.json", "truncated")
    found, told = caught(lambda: list(another(any_ws).experiments))
    assert found == ["other"]
    assert "experiments/digits/state/00000001.json" in told[0]
    frame, _ = caught(lambda: another(any_ws).runs().collect())
    assert frame.height == 4


def test_one_whose_name_was_cut_neither(any_ws: Workspace) -> None:
    Experiment(any_ws, "x" + "é" * 200).start_logging()
    Experiment(any_ws, "other").start_logging()
    (key,) = [
        i.key for i in store_of(any_ws).list("experiments/") if "~" in i.key and "state/" in i.key
    ]
    hurt(any_ws, key, "truncated")
    found, told = caught(lambda: list(another(any_ws).experiments))
    assert found == ["other"]
    assert key in told[0]


def test_a_property(any_ws: Workspace, runs: list[Run]) -> None:
    run = runs[0]
    store_of(any_ws).put(f"runs/{run.id}/properties/a.json", b"{")
    with pytest.raises(CorruptObjectError, match=r"properties/a\.json is damaged"):
        run.add_properties({"a": "1"})
    run.add_properties({"b": "1"})
    assert run.get_properties()["b"] == "1"
    assert "a" not in run.properties


def test_what_others_put_there_is_left_alone(any_ws: Workspace, runs: list[Run]) -> None:
    store = store_of(any_ws)
    run = runs[0]
    strange = [
        "README.md",
        "experiments/README.md",
        "experiments/a.b/notes.txt",
        "experiments/my notes/x",
        "experiments/cut~off/x",
        "experiments/empty/x",
        "experiments/digits/feed/notes.txt",
        f"experiments/digits/shards/{run.id}/.DS_Store",
        f"experiments/digits/shards/{run.id}/w-0-5.parquet.tmp",
        f"runs/{run.id}/state/00000003.json.bak",
        f"runs/{run.id}/notes.txt",
        "experiments/digits/numbers/00000/readme.txt",
    ]
    for key in strange:
        store.put(key, b"x")
    fresh = another(any_ws)
    assert fresh.get_run(run.id).get_metrics() == {"x": 0}
    assert list(fresh.experiments) == ["digits"]
    assert fresh.runs().collect().height == 3
    assert len(Experiment(fresh, "digits").get_runs()) == 3
    assert Experiment(fresh, "digits").start_logging().number == 4
    assert all(store.get(key) == b"x" for key in strange)
