"""The commit loop under races and faults: one line of history that holds all that was told done."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from itertools import pairwise
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from objrun import clock
from objrun.errors import CommitUnknownError, CorruptObjectError, StoreError
from objrun.format.documents import decode_run, encode_run
from objrun.format.states import RunState, Version
from objrun.protocol.chain import Chain, create, first_version, last_version, load
from objrun.protocol.live import run_scheme
from objrun.protocol.updates import CREATE, SetParams, SetStatus, SetTags, replay
from objrun.storage import connect
from objrun.storage.wrappers import CountingStore, Fault, FaultyStore
from tests.protocol.faults import DENIED, DOWN, LOST, chaos, script

if TYPE_CHECKING:
    from objrun.storage import Store
    from tests.protocol.faults import Plan

WHEN = datetime(2026, 1, 31, 12, tzinfo=UTC)
SCHEME = run_scheme("e", "r")
STATE = RunState(run_id="r", experiment="e", number=1, root_run_id="r", created=WHEN)


def started(store: Store) -> Version[RunState]:
    version = first_version(STATE, [CREATE])
    assert create(store, SCHEME, version)
    return version


def history(store: Store) -> list[Version[RunState]]:
    """All versions, proven to be one line: each is the replay of its operations onto the last."""
    last = last_version(store, SCHEME)
    versions = [load(store, SCHEME, number) for number in range(1, last + 1)]
    for before, after in pairwise(versions):
        assert before.state is not None
        assert after.state == replay("k", before.state, after.ops)
        assert after.version == before.version + 1
    keys = {info.key for info in store.list("experiments/e/feed/")}
    assert keys >= {f"experiments/e/feed/r.{v.version:08d}" for v in versions}, "marker missing"
    return versions


def tags_at_the_end(store: Store) -> set[str]:
    state = history(store)[-1].state
    assert state is not None
    return set(state.tags)


def test_a_chain_is_made_once(store: Store) -> None:
    started(store)
    assert not create(store, SCHEME, first_version(STATE, [CREATE]))
    assert create(FaultyStore(store, lambda *_: None), run_scheme("e", "q"), first_version(STATE))


def test_a_commit_is_a_marker_then_a_version(store: Store) -> None:
    head = started(store)
    counting = CountingStore(store)
    Chain(counting, SCHEME, head).commit(SetTags({"a": "1"}))
    assert [tuple(asked) for asked in counting.log] == [
        ("put", "experiments/e/feed/r.00000002"),
        ("put_if_absent", "runs/r/state/00000002.json"),
    ]


def test_a_marker_is_put_until_it_is_there(store: Store) -> None:
    faulty = FaultyStore(store, script("put", [DOWN, LOST, DOWN]))
    Chain(faulty, SCHEME, started(store)).commit(SetTags({"a": "1"}))
    assert tags_at_the_end(store) == {"a"}


def test_who_is_far_behind_reads_on_before_it_tries_a_third_time(store: Store) -> None:
    head = started(store)
    others = Chain(store, SCHEME, head)
    for number in range(20):
        others.commit(SetTags({str(number): None}))
    counting = CountingStore(store)
    Chain(counting, SCHEME, head).commit(SetTags({"mine": None}))
    assert counting.counts["put_if_absent"] == 3
    assert len(tags_at_the_end(store)) == 21


def test_nothing_changed_is_nothing_written_after_a_look_for_newer_versions(store: Store) -> None:
    head = started(store)
    Chain(store, SCHEME, head).commit(SetTags({"a": "1"}))
    counting = CountingStore(store)
    chain = Chain(counting, SCHEME, load(store, SCHEME, 2))
    assert chain.commit(SetTags({"a": "1"})).tags == {"a": "1"}
    assert counting.counts == {"get": 1}
    # Another handle changes the tag; setting it back is a change, though not for this handle.
    Chain(store, SCHEME, load(store, SCHEME, 2)).commit(SetTags({"a": "2"}))
    assert chain.commit(SetTags({"a": "1"})).tags == {"a": "1"}
    assert last_version(store, SCHEME) == 4


@pytest.mark.parametrize(
    ("old", "new"), [(1, 1.0), (1, True), (0, False), (0.0, -0.0), (1.0, 1), (False, 0)]
)
def test_a_value_that_is_only_equal_is_a_change(store: Store, old: float, new: float) -> None:
    chain = Chain(store, SCHEME, started(store))
    chain.commit(SetParams({"x": old}))
    state = chain.commit(SetParams({"x": new}))
    assert repr(state.params["x"]) == repr(new)
    last = history(store)[-1].state
    assert last is not None
    assert repr(last.params["x"]) == repr(new)


def test_two_changes_are_one_version(store: Store) -> None:
    chain = Chain(store, SCHEME, started(store))
    chain.commit(SetTags({"a": "1"}), SetStatus("Running", WHEN))
    versions = history(store)
    assert [len(version.ops) for version in versions] == [1, 2]


def test_a_refused_commit_is_never_made_later(store: Store) -> None:
    """Whoever is told that a change was refused must not find it in the next commit."""
    chain = Chain(FaultyStore(store, script("put_if_absent", [DENIED])), SCHEME, started(store))
    with pytest.raises(StoreError, match="not allowed"):
        chain.commit(SetTags({"refused": "1"}))
    assert chain.commit(SetTags({"kept": "1"})).tags == {"kept": "1"}
    assert tags_at_the_end(store) == {"kept"}


@pytest.mark.parametrize("first", [DOWN, LOST])
def test_an_unknown_commit_is_settled_by_the_next(store: Store, first: Fault) -> None:
    faulty = FaultyStore(store, script("put_if_absent", [first, DENIED]))
    chain = Chain(faulty, SCHEME, started(store))
    with pytest.raises(CommitUnknownError):
        chain.commit(SetTags({"unknown": "1"}))
    assert chain.commit(SetTags({"next": "1"})).tags == {"unknown": "1", "next": "1"}
    assert tags_at_the_end(store) == {"unknown", "next"}


def test_an_unknown_commit_stays_open_while_settling_is_refused(store: Store) -> None:
    faulty = FaultyStore(store, script("put_if_absent", [LOST, DENIED, DENIED]))
    chain = Chain(faulty, SCHEME, started(store))
    for _ in range(2):
        with pytest.raises((CommitUnknownError, StoreError)):
            chain.commit(SetTags({"unknown": "1"}))
    chain.commit(SetTags({"next": "1"}))
    assert [dict(version.ops[0]) for version in history(store)[1:]] == [
        {"op": "set_tags", "tags": {"unknown": "1"}},
        {"op": "set_tags", "tags": {"next": "1"}},
    ]


def test_an_unknown_commit_that_lost_is_gone_and_said_to_be(store: Store) -> None:
    head = started(store)
    chain = Chain(FaultyStore(store, script("put_if_absent", [DOWN, DENIED])), SCHEME, head)
    with pytest.raises(CommitUnknownError):
        chain.commit(SetTags({"mine": "1"}))
    Chain(store, SCHEME, head).commit(SetTags({"theirs": "1"}))
    chain.commit(SetTags({"next": "1"}))
    assert tags_at_the_end(store) == {"theirs", "next"}


def test_a_terminal_status_that_another_set_stays(store: Store) -> None:
    head = started(store)
    Chain(store, SCHEME, head).commit(SetStatus("Failed", WHEN))
    stale = Chain(store, SCHEME, head)
    assert stale.commit(SetStatus("Completed", WHEN)).status == "Failed"
    assert last_version(store, SCHEME) == 2


@settings(max_examples=25)
@given(st.integers(0, 2**32))
def test_handles_racing_on_a_bad_network_make_one_history(seed: int) -> None:
    store = connect(f"memory://{clock.random_hex(8)}")
    head = started(store)
    told: set[str] = set()
    start = threading.Barrier(3)

    def commits(number: int) -> set[str]:
        chain = Chain(FaultyStore(store, chaos(seed + number)), SCHEME, head)
        done = set()
        start.wait()
        for turn in range(6):
            tag = f"{number}.{turn}"
            try:
                tags = chain.commit(SetTags({tag: None})).tags
            except (CommitUnknownError, StoreError):
                continue
            assert tag in tags
            done.add(tag)
        return done

    with ThreadPoolExecutor(3) as pool:
        for done in pool.map(commits, range(3)):
            told |= done
    assert tags_at_the_end(store) >= told


@settings(max_examples=40)
@given(st.lists(st.sampled_from([None, DOWN, LOST, DENIED]), max_size=12))
def test_one_handle_is_told_the_truth(faults: list[Fault | None]) -> None:
    """Done is there, refused is not there, and only what is unknown may be either."""
    store = connect(f"memory://{clock.random_hex(8)}")
    plan: Plan = script("put_if_absent", faults)
    chain = Chain(FaultyStore(store, plan), SCHEME, started(store))
    outcomes: dict[str, set[str]] = {"done": set(), "refused": set(), "unknown": set()}
    for turn in range(8):
        tag = str(turn)
        try:
            chain.commit(SetTags({tag: None}))
        except CommitUnknownError:
            # Perhaps settling the one before is what is unknown, and this one was never sent.
            outcomes["unknown"].add(tag)
        except StoreError:
            outcomes["refused"].add(tag)
        else:
            outcomes["done"].add(tag)
    chain.commit(SetTags({"last": None}))
    there = tags_at_the_end(store)
    assert outcomes["done"] <= there
    assert not outcomes["refused"] & there
    assert there <= outcomes["done"] | outcomes["unknown"] | {"last"}


def test_threads_that_share_a_handle_come_one_after_the_other(store: Store) -> None:
    others: list[threading.Thread] = []

    def meanwhile(verb: str, _key: str) -> None:
        if verb == "put_if_absent" and not others:
            others.append(threading.Thread(target=chain.commit, args=(SetTags({"b": None}),)))
            others[0].start()
            others[0].join(0.3)

    chain = Chain(FaultyStore(store, meanwhile), SCHEME, started(store))
    chain.commit(SetTags({"a": None}))
    others[0].join(20)
    assert chain.state.tags.keys() == {"a", "b"}


def test_a_blind_version_is_replayed(store: Store) -> None:
    head = started(store)
    Chain(store, SCHEME, head).commit(SetTags({"a": "1"}))
    for number, tag in ((3, "b"), (4, "c")):
        blind: Version[RunState] = Version(
            version=number,
            write_id=f"w{number}",
            written=WHEN,
            ops=(SetTags({tag: "1"}).op(),),
            state=None,
            base=2,
        )
        store.put(SCHEME.key(number), encode_run(blind))
    chain = Chain(store, SCHEME, head)
    assert chain.refresh().tags == {"a": "1", "b": "1", "c": "1"}
    assert load(store, SCHEME, 4).state == chain.state
    assert decode_run(SCHEME.key(4), store.get(SCHEME.key(4))).state is None


def test_a_damaged_version_is_named(store: Store) -> None:
    head = started(store)
    Chain(store, SCHEME, head).commit(SetTags({"a": "1"}))
    store.put(SCHEME.key(2), store.get(SCHEME.key(2))[:-20])
    with pytest.raises(CorruptObjectError, match=r"runs/r/state/00000002\.json is damaged"):
        Chain(store, SCHEME, head).commit(SetTags({"b": "1"}))
    assert last_version(store, SCHEME) == 2
