"""Vacuum: it removes what the greatest checkpoint made needless, and says so exactly."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from objrun import Experiment, Workspace, clock
from objrun.errors import RunExistsError, RunNotFoundError
from objrun.format import keys
from objrun.format.states import RunState
from objrun.protocol.chain import create, first_version, last_version, load
from objrun.protocol.checkpointing import commit_checkpoint, latest_checkpoint
from objrun.protocol.live import run_scheme
from objrun.protocol.tombstones import is_free, tombstone
from objrun.storage.wrappers import CountingStore
from objrun.tables.compaction import compact
from objrun.tables.vacuum import DEAD, vacuum
from objrun.tables.verify.store import verify
from tests.tables.small import (
    NAME,
    NOW,
    WHEN,
    Interrupted,
    Truth,
    check,
    finish,
    flush,
    fresh,
    small_store,
    start_run,
    tag,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from objrun.storage import Store

HOUR = timedelta(hours=1)


@pytest.fixture
def world() -> tuple[Store, Truth]:
    return small_store()


@pytest.fixture
def later(monkeypatch: pytest.MonkeyPatch) -> Callable[[timedelta], None]:
    """Let time pass by the store's clock."""
    real, passed = clock.now, [timedelta(0)]
    monkeypatch.setattr(clock, "now", lambda: real() + passed[0])

    def wait(time: timedelta) -> None:
        passed[0] += time

    return wait


def everything(store: Store) -> dict[str, int]:
    return {info.key: info.size for info in store.list("")}


def folder(store: Store, prefix: Callable[[str], str]) -> list[str]:
    return [info.key for info in store.list(prefix(NAME))]


class TestDryRun:
    @pytest.mark.parametrize("retention", [NOW, HOUR])
    def test_says_what_a_run_frees_to_the_byte(
        self, world: tuple[Store, Truth], retention: timedelta
    ) -> None:
        store, truth = world
        compact(store, NAME)
        before = everything(store)
        counting = CountingStore(store)
        told = vacuum(counting, NAME, retention=retention, dry_run=True)
        assert not {"put", "put_if_absent", "delete"} & counting.counts.keys()
        assert everything(store) == before
        done = vacuum(store, NAME, retention=retention)
        after = everything(store)
        gone = {key: size for key, size in before.items() if key not in after}
        assert after.items() <= before.items()
        assert gone
        for said in (told, done):
            assert {info.key: info.size for info in said.removed} == gone
            assert said.size == sum(before.values()) - sum(after.values())
        assert not vacuum(store, NAME, retention=retention).removed
        check(store, truth, truth)

    def test_of_nothing_is_nothing(self) -> None:
        store, truth = fresh(), Truth()
        start_run(store, truth, "m")
        flush(store, truth, ("m", "00"), 0, 3)
        before = everything(store)
        assert not vacuum(store, NAME, retention=NOW).removed
        assert not vacuum(store, "nobody", retention=NOW).removed
        assert everything(store) == before


class TestRetention:
    def test_counts_from_the_next_checkpoint_by_the_clock_of_the_store(
        self, world: tuple[Store, Truth], later: Callable[[timedelta], None]
    ) -> None:
        store, truth = world
        old = latest_checkpoint(store, NAME)
        assert old is not None
        # Long the latest, and needed until a moment ago.
        later(24 * HOUR)
        compact(store, NAME)
        later(HOUR / 2)
        assert not vacuum(store, NAME, retention=HOUR).checkpoints
        # What a machine with another clock says does not count.
        named = {f"{keys.tables(NAME)}{file.name}" for file in old.files}
        assert named <= everything(store).keys()
        later(HOUR / 2)
        removed = vacuum(store, NAME, retention=HOUR)
        assert [info.key for info in removed.checkpoints] == [keys.checkpoint(NAME, old.number)]
        assert {info.key for info in removed.tables} <= named
        check(store, truth, truth)

    def test_a_reader_of_an_older_checkpoint_reads_on(self, world: tuple[Store, Truth]) -> None:
        store, truth = world
        compact(store, NAME)
        vacuum(store, NAME, retention=NOW)

        def others() -> None:
            for number in range(3):
                tag(store, truth, "z", str(number))
                flush(store, truth, ("z", "00"), number * 5, 5 + number * 5)
                compact(store, NAME, whole=True)
                vacuum(store, NAME, retention=HOUR)

        least = truth.copy()
        reader = Interrupted(store, lambda _, key: "/tables/" in key, others)
        counting = CountingStore(reader)
        check(counting, least, truth)
        assert reader.times == 1
        lists = [one.key for one in counting.log if one.verb == "list"]
        assert len(lists) == len({*lists}) + 1, "it had to start again"

    @pytest.mark.parametrize("place", ["/tables/", "/checkpoints/0", "/shards/m"])
    def test_without_it_a_reader_starts_again(self, world: tuple[Store, Truth], place: str) -> None:
        store, truth = world
        least = truth.copy()

        def others() -> None:
            flush(store, truth, ("z", "00"), 0, 5)
            compact(store, NAME, whole=True)
            vacuum(store, NAME, retention=NOW)

        reader = Interrupted(store, lambda verb, key: verb == "get" and place in key, others)
        check(reader, least, truth)
        assert reader.times == 1

    def test_a_damaged_one_goes_as_others_do(self, world: tuple[Store, Truth]) -> None:
        store, truth = world
        vacuum(store, NAME, retention=NOW)
        tag(store, truth, "z", "x")
        (before,) = (info.key for info in store.list(keys.checkpoints(NAME)))
        compact(store, NAME, whole=True)
        store.put(before, b"{")
        found = vacuum(store, NAME, retention=NOW)
        assert [info.key for info in found.checkpoints] == [before]
        assert found.tables
        check(store, truth, truth)


class TestLateCheckpoints:
    def test_of_a_freed_number_do_no_harm_and_go(self, world: tuple[Store, Truth]) -> None:
        """A compactor that slept commits a number that was used and removed meanwhile."""
        store, truth = world

        def others() -> None:
            for number in range(3):
                tag(store, truth, "z", str(number))
                compact(store, NAME)
            vacuum(store, NAME, retention=NOW)

        before = latest_checkpoint(store, NAME)
        assert before is not None
        sleeper = Interrupted(store, lambda verb, _: verb == "put_if_absent", others)
        made = compact(sleeper, NAME)
        assert made is not None
        assert made.checkpoint.number == before.number + 1
        greatest = latest_checkpoint(store, NAME)
        assert greatest is not None
        assert greatest.number == before.number + 3
        check(store, truth, truth)
        removed = vacuum(store, NAME, retention=NOW)
        assert [info.key for info in removed.checkpoints] == [
            keys.checkpoint(NAME, made.checkpoint.number)
        ]
        own = {file.name for file in made.checkpoint.files} - {f.name for f in before.files}
        assert own
        assert not own & {key.rpartition("/")[2] for key in everything(store)}
        check(store, truth, truth)
        finish(store, truth)

    def test_cover_nothing(self, world: tuple[Store, Truth]) -> None:
        """Only the greatest says what is covered, also while a late one is younger."""
        store, truth = world
        first = latest_checkpoint(store, NAME)
        assert first is not None
        compact(store, NAME)
        vacuum(store, NAME, retention=NOW)
        flush(store, truth, ("m", "11"), 4, 9)
        tag(store, truth, "z", "new")
        # It names what is not there, and covers what is.
        assert commit_checkpoint(store, first)
        assert not vacuum(store, NAME, retention=HOUR).segments
        check(store, truth, truth)
        finish(store, truth)


class TestMarkers:
    def test_of_dead_writers_are_burnt(
        self, world: tuple[Store, Truth], later: Callable[[timedelta], None]
    ) -> None:
        store, truth = world
        compact(store, NAME)
        vacuum(store, NAME, retention=NOW)
        in_flight = [keys.marker(NAME, "m", 3), keys.marker(NAME, "never", 1)]
        for key in in_flight:
            store.put(key, b"")
        later(DEAD - timedelta(minutes=1))
        assert not vacuum(store, NAME, retention=NOW).burnt
        later(timedelta(minutes=1))
        told = vacuum(store, NAME, retention=NOW, dry_run=True)
        assert sorted(one.run for one in told.burnt) == ["m", "never"]
        assert last_version(store, run_scheme(NAME, "m")) == 2
        vacuum(store, NAME, retention=NOW)
        # Its writer, if it lives after all, loses against a version that changes nothing.
        before, after = (load(store, run_scheme(NAME, "m"), number) for number in (2, 3))
        assert (after.ops, after.state) == ((), before.state)
        assert is_free(load(store, run_scheme(NAME, "never"), 1))
        truth.versions["m"] = 3
        check(store, truth, truth)
        compact(store, NAME)
        vacuum(store, NAME, retention=NOW)
        assert not folder(store, keys.feed)
        finish(store, truth)

    def test_of_a_version_that_came_meanwhile_are_left(
        self, world: tuple[Store, Truth], later: Callable[[timedelta], None]
    ) -> None:
        store, truth = world
        compact(store, NAME)
        store.put(keys.marker(NAME, "z", 2), b"")
        later(2 * DEAD)
        late = Interrupted(
            store, lambda verb, _: verb == "put_if_absent", lambda: tag(store, truth, "z", "late")
        )
        vacuum(late, NAME, retention=NOW)
        assert late.times == 1
        state = load(store, run_scheme(NAME, "z"), 2).state
        assert state is not None
        assert state.tags == {"t": "late"}
        check(store, truth, truth)
        finish(store, truth)

    def test_of_a_start_that_never_happened_leave_the_id_free(
        self, later: Callable[[timedelta], None]
    ) -> None:
        """Also where the second start dies at the same place."""
        ws = Workspace(f"memory://{clock.random_hex(8)}")
        experiment = Experiment(ws, NAME)
        experiment.start_logging(run_id="other").complete()
        store = ws.writing()
        compact(store, NAME)
        for version in (1, 2):
            store.put(keys.marker(NAME, "r", version), b"")
            later(2 * DEAD)
            assert [one.run for one in vacuum(store, NAME, retention=NOW).burnt] == ["r"]
            assert not vacuum(store, NAME, retention=NOW).burnt
            assert not folder(store, keys.feed)
        with pytest.raises(RunNotFoundError, match="there is no run 'r'"):
            ws.get_run("r")
        assert [*verify(store)] == []
        with experiment.start_logging(run_id="r", tags={"a": "b"}) as run:
            run.log("x", 1.0)
        with pytest.raises(RunExistsError):
            experiment.start_logging(run_id="r")
        for _ in range(2):
            again = Workspace(ws.url).get_run("r")
            assert (again.status, again.get_metrics()) == ("Completed", {"x": 1.0})
            assert [entry["version"] for entry in again.history()] == [3, 4]
            assert {"op": "set_tags", "tags": {"a": "b"}} in again.history()[0]["ops"]
            assert [*verify(store, deep=True)] == []
            compact(store, NAME)
            vacuum(store, NAME, retention=NOW)
        run.delete()
        ws.gc(NOW)
        assert [info.key for info in store.list("runs/r/")] == ["runs/r/state/00000006.json"]
        with pytest.raises(RunExistsError):
            experiment.start_logging(run_id="r")

    def test_of_a_start_that_lost_the_race_for_an_id_go(
        self, world: tuple[Store, Truth], later: Callable[[timedelta], None]
    ) -> None:
        """Its id is that of a run of another experiment, which may be purged by now."""
        store, truth = world
        compact(store, NAME)
        vacuum(store, NAME, retention=NOW)
        for run in ("lost", "purged"):
            state = RunState(run_id=run, experiment="o", number=1, root_run_id=run, created=WHEN)
            assert create(store, run_scheme("o", run), first_version(state))
            store.put(keys.marker(NAME, run, 1), b"")
        assert create(store, run_scheme("o", "purged"), tombstone(2, "o", "purge"))
        store.delete([keys.run_state("purged", 1)])
        later(2 * DEAD)
        before = everything(store)
        removed = vacuum(store, NAME, retention=NOW)
        assert not removed.burnt
        gone = {keys.marker(NAME, run, 1) for run in ("lost", "purged")}
        assert {info.key for info in removed.markers} == gone
        assert before.keys() - everything(store).keys() == gone
        check(store, truth, truth)

    def test_of_a_run_that_is_made_just_now_are_left(
        self, world: tuple[Store, Truth], later: Callable[[timedelta], None]
    ) -> None:
        store, _ = world
        compact(store, NAME)
        scheme, marker = run_scheme(NAME, "late"), keys.marker(NAME, "late", 1)
        state = RunState(run_id="late", experiment=NAME, number=9, root_run_id="late", created=WHEN)
        store.put(marker, b"")
        later(2 * DEAD)
        late = Interrupted(
            store,
            lambda verb, key: verb == "list" and key == scheme.folder,
            lambda: store.put(scheme.key(1), scheme.encode(first_version(state))),
        )
        assert not vacuum(late, NAME, retention=NOW).burnt
        assert late.times == 1
        assert marker in everything(store)

    def test_of_a_run_that_is_being_purged_are_its_purges(
        self, world: tuple[Store, Truth], later: Callable[[timedelta], None]
    ) -> None:
        """Whoever has begun may have been killed, and the next one finds it by the last marker."""
        store, truth = world
        compact(store, NAME)
        scheme = run_scheme(NAME, "gone")
        store.put(keys.marker(NAME, "gone", 1), b"")
        later(2 * DEAD)
        assert create(store, scheme, tombstone(2, NAME, "purge"))
        markers = [keys.marker(NAME, "gone", version) for version in (1, 2, 3)]
        for version in (2, 3):
            vacuum(store, NAME, retention=NOW)
            assert {*markers[:version]} <= everything(store).keys()
            store.put(markers[2], b"")
            later(2 * DEAD)
        assert not vacuum(store, NAME, retention=NOW).burnt
        assert {*markers} <= everything(store).keys()
        check(store, truth, truth)

    def test_of_a_run_that_is_damaged_elsewhere_are_left(
        self, world: tuple[Store, Truth], later: Callable[[timedelta], None]
    ) -> None:
        store, truth = world
        compact(store, NAME)
        state = RunState(run_id="lost", experiment="o", number=1, root_run_id="lost", created=WHEN)
        assert create(store, run_scheme("o", "lost"), first_version(state))
        store.put(keys.run_state("lost", 2), b"{")
        store.put(keys.marker(NAME, "lost", 1), b"")
        later(2 * DEAD)
        assert not vacuum(store, NAME, retention=NOW).burnt
        assert keys.marker(NAME, "lost", 1) in everything(store)
        check(store, truth, truth)

    def test_of_a_damaged_version_are_no_dead_writers(
        self, world: tuple[Store, Truth], later: Callable[[timedelta], None]
    ) -> None:
        store, truth = world
        compact(store, NAME)
        tag(store, truth, "m", "late")
        store.put(keys.run_state("m", 3), b"{")
        later(2 * DEAD)
        assert not vacuum(store, NAME, retention=NOW).burnt
        assert keys.marker(NAME, "m", 3) in everything(store)

    def test_of_a_damaged_run_stop_nothing(
        self, world: tuple[Store, Truth], later: Callable[[timedelta], None]
    ) -> None:
        store, truth = world
        compact(store, NAME)
        state = keys.run_state("m", 2)
        whole = store.get(state)
        store.put(state, b"{")
        store.put(keys.marker(NAME, "m", 3), b"")
        later(2 * DEAD)
        assert vacuum(store, NAME, retention=NOW).segments
        assert not folder(store, keys.shards)
        store.put(state, whole)
        assert vacuum(store, NAME, retention=NOW).burnt
        truth.versions["m"] = 3
        finish(store, truth)
