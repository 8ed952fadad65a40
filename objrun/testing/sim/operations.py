"""What an actor may do next, what may become of it, and which steps can be exchanged."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

__all__ = ["FAULTS", "Choice", "Operation", "commute", "told", "untold"]

DONE: Final = "done"
BEFORE: Final = "before"
LOST: Final = "lost"
LATE: Final = "late"
CONFLICT: Final = "conflict"
TORN: Final = "torn"
KILLED: Final = "killed"
LAST: Final = "last"

FAULTS: Final = {
    BEFORE: "the request fails and nothing is stored",
    LOST: "the request takes effect and its answer is lost",
    LATE: "the request fails for its caller and takes effect at any time later",
    CONFLICT: "409: another create of this key is in the way; nothing is stored",
    TORN: "the listing has two pages, made at two moments",
    KILLED: "the actor dies before the request",
    LAST: "the actor dies when the request has taken effect, before it hears of it",
}
"""What may become of a request instead of its being done."""

WRITES: Final = ("put", "put_if_absent", "delete")
LISTS: Final = ("list", "folders")
ORDERED: Final = ("note", "wait")


class Operation(NamedTuple):
    """A request, or a note, of an actor that waits for its turn."""

    actor: str
    verb: str
    key: str
    call: Callable[[], Any]


class Choice(NamedTuple):
    """One step of a world: whose operation is next and what becomes of it.

    >>> Choice("w", "lost", Operation("w", "put", "a", print)).label
    'w:lost'
    """

    actor: str
    outcome: str
    operation: Operation

    @property
    def label(self) -> str:
        """The choice as a word of a trace."""
        return self.actor if self.outcome == DONE else f"{self.actor}:{self.outcome}"

    def __str__(self) -> str:
        """Tell it to a person."""
        return f"{self.label:<12} {self.operation.verb} {self.operation.key}"


def outcomes_of(verb: str) -> tuple[str, ...]:
    """Return what may become of an operation besides being done.

    >>> outcomes_of("get")
    ('before', 'killed')
    """
    if verb in ORDERED:
        return ()
    if verb in LISTS:
        return (BEFORE, TORN, KILLED) if verb == "list" else (BEFORE, KILLED)
    if verb not in WRITES:
        return (BEFORE, KILLED)
    rest = (BEFORE, LOST, LATE, KILLED, LAST)
    return (*rest, CONFLICT) if verb == "put_if_absent" else rest


def commute(one: Choice, other: Choice) -> bool:
    """Return whether two steps of different actors come to the same in either order.

    Requests do unless they are for one key, or one lists it, and one of them writes. Notes of what
    was told to callers are in the order of real time, and faults are rationed, so they do not.

    >>> put = Operation("a", "put", "x/1", print)
    >>> commute(Choice("a", "done", put), Choice("b", "done", put._replace(actor="b", key="x/2")))
    True
    >>> lists = Operation("b", "list", "x/", print)
    >>> commute(Choice("a", "done", put), Choice("b", "done", lists))
    False
    """
    first, second = one.operation, other.operation
    if one.actor == other.actor or DONE not in (one.outcome, other.outcome):
        return False
    if first.verb in ORDERED or second.verb in ORDERED:
        return not (first.verb in ORDERED and second.verb in ORDERED)
    if first.verb not in WRITES and second.verb not in WRITES:
        return True
    return not _meet(first, second)


def _meet(one: Operation, other: Operation) -> bool:
    if one.verb in LISTS:
        return other.key.startswith(one.key)
    if other.verb in LISTS:
        return one.key.startswith(other.key)
    return one.key == other.key


def told(labels: Iterable[str]) -> str:
    """Return a trace as one line of text, what is repeated counted.

    >>> told(["a", "a", "b:lost", "a"])
    'a*2 b:lost a'
    """
    words: list[list[Any]] = []
    for label in labels:
        if words and words[-1][0] == label:
            words[-1][1] += 1
        else:
            words.append([label, 1])
    return " ".join(label if count == 1 else f"{label}*{count}" for label, count in words)


def untold(text: str) -> list[str]:
    """Return the labels of a trace that was told.

    >>> untold("a*2 b:lost a")
    ['a', 'a', 'b:lost', 'a']
    """
    words = (word.partition("*") for word in text.split())
    return [label for label, _, count in words for _ in range(int(count or 1))]
