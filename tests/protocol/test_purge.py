"""The purge of runs: who may be purged, and how it races with those who restore and commit."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from objrun import clock
from objrun.errors import CommitUnknownError, RunNotFoundError
from objrun.format import keys
from objrun.format.documents import encode_run
from objrun.format.states import RunState, Version
from objrun.protocol.chain import Chain, create, first_version, last_version, load, load_last
from objrun.protocol.live import run_scheme
from objrun.protocol.purge import Doomed, list_markers, plan_runs, purge_runs
from objrun.protocol.updates import CREATE, SetLifecycle, SetStatus, SetTags
from objrun.storage import connect
from tests.protocol.last_runs import read_runs
from tests.protocol.turns import Program, take_turns

if TYPE_CHECKING:
    from objrun.storage import Store

WHEN = datetime(2026, 1, 31, 12, tzinfo=UTC)
DELETE = SetLifecycle("deleted", WHEN)
RESTORE = SetLifecycle("active", WHEN)
SEGMENT = keys.segment("e", "r", "00ff", 0, 10)
DAMAGED = b"not read by a purge"


def started(store: Store, run: str = "r", status: str = "Completed") -> Chain[RunState]:
    """Return a handle on a run of two versions, written long ago, with all sorts of objects."""
    state = RunState(
        run_id=run, experiment="e", number=1, root_run_id=run, created=WHEN, status=status
    )
    scheme = run_scheme("e", run)
    version = replace(first_version(state, [CREATE]), written=WHEN)
    assert create(store, scheme, version)
    version = replace(version, version=2)
    assert create(store, scheme, version)
    store.put(SEGMENT.replace("/r/", f"/{run}/"), DAMAGED)
    store.put(keys.run_property(run, "p"), DAMAGED)
    store.put(f"runs/{run}/artifacts/model.bin", DAMAGED)
    store.put(f"runs/{run}/logs/std_log.txt/0199c0ffee00beef-000000000000-000000000003", DAMAGED)
    return Chain(store, scheme, version)


def plan(store: Store, run: str = "r", limit: datetime | None = None) -> list[Doomed]:
    return plan_runs(store, "e", [run], list_markers(store, "e"), limit or store.now())


def purge(store: Store, run: str = "r") -> list[Doomed]:
    return purge_runs(store, plan(store, run), lambda _runs: None)


def everything(store: Store) -> set[str]:
    return {info.key for info in store.list("")}


def test_all_but_a_tombstone_goes_and_of_others_nothing(store: Store) -> None:
    started(store, "other")
    others = everything(store)
    started(store).commit(DELETE)
    (doomed,) = purge(store)
    assert everything(store) - others == {"runs/r/state/00000004.json"}
    assert others <= everything(store)
    assert doomed.freed()[:2] == ("e", "r")
    assert read_runs(store, {"e": {}})["e"].versions.keys() == {"other"}


def test_what_it_frees_is_what_listings_lose(store: Store) -> None:
    started(store).commit(DELETE)
    before = store.list("")
    (told,) = (doomed.freed() for doomed in plan(store))
    purge(store)
    after = store.list("")
    assert told.objects == len(before) - len(after) > 0
    assert told.size == sum(i.size for i in before) - sum(i.size for i in after) > 0


def test_only_what_was_marked_before_the_limit(store: Store) -> None:
    chain = started(store)
    assert not plan(store), "not deleted"
    before = store.now()
    chain.commit(DELETE)
    assert not plan(store, limit=before), "not for long"
    chain.commit(RESTORE)
    assert not plan(store), "restored"
    chain.commit(DELETE)
    after = store.now()
    assert plan(store, limit=after)
    chain.commit(SetTags({"late": "1"}))
    assert not plan(store, limit=after), "somebody still writes"
    assert plan(store)


def test_a_run_that_goes_on_is_spared_while_it_logs(store: Store) -> None:
    started(store, status="Running").commit(DELETE)
    limit = store.now()
    assert plan(store, limit=limit)
    clock.sleep(0.001)
    store.put(SEGMENT, DAMAGED)
    assert not plan(store, limit=limit)


def test_the_last_mark_counts(store: Store) -> None:
    chain = started(store)
    chain.commit(DELETE)
    limit = store.now()
    chain.commit(RESTORE)
    chain.commit(DELETE)
    assert not plan(store, limit=limit)
    assert plan(store)


def test_a_run_of_another_experiment_is_left_alone(store: Store) -> None:
    """Its marker is here because somebody lost the race for its id."""
    started(store).commit(DELETE)
    store.put(keys.marker("lost", "r", 1), b"")
    before = everything(store)
    markers = list_markers(store, "lost")
    assert not plan_runs(store, "lost", ["r"], markers, store.now())
    purge(store)
    assert not plan_runs(store, "lost", ["r"], markers, store.now())
    assert "experiments/lost/feed/r.00000001" in before & everything(store)


def test_a_blind_version_behind_the_tombstone_goes(store: Store) -> None:
    started(store).commit(DELETE)
    purge(store)
    blind: Version[RunState] = Version(
        version=5, write_id="w", written=WHEN, ops=({"op": "set_tags"},), state=None, base=2
    )
    store.put(keys.marker("e", "r", 5), b"")
    store.put(keys.run_state("r", 5), encode_run(blind))
    assert read_runs(store, {"e": {}})["e"].purged == {"r"}
    purge(store)
    assert everything(store) == {"runs/r/state/00000004.json"}


TURNS = st.lists(st.integers(0, 3), max_size=45)


@settings(max_examples=300)
@given(TURNS)
def test_it_races_with_a_restore_a_commit_and_a_stale_handle(turns: list[int]) -> None:
    """Whoever is told "done" is right, whatever order the requests of all come in.

    What a purge takes was written long ago, so all the handles know old versions.
    """
    store = connect(f"memory://{clock.random_hex(8)}")
    chain = started(store)
    stale = load(store, chain.scheme, 1)
    chain.commit(DELETE)
    head = replace(chain.head, written=WHEN)
    heads = [stale, head, head]
    changes: list[Any] = [SetTags({"stale": "1"}), SetTags({"old": "1"}), RESTORE]

    def commits(which: int) -> Program:
        def work(own: Store) -> int:
            handle = Chain(own, chain.scheme, heads[which])
            handle.commit(changes[which])
            return handle.head.version

        return Program(work)

    purging = Program(purge)
    writers = [commits(which) for which in range(3)]
    take_turns(store, [purging, *writers], turns)
    end = load_last(store, chain.scheme)
    assert end is not None
    told = [program.result for program in writers]
    assert all(isinstance(one, int | RunNotFoundError | CommitUnknownError) for one in told), told
    if end.purged:
        # What was acknowledged stood in the chain when it ended, on names never used before.
        assert all(3 < one < end.version for one in told if isinstance(one, int)), told
        assert not isinstance(told[2], int), "a restore was lost"
        # What they left in between goes with the next purge.
        store.put(keys.marker("e", "r", end.version), b"")
        purge(store)
        assert everything(store) == {chain.scheme.key(end.version)}
    else:
        assert purging.result == []
        assert {keys.run_state("r", n) for n in range(1, end.version + 1)} <= everything(store)
        assert everything(store) >= {SEGMENT, keys.run_property("r", "p")}
        assert last_version(store, chain.scheme) == max(
            [3, *(one for one in told if isinstance(one, int))]
        )


def test_a_reader_beside_it_sees_the_run_or_nothing(store: Store) -> None:
    """In any order of the requests of both: deleted with all that it had, or purged."""
    for first in range(12):
        place = connect(f"memory://{clock.random_hex(8)}")
        started(place).commit(DELETE)
        reading = Program(lambda own: read_runs(own, {"e": {}})["e"])
        purging = Program(purge)
        take_turns(place, [purging, reading], [0] * first + [1, 0, 0, 1, 0, 1, 1])
        found = reading.result
        assert not isinstance(found, Exception), found
        assert not found.damaged
    assert store.list("") == []


def test_a_late_end_of_a_run_is_refused_too(store: Store) -> None:
    chain = started(store, status="Running")
    other = Chain(store, chain.scheme, chain.head)
    chain.commit(DELETE)
    purge(store)
    with pytest.raises(RunNotFoundError, match="purged"):
        other.commit(SetStatus("Completed", clock.now()))
