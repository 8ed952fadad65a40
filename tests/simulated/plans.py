"""How each scene is tried: in a minute by `make test`, for as long as asked by `make simulate`."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

from objrun.testing.sim import Explored, Limits, Scene, crash, explore, sample
from tests.simulated.scenes import SCENES, small_limits

if TYPE_CHECKING:
    from collections.abc import Callable

    Try = Callable[[Scene], Explored]


class Plan(NamedTuple):
    """Ways to try a scene: `short` for every change, `long` now and then, seeds beside it."""

    short: Try
    long: Try


def calm(scene: Scene, **how: Any) -> Explored:
    """Orders in which nothing goes wrong; see `explore`."""
    return explore(replace(scene, limits=Limits()), **how)


def seeds(count: int) -> Try:
    return partial(sample, seeds=range(count))


PAUSES = partial(explore, switches=1, in_turn=True)
"""One actor is paused at each of its requests while all others go on to their ends."""

CALM_PAUSES = partial(calm, switches=1, in_turn=True)

TWICE = partial(explore, switches=2, in_turn=True)
"""Two pauses, of the same actor or of another one."""

MANY = 5_000
"""Orders of what has too many to be tried in an hour."""

PLANS = {
    "two-writers": Plan(partial(explore, switches=2), explore),
    "writer-and-readers": Plan(partial(calm, switches=2), explore),
    "many-writers": Plan(seeds(50), seeds(2000)),
    "blind": Plan(partial(explore, switches=2), partial(explore, switches=3)),
    "blind-creator": Plan(partial(explore, switches=1), partial(explore, switches=2)),
    "creators": Plan(partial(explore, switches=1), partial(explore, switches=3)),
    "many-creators": Plan(seeds(40), seeds(2000)),
    "one-logger": Plan(partial(explore, switches=1), partial(explore, switches=3)),
    "fork": Plan(partial(explore, switches=1), partial(explore, switches=3)),
    "pictures": Plan(partial(explore, switches=1), partial(explore, switches=2)),
    "packs-beside-a-reader": Plan(PAUSES, TWICE),
    "packs-beside-a-copy": Plan(PAUSES, TWICE),
    "loggers": Plan(seeds(40), seeds(2000)),
    "paused-upkeep": Plan(PAUSES, TWICE),
    "upkeep-that-keeps": Plan(PAUSES, TWICE),
    "taken-number": Plan(PAUSES, TWICE),
    "vacuum-meanwhile": Plan(PAUSES, explore),
    "paused-reader": Plan(PAUSES, TWICE),
    "reader-of-old-tables": Plan(PAUSES, TWICE),
    "maintenance": Plan(partial(crash, every=5), crash),
    "rewound-beside-upkeep": Plan(PAUSES, partial(TWICE, most=MANY)),
    "rewound-beside-a-reader": Plan(PAUSES, TWICE),
    "purge-meanwhile": Plan(partial(crash, every=12), crash),
    "paused-beside-a-purge": Plan(PAUSES, TWICE),
    "heartbeats": Plan(PAUSES, TWICE),
    "reaped": Plan(CALM_PAUSES, explore),
    "restored": Plan(CALM_PAUSES, partial(explore, switches=2, most=MANY)),
    "old-handle": Plan(partial(PAUSES, most=30), partial(explore, switches=2, most=MANY)),
    "crowd": Plan(seeds(12), seeds(1000)),
}


def tried(name: str, *, long: bool = False) -> Explored:
    """Try a scene; SimulationError where a promise is broken."""
    plan = PLANS[name]
    with small_limits():
        return (plan.long if long else plan.short)(SCENES[name])
