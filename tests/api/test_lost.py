"""Runs whose process is gone: readers say so, nobody writes it, and `reap` ends them."""
# ruff: noqa: SLF001 - a process that is gone is one whose heart stands still

from __future__ import annotations

import os
import warnings
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl
import pytest

from objrun import Experiment, Run, Workspace, clock
from objrun.errors import ActivityFailedException, StatusWarning, UserErrorException
from objrun.format import keys
from objrun.format.heartbeat_keys import heartbeat as heartbeat_key
from objrun.format.heartbeat_keys import parse_heartbeat
from objrun.protocol import heartbeat
from objrun.runs.open import OPEN
from objrun.storage import MemoryStore
from objrun.storage.wrappers import CountingStore
from tests.api.places import another, contents

if TYPE_CHECKING:
    from collections.abc import Callable

NOTHING = timedelta(0)
HOUR = timedelta(hours=1)


@pytest.fixture
def no_grace(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever is silent for a moment is lost."""
    monkeypatch.setattr(heartbeat, "GRACE", NOTHING)


@pytest.fixture
def folder(tmp_path: Path) -> Workspace:
    """A store whose files can be made older."""
    return Workspace(tmp_path / "store", {"durability": "none"})


def left(ws: Workspace, **given: Any) -> Run:
    """A run whose process is gone, as somebody else finds it."""
    run = Experiment(ws, "digits").start_logging(**given)
    run._heartbeat.end()
    OPEN.discard(run)
    return Run.get(another(ws), run.id)


def make_older(ws: Workspace, by: timedelta, part: str = "") -> None:
    """Let all objects, or those with `part` in their keys, be as if written earlier."""
    for path in Path(ws.url.removeprefix("file://")).rglob("*"):
        if path.is_file() and part in str(path):
            then = path.stat().st_mtime - by.total_seconds()
            os.utime(path, (then, then))


def statuses(ws: Workspace) -> set[str]:
    """What all ways to look at the runs of an experiment say of their status."""
    experiment = Experiment(another(ws), "digits")
    found = {run.status for run in experiment.get_runs(include_children=True)}
    found |= {*experiment.runs().collect()["status"]}
    for run in experiment.get_runs(include_children=True):
        fresh = Run.get(another(ws), run.id)
        found |= {fresh.get_status(), fresh.status, fresh.get_details()["status"]}
        found.add(fresh.get_detailed_status()["status"])
    return found


class TestStatus:
    @pytest.mark.usefixtures("no_grace")
    def test_a_lost_run_does_not_respond_and_nobody_writes_that(self, live_ws: Workspace) -> None:
        run = left(live_ws)
        before = contents(live_ws)
        assert statuses(live_ws) == {"NotResponding"}
        assert run.state.status == "Running"
        found = Experiment(another(live_ws), "digits").get_runs()[0]
        assert (found.status, found.state.status) == ("NotResponding", "Running")
        assert contents(live_ws) == before

    def test_a_young_one_runs(self, live_ws: Workspace) -> None:
        left(live_ws)
        assert statuses(live_ws) == {"Running"}

    def test_what_others_commit_keeps_the_status_that_is_stored(self, folder: Workspace) -> None:
        left(folder)
        make_older(folder, HOUR)
        found = Experiment(folder, "digits").get_runs()[0]
        found.tag("seen")
        assert Run.get(another(folder), found.id).state.status == "Running"

    @pytest.mark.parametrize("folded", [False, True], ids=["live", "in tables"])
    def test_the_last_sign_of_life_counts(self, folder: Workspace, folded: bool) -> None:
        run = left(folder)
        if folded:
            folder.compact()
            folder.vacuum()
        folder.store.put(heartbeat_key("digits", run.id), b"")
        make_older(folder, HOUR, "feed")
        run._seen -= HOUR  # of an hour ago, too, it knows
        frame = Experiment(folder, "digits").runs().collect()
        assert clock.now() - frame["last_seen"][0] > HOUR
        assert run.get_status() == "NotResponding"
        assert frame["status"].to_list() == ["NotResponding"]
        folder.store.put(heartbeat_key("digits", run.id), b"")
        assert statuses(folder) | {run.get_status()} == {"Running"}

    @pytest.mark.usefixtures("no_grace")
    def test_filters_and_columns_go_by_what_is_shown(self, ws: Workspace) -> None:
        left(ws)
        ended = left(ws)
        ended.complete()
        experiment = Experiment(another(ws), "digits")
        assert [r.number for r in Run.list(experiment, status="NotResponding")] == [1]
        assert not Run.list(experiment, status="Running")
        assert [r.number for r in experiment.get_runs(where=pl.col("last_seen").is_null())] == [2]
        lost = ws.sql("select number from runs where status = 'NotResponding'").collect()
        assert lost["number"].to_list() == [1]

    @pytest.mark.usefixtures("no_grace")
    def test_who_has_it_open_knows_that_it_runs(self, ws: Workspace) -> None:
        run = Experiment(ws, "digits").start_logging()
        assert run.get_status() == "Running"
        joined = Run.get(another(ws), run.id)
        assert joined.get_status() == "NotResponding"
        joined.log("x", 1.0)
        assert joined.get_status() == "Running"
        run.complete()
        assert not run._heartbeat.is_beating

    @pytest.mark.parametrize("status", ["Queued", "Paused", "NotStarted", "Completed"])
    @pytest.mark.usefixtures("no_grace")
    def test_whoever_need_not_respond_is_not_lost(self, ws: Workspace, status: str) -> None:
        run = left(ws)
        run._move(status)
        assert statuses(ws) == {status}

    def test_a_look_at_a_young_run_costs_no_listing(self, ws: Workspace) -> None:
        run = left(ws)
        counting = CountingStore(MemoryStore(ws.name))
        run._chain.store = counting
        run._experiment.workspace.go_through(lambda _: counting)
        assert run.get_status() == "Running"
        assert counting.counts == {"get": 1}
        run._seen -= HOUR
        assert run.get_status() == "Running"
        assert counting.counts == {"get": 2, "list": 1}

    @pytest.mark.usefixtures("no_grace")
    def test_who_waits_is_told_once_and_goes_on(
        self, ws: Workspace, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        run = left(ws)
        naps: list[float] = []

        def sleep(seconds: float) -> None:
            naps.append(seconds)
            if len(naps) == 3:
                assert [lost.run for lost in ws.reap(older_than=NOTHING)] == [run.id]

        monkeypatch.setattr(clock, "sleep", sleep)
        with (
            pytest.warns(StatusWarning, match="no sign of life") as told,
            pytest.raises(ActivityFailedException, match="no sign of life since"),
        ):
            run.wait_for_completion()
        assert len(told) == 1


class TestReap:
    @pytest.mark.usefixtures("no_grace")
    def test_a_lost_run_fails_by_an_ordinary_commit(self, live_ws: Workspace) -> None:
        run = left(live_ws)
        child = left(live_ws)
        ended = left(live_ws)
        ended.complete()
        planned = live_ws.reap(older_than=NOTHING, dry_run=True)
        assert {lost.run for lost in planned} == {run.id, child.id}
        assert run.get_status() == "NotResponding"
        assert live_ws.reap(older_than=NOTHING) == planned
        assert live_ws.reap(older_than=NOTHING) == []
        run.get_status()
        assert run.status == "Failed"
        error = run.state.error or {}
        assert error["code"] == "NotResponding"
        assert error["message"].startswith("no sign of life since 20")
        assert run.state.ended == planned[0].last_seen
        assert [op["op"] for entry in run.history() for op in entry["ops"]][-1] == "set_status"
        assert Run.get(live_ws, ended.id).status == "Completed"

    def test_it_goes_by_the_signs_of_life(self, folder: Workspace) -> None:
        lost, alive, young = (left(folder) for _ in range(3))
        make_older(folder, 2 * HOUR)
        folder.store.put(heartbeat_key("digits", alive.id), b"")
        young.tag("changed")
        assert [found.run for found in folder.reap("digits")] == [lost.id]
        assert folder.reap(older_than=timedelta(hours=3)) == []

    @pytest.mark.parametrize("folded", [False, True], ids=["live", "in tables"])
    def test_wrong_clocks_of_writers_and_readers_do_not_matter(
        self, folder: Workspace, monkeypatch: pytest.MonkeyPatch, folded: bool
    ) -> None:
        real = clock.now
        monkeypatch.setattr(clock, "now", lambda: real() - timedelta(days=7))
        run = left(folder)
        if folded:
            folder.compact()
            folder.vacuum()
        assert folder.reap() == []
        monkeypatch.setattr(clock, "now", lambda: real() + timedelta(days=7))
        assert folder.reap() == []
        make_older(folder, 2 * HOUR)
        assert [found.run for found in folder.reap()] == [run.id]

    def test_it_looks_again_before_it_commits(
        self, folder: Workspace, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A process that was frozen comes back just then."""
        run, changed = left(folder), left(folder)
        make_older(folder, 2 * HOUR)
        from objrun.upkeep import reaping

        def back(act: Callable[[], object], name: str) -> None:
            real = getattr(reaping, name)

            def late(*given: Any) -> Any:
                act()
                return real(*given)

            monkeypatch.setattr(reaping, name, late)

        back(lambda: folder.store.put(heartbeat_key("digits", run.id), b""), "_head")
        assert folder.reap(dry_run=True)[0].run == changed.id
        back(lambda: changed.tag("back"), "create")
        assert folder.reap() == []
        assert {Run.get(folder, each.id).state.status for each in (run, changed)} == {"Running"}

    def test_a_run_that_was_reaped_comes_back(self, folder: Workspace) -> None:
        run = left(folder)
        make_older(folder, 2 * HOUR)
        assert len(folder.reap()) == 1
        back = Run.resume(another(folder), run.id)
        assert back._heartbeat.is_beating
        assert statuses(folder) == {"Running"}
        assert folder.reap() == []
        back.complete()
        assert statuses(folder) == {"Completed"}

    def test_its_process_is_told_if_it_still_lives(self, folder: Workspace) -> None:
        run = left(folder)
        make_older(folder, 2 * HOUR)
        assert len(folder.reap()) == 1
        with pytest.warns(StatusWarning, match="is Failed and stays so"):
            run.complete()

    def test_runs_in_the_trash_and_purged_ones_are_left_alone(self, folder: Workspace) -> None:
        deleted, purged = left(folder), left(folder)
        purged.delete()
        folder.gc(NOTHING)
        deleted.delete()
        folder.store.put(heartbeat_key("digits", purged.id), b"")
        make_older(folder, 2 * HOUR)
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            assert folder.reap() == []

    def test_less_than_the_grace_is_refused(self, ws: Workspace) -> None:
        left(ws)
        with pytest.raises(UserErrorException, match="at least"):
            ws.reap(older_than=timedelta(minutes=1))


class TestUpkeep:
    """Heartbeats are in nobody's way, and go when they are needed no more."""

    def beat(self, ws: Workspace, run: str) -> str:
        key = heartbeat_key("digits", run)
        ws.store.put(key, b"")
        return key

    def there(self, ws: Workspace) -> set[str]:
        listed = ws.store.list(keys.feed("digits"))
        return {info.key for info in listed if parse_heartbeat(info.key)}

    def test_a_vacuum_keeps_those_of_runs_that_go_on(self, folder: Workspace) -> None:
        running, ended, resumed = left(folder), left(folder), left(folder)
        ended.complete()
        resumed.complete()
        beats = [self.beat(folder, run.id) for run in (running, ended, resumed)]
        stray = self.beat(folder, "never-there")
        folder.compact()
        folder.vacuum()
        assert self.there(folder) == {*beats, stray}
        Run.resume(folder, resumed.id)
        make_older(folder, HOUR, "heartbeat")
        folder.vacuum()
        assert self.there(folder) == {beats[0], beats[2]}
        assert folder.reap() == []

    def test_of_those_that_were_created_anew_the_last_stays(self, folder: Workspace) -> None:
        run = left(folder)
        folder.compact()
        for digit in "abc":
            folder.store.put(heartbeat_key("digits", run.id, digit * 16), b"")
            make_older(folder, HOUR, "heartbeat")
        folder.vacuum()
        assert self.there(folder) == {heartbeat_key("digits", run.id, "c" * 16)}

    def test_a_run_that_is_open_somewhere_is_not_purged(self, folder: Workspace) -> None:
        run = left(folder)
        run.delete()
        make_older(folder, 2 * HOUR)
        beat = self.beat(folder, run.id)
        assert folder.gc(HOUR) == []
        make_older(folder, 2 * HOUR)
        assert [freed.run for freed in folder.gc(HOUR)] == [run.id]
        assert beat not in contents(folder)

    def test_one_that_comes_late_brings_nothing_back(self, folder: Workspace) -> None:
        run = left(folder)
        run.delete()
        folder.gc(NOTHING)
        self.beat(folder, run.id)
        experiment = Experiment(folder, "digits")
        assert not experiment.get_runs()
        assert not experiment.metrics().collect().height
        left(folder)
        folder.compact()
        make_older(folder, HOUR)
        folder.vacuum()
        assert not self.there(folder)

    def test_they_are_sound_and_are_not_copied(self, folder: Workspace, ws: Workspace) -> None:
        self.beat(folder, left(folder).id)
        from objrun.tables.verify.store import verify

        assert not [*verify(folder.store)]
        folder.copy_to(ws)
        assert not self.there(ws)
