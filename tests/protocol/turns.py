"""Several programs on one store, whose requests take turns as a test says."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from objrun import clock
from objrun.testing.sim import Turns, World

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from objrun.storage import Store


@dataclass
class Program:
    """What works on a store; `result` is what it gave or raised."""

    work: Callable[[Store], Any]
    result: Any = None


def take_turns(store: Store, programs: list[Program], turns: Iterable[int]) -> None:
    """Let the programs do one request each in the order of `turns`, then one after the other."""
    world = World(store)
    # From names that no other world on this store has had comes what is random in them.
    names = [f"{place}-{clock.random_hex(8)}" for place in range(len(programs))]
    for name, program in zip(names, programs, strict=True):
        world.spawn(name, partial(program.work, world.store))
    world.run(Turns(names, turns))
    for actor, program in zip(world.actors.values(), programs, strict=True):
        program.result = actor.result if actor.error is None else actor.error
