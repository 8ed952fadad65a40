"""Orders of a world: every one of a small world, random ones of a large one, one again."""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from objrun.testing.sim.operations import DONE, Choice, commute, untold

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

__all__ = ["Deaths", "DepthFirst", "RandomOrder", "Replay", "Turns"]


class Replay:
    """The order of a trace, then whoever is first.

    >>> Replay("a*2 b").left
    ['a', 'a', 'b']
    """

    def __init__(self, trace: str) -> None:
        self.left = untold(trace)

    def choose(self, options: Sequence[Choice]) -> Choice | None:
        """Return what the trace says; AssertionError where that is not possible."""
        if not self.left:
            return options[0]
        label = self.left.pop(0)
        found = [option for option in options if option.label == label]
        assert found, f"the trace says {label!r}, possible are {[o.label for o in options]}"
        return found[0]


class Deaths:
    """One actor after the other, each to its end; at some steps, by number from 0, it dies."""

    def __init__(self, deaths: Mapping[int, str]) -> None:
        self._deaths = deaths
        self._step = -1

    def choose(self, options: Sequence[Choice]) -> Choice | None:
        """Return the next step of who is at it, or its death."""
        self._step += 1
        label = f"{options[0].actor}:{self._deaths.get(self._step)}"
        return next((option for option in options if option.label == label), options[0])


class Turns:
    """One operation each in the order of `turns`, by place among all actors; then one by one."""

    def __init__(self, actors: Sequence[str], turns: Iterable[int]) -> None:
        self._actors = actors
        self._turns = iter(turns)

    def choose(self, options: Sequence[Choice]) -> Choice | None:
        """Return the operation of whose turn it is; turns of those who have ended are skipped."""
        waiting = {option.actor: option for option in options if option.outcome == DONE}
        for turn in self._turns:
            actor = self._actors[turn % len(self._actors)]
            if actor in waiting:
                return waiting[actor]
        return next(waiting[actor] for actor in self._actors if actor in waiting)


class RandomOrder:
    """An order drawn from a seed, with priorities as in probabilistic concurrency testing.

    Each actor has a random priority and the highest goes on; at few random moments, how few is
    drawn, too, it falls below all others. So long stretches of one actor, which random walks hardly
    ever make, are as likely as quick changes.
    """

    def __init__(self, seed: int | str) -> None:
        self._dice = random.Random(seed)
        self._change = self._dice.choice([0.02, 0.05, 0.1, 0.3])
        self._wrong = self._dice.choice([0.0, 0.03, 0.1, 0.3])
        self._priorities: dict[str, float] = {}
        self._least = 0.0

    def choose(self, options: Sequence[Choice]) -> Choice | None:
        """Return the choice of the actor with the highest priority, now and then a fault of it."""
        for option in options:
            if option.actor not in self._priorities:
                self._priorities[option.actor] = self._dice.random()
        actor = max((option.actor for option in options), key=self._priorities.__getitem__)
        if self._dice.random() < self._change:
            self._least -= 1.0
            self._priorities[actor] = self._least
            actor = max((option.actor for option in options), key=self._priorities.__getitem__)
        own = [option for option in options if option.actor == actor]
        faults = [option for option in own if option.outcome != DONE]
        if faults and self._dice.random() < self._wrong:
            return self._dice.choice(faults)
        return own[0]


@dataclass
class _Frame:
    """One step of the order that is tried: what is left to choose there, and what sleeps."""

    options: list[Choice]
    sleeping: list[Choice]
    place: int = 0

    @property
    def chosen(self) -> Choice:
        return self.options[self.place]

    def sleeping_after(self) -> list[Choice]:
        """Return what need not be chosen behind this step: it comes to an order tried before."""
        tried = [*self.sleeping, *self.options[: self.place]]
        return [choice for choice in tried if commute(choice, self.chosen)]


@dataclass
class DepthFirst:
    """Every order, one run after the other, beginning with that without interruptions.

    Without `switches`, orders that differ only in steps that commute are tried once (sleep sets).
    With it, all orders that leave an actor who could go on at most that often; faults count, too.
    With `in_turn` an actor who has ended is followed by the next one, not by each of the others.

    >>> from objrun.testing.sim.world import World
    >>> every = DepthFirst()
    >>> while every.next():
    ...     world = World()
    ...     for name in "ab":
    ...         _ = world.spawn(name, lambda: world.store.put("x", b""))
    ...     _ = world.run(every)
    ...     print(world.trace)
    a b
    b a
    """

    switches: int | None = None
    in_turn: bool = False
    runs: int = 0
    given_up: int = 0
    _frames: list[_Frame] = field(default_factory=list)
    _depth: int = 0
    _last: str = ""
    _switched: int = 0

    def next(self) -> bool:
        """Begin the next order; False if there is none left."""
        if self.runs:
            while self._frames:
                self._frames[-1].place += 1
                if self._frames[-1].place < len(self._frames[-1].options):
                    break
                self._frames.pop()
            else:
                return False
        self.runs += 1
        self._depth, self._last, self._switched = 0, "", 0
        return True

    def choose(self, options: Sequence[Choice]) -> Choice | None:
        """Return the next step of this order; None where all that follows was tried before."""
        if self._depth == len(self._frames):
            frame = self._frame(options)
            if not frame.options:
                self.given_up += 1
                return None
            self._frames.append(frame)
        frame = self._frames[self._depth]
        self._depth += 1
        chosen = frame.chosen
        # What was stored is of a world that is gone: its calls must not be made.
        chosen = next(option for option in options if option[:2] == chosen[:2])
        self._switched += self._costs(chosen, options)
        self._last = chosen.actor
        return chosen

    def _costs(self, choice: Choice, options: Sequence[Choice]) -> bool:
        goes_on = any(option.actor == self._last for option in options)
        return choice.outcome != DONE or (goes_on and choice.actor != self._last)

    def _frame(self, options: Sequence[Choice]) -> _Frame:
        if self.switches is not None:
            left = self.switches - self._switched
            costs = [(option, self._costs(option, options)) for option in options]
            free = [option for option, cost in costs if not cost]
            free = free[:1] if self.in_turn else free
            return _Frame([*free, *(option for option, cost in costs if left and cost)], [])
        sleeping = self._frames[-1].sleeping_after() if self._frames else []
        asleep = {choice[:2] for choice in sleeping}
        return _Frame([o for o in options if o[:2] not in asleep], sleeping)
