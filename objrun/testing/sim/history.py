"""Is a chain linearizable: an append register whose updates are in the order of real time."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, NamedTuple

import orjson

__all__ = ["Read", "Register", "Stored"]


class Stored(NamedTuple):
    """A version: the tokens that its operations add, and all those in its state (None: blind).

    `write`: the write by which it was made. A blind version of one that was made before is no
    update.
    """

    added: list[str]
    state: set[str] | None
    write: str = ""


class Read(NamedTuple):
    """Somebody has seen a version, between two moments."""

    reader: str
    began: int
    ended: int
    version: int


@dataclass
class Register:
    """The updates of one chain, each of which adds a token of its own, and what readers saw.

    Moments are numbers that grow. An update that has begun and not ended may be there or not.
    """

    began: dict[str, int] = field(default_factory=dict)
    ended: dict[str, int] = field(default_factory=dict)
    reads: list[Read] = field(default_factory=list)

    def check(self, versions: dict[int, Stored]) -> None:
        """Raise AssertionError unless the versions are one order of the updates that all saw.

        >>> register = Register(began={"a": 1, "b": 3}, ended={"a": 2, "b": 4})
        >>> register.check({1: Stored(["a"], {"a"}), 2: Stored(["b"], {"a", "b"})})
        >>> register.check({1: Stored(["b"], {"b"}), 2: Stored(["a"], {"a", "b"})})
        Traceback (most recent call last):
        AssertionError: 'a' had ended when 'b' began, and is behind it
        """
        places = self._places(versions)
        for first, end in self.ended.items():
            assert first in places, f"{first!r} was acknowledged and is lost"
            for second, start in self.began.items():
                if end < start and second in places:
                    behind = places[first] > places[second]
                    assert not behind, (
                        f"{first!r} had ended when {second!r} began, and is behind it"
                    )
        for read in self.reads:
            self._check_read(read, places)

    def _places(self, versions: dict[int, Stored]) -> dict[str, int]:
        places: dict[str, int] = {}
        so_far: set[str] = set()
        writes: set[str] = set()
        for number, (added, state, write) in sorted(versions.items()):
            if state is None and write in writes:
                continue
            writes |= {write} - {""}
            for token in added:
                assert token in self.began, f"nobody has added {token!r}"
                assert token not in places, f"{token!r} stands in {places[token]} and {number}"
                places[token] = number
            so_far |= {*added}
            lost = f"version {number} has {state and sorted(state)}, not {sorted(so_far)}"
            assert state is None or state == so_far, lost
        return places

    def _check_read(self, read: Read, places: dict[str, int]) -> None:
        for token, place in places.items():
            missed = place > read.version and self.ended.get(token, read.began) < read.began
            assert not missed, f"{read} does not see {token!r}, which had ended"
            early = place <= read.version and self.began[token] > read.ended
            assert not early, f"{read} sees {token!r}, which had not begun"
        for other in self.reads:
            backwards = other.ended < read.began and other.version > read.version
            assert not backwards, f"{read} is older than {other}, which came before"


def stored(data: bytes) -> Stored:
    """Return a version whose tokens are tags, and fields of `future` that others added.

    >>> stored(b'{"ops": [{"op": "set_tags", "tags": {"a": "1"}}], "state": {"tags": {"a": "1"}}}')
    Stored(added=['a'], state={'a'}, write='')
    """
    document: dict[str, Any] = orjson.loads(data)
    added = [token for op in document["ops"] for name in TOKENS for token in op.get(name, ())]
    state = document["state"]
    tokens = state and {token for name in TOKENS for token in state.get(name, ())}
    return Stored(added, tokens, document.get("write_id", ""))


TOKENS = ("tags", "future")
"""Where tokens stand: `future` is a field that this version of the library does not know."""
