"""Copies from store to store: complete, in order, once, and never over what is another's."""

from __future__ import annotations

from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest

from objrun import Experiment, Run, Workspace, clock
from objrun.errors import NotAStoreError, StoreError, UnavailableError, UserErrorException
from objrun.format import keys
from objrun.protocol.chain import load
from objrun.protocol.copy.carry import Carrier
from objrun.protocol.copy.copying import copy_experiments
from objrun.protocol.copy.listing import FEW
from objrun.protocol.copy.pair import Pair
from objrun.protocol.experiments import experiment_scheme
from objrun.protocol.live import run_scheme
from objrun.protocol.tombstones import tombstone
from objrun.storage import CountingStore, FaultyStore, Store, connect
from objrun.tables import copying as tables
from objrun.tables.vacuum import no_change
from objrun.upkeep.copying import choose, copy_workspace

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from objrun.protocol.copy.work import Copied
    from objrun.testing.servers import Server


def fresh() -> Workspace:
    """An empty place in memory."""
    return Workspace(f"memory://{clock.random_hex(8)}")


def store_of(workspace: Workspace) -> Store:
    return connect(workspace.url, **workspace.storage_options)


def contents(workspace: Workspace) -> dict[str, bytes]:
    """Every object but the probe, which is made by whoever opens a store for writing."""
    store = store_of(workspace)
    listed = [info.key for info in store.list("")]
    return {key: store.get(key) for key in listed if not key.startswith(keys.PROBE)}


def copy(source: Workspace, target: Workspace, **chosen: list[str]) -> Copied:
    picked = choose(source, chosen.get("experiments", []), chosen.get("runs", []))
    return copy_workspace(source, target, picked, lambda _copied: None)


def between(
    source: Store, target: Store, *names: str, tell: Callable[[Copied], None] | None = None
) -> Copied:
    """Copy all of some experiments from store to store."""
    pair = Pair(source, target)
    work = Carrier(pair, tables, tell or (lambda _copied: None))
    copy_experiments(pair, dict.fromkeys(names), work, tables, whole=True)
    return work.copied


def fill(workspace: Workspace, runs: int = 2, experiment: str = "digits") -> list[Run]:
    """Runs with several versions, a property of its own, points, and a child each."""
    made = []
    for number in range(runs):
        run = Experiment(workspace, experiment).start_logging(tags={"number": str(number)})
        run.add_properties({"data.version": "1"})
        run.log("loss", 0.5, step=0)
        child = run.child_run("child")
        child.log("loss", 0.25, step=0)
        child.complete()
        run.complete()
        made.append(run)
    return made


@pytest.fixture
def source() -> Workspace:
    workspace = fresh()
    fill(workspace)
    return workspace


def test_a_copy_is_the_same_byte_by_byte(source: Workspace) -> None:
    target = fresh()
    copied = copy(source, target)
    assert contents(target) == contents(source)
    assert target.store_id == source.store_id
    assert (copied.runs, copied.all_runs, copied.seen) == (4, 4, 4)
    markers = [key for key in contents(source) if "/feed/" in key]
    assert copied.objects == len(contents(source)) - len(markers)
    assert copied.size == sum(map(len, contents(source).values()))


def test_from_a_folder_to_s3_and_back(s3_server: Server, tmp_path: Path) -> None:
    folder = Workspace(tmp_path / "spool", {"durability": "none"})
    bucket = Workspace(f"{s3_server.new_bucket()}/runs", s3_server.options)
    back = Workspace(tmp_path / "back", {"durability": "none"})
    [run, _] = fill(folder)
    copy(folder, bucket)
    copy(bucket, back)
    assert contents(folder) == contents(bucket) == contents(back)
    assert copy(folder, bucket).objects == 0
    assert bucket.get_run(run.id).get_metrics() == {"loss": 0.5}


def test_from_s3_to_gcs(s3_server: Server, gcs_server: Server) -> None:
    source = Workspace(s3_server.new_bucket(), s3_server.options)
    target = Workspace(gcs_server.new_bucket(), gcs_server.options)
    fill(source, 1)
    copy(source, target)
    assert contents(target) == contents(source)
    assert copy(source, target).objects == 0


@pytest.mark.parametrize("runs", [3, FEW + 1], ids=["few", "many"])
def test_a_second_copy_only_lists(runs: int) -> None:
    spool, bucket = fresh(), fresh()
    for _ in range(runs):
        Experiment(spool, "digits").start_logging().complete()
    source, target = CountingStore(store_of(spool)), CountingStore(store_of(bucket))
    between(source, target, "digits")
    source.reset()
    target.reset()
    again = between(source, target, "digits")
    assert (again.objects, again.size, again.runs, again.seen) == (0, 0, 0, runs)
    assert target.bytes_written == 0
    assert target.counts.keys() == source.counts.keys() == {"get", "list"}
    assert [asked.key for asked in target.log if asked.verb == "get"] == [keys.HEADER]
    # The chain of the experiment, its checkpoints, and of few runs two each, else two for all.
    lists = 2 + (2 * runs if runs <= FEW else 2)
    assert target.counts["list"] == lists
    # Its markers, too, and the checkpoints twice.
    assert source.counts["list"] == lists + 2


def test_a_dry_run_says_what_a_copy_then_does(source: Workspace) -> None:
    target = fresh()
    would = source.copy_to(target, dry_run=True)
    with pytest.raises(NotAStoreError):
        target.reading()
    assert would == source.copy_to(target)
    assert source.copy_to(target, dry_run=True).objects == 0


def test_what_comes_later_comes_with_the_next_copy(source: Workspace) -> None:
    target = fresh()
    run = Experiment(source, "digits").start_logging()
    run.log("loss", 1.0, step=0)
    run.flush()
    copy(source, target)
    there = target.get_run(run.id)
    assert (there.get_status(), there.get_metrics()) == ("Running", {"loss": 1.0})
    run.log("loss", 0.5, step=1)
    run.tag("best")
    run.complete()
    copied = copy(source, target)
    assert copied.runs == 1
    there = target.get_run(run.id)
    assert (there.get_status(), there.tags) == ("Completed", {"best": None})
    assert there.get_metrics() == {"loss": [1.0, 0.5]}
    # What the writer superseded and deleted is deleted in the copy, too.
    assert contents(target) == contents(source)


def test_every_prefix_of_a_copy_is_a_right_store_and_can_be_gone_on_with(
    source: Workspace,
) -> None:
    """After each write of a copy: chains without holes, runs with all points; then a crash."""
    running = Experiment(source, "digits").start_logging()
    writes = CountingStore(store_of(fresh()))
    between(store_of(source), writes, "digits")
    verbs = {"put", "put_if_absent", "delete"}
    total = sum(writes.counts[verb] for verb in verbs)
    assert total > 20
    expected = {run.id: run.get_metrics() for run in Experiment(source, "digits").get_runs()}
    for allowed in range(total):
        target = fresh()
        left = iter([None] * allowed)
        plan = partial(_until, left, verbs)
        with pytest.raises(_CrashError):
            between(store_of(source), FaultyStore(store_of(target), plan), "digits")
        if keys.HEADER in contents(target):
            for run in Experiment(target, "digits").get_runs():
                assert run.get_metrics() == expected[run.id]
        _check_chains(contents(target))
        copy(source, target)
        assert contents(target) == contents(source)
    running.complete()


class _CrashError(Exception):
    pass


def _until(left: Any, verbs: set[str], verb: str, _key: str) -> Exception | None:
    return _CrashError() if verb in verbs and next(left, "end") == "end" else None


def _check_chains(found: dict[str, bytes]) -> None:
    """Each has all versions up to its last, and each but the first has its marker.

    No marker stands for a run that is not there: a vacuum would take the id for used up.
    """
    chains: dict[str, list[int]] = {}
    for key in sorted(found):
        folder, _, name = key.rpartition("/")
        if folder.endswith("/state"):
            chains.setdefault(folder, []).append(keys.parse_version(name) or 0)
    for folder, versions in chains.items():
        assert versions == [*range(1, len(versions) + 1)]
        for version in versions[1:] if folder.startswith("runs/") else ():
            assert keys.marker("digits", folder.split("/")[1], version) in found
    marked = {m.run for key in found if "/feed/" in key and (m := keys.parse_marker(key))}
    assert marked <= {folder.split("/")[1] for folder in chains}


def test_a_segment_that_vanishes_is_found_again_in_the_longer_one() -> None:
    spool, bucket = fresh(), fresh()
    run = Experiment(spool, "digits").start_logging()
    run.log("loss", 1.0)
    run.flush()
    inner = store_of(spool)
    flushed: list[str] = []

    def more(verb: str, key: str) -> None:
        if verb == "get" and "/shards/" in key and not flushed:
            flushed.append(key)
            run.log("loss", 0.5)
            run.flush()

    copied = between(FaultyStore(inner, more), store_of(bucket), "digits")
    assert flushed
    with pytest.raises(Exception, match=r"."):
        inner.get(flushed[0])
    assert bucket.get_run(run.id).get_metrics() == {"loss": [1.0, 0.5]}
    assert (copied.runs, copied.seen) == (1, 1)
    run.complete()


def test_a_marker_without_its_version_stays_behind(source: Workspace) -> None:
    target = fresh()
    [run, *_] = Experiment(source, "digits").get_runs()
    dead = keys.marker("digits", run.id, 99), keys.marker("digits", "never-made", 1)
    for key in dead:
        store_of(source).put(key, b"")
    copy(source, target)
    assert not {*dead} & contents(target).keys()


def test_two_spools_merge_into_one_bucket() -> None:
    spools, bucket = [fresh(), fresh()], fresh()
    runs = [fill(spool, 2)[0] for spool in spools]
    for spool in spools:
        Experiment(spool, "digits").tag("of", spool.name)
    first, second = copy(spools[0], bucket), copy(spools[1], bucket)
    assert first.taken == []
    assert sorted(taken.number for taken in second.taken) == [1, 2, 3, 4]
    assert second.conflicts == []
    for spool in spools:
        for run in Experiment(spool, "digits").get_runs(include_children=True):
            there = bucket.get_run(run.id)
            assert there.state == run.state
            assert there.get_metrics() == run.get_metrics()
    assert len(Experiment(bucket, "digits").get_runs(include_children=True)) == 8
    # The experiment and the numbers are those of the first.
    assert Experiment(bucket, "digits").tags == {"of": spools[0].name}
    assert bucket.get_run(runs[0].id).number == bucket.get_run(runs[1].id).number == 1
    assert Experiment(bucket, "digits").start_logging().number == 5
    for spool in spools:
        again = copy(spool, bucket)
        assert (again.objects, again.taken) == (0, [])


def test_a_number_far_on_is_found_by_who_takes_the_next() -> None:
    """The last number of each bucket before goes along, or the next number would be missed."""
    spool, bucket = fresh(), fresh()
    store = store_of(spool)
    [run] = fill(spool, 1)
    claim = store.get(keys.number("digits", 1))
    for number in (999, 1999):
        body = claim.replace(b'"number":1,', f'"number":{number},'.encode())
        store.put(keys.number("digits", number), body)
    late = Experiment(spool, "digits").start_logging()
    assert late.number == 2000
    late.complete()
    copy(spool, bucket, runs=[late.id])
    assert Experiment(bucket, "digits").start_logging().number == 2001
    assert run.id not in {run.id for run in Experiment(bucket, "digits").get_runs()}


def test_another_run_of_the_same_id_is_a_conflict_and_stays() -> None:
    spool, bucket = fresh(), fresh()
    for workspace, value in ((spool, 1.0), (bucket, 2.0)):
        with Experiment(workspace, "digits").start_logging(run_id="chosen") as run:
            run.log("loss", value)
    before = contents(bucket)
    with pytest.raises(StoreError, match="chosen is another run of the same id"):
        spool.copy_to(bucket)
    assert contents(bucket) == before
    assert spool.copy_to(bucket, dry_run=True).conflicts


def test_a_run_changed_on_both_sides_gets_what_it_lacks() -> None:
    spool, bucket = fresh(), fresh()
    run = Experiment(spool, "digits").start_logging(tags={"seen": "no"})
    copy(spool, bucket)
    bucket.get_run(run.id).tag("seen", "yes")
    bucket.get_run(run.id).tag("seen", "twice")
    run.log("loss", 1.0)
    run.flush()
    # So far only there.
    copy(spool, bucket)
    assert bucket.get_run(run.id).get_metrics() == {"loss": 1.0}
    run.tag("mine")
    run.log("loss", 0.5)
    run.complete()
    copied = copy(spool, bucket)
    assert (copied.runs, copied.conflicts) == (1, [])
    there = bucket.get_run(run.id)
    assert there.tags == {"seen": "twice", "mine": None}
    assert (there.get_status(), there.get_metrics()) == ("Completed", {"loss": [1.0, 0.5]})
    assert there.state.ended == run.state.ended
    ours, theirs = ([entry["ops"] for entry in each.history()] for each in (run, there))
    assert theirs == [ours[0], *theirs[1:3], *ours[1:]]
    assert copy(spool, bucket).objects == 0
    # And back again: what came from here is not taken for something new.
    assert copy(bucket, spool).objects == 2
    assert copy(bucket, spool).objects == copy(spool, bucket).objects == 0
    assert spool.get_run(run.id).tags == there.tags


def test_a_marker_that_was_burnt_costs_no_version() -> None:
    """A vacuum makes the version that an interrupted copy only announced: it changes nothing."""
    spool, bucket = fresh(), fresh()
    run = Experiment(spool, "digits").start_logging()
    copy(spool, bucket)
    scheme = run_scheme("digits", run.id)
    burnt = no_change(load(store_of(bucket), scheme, 1))
    store_of(bucket).put(keys.marker("digits", run.id, 2), b"")
    store_of(bucket).put_if_absent(scheme.key(2), scheme.encode(burnt))
    run.complete()
    assert copy(spool, bucket).conflicts == []
    assert bucket.get_run(run.id).get_status() == "Completed"


def test_an_experiment_changed_on_both_sides_gets_what_it_lacks() -> None:
    spool, bucket = fresh(), fresh()
    fill(spool, 1)
    copy(spool, bucket)
    Experiment(spool, "digits").tag("here")
    copy(spool, bucket)
    assert Experiment(bucket, "digits").tags == {"here": None}
    Experiment(bucket, "digits").tag("there")
    assert copy(spool, bucket).objects == 0
    Experiment(spool, "digits").tag("here", "too")
    assert copy(spool, bucket).objects == 1
    assert Experiment(bucket, "digits").tags == {"here": "too", "there": None}
    assert copy(spool, bucket).objects == 0


def test_what_was_purged_there_stays_so() -> None:
    spool, bucket = fresh(), fresh()
    gone, left = fill(spool, 2)
    copy(spool, bucket)
    store = store_of(bucket)
    scheme = run_scheme("digits", gone.id)
    last = len(gone.history())
    end = tombstone(last + 1, "digits", "purge")
    store.put_if_absent(scheme.key(end.version), scheme.encode(end))
    before = contents(bucket)
    for count in range(2):
        left.tag("count", count)
        copied = copy(spool, bucket)
        assert (copied.purged, copied.conflicts, copied.objects) == ([gone.id], [], 1)
        store.delete(scheme.key(version) for version in range(1, last + 1))
    assert {key for key in contents(bucket) if gone.id in key} < before.keys()
    # Nor does a tombstone go where the run is.
    spool, bucket = bucket, fresh()
    assert copy(spool, bucket).purged == []
    assert not [key for key in contents(bucket) if gone.id in key]


def test_an_experiment_that_was_purged_there_is_not_made_again() -> None:
    spool, bucket = fresh(), fresh()
    fill(spool, 1)
    Experiment(bucket, "digits").tag("a")
    store = store_of(bucket)
    scheme = experiment_scheme("digits")
    store.put_if_absent(scheme.key(3), scheme.encode(tombstone(3, "digits", "purge")))
    store.delete([scheme.key(1), scheme.key(2)])
    [conflict] = copy(spool, bucket).conflicts
    assert "'digits' was purged there" in conflict
    assert not [key for key in contents(bucket) if key.startswith("runs/")]


def test_an_experiment_that_was_purged_here_and_made_anew_is_copied() -> None:
    spool, bucket = fresh(), fresh()
    fill(spool, 1)
    Experiment.delete(spool, "digits", with_runs=True)
    spool.gc(timedelta(0))
    assert copy(spool, bucket).objects == 1  # the header
    [run] = fill(spool, 1)
    copied = copy(spool, bucket)
    assert (copied.runs, copied.conflicts) == (2, [])
    assert bucket.get_run(run.id).get_metrics() == {"loss": 0.5}
    assert Experiment(bucket, "digits").id == Experiment(spool, "digits").id
    Experiment(spool, "digits").tag("more")
    assert copy(spool, bucket).objects == 1
    assert copy(spool, bucket).objects == 0


def test_only_some_experiments_or_runs_are_copied() -> None:
    source = fresh()
    first, second = fill(source, 2)
    fill(source, 1, "other")
    target = fresh()
    copy(source, target, experiments=["other"])
    assert target.experiment_names() == ["other"]
    assert target.store_id != source.store_id
    copied = copy(source, target, runs=[first.id])
    assert copied.runs == 2
    children = target.get_run(first.id).get_children()
    assert [child.parent.id for child in children if child.parent] == [first.id]
    assert second.id not in {run.id for run in Experiment(target, "digits").get_runs()}


def test_damage_of_one_run_does_not_stop_the_others(source: Workspace) -> None:
    target = fresh()
    bad, good = Experiment(source, "digits").get_runs()
    store_of(source).put(keys.run_state(bad.id, 1), b"{")
    [conflict] = copy(source, target).conflicts
    assert f"run {bad.id} is not copied: " in conflict
    assert [run.id for run in Experiment(target, "digits").get_runs()] == [good.id]


def test_a_damaged_version_goes_along_as_it_is(source: Workspace) -> None:
    target = fresh()
    [run, _] = Experiment(source, "digits").get_runs()
    store_of(source).put(keys.run_state(run.id, 2), b"{")
    assert copy(source, target).conflicts == []
    assert contents(target) == contents(source)


def test_wrong_places_are_refused(source: Workspace) -> None:
    with pytest.raises(UserErrorException, match="both where to copy from"):
        copy(source, Workspace(source.url))
    with pytest.raises(NotAStoreError):
        copy(fresh(), source)
    strange = fresh()
    store_of(strange).put("holiday.jpg", b"1")
    for dry_run in (True, False):
        with pytest.raises(NotAStoreError, match="holiday"):
            source.copy_to(strange, dry_run=dry_run)


def test_a_target_that_fails_is_tried_again_and_then_an_error(
    source: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    failures = iter([UnavailableError("503")] * 30)
    target = fresh()
    failing = FaultyStore(store_of(target), lambda _verb, _key: next(failures, None))
    between(store_of(source), failing, "digits")
    assert contents(target) == contents(source)
    monkeypatch.setattr("objrun.protocol.settle.insist.__kwdefaults__", {"patience": 0.0})
    down = FaultyStore(store_of(fresh()), lambda _verb, _key: UnavailableError("503"))
    with pytest.raises(UnavailableError):
        between(store_of(source), down, "digits")
