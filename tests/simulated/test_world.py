"""The world itself: orders are exact, complete and replayed; faults are what they are called."""

from __future__ import annotations

import subprocess
import sys
from functools import partial
from typing import TYPE_CHECKING

import pytest

from objrun import clock
from objrun.errors import NotFoundError, UnavailableError
from objrun.testing.sim import (
    Bucket,
    DepthFirst,
    Limits,
    RandomOrder,
    Replay,
    Scene,
    SimulationError,
    Turns,
    World,
    explore,
    play,
)
from tests.house.tree import ROOT
from tests.simulated.scenes import SCENES, small_limits

if TYPE_CHECKING:
    from collections.abc import Callable

    from objrun.testing.sim import Order


def outcomes(outcome: str, act: Callable[[World], object]) -> tuple[World, object]:
    """Let one actor act while its first request has an outcome; what it gave or raised."""
    world = World(limits=Limits(faults=1, kills=1))
    world.store.put("a/1", b"old")
    world.store.put("a/2", b"old")
    actor = world.spawn("w", lambda: act(world))
    world.run(Replay(f"w:{outcome}"))
    return world, actor.error or actor.result


def put(world: World) -> None:
    world.store.put("a/1", b"new")


@pytest.mark.parametrize(
    ("outcome", "stored"), [("before", b"old"), ("lost", b"new"), ("late", b"old")]
)
def test_a_put_that_fails(outcome: str, stored: bytes) -> None:
    world, told = outcomes(outcome, put)
    assert isinstance(told, UnavailableError)
    assert world.bucket.get("a/1") == stored
    assert world.land() == (outcome == "late")
    assert world.bucket.get("a/1") == (b"old" if outcome == "before" else b"new")


@pytest.mark.parametrize(("outcome", "stored"), [("killed", b"old"), ("last", b"new")])
def test_a_put_of_one_who_dies(outcome: str, stored: bytes) -> None:
    def act(world: World) -> None:
        try:
            put(world)
        finally:
            # Nothing runs behind SIGKILL, so what is asked for while unwinding does not count.
            world.store.delete(["a/1"])

    world, told = outcomes(outcome, act)
    assert told is None
    assert world.actors["w"].killed
    assert world.bucket.get("a/1") == stored


def test_a_conflict_stores_nothing() -> None:
    def create(world: World) -> None:
        world.store.put_if_absent("b", b"")

    world, told = outcomes("conflict", create)
    assert isinstance(told, UnavailableError)
    with pytest.raises(NotFoundError):
        world.bucket.get("b")


def test_a_torn_listing_is_of_two_moments() -> None:
    """What is written to the first page between the two is missed, to the second is not."""
    world = World(limits=Limits(faults=1))
    for number in (2, 4):
        world.store.put(f"a/{number}", b"")
    reader = world.spawn("r", lambda: [info.key for info in world.store.list("a/")])
    world.spawn("w", partial(put_all, world, ("a/1", "a/5")))
    world.run(Replay("r:torn w w r"))
    assert reader.result == ["a/2", "a/4", "a/5"]


def test_a_late_request_comes_at_any_time_also_after_its_caller_died() -> None:
    seen = set()
    every = DepthFirst()
    while every.next():
        world = World(limits=Limits(faults=1, allowed=frozenset({"late"})))
        world.store.put("a/1", b"old")
        world.spawn("w", partial(put, world))
        reader = world.spawn("r", partial(get_twice, world))
        if world.run(every):
            seen.add(reader.result)
    assert seen == {(b"old", b"old"), (b"old", b"new"), (b"new", b"new")}


def get_twice(world: World) -> tuple[bytes, bytes]:
    return world.store.get("a/1"), world.store.get("a/1")


def put_all(world: World, keys: tuple[str, ...]) -> None:
    for key in keys:
        world.store.put(key, b"")


@pytest.mark.parametrize("reduced", [True, False])
def test_every_order_is_tried(reduced: bool) -> None:
    """Two actors of three puts each: 20 orders, and of those of one key all must be tried."""
    seen: list[str] = []
    every = DepthFirst(None if reduced else 99)
    while every.next():
        world = World()
        for name in "ab":
            world.spawn(name, partial(put_all, world, ("x", f"own/{name}", f"own/{name}")))
        if world.run(every):
            seen.append(world.trace)
    assert len(seen) == len({*seen}) == (2 if reduced else 20)


def lost_update(world: World) -> Callable[[], None]:
    """A counter without put-if-absent, as a program that is wrong."""

    def count() -> None:
        world.store.put("n", b"%d" % (int(world.store.get("n")) + 1))

    world.store.put("n", b"0")
    for name in "ab":
        world.spawn(name, count)

    def check() -> None:
        assert world.store.get("n") == b"2", "an update is lost"

    return check


def test_what_is_wrong_is_found_and_can_be_played_again() -> None:
    scene = Scene("counter", lost_update, start=Bucket)
    with pytest.raises(SimulationError, match="an update is lost") as caught:
        explore(scene)
    assert f"tools/simulate counter --trace '{caught.value.trace}'" in str(caught.value)
    with pytest.raises(SimulationError, match="an update is lost"):
        play(scene, Replay(caught.value.trace))
    play(scene, Replay("a*2 b*2"))


def played(order: Order) -> dict[str, bytes]:
    with small_limits():
        world = play(SCENES["crowd"], order)
    return {key: data for key, (data, _) in world.bucket.objects.items()}


def test_a_seed_gives_the_same_bytes_and_so_does_its_trace() -> None:
    with small_limits():
        world = play(SCENES["crowd"], RandomOrder("crowd 3"))
    assert played(RandomOrder("crowd 3")) == played(Replay(world.trace))


def test_a_seed_gives_the_same_order_in_another_process() -> None:
    command = [sys.executable, "tools/simulate", "crowd", "--seed", "3"]
    told = [
        subprocess.run(
            command, cwd=ROOT, check=True, capture_output=True, env={"PYTHONHASHSEED": n}
        )
        for n in ("1", "2")
    ]
    assert told[0].stdout == told[1].stdout
    assert len(told[0].stdout.splitlines()) > 50


def test_turns_are_taken_as_told_and_then_one_by_one() -> None:
    world = World()
    for name in "ab":
        world.spawn(name, lambda: [world.store.list("") for _ in range(3)])
    world.run(Turns("ab", [1, 0, 0]))
    assert world.trace == "b a*3 b*2"


def test_time_and_chance_are_real_elsewhere_and_afterwards() -> None:
    world = World()
    actor = world.spawn("a", lambda: (clock.random_hex(4), clock.now(), clock.monotonic()))
    before = clock.random_hex
    world.run(Replay(""))
    assert clock.random_hex is before
    other = World().spawn("a", lambda: None)
    assert actor.result[0] == other.random_hex(4)
    assert actor.result[1] == world.bucket.time
