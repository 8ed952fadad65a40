"""Scenes: small worlds with a beginning and an end, tried in every order or in random ones."""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import combinations
from typing import TYPE_CHECKING, NamedTuple

from objrun.testing.sim.bucket import Bucket
from objrun.testing.sim.operations import KILLED, LAST
from objrun.testing.sim.orders import Deaths, DepthFirst, RandomOrder
from objrun.testing.sim.world import Limits, SimulationError, World

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from objrun.testing.sim.world import Order

__all__ = ["Explored", "Scene", "crash", "explore", "play", "sample"]


CALM = Limits()
"""Nothing goes wrong."""


@dataclass(frozen=True)
class Scene:
    """A world to try: `begin(world)` spawns its actors and returns what must hold at the end.

    What `start()` returns is copied. The end is checked twice: when all actors have ended, and when
    all requests that were still on the way have arrived.
    """

    name: str
    begin: Callable[[World], Callable[[], None]]
    limits: Limits = CALM
    start: Callable[[], Bucket] = Bucket


class Explored(NamedTuple):
    """What was tried: orders to their ends, orders that came to one tried before; and was it all?

    `steps` are operations in all.
    """

    orders: int
    repeated: int
    steps: int
    is_all: bool


def play(scene: Scene, order: Order) -> World:
    """Play a scene once; SimulationError, with the trace, where a promise was broken."""
    world = World(scene.start().copy(), scene.limits)
    end = scene.begin(world)
    if not world.run(order):
        return world
    try:
        _end(world, end)
    except Exception as error:
        raise world.broken(error) from error
    return world


def _end(world: World, check: Callable[[], None]) -> None:
    for actor in world.actors.values():
        if actor.error is not None:
            raise actor.error
    check()
    if world.land():
        check()


def explore(
    scene: Scene,
    *,
    switches: int | None = None,
    in_turn: bool = False,
    most: int = 10**9,
) -> Explored:
    """Play a scene in every order of `DepthFirst`, which see; `most` at most."""
    every = DepthFirst(switches, in_turn)
    steps = 0
    while every.runs < most and every.next():
        try:
            steps += len(play(scene, every).steps)
        except SimulationError as error:
            how = f"--trace '{error.trace}'"
            raise _named(
                error, f"{scene.name}, order {every.runs}", how, scene
            ) from error.__cause__
    is_all = every.runs < most or not every.next()
    return Explored(every.runs - every.given_up, every.given_up, steps, is_all)


def sample(scene: Scene, seeds: Iterable[int]) -> Explored:
    """Play a scene in one random order for each seed."""
    orders = steps = 0
    for seed in seeds:
        try:
            steps += len(play(scene, RandomOrder(f"{scene.name} {seed}")).steps)
        except SimulationError as error:
            how = f"--seed {seed}"
            raise _named(error, f"{scene.name}, seed {seed}", how, scene) from error.__cause__
        orders += 1
    return Explored(orders, 0, steps, is_all=False)


def crash(scene: Scene, *, times: int = 1, every: int = 1) -> Explored:
    """Play a scene one actor after the other, with deaths before and after each request of each.

    `times` deaths in one world, at every `every`-th request.
    """
    mortal = replace(scene, limits=Limits(kills=times, allowed=frozenset({KILLED, LAST})))
    orders = steps = 0
    for deaths in _deaths(len(play(mortal, Deaths({})).steps), times, every):
        try:
            steps += len(play(mortal, Deaths(deaths)).steps)
        except SimulationError as error:
            how = f"--trace '{error.trace}'"
            what = f"{scene.name}, deaths at {deaths}"
            raise _named(error, what, how, scene) from error.__cause__
        orders += 1
    return Explored(orders, 0, steps, is_all=every == 1)


def _deaths(steps: int, times: int, every: int) -> Iterator[dict[int, str]]:
    for moments in combinations(range(0, steps, every), times):
        for kind in (KILLED, LAST):
            yield dict.fromkeys(moments, kind)


def _named(error: SimulationError, what: str, how: str, scene: Scene) -> SimulationError:
    said = f"{what}: {error}\nagain: tools/simulate {scene.name} {how}"
    return SimulationError(said, error.trace)
