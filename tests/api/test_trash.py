"""Delete, restore, purge: what lists show, what is freed, and that a kill is mended."""

from __future__ import annotations

import re
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

from objrun import Experiment, Run, Workspace, clock
from objrun.errors import (
    ExperimentNotFoundError,
    NotAStoreError,
    RunExistsError,
    RunNotFoundError,
    UserErrorException,
)
from objrun.storage.wrappers import FaultyStore
from objrun.tables.compaction import compact
from objrun.tables.vacuum import vacuum
from tests.api.places import another, contents, refused, store_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

NOW = timedelta()
MONTH = timedelta(days=30)


def logged(experiment: Experiment, run_id: str, *, children: int = 0) -> Run:
    """Return a run that has ended, with one object of each kind."""
    with experiment.start_logging(run_id=run_id, tags={"a": "b"}) as run:
        run.log("x", 1.0)
        run.flush()
        run.add_properties({"p": "1"})
        for number in range(children):
            with run.child_run(run_id=f"{run_id}-{number}") as child:
                child.log("y", number)
    return run


def shown(ws: Workspace) -> set[str]:
    """Return the ids of all runs that lists show, which all lists agree on."""
    fresh = another(ws)
    found = {*fresh.runs().collect()["run_id"]}
    lists = [Experiment(fresh, n).get_runs(include_children=True) for n in fresh.experiment_names()]
    assert found == {run.id for runs in lists for run in runs}
    return found


def below(ws: Workspace, *pieces: str) -> list[str]:
    return [key for key in contents(ws) if all(piece in key for piece in pieces)]


class TestMarks:
    def test_hide_a_run_and_those_below_it_until_it_is_restored(self, any_ws: Workspace) -> None:
        experiment = Experiment(any_ws, "digits")
        run, other = logged(experiment, "r", children=2), logged(experiment, "other")
        (child, *_) = run.get_children()
        grandchild = child.child_run(run_id="grand")
        everyone = shown(any_ws)
        assert everyone == {"r", "r-0", "r-1", "grand", "other"}
        another(any_ws).get_run("r").delete()
        assert shown(any_ws) == {"other"}
        assert list(run.get_children(recursive=True)) == []
        found = another(any_ws).get_run("r")
        assert (found.state.lifecycle, found.status) == ("deleted", "Completed")
        assert found.get_metrics() == {"x": 1.0}
        assert found.history()[-1]["ops"][0]["lifecycle"] == "deleted"
        assert other.get_metrics(recursive=True) == {"other": {"x": 1.0}}
        found.restore()
        assert shown(any_ws) == everyone
        assert {row.id for row in run.get_children(recursive=True)} == {"r-0", "r-1", "grand"}
        assert grandchild.get_status() == "Running"

    def test_of_a_child_leave_its_parent(self, ws: Workspace) -> None:
        run = logged(Experiment(ws, "digits"), "r", children=2)
        another(ws).get_run("r-0").delete()
        assert shown(ws) == {"r", "r-1"}
        assert run.get_metrics(recursive=True) == {"r": {"x": 1.0}, "r-1": {"y": 1}}
        run.delete()
        run.restore()
        assert shown(ws) == {"r", "r-0", "r-1"}

    def test_set_twice_are_set_once(self, ws: Workspace) -> None:
        run = logged(Experiment(ws, "digits"), "r", children=1)
        run.delete()
        before = contents(ws)
        another(ws).get_run("r").delete()
        assert contents(ws) == before
        run.restore()
        before = contents(ws)
        another(ws).get_run("r").restore()
        assert contents(ws) == before

    @pytest.mark.parametrize("act", ["delete", "restore"])
    def test_that_a_kill_leaves_half_done_are_finished(self, ws: Workspace, act: str) -> None:
        run = logged(Experiment(ws, "digits"), "r", children=2)
        run.get_children()[0].child_run(run_id="grand").complete()
        everyone = shown(ws)
        for requests in range(40):
            if act == "restore":
                run.delete()
            was_killed = killed(ws, requests, lambda own: getattr(own.get_run("r"), act)())
            getattr(another(ws).get_run("r"), act)()
            assert shown(ws) == (everyone if act == "restore" else set())
            if act == "delete":
                another(ws).get_run("r").restore()
            if not was_killed:
                return
        pytest.fail("never came to its end")


class TestExperiments:
    def test_with_runs_are_deleted_only_where_that_is_asked_for(self, any_ws: Workspace) -> None:
        experiment = Experiment(any_ws, "digits")
        logged(experiment, "r", children=1)
        logged(Experiment(any_ws, "other"), "o")
        with refused(any_ws, UserErrorException, "'digits' has runs", "with_runs"):
            Experiment.delete(any_ws, experiment.id)
        Experiment.delete(any_ws, experiment.id, with_runs=True)
        fresh = another(any_ws)
        assert shown(any_ws) == {"o"}
        assert [found.name for found in Experiment.list(fresh, view_type="All")] == ["other"]
        with refused(any_ws, UserErrorException, "'digits' is deleted", "restore it"):
            Experiment(another(any_ws), "digits").start_logging()
        with refused(any_ws, ExperimentNotFoundError, "no deleted experiment 'other'"):
            Experiment.restore(fresh, "other")
        Experiment.restore(fresh, "digits")
        assert shown(any_ws) == {"r", "r-0", "o"}
        assert list(another(any_ws).experiments) == ["digits", "other"]
        Experiment(another(any_ws), "digits").start_logging().complete()

    def test_whose_runs_are_in_the_trash_are_empty(self, ws: Workspace) -> None:
        experiment = Experiment(ws, "digits")
        logged(experiment, "r").delete()
        Experiment.delete(ws, "digits")
        assert list(another(ws).experiments) == []


class TestGc:
    def test_takes_nothing_before_its_time(self, any_ws: Workspace) -> None:
        experiment = Experiment(any_ws, "digits")
        logged(experiment, "r").delete()
        logged(experiment, "kept")
        Experiment(any_ws, "gone").tag("a")
        Experiment.delete(any_ws, "gone")
        before = contents(any_ws)
        assert any_ws.gc() == any_ws.gc(MONTH, dry_run=True) == []
        assert contents(any_ws) == before
        with refused(any_ws, UserErrorException, "older_than"):
            any_ws.gc(-MONTH)

    def test_makes_no_store(self, any_ws: Workspace) -> None:
        with pytest.raises(NotAStoreError):
            any_ws.gc()
        assert contents(any_ws) == {}

    def test_leaves_one_tombstone_of_a_run(self, any_ws: Workspace) -> None:
        experiment = Experiment(any_ws, "digits")
        logged(experiment, "kept", children=1)
        kept = contents(any_ws)
        run = logged(experiment, "r", children=2)
        claims = set(below(any_ws, "/numbers/"))
        run.delete()
        (told, freed) = sizes(any_ws)
        assert told == freed
        assert {entry.run for entry in told.entries} == {"r", "r-0", "r-1"}
        left = contents(any_ws)
        assert left.keys() - kept.keys() - claims == {
            "experiments/digits/checkpoints/00000001.json",
            "runs/r/state/00000005.json",
            "runs/r-0/state/00000004.json",
            "runs/r-1/state/00000004.json",
        }
        assert {key: left[key] for key in kept} == kept
        assert below(any_ws, "/shards/r/") == below(any_ws, "/feed/r.") == []
        assert shown(any_ws) == {"kept", "kept-0"}
        assert any_ws.gc(NOW) == []
        assert contents(any_ws) == left

    def test_is_exact_on_every_backend(self, live_ws: Workspace) -> None:
        experiment = Experiment(live_ws, "digits")
        run = logged(experiment, "r", children=1)
        logged(experiment, "kept")
        run.delete()
        told, freed = sizes(live_ws)
        assert told == freed
        assert len(told.entries) == 2
        Experiment.delete(live_ws, "digits", with_runs=True)
        told, freed = sizes(live_ws)
        assert told == freed
        assert len(below(live_ws, "experiments/digits/")) == 3

    def test_makes_a_run_unknown_and_keeps_its_id(self, ws: Workspace) -> None:
        run = logged(Experiment(ws, "digits"), "r")
        run.delete()
        ws.gc(NOW)
        with refused(ws, RunNotFoundError, "'r' was deleted and purged"):
            another(ws).get_run("r")
        with pytest.raises(RunNotFoundError, match="purged"):
            run.restore()
        # Its marker was put before it found the tombstone.
        assert [entry.objects for entry in ws.gc(NOW)] == [1]
        with refused(ws, RunExistsError, "'r'"):
            Experiment(another(ws), "digits").start_logging(run_id="r")
        assert Experiment(another(ws), "digits").start_logging().number == 2

    @pytest.mark.parametrize("compacted", [False, True])
    def test_frees_the_name_of_an_experiment(self, any_ws: Workspace, compacted: bool) -> None:
        experiment = Experiment(any_ws, "digits")
        logged(Experiment(any_ws, "other"), "o")
        for number in range(3):
            logged(experiment, f"r{number}", children=1)
        store = store_of(any_ws)
        if compacted:
            compact(store, "digits")
            vacuum(store, "digits")
            logged(experiment, "late")
        Experiment.delete(any_ws, "digits", with_runs=True)
        told, freed = sizes(any_ws)
        assert told == freed
        assert [entry.run for entry in told.entries][-1] is None
        kept = {"numbers", "state", "checkpoints"}
        left = below(any_ws, "experiments/digits/")
        assert {key.split("/")[2] for key in left} == kept
        assert len(left) == len(kept)
        assert sum(info.size for info in store.list("experiments/digits/")) < 1000
        assert any_ws.gc(NOW) == []
        fresh = another(any_ws)
        assert list(fresh.experiments) == ["other"]
        with refused(any_ws, ExperimentNotFoundError, "'digits'"):
            Experiment.restore(fresh, "digits")
        again = Experiment(fresh, "digits")
        run = logged(again, "new")
        assert run.number == len(below(any_ws, "runs/r")) + (2 if compacted else 1)
        assert again.id != experiment.id
        assert again.tags == {}
        assert shown(any_ws) == {"o", "new"}
        if compacted:
            compact(store, "digits")
            vacuum(store, "digits")
        assert shown(any_ws) == {"o", "new"}
        assert run.get_metrics() == {"x": 1.0}
        Experiment.delete(another(any_ws), "digits", with_runs=True)
        another(any_ws).gc(NOW)
        assert len(below(any_ws, "experiments/digits/")) == len(kept)

    def test_takes_a_run_out_of_tables(self, any_ws: Workspace) -> None:
        experiment = Experiment(any_ws, "digits")
        for name in ("r", "kept"):
            logged(experiment, name, children=1)
        store = store_of(any_ws)
        compact(store, "digits")
        vacuum(store, "digits")
        Run.get(any_ws, "r").delete()
        assert {entry.run for entry in any_ws.gc(NOW)} == {"r", "r-0"}
        assert shown(any_ws) == {"kept", "kept-0"}
        vacuum(store, "digits", retention=NOW)
        assert below(any_ws, "/shards/r/") == below(any_ws, "/feed/r.") == []
        names = Experiment(another(any_ws), "digits").metrics().collect()["run_id"]
        assert {*names} == {"kept", "kept-0"}
        assert shown(any_ws) == {"kept", "kept-0"}
        tables = b"".join(store.get(key) for key in below(any_ws, "/tables/"))
        assert b"kept-0" in tables
        assert b"r-0" not in tables

    def test_leaves_an_experiment_where_a_run_was_started_since(self, ws: Workspace) -> None:
        """By a handle that has not looked again, as it is told to do once a day."""
        handle = Experiment(ws, "digits")
        logged(handle, "r")
        Experiment.delete(another(ws), "digits", with_runs=True)
        late = handle.start_logging(run_id="late")
        late.log("x", 2.0)
        late.complete()
        assert [entry.run for entry in ws.gc(NOW)] == ["r"]
        assert another(ws).get_run("late").get_metrics() == {"x": 2.0}
        Experiment.restore(another(ws), "digits")
        assert shown(ws) == {"late"}

    def test_keeps_the_claims_by_which_the_next_number_is_found(self, ws: Workspace) -> None:
        experiment = Experiment(ws, "digits")
        store = store_of(ws)
        logged(experiment, "r")
        for number in (999, 1001):
            place = f"experiments/digits/numbers/{number // 1000:05d}/{number:08d}.json"
            store.put(place, store.get("experiments/digits/numbers/00000/00000001.json"))
        Experiment.delete(ws, "digits", with_runs=True)
        ws.gc(NOW)
        assert len(below(ws, "/numbers/")) == 2
        assert Experiment(another(ws), "digits").start_logging().number == 1002


@dataclass(frozen=True)
class Told:
    entries: tuple[Any, ...]
    objects: int
    size: int


def sizes(ws: Workspace) -> tuple[Told, Told]:
    """Return what a dry run says, and what the run after it does to listings of the store.

    Where runs are purged, and not their experiment, checkpoints and tables are left to a vacuum.
    """
    store = store_of(ws)
    before = store.list("")
    planned = another(ws).gc(NOW, dry_run=True)
    assert store.list("") == before
    entries = tuple(another(ws).gc(NOW))
    after = store.list("")
    if all(entry.run for entry in entries):
        before, after = (
            [info for info in infos if not re.search("/tables/|/checkpoints/", info.key)]
            for infos in (before, after)
        )
    told = Told(tuple(planned), sum(e.objects for e in planned), sum(e.size for e in planned))
    size = sum(info.size for info in before) - sum(info.size for info in after)
    return told, Told(entries, len(before) - len(after), size)


class KilledError(Exception):
    """The process is gone."""


class Killed(FaultyStore):
    """A store for whose user everything ends after so many requests."""

    def __init__(self, ws: Workspace, requests: int) -> None:
        super().__init__(store_of(ws), self._count)
        self.left: float = requests

    def _count(self, _verb: str, _key: str) -> None:
        if not self.left:
            raise KilledError
        self.left -= 1

    def delete(self, keys: Iterable[str]) -> None:
        """Remove the objects one by one: that of many is not atomic."""
        for key in keys:
            super().delete([key])


def killed(ws: Workspace, requests: int, act: Callable[[Workspace], object]) -> bool:
    """Do something with a store that ends after so many requests; return whether it came to that.

    Opening the store is not counted.
    """
    store = Killed(ws, -1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("objrun.workspace.connect", lambda *_, **__: store)
        own = Workspace(ws.url)
    own.writing()
    store.left = requests
    with suppress(KilledError):
        act(own)
    return not store.left


def filled(*, whole: bool, compacted: bool) -> Workspace:
    """Return a store with a run and its child in the trash, or all of the experiment."""
    ws = Workspace(f"memory://{clock.random_hex(8)}")
    experiment = Experiment(ws, "digits")
    logged(experiment, "kept")
    run = logged(experiment, "r", children=1)
    if compacted:
        compact(store_of(ws), "digits")
        vacuum(store_of(ws), "digits")
    if whole:
        Experiment.delete(ws, "digits", with_runs=True)
    else:
        run.delete()
    return ws


@pytest.mark.parametrize("compacted", [False, True])
@pytest.mark.parametrize("whole", [False, True])
@pytest.mark.parametrize("every", [3, pytest.param(1, marks=pytest.mark.slow)])
def test_a_gc_that_is_killed_is_finished_by_the_next(
    whole: bool, compacted: bool, every: int
) -> None:
    """After any request of it: runs are purged or in the trash, and the next leaves the same."""
    ended: list[list[str]] = []
    was_killed = True
    for requests in range(0, 200, every):
        ws = filled(whole=whole, compacted=compacted)
        was_killed = killed(ws, requests, lambda own: own.gc(NOW))
        check_between(ws, whole=whole)
        if compacted:
            vacuum(store_of(ws), "digits", retention=NOW)
        told, freed = sizes(ws)
        assert told.entries == freed.entries
        assert told == freed
        check_between(ws, whole=whole)
        ended.append(settled(ws))
        if not was_killed:
            break
    assert not was_killed, "never came to its end"
    assert len(ended) > 40 / every
    assert all(each == ended[-1] for each in ended)


def settled(ws: Workspace) -> list[str]:
    """Return the objects that are there, writers' ids left out; of tables only their kinds."""
    keys = (re.sub("[0-9a-f]{16}", "", key) for key in contents(ws) if "probe" not in key)
    return sorted(key for key in keys if not re.search("tables|checkpoints", key))


def check_between(ws: Workspace, *, whole: bool) -> None:
    """Check what users find, also while a purge is unfinished."""
    kept = set() if whole else {"kept"}
    assert shown(ws) == kept
    for run_id in {"kept", "r", "r-0"} - kept:
        with suppress(RunNotFoundError):
            assert another(ws).get_run(run_id).state.lifecycle == "deleted"
    for run_id in kept:
        assert another(ws).get_run(run_id).get_metrics() == {"x": 1.0}
    assert {*Experiment(another(ws), "digits").metrics().collect()["run_id"]} >= kept
    assert another(ws).experiments.keys() == ({"digits"} if kept else set())
