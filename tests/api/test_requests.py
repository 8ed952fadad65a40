"""What acts cost, in requests: counted, never timed."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import pytest

from objrun import Experiment, Run, Workspace, clock
from objrun.storage import connect
from objrun.storage.wrappers import CountingStore, LatencyStore

if TYPE_CHECKING:
    from collections.abc import Callable

    from objrun.storage import Store

KINDS = {
    "put": "PUT",
    "put_if_absent": "PUT",
    "get": "GET",
    "get_range": "GET",
    "list": "LIST",
    "folders": "LIST",
    "delete": "DELETE",
    "now": "PUT",
}


class Place:
    """A store whose requests are counted, and cold handles on it."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.counting = CountingStore(connect(f"memory://{clock.random_hex(8)}"))
        patch.setattr("objrun.workspace.connect", lambda *_, **__: self.counting)

    def cold(self) -> Workspace:
        return Workspace("memory://counted")

    def cost(self, act: Callable[[], object]) -> dict[str, int]:
        self.counting.reset()
        act()
        costs: Counter[str] = Counter()
        for verb, count in self.counting.counts.items():
            costs[KINDS[verb]] += count
        print(f"{self.counting.log}\n{dict(costs)}")  # noqa: T201 - shown where a bar is missed
        return dict(costs)


@pytest.fixture
def place(monkeypatch: pytest.MonkeyPatch) -> Place:
    made = Place(monkeypatch)
    with Experiment(made.cold(), "digits").start_logging():
        pass
    return made


def whole_run(workspace: Workspace) -> Run:
    with Experiment(workspace, "digits").start_logging(tags={"a": "b"}) as run:
        run.log("x", 1)
        run.log_params({"lr": 0.1})
    return run


def test_a_whole_run_in_a_new_process(place: Place) -> None:
    """Header, experiment and numbers are looked for, and the store is proven by one PUT."""
    costs = place.cost(lambda: whole_run(place.cold()))
    # proof 1, number 1, versions 1 to 3 with a marker each 6, metrics 1
    looked = [asked for asked in place.counting.log if asked.key.startswith("environments/")]
    assert [asked.verb for asked in looked] == ["get_range"]
    assert costs == {"PUT": 9, "GET": 1 + len(looked), "LIST": 2}
    flushes = sum("/shards/" in asked.key for asked in place.counting.log)
    assert flushes == 1
    assert costs["PUT"] - flushes <= 8
    assert costs["GET"] - len(looked) + costs["LIST"] <= 3


def test_the_environment_costs_a_process_one_put(place: Place) -> None:
    """Of a distant store, which is not asked before; and nothing the next run."""
    far = place.cold()
    far.go_through(lambda store: LatencyStore(store, 0.0))
    experiment = Experiment(far, "digits")
    for puts in (1, 0):
        place.cost(experiment.start_logging)
        asked = Counter(each.verb for each in place.counting.log if "environments" in each.key)
        assert asked == Counter({"put_if_absent": puts})


def test_the_first_run_of_all(monkeypatch: pytest.MonkeyPatch) -> None:
    empty = Place(monkeypatch)
    costs = empty.cost(lambda: whole_run(empty.cold()))
    first = [asked for asked in empty.counting.log if not asked.key.startswith("objrun.probe")]
    verbs = Counter(KINDS[asked.verb] for asked in first if asked.verb != "now")
    # header 1, experiment 1, environment 1, number 1, three versions with markers 6, metrics 1
    assert verbs["PUT"] == 11
    assert verbs["GET"] + verbs["LIST"] <= 7
    assert costs["PUT"] >= 10


def test_a_second_run_of_the_same_process(place: Place) -> None:
    workspace = place.cold()
    experiment = Experiment(workspace, "digits")
    experiment.start_logging().complete()

    def again() -> None:
        with experiment.start_logging() as run:
            run.log("x", 1)

    assert place.cost(again) == {"PUT": 6}


def test_a_flush(place: Place) -> None:
    run = Experiment(place.cold(), "digits").start_logging()
    run.log("x", 1)
    assert place.cost(run.flush) == {"PUT": 1}
    run.log("x", 2)
    assert place.cost(run.flush) == {"PUT": 1, "DELETE": 1}
    assert place.cost(run.flush) == {}
    run.log_batch("y", range(100_000))
    run.log_row("z", a=1)
    costs = place.cost(run.flush)
    assert costs["PUT"] <= 2
    assert set(costs) <= {"PUT", "DELETE"}


def test_logging_asks_nothing(place: Place) -> None:
    run = Experiment(place.cold(), "digits").start_logging()
    run.log("x", 1)
    run.flush()

    def log() -> None:
        for number in range(1000):
            run.log("x", number)

    costs = place.cost(log)
    assert costs in ({}, {"PUT": 1, "DELETE": 1}), "at most a flush of the background"


@pytest.mark.parametrize(
    ("act", "expected"),
    [
        (lambda run: run.tag("a", "b"), {"PUT": 2}),
        (lambda run: run.log_params({"a": 1}), {"PUT": 2}),
        (lambda run: run.add_properties({"a": 1}), {"GET": 1, "PUT": 3}),
        (lambda run: run.complete(), {"PUT": 2}),
        (lambda run: run.child_run(), {"PUT": 3}),
        (lambda run: run.create_children(3), {"PUT": 9}),
        (lambda run: run.get_status(), {"GET": 1}),
        (lambda run: run.get_tags(), {"GET": 1}),
        (lambda run: (run.status, run.tags, run.properties, run.number, run.id), {}),
        (lambda run: run.get_metrics(), {"LIST": 2}),
    ],
    ids=range(10),
)
def test_acts_on_a_run(place: Place, act: Callable[[Run], object], expected: object) -> None:
    run = Experiment(place.cold(), "digits").start_logging()
    assert place.cost(lambda: act(run)) == expected


def test_listing_runs_asks_for_each_once(place: Place) -> None:
    experiment = Experiment(place.cold(), "digits")
    runs = [experiment.start_logging() for _ in range(5)]
    workspace = place.cold()
    reader = Experiment(workspace, "digits")
    assert place.cost(reader.get_runs) == {"GET": 1 + 6, "LIST": 2}
    assert place.cost(reader.get_runs) == {"LIST": 2}
    assert place.cost(lambda: reader.runs().collect()) == {"LIST": 2}
    assert place.cost(runs[0].get_children) == {"GET": 6, "LIST": 2}
    assert place.cost(runs[0].get_children) == {"LIST": 2}
    assert place.cost(lambda: runs[0].get_children(recursive=True)) == {"LIST": 2}
    runs[3].tag("a", "b")
    runs[3].tag("c", "d")
    runs[1].complete()
    experiment.start_logging()
    assert place.cost(reader.get_runs) == {"GET": 3, "LIST": 2}
    found = {run.number: run for run in reader.get_runs()}
    assert found[runs[3].number].tags == {"a": "b", "c": "d"}
    assert found[runs[1].number].status == "Completed"


def test_finding_a_run_by_its_id(place: Place) -> None:
    run = Experiment(place.cold(), "digits").start_logging()
    assert place.cost(lambda: place.cold().get_run(run.id)) == {"GET": 2, "LIST": 1}


def test_a_script_that_finds_its_run(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    run = Experiment(place.cold(), "digits").start_logging()
    monkeypatch.setenv("OBJRUN_RUN_ID", run.id)
    monkeypatch.setenv("OBJRUN_URL", "memory://counted")
    assert place.cost(Run.get_context) == {"LIST": 1, "GET": 2}
    assert place.cost(Run.get_context) == {}


def test_metrics_of_a_run(place: Place) -> None:
    experiment = Experiment(place.cold(), "digits")
    run, other = experiment.start_logging(), experiment.start_logging()
    for each in (run, other):
        each.log("x", 1)
        each.flush()
    reader = place.cold().get_run(run.id)
    assert place.cost(reader.get_metrics) == {"GET": 1, "LIST": 2}


def test_metrics_of_a_tree_leave_other_runs_alone(place: Place) -> None:
    experiment = Experiment(place.cold(), "digits")
    run = experiment.start_logging()
    child = run.child_run()
    for each in (run, child, *(experiment.start_logging() for _ in range(6))):
        each.log("x", 1)
        each.flush()
    run.get_children()
    costs = place.cost(lambda: run.get_metrics(recursive=True))
    segments = [
        asked for asked in place.counting.log if asked.verb == "get" and "/shards/" in asked.key
    ]
    assert len(segments) == 2
    assert costs == {"GET": 2, "LIST": 3}


def test_nobody_asks_while_nothing_happens(place: Place) -> None:
    run = Experiment(place.cold(), "digits").start_logging()
    reader = place.cold()
    frame, runs = reader.runs(), Experiment(reader, "digits").get_runs()

    def look() -> None:
        frame.collect()
        repr(runs)
        assert [(r.id, r.status, r.tags) for r in runs]
        repr(run)
        clock.sleep(1.2)

    assert place.cost(look) == {}


def test_refused_calls_ask_nothing(place: Place) -> None:
    run = Experiment(place.cold(), "digits").start_logging()

    def refused() -> None:
        with pytest.raises(ValueError, match="step"):
            run.log("x", 1, step=1.5)  # type: ignore[arg-type]
        with pytest.raises(ValueError, match="tag"):
            run.tag("", "x")

    assert place.cost(refused) == {}


def test_a_store_that_is_wrapped_is_a_store(place: Place) -> None:
    store: Store = place.counting
    assert store.url.startswith("memory://")
