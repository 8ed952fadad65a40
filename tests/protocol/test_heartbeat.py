"""Heartbeats: put while a run is open in this process, by one thread that never fails anybody."""
# ruff: noqa: SLF001 - rounds of the heart are made here, not waited for

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING

import pytest

from objrun.errors import UnavailableError
from objrun.format.heartbeat_keys import heartbeat as heartbeat_key
from objrun.format.heartbeat_keys import parse_heartbeat
from objrun.protocol import heartbeat
from objrun.protocol.heartbeat import Heart, Heartbeat
from objrun.storage import MemoryStore
from objrun.storage.creating import CreateOnly
from objrun.storage.wrappers import CountingStore, FaultyStore

if TYPE_CHECKING:
    from collections.abc import Callable

    from objrun.storage import Store

KEY = heartbeat_key("e", "r")


@pytest.fixture
def heart(monkeypatch: pytest.MonkeyPatch) -> Heart:
    """A heart of a test's own, which beats a hundred times a second."""
    own = Heart()
    monkeypatch.setattr(heartbeat, "HEART", own)
    monkeypatch.setattr(heartbeat, "INTERVAL", 0.01)
    return own


@pytest.fixture
def counting(request: pytest.FixtureRequest) -> CountingStore:
    return CountingStore(MemoryStore(request.node.name))


def beats_of(store: Store) -> Heartbeat:
    return Heartbeat(lambda: store, "e", "r")


def until(is_so: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 90
    while not is_so():
        assert time.monotonic() < deadline, "it does not come"
        time.sleep(0.005)


def runs(heart: Heart) -> bool:
    """Whether it has a thread."""
    return heart._is_running


def test_it_is_put_again_and_again_until_its_end(heart: Heart, counting: CountingStore) -> None:
    beat = beats_of(counting)
    assert not heart.has(beat)
    beat.begin()
    beat.begin()
    assert beat.is_beating
    until(lambda: counting.counts["put"] > 2)
    assert {*counting.log} == {("put", KEY)}
    assert counting.get(KEY) == b""
    first = counting.list("")[0].modified
    until(lambda: counting.list("")[0].modified > first)
    beat.end()
    until(lambda: not runs(heart))
    count = counting.counts["put"]
    time.sleep(0.05)
    assert counting.counts["put"] == count


def test_one_thread_is_there_for_all_and_none_for_nobody(
    heart: Heart, counting: CountingStore
) -> None:
    beats = [beats_of(counting) for _ in range(5)]
    assert not runs(heart)
    before = threading.active_count()
    for beat in beats:
        beat.begin()
    assert threading.active_count() <= before + 1
    for beat in beats:
        beat.end()
    until(lambda: not runs(heart))
    beats[0].begin()
    until(lambda: counting.counts["put"] > 0)
    assert runs(heart)
    beats[0].end()
    assert not heart.has(beats[0])


def test_a_run_that_nobody_holds_any_more_is_silent(heart: Heart, counting: CountingStore) -> None:
    beat = beats_of(counting)
    beat.begin()
    until(lambda: counting.counts["put"] > 0)
    del beat
    until(lambda: not runs(heart))
    assert not heart._beats


@pytest.mark.parametrize("error", [UnavailableError("gone"), ValueError("a client's")], ids=repr)
def test_a_failure_is_left_out(heart: Heart, counting: CountingStore, error: Exception) -> None:
    asked: list[str] = []

    def plan(_verb: str, key: str) -> Exception | None:
        asked.append(key)
        return error if len(asked) < 4 else None

    failing = FaultyStore(counting, plan)
    first, second, elsewhere = beats_of(failing), beats_of(failing), beats_of(counting)
    heart.take(first)
    heart.take(second)
    heart.take(elsewhere)
    until(lambda: counting.counts["put"] > 0)
    until(lambda: len(asked) > 6)
    for beat in (first, second, elsewhere):
        beat.end()


def test_of_a_store_that_fails_one_a_round_is_tried(heart: Heart, counting: CountingStore) -> None:
    failing = FaultyStore(counting, lambda _verb, _key: UnavailableError("gone"))
    asked = CountingStore(failing)
    beats = [beats_of(asked) for _ in range(9)] + [beats_of(counting)]
    heart._beats.update(beats)
    assert heart._beat_once()
    assert (asked.counts["put"], counting.counts["put"]) == (1, 1)


def test_without_a_store_nothing_is_put(heart: Heart) -> None:
    beat = Heartbeat(lambda: None, "e", "r")
    heart._beats.add(beat)
    assert heart._beat_once()


def test_who_may_only_create_creates_another_each_time(counting: CountingStore) -> None:
    beat = beats_of(CreateOnly(counting))
    for _ in range(3):
        beat.put(CreateOnly(counting))
    listed = [info.key for info in counting.list("")]
    assert len(listed) == 3
    assert {parse_heartbeat(key) for key in listed} == {"r"}
    assert counting.counts["put"] == 0


def test_a_forked_child_has_none(heart: Heart, counting: CountingStore) -> None:
    beat = beats_of(counting)
    beat.begin()
    heart.forked()
    assert not heart.has(beat)
    assert not heart._beat_once()
