"""A world: one bucket, actors at work on it, and a scheduler that owns every interleaving."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from objrun.errors import UnavailableError
from objrun.storage.wrappers import Around
from objrun.testing.sim.actors import Actor, current, simulated_time
from objrun.testing.sim.bucket import Bucket
from objrun.testing.sim.operations import (
    DONE,
    FAULTS,
    KILLED,
    LAST,
    LATE,
    LOST,
    TORN,
    Choice,
    Operation,
    outcomes_of,
    told,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from objrun.storage import ObjectInfo, Store

__all__ = ["Limits", "Order", "SimStore", "SimulationError", "World"]

T = TypeVar("T")

MOST_STEPS = 20_000
"""Steps after which a world counts as one that does not come to an end."""


class SimulationError(AssertionError):
    """A promise was broken; `trace` replays how."""

    def __init__(self, message: str, trace: str) -> None:
        super().__init__(message)
        self.trace = trace


class Order(Protocol):
    """Who decides what is next."""

    def choose(self, options: Sequence[Choice]) -> Choice | None:
        """Return one of the options, None to give this world up."""


@dataclass(frozen=True)
class Limits:
    """How much may go wrong in one world: `faults` requests of the kinds `allowed`, `kills`."""

    faults: int = 0
    kills: int = 0
    allowed: frozenset[str] = frozenset(FAULTS)


class SimStore(Around):
    """The store of a world: in an actor each request waits for its turn; elsewhere it is done.

    >>> world = World()
    >>> world.store.put("a", b"1")
    >>> actor = world.spawn("reader", lambda: world.store.get("a"))
    >>> world.run(First()), actor.result, world.trace
    (True, b'1', 'reader')
    """

    concurrency = 1

    def __init__(self, world: World, store: Store) -> None:
        super().__init__(store)
        self._world = world

    def _ask(self, verb: str, key: str, call: Callable[[], T]) -> T:
        return self._world.ask(verb, key, call)

    def upload(self, key: str, parts: Iterable[bytes]) -> None:
        """Write an object, whose parts may be the outcome of other requests."""
        super().upload(key, [*parts])

    def delete(self, keys: Iterable[str]) -> None:
        """Remove objects, one after the other: a request for many is not atomic."""
        for key in keys:
            super().delete([key])


class First:
    """The order in which each actor goes on for as long as it can."""

    def choose(self, options: Sequence[Choice]) -> Choice | None:
        """Return the first option."""
        return options[0]


@dataclass
class World:
    """Actors and what they share. Spawn actors, then `run`; `trace` tells what was chosen.

    `inside` is the store that is shared, by default an empty `Bucket`.
    """

    inside: Store = field(default_factory=Bucket)
    limits: Limits = Limits()
    actors: dict[str, Actor] = field(default_factory=dict)
    steps: list[Choice] = field(default_factory=list)

    def __post_init__(self) -> None:
        """Put the scheduler before the store."""
        self.store = SimStore(self, self.inside)
        self._late: dict[str, Operation] = {}
        self._faults = 0
        self._kills = 0
        self._last = ""
        self._turns: dict[str, int] = {}

    @property
    def bucket(self) -> Bucket:
        """The bucket, where the world has one of its own."""
        assert isinstance(self.inside, Bucket)
        return self.inside

    @property
    def trace(self) -> str:
        """All choices so far, as `Replay` takes them."""
        return told(step.label for step in self.steps)

    def spawn(self, name: str, work: Callable[[], Any], skew: timedelta = timedelta(0)) -> Actor:
        """Add an actor; it may be an actor who does so, as a process that forks."""
        assert name not in self.actors, f"two actors are called {name}"

        def tells() -> datetime:
            return self.inside.time if isinstance(self.inside, Bucket) else datetime.now(UTC)

        self.actors[name] = Actor(name, work, tells, skew)
        return self.actors[name]

    def ask(self, verb: str, key: str, call: Callable[[], T]) -> T:
        """Do something of an actor when it is its turn."""
        actor = current()
        if actor is None:
            return call()
        answer: T = actor.ask(Operation(actor.name, verb, key, call))
        return answer

    def note(self, call: Callable[[], T], what: str = "") -> T:
        """Do `call()`, which tells of what callers know, as a step of its own: real time counts."""
        return self.ask("note", what, call)

    def wait(self, time: timedelta) -> None:
        """Let time pass for all, when it is this actor's turn."""

        def pass_by() -> None:
            self.bucket.time += time

        self.ask("wait", str(time), pass_by)

    def run(self, order: Order) -> bool:
        """Let the actors work to their ends, in an order; False if the order gave up.

        Raises what a watcher of the bucket raises, as SimulationError.
        """
        with simulated_time():
            try:
                return self._run(order)
            except AssertionError as error:
                raise self.broken(error) from error
            finally:
                for actor in self.actors.values():
                    actor.kill()

    def land(self) -> bool:
        """Let all requests arrive that are still on the way; whether there were any."""
        late = [*self._late.values()]
        self._late.clear()
        for operation in late:
            _attempt(operation.call)
        return bool(late)

    def _run(self, order: Order) -> bool:
        while True:
            for actor in [*self.actors.values()]:
                if not actor.started:
                    actor.start()
            options = self._options()
            if not options:
                return True
            choice = order.choose(options)
            if choice is None:
                return False
            self.steps.append(choice)
            assert len(self.steps) < MOST_STEPS, "this world does not come to an end"
            self._do(choice)
            error = self.actors[self._last].error if self._last else None
            if isinstance(error, AssertionError):
                raise error

    def _options(self) -> list[Choice]:
        """Return all choices.

        Who was at it last comes first, then who has waited longest; what goes wrong comes last.
        """
        waiting = [a.waiting for a in self.actors.values() if a.waiting is not None]
        if not waiting:
            return []
        waiting.sort(key=lambda o: (o.actor != self._last, self._turns.get(o.actor, 0)))
        options = [Choice(o.actor, DONE, o) for o in waiting]
        options += [Choice(name, DONE, o) for name, o in self._late.items()]
        allowed = {KILLED, LAST} if self._kills < self.limits.kills else set()
        allowed |= {*FAULTS} - {KILLED, LAST} if self._faults < self.limits.faults else set()
        allowed &= self.limits.allowed
        for operation in waiting:
            for outcome in outcomes_of(operation.verb) if allowed else ():
                if outcome in allowed:
                    options.append(Choice(operation.actor, outcome, operation))
        return options

    def _do(self, choice: Choice) -> None:
        name, outcome, operation = choice
        if name in self._late:
            _attempt(self._late.pop(name).call)
            return
        self._last = name
        self._turns[name] = len(self.steps)
        actor = self.actors[name]
        if outcome in (KILLED, LAST):
            self._kills += 1
        elif outcome != DONE:
            self._faults += 1
        if outcome in (DONE, LOST, LAST):
            answer, error = _attempt(operation.call)
        if outcome == DONE:
            actor.resume(answer, error)  # type: ignore[possibly-undefined]
        elif outcome in (KILLED, LAST):
            actor.kill()
        elif outcome == TORN:
            actor.waiting = self._torn(operation)
        else:
            if outcome == LATE:
                self._late[f"{name}.late{len(self.steps)}"] = operation
            actor.resume(error=UnavailableError(FAULTS[outcome]))

    def _torn(self, operation: Operation) -> Operation:
        """Return the second page of a listing whose first one is made now."""
        first: list[ObjectInfo] = operation.call()
        after = first[len(self.steps) % len(first)].key if first else ""

        def rest() -> list[ObjectInfo]:
            page = [info for info in first if info.key < after]
            return [*page, *(info for info in operation.call() if info.key >= after)]

        return operation._replace(call=rest)

    def broken(self, error: Exception) -> SimulationError:
        """Return the error with the story of this world."""
        lines = [f"{number:>4}  {step}" for number, step in enumerate(self.steps, 1)]
        told = [repr(error) if not str(error) else str(error), *lines[-60:]]
        return SimulationError("\n".join([*told, f"trace: {self.trace}"]), self.trace)


def _attempt(call: Callable[[], Any]) -> tuple[Any, Exception | None]:
    try:
        return call(), None
    except AssertionError:
        raise
    except Exception as error:  # noqa: BLE001 - it belongs to who asked
        return None, error
