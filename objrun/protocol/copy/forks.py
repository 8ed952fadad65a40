"""Chains that went on in both stores: what one lacks is committed again behind what it has."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, TypeVar

from objrun.protocol.chain import load_last
from objrun.protocol.copy.pair import read
from objrun.protocol.settle import insist, put_once

if TYPE_CHECKING:
    from collections.abc import Mapping

    from objrun.format.states import Version
    from objrun.protocol.chain import Scheme
    from objrun.protocol.copy.pair import Pair
    from objrun.storage import Store

S = TypeVar("S")


def meeting(
    pair: Pair, scheme: Scheme[S], ours: Mapping[int, int], theirs: Mapping[int, int]
) -> int:
    """Return the last version that two chains share, 0 if none; sizes in bytes are given by number.

    Equal bytes of one version say that all before are equal, since each names a random write.
    """
    for number in sorted(ours.keys() & theirs.keys(), reverse=True):
        if ours[number] == theirs[number] and pair.same(scheme.key(number)):
            return number
    return 0


def lacking(
    pair: Pair,
    scheme: Scheme[S],
    known: int,
    ours: Mapping[int, int],
    theirs: Mapping[int, int],
) -> list[int]:
    """Return the versions of ours after `known` that are nowhere in theirs, by their write ids."""

    def after(store: Store, numbers: Mapping[int, int]) -> dict[int, Version[S]]:
        later = (number for number in sorted(numbers) if number > known)
        return {number: _decode(store, scheme, number) for number in later}

    there = {version.write_id for version in after(pair.target, theirs).values()}
    return [
        number
        for number, version in after(pair.source, ours).items()
        if version.write_id not in there and not version.purged
    ]


def commit_again(pair: Pair, scheme: Scheme[S], number: int) -> int:
    """Commit what a version of the source did as the next one of the target; return its bytes.

    It keeps its write id, its time and its operations. A chain that was purged there stays so: 0.
    """
    mine = _decode(pair.source, scheme, number)
    while True:
        last = load_last(pair.target, scheme)
        if last is None or last.state is None:
            return 0
        key = scheme.key(last.version + 1)
        state = scheme.replay(key, last.state, mine.ops)
        data = scheme.encode(replace(mine, version=last.version + 1, base=None, state=state))
        if scheme.marker is not None:
            insist(partial(pair.target.put, scheme.marker(last.version + 1), b""))
        if put_once(pair.target, key, data):
            return len(data)


def _decode(store: Store, scheme: Scheme[S], number: int) -> Version[S]:
    key = scheme.key(number)
    return scheme.decode(key, read(store, key))
