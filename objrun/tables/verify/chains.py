"""Chains: every version can be read, none is missing, and what never changes does not."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any, Final, Generic, NamedTuple, TypeVar

from objrun import clock
from objrun.errors import FormatError, NotFoundError
from objrun.format.keys import parse_version
from objrun.protocol.chain import load, resolve
from objrun.protocol.settle import insist, put_once
from objrun.protocol.updates import CREATE
from objrun.tables.verify.findings import Finding, unreadable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from objrun.format.states import Version
    from objrun.protocol.chain import Scheme
    from objrun.storage import Store

S = TypeVar("S")

MOST_FILLED: Final = 1000
"""Missing versions of one chain that a repair fills: more were never there."""


class ChainLook(NamedTuple, Generic[S]):
    """What a chain says.

    `last`: its last version, with its state or a tombstone; None where that cannot be read or there
    is none. `known`: the last one that can. `missing`: stretches `[first, stop)` of versions.
    """

    last: Version[S] | None
    known: Version[S] | None
    missing: list[tuple[int, int]]
    findings: list[Finding]


def look_at_chain(
    store: Store, scheme: Scheme[S], identity: Callable[[S], Any], numbers: Iterable[int]
) -> ChainLook[S]:
    """Read the versions of a chain that were listed; NotFoundError where one is gone since.

    `identity` gives what never changes of a state. Below a tombstone versions may be missing.
    """
    listed = sorted(numbers)
    findings: list[Finding] = []
    before: Version[S] | None = None
    known: Version[S] | None = None
    grave = 0
    written: dict[int, str] = {}
    for number in listed:
        key = scheme.key(number)
        data = insist(partial(store.get, key))
        follows = before is not None and before.version == number - 1
        try:
            version = scheme.decode(key, data)
            written[number] = version.write_id
            if before is not None and follows and not version.purged:
                earlier = {written.get(n, "") for n in range((version.base or 0) + 1, number)}
                version = resolve(scheme, before, version, earlier)
        except FormatError as error:
            findings.append(unreadable(key, error))
            before = None
            continue
        grave = number if version.purged else grave
        told = version.state is not None or version.purged is not None
        if known and known.state and version.state and number > grave:
            findings += _changed(key, identity(known.state), identity(version.state))
        before = version if told else None
        known = before or known
    last = before if before and listed and before.version == listed[-1] else None
    return ChainLook(last, known, [*_missing(listed, grave)], findings)


def _changed(key: str, before: Any, after: Any) -> list[Finding]:
    if before == after:
        return []
    return [Finding("inconsistent", key, f"its state is of {after}, that before of {before}")]


def _missing(listed: list[int], grave: int) -> Iterator[tuple[int, int]]:
    expected = grave + 1
    for number in listed:
        if number > expected:
            yield expected, number
        expected = max(expected, number + 1)


def hole(scheme: Scheme[Any], stretch: tuple[int, int]) -> Finding:
    """Return the finding of missing versions, which nothing mends yet."""
    first, stop = stretch
    what = f"version {first} is" if stop - first == 1 else f"versions {first} to {stop - 1} are"
    told = f"{what} missing: a writer may take the name and its change would be lost"
    return Finding("hole", scheme.key(first), told)


FILLED: Final = "versions without operations fill the hole; what the lost ones recorded is gone"
"""What `refill` does."""


def refill(store: Store, scheme: Scheme[S], told: Version[S] | None = None) -> None:
    """Make the versions that a chain misses: each with the state of its neighbour, and no ops.

    `told` is a version that is known from elsewhere: it is made again as it was.
    """
    listed = insist(lambda: store.list(scheme.folder))
    there = sorted(n for info in listed if (n := parse_version(info.key)))
    known = {version.version: version for version in _readable(store, scheme, there)}
    grave = max((n for n, version in known.items() if version.purged), default=0)
    if told is not None and told.version > grave:
        known.setdefault(told.version, told)
    missing = {*range(grave + 1, max([*there, *known], default=0) + 1)} - {*there}
    if not known or len(missing) > MOST_FILLED:
        return
    for number in sorted(missing):
        source = known.get(number) or _neighbour(known, number)
        if source is None:
            continue
        version = replace(
            source,
            version=number,
            write_id=clock.random_hex(16),
            written=source.written if source.version == number else clock.now(),
            ops=(CREATE,) if number == 1 else (),
            base=None,
        )
        put_once(store, scheme.key(number), scheme.encode(version))


def _readable(store: Store, scheme: Scheme[S], numbers: Iterable[int]) -> Iterator[Version[S]]:
    for number in numbers:
        try:
            yield load(store, scheme, number)
        except (FormatError, NotFoundError):
            continue


def _neighbour(known: dict[int, Version[S]], number: int) -> Version[S] | None:
    """Return the version with a state nearest before `number`, else after it."""
    having = sorted(n for n, version in known.items() if version.state is not None)
    before = [n for n in having if n < number]
    after = [n for n in having if n > number]
    return known[before[-1]] if before else known[after[0]] if after else None
