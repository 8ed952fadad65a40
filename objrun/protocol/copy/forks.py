"""Chains that went on in both stores: what one lacks is committed again behind what it has."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from objrun.errors import ExperimentNotFoundError, RunNotFoundError
from objrun.protocol.chain import append
from objrun.protocol.copy.pair import read

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

    told = {version.write_id for version in after(pair.target, theirs).values()}
    missing: list[int] = []
    for number, version in after(pair.source, ours).items():
        if version.write_id not in told and not version.purged:
            missing.append(number)
            # Of the versions of one write, as those have who may not read, the first counts.
            told.add(version.write_id)
    return missing


def is_within(
    pair: Pair, scheme: Scheme[S], ours: Mapping[int, int], theirs: Mapping[int, int]
) -> bool:
    """Return whether our chain begins with a version of theirs, by its write id.

    So does one that was begun in a spool amid the life of a run (`objrun.protocol.chain.follow`).
    """
    begun = _decode(pair.source, scheme, min(ours)).write_id
    return any(_decode(pair.target, scheme, number).write_id == begun for number in theirs)


def commit_again(pair: Pair, scheme: Scheme[S], number: int) -> int:
    """Commit what a version of the source did as the next one of the target; return its bytes.

    It keeps its write id, its time and its operations. A chain that was purged there stays so: 0.
    """
    mine = _decode(pair.source, scheme, number)
    try:
        _, data = append(pair.target, scheme, mine)
    except (RunNotFoundError, ExperimentNotFoundError):
        return 0
    return len(data)


def _decode(store: Store, scheme: Scheme[S], number: int) -> Version[S]:
    key = scheme.key(number)
    return scheme.decode(key, read(store, key))
