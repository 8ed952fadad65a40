"""Listing runs: whose they are, markers that lead nowhere, and what many experiments cost."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, TypeVar

import pytest

from objrun import Experiment, Workspace, clock
from objrun.storage import Store, connect
from objrun.storage.wrappers import CountingStore, FaultyStore, LatencyStore
from tests.protocol.faults import DOWN, script

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")
COUNT = 4


class Crowded(LatencyStore):
    """Remember how many requests there were at once at most."""

    def __init__(self, store: Store) -> None:
        super().__init__(store, 0.05)
        self.most = self.now_asking = 0
        self._lock = threading.Lock()

    def _ask(self, verb: str, key: str, call: Callable[[], T]) -> T:
        with self._lock:
            self.now_asking += 1
            self.most = max(self.most, self.now_asking)
        try:
            return super()._ask(verb, key, call)
        finally:
            with self._lock:
                self.now_asking -= 1


@pytest.fixture
def url() -> str:
    """A store with some experiments, of a run each, whose run has four versions."""
    place = f"memory://{clock.random_hex(8)}"
    for number in range(COUNT):
        with Experiment(Workspace(place), f"e{number}").start_logging() as run:
            run.tag("a", "b")
            run.tag("c", "d")
    return place


def wrapped(url: str, store: Store, patch: pytest.MonkeyPatch) -> Workspace:
    patch.setattr("objrun.workspace.connect", lambda *_, **__: store)
    return Workspace(url)


def test_a_run_is_one_of_its_own_experiment_only(url: str) -> None:
    """Of two that start a run of one id, the loser leaves a marker in its experiment."""
    ws = Workspace(url)
    run = Experiment(ws, "e0").get_runs()[0]
    connect(url).put(f"experiments/e1/feed/{run.id}.00000001", b"")
    for reader in (ws, Workspace(url)):
        for _ in range(2):
            (own,) = Experiment(reader, "e1").get_runs()
            assert own.id != run.id
            assert reader.runs().collect().height == COUNT
    assert Experiment(ws, "e0").get_runs()[0].id == run.id


@pytest.mark.parametrize("version", ["00000009", "99999999"])
def test_a_marker_that_is_too_high_costs_one_listing(
    url: str, version: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = Experiment(Workspace(url), "e0").get_runs()[0]
    memory = connect(url)
    memory.put(f"experiments/e0/feed/{run.id}.{version}", b"")
    memory.put(f"experiments/e0/feed/nobody.{version}", b"")
    counting = CountingStore(memory)
    experiment = Experiment(wrapped(url, counting, monkeypatch), "e0")
    for gets in (1, 0):
        experiment.workspace.reading()
        counting.reset()
        (found,) = experiment.get_runs()
        assert (found.id, found.status, found.tags) == (run.id, "Completed", {"a": "b", "c": "d"})
        assert counting.counts == {"list": 2 + 2, "get": 2 * 3 + gets}


def test_a_marker_of_a_version_in_flight_costs_a_get(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = Experiment(Workspace(url), "e0").get_runs()[0]
    memory = connect(url)
    memory.put(f"experiments/e0/feed/{run.id}.00000005", b"")
    counting = CountingStore(memory)
    experiment = Experiment(wrapped(url, counting, monkeypatch), "e0")
    experiment.workspace.reading()
    counting.reset()
    assert experiment.get_runs()[0].status == "Completed"
    assert counting.counts == {"list": 2, "get": 2}
    counting.reset()
    assert experiment.get_runs()[0].status == "Completed"
    assert counting.counts == {"list": 2, "get": 1}


ACTS: dict[str, tuple[Callable[[Workspace], object], dict[str, int]]] = {
    "experiments": (lambda ws: ws.experiments, {"folders": 1, "list": COUNT, "get": COUNT}),
    "runs": (lambda ws: ws.runs(), {"folders": 1, "list": 2 * COUNT, "get": COUNT}),
    "history": (
        lambda ws: Experiment(ws, "e0").get_runs()[0].history(),
        {"list": 2, "get": 1 + 1 + 3},
    ),
}


@pytest.mark.parametrize("act", ACTS)
def test_many_are_asked_for_at_once(url: str, act: str, monkeypatch: pytest.MonkeyPatch) -> None:
    crowded = Crowded(connect(url))
    counting = CountingStore(crowded)
    ws = wrapped(url, counting, monkeypatch)
    ws.reading()
    work, costs = ACTS[act]
    counting.reset()
    work(ws)
    assert crowded.most > 1
    assert counting.counts == costs


def test_names_that_were_cut_are_asked_for_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    store = connect(f"memory://{clock.random_hex(8)}")
    names = [letter + "é" * 100 for letter in "abcd"]
    for name in names:
        Experiment(wrapped("memory://cut", store, monkeypatch), name).tag("a")
    crowded = Crowded(store)
    assert wrapped("memory://cut", crowded, monkeypatch).experiment_names() == names
    assert crowded.most > 1


def test_runs_and_experiments_stay_in_order(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    ws = wrapped(url, LatencyStore(connect(url), 0.001), monkeypatch)
    names = [f"e{number}" for number in range(COUNT)]
    assert list(ws.experiments) == names
    assert ws.runs().collect()["experiment"].to_list() == names[::-1]
    (run,) = Experiment(ws, "e0").get_runs()
    told = run.history()
    assert [entry["version"] for entry in told] == [1, 2, 3, 4]
    assert [entry["ops"][0]["op"] for entry in told] == [
        "create",
        "set_tags",
        "set_tags",
        "set_status",
    ]
    assert [entry["status"] for entry in told] == ["Running"] * 3 + ["Completed"]


def test_a_run_whose_answer_was_lost_once_is_asked_for_again(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    lost = FaultyStore(connect(url), script("get", [DOWN], "runs/"))
    ws = wrapped(url, lost, monkeypatch)
    assert len(Experiment(ws, "e0").get_runs()) == 1
