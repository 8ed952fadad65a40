"""An experiment: its chain, and how runs, numbers, markers, segments and tables fit each other."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING

from objrun import clock
from objrun.errors import FormatError, NotFoundError, UnavailableError
from objrun.format import keys
from objrun.format.documents import decode_number, encode_number
from objrun.format.heartbeat_keys import parse_heartbeat
from objrun.format.states import ExperimentState, NumberClaim
from objrun.protocol.chain import create, first_version, load_last
from objrun.protocol.experiments import experiment_scheme
from objrun.protocol.live import RESTARTS
from objrun.protocol.settle import insist, put_once
from objrun.protocol.tombstones import is_free
from objrun.storage import together
from objrun.tables.verify.chains import FILLED, hole, look_at_chain, refill
from objrun.tables.verify.findings import Finding, Mend, unreadable
from objrun.tables.verify.runs import unknown

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from objrun.format.keys import Marker, SegmentKey
    from objrun.protocol.chain import Scheme
    from objrun.storage import ObjectInfo, Store
    from objrun.tables.verify.chains import ChainLook
    from objrun.tables.verify.runs import Facts, Runs


@dataclass
class Parts:
    """The objects of an experiment by what they are."""

    versions: list[int] = field(default_factory=list)
    claims: dict[int, str] = field(default_factory=dict)
    markers: dict[Marker, ObjectInfo] = field(default_factory=dict)
    segments: dict[SegmentKey, str] = field(default_factory=dict)
    tables: list[str] = field(default_factory=list)
    checkpoints: list[str] = field(default_factory=list)
    unknown: list[str] = field(default_factory=list)
    count: int = 0

    def runs(self) -> set[str]:
        """Return the runs that markers and segments tell of."""
        return {marker.run for marker in self.markers} | {s.run for s in self.segments}


def list_parts(store: Store, experiment: str) -> Parts:
    """Return what there is of an experiment: one LIST."""
    parts = Parts()
    for info in insist(lambda: store.list(keys.experiment_folder(experiment))):
        parts.count += 1
        if not _add(parts, experiment, info):
            parts.unknown.append(info.key)
    return parts


def _add(parts: Parts, experiment: str, info: ObjectInfo) -> bool:
    """Add an object to what it is; False where no rule knows its key."""
    key = info.key
    number = keys.parse_version(key) or 0
    marker, segment = keys.parse_marker(key), keys.parse_segment(key)
    if number and key == keys.experiment_state(experiment, number):
        parts.versions.append(number)
    elif number and key == keys.number(experiment, number):
        parts.claims[number] = key
    elif number and key == keys.checkpoint(experiment, number):
        parts.checkpoints.append(key)
    elif marker and key == keys.marker(experiment, *marker):
        parts.markers[marker] = info
    elif segment and key == keys.segment(experiment, *segment[1:]):
        parts.segments[segment] = key
    elif key.startswith(keys.tables(experiment)) and keys.parse_table(key):
        parts.tables.append(key)
    else:
        cut, run = keys.parse_cut(key), parse_heartbeat(key)
        is_cut = cut is not None and key == keys.cut(experiment, *cut)
        return is_cut or (run is not None and key.rpartition("/")[0] + "/" == keys.feed(experiment))
    return True


def look_at_experiment(
    store: Store, experiment: str, parts: Parts, runs: Iterable[Facts]
) -> Iterator[Finding]:
    """Yield what is wrong with the chain of an experiment, and keys that nobody knows."""
    yield from map(unknown, parts.unknown)
    scheme = experiment_scheme(experiment)
    look, versions = _chain(store, scheme, parts.versions)
    yield from look.findings
    mend = Mend(_refill, (experiment,))
    for stretch in look.missing:
        found = hole(scheme, stretch)
        yield Finding("hole", found.key, found.message, FILLED, mend if look.known else None)
    if look.last and look.last.purged and not is_free(look.last):
        told = "it was being purged; `objrun gc` goes on"
        yield Finding("unfinished_purge", scheme.key(look.last.version), told)
    has_more = parts.claims or parts.markers or parts.segments or parts.checkpoints
    if not versions and (has_more or any(runs)):
        told = "its chain was lost, or a copy has not come to its end"
        repair = "it is made anew; its id, its tags and its description are lost"
        found = Finding(
            "missing_experiment", scheme.folder, told, repair, Mend(renew, (experiment,))
        )
        if load_last(store, scheme) is None:
            yield found


def _chain(
    store: Store, scheme: Scheme[ExperimentState], versions: list[int]
) -> tuple[ChainLook[ExperimentState], list[int]]:
    """Look at a chain, listed again where it was purged meanwhile; return its versions, too."""
    for _ in range(RESTARTS):
        try:
            return look_at_chain(store, scheme, _identity, versions), versions
        except NotFoundError:
            listed = insist(lambda: store.list(scheme.folder))
            versions = [n for info in listed if (n := keys.parse_version(info.key))]
    message = f"{scheme.folder} changes faster than it can be read: try again"
    raise UnavailableError(message)


def _identity(state: ExperimentState) -> tuple[object, ...]:
    return state.experiment_id, state.name, state.created


def _refill(store: Store, experiment: str) -> None:
    refill(store, experiment_scheme(experiment))


def renew(store: Store, experiment: str) -> None:
    """Make version 1 of an experiment, if it has none."""
    state = ExperimentState(experiment_id=clock.new_id(), name=experiment, created=clock.now())
    scheme = experiment_scheme(experiment)
    if load_last(store, scheme) is None:
        create(store, scheme, first_version(state))


def look_at_numbers(
    store: Store, experiment: str, claims: dict[int, str], runs: Runs
) -> Iterator[Finding]:
    """Yield what is wrong with claims of numbers, and runs whose number is not theirs."""
    owners: dict[int, str] = {}
    unread: dict[int, Finding] = {}
    fetched = together(store, lambda key: insist(partial(store.get, key)), claims.values())
    for (number, key), answer in zip(claims.items(), fetched, strict=True):
        try:
            owners[number] = decode_number(key, answer()).run_id
        except FormatError as error:
            unread[number] = unreadable(key, error)
        except NotFoundError:
            # Freed since, when the experiment was purged.
            continue
    for facts in runs.of(experiment):
        key = keys.number(experiment, facts.number)
        owner = owners.get(facts.number)
        damaged = unread.pop(facts.number, None)
        if owner not in (None, facts.run):
            told = f"it is claimed by run {owner}, and run {facts.run} has it as well"
            yield Finding("number_taken", key, told)
        elif damaged:
            mend = Mend(claim, (experiment, facts.number, facts.run, True))
            repair = "it is written again, for the run that has the number"
            yield Finding(damaged.code, key, damaged.message, repair, mend)
        elif owner is None and _is_free(store, key, runs, facts):
            mend = Mend(claim, (experiment, facts.number, facts.run, False))
            told = f"run {facts.run} has the number {facts.number}"
            yield Finding("unclaimed", key, told, "the number is claimed for the run", mend)
    yield from unread.values()
    border = keys.BUCKET_SIZE - 1
    in_order = (number for number in claims if number < keys.DRAWN)
    if max(in_order, default=0) > border and border not in claims:
        # Without it the next number is looked for below it (SPEC 9.1).
        mend = Mend(claim, (experiment, border, clock.new_id(), False))
        told = "numbers after it are claimed, which are not found without it"
        repair = "it is claimed for nobody"
        if not any(facts.number == border for facts in runs.of(experiment)):
            yield Finding("unclaimed", keys.number(experiment, border), told, repair, mend)


def _is_free(store: Store, key: str, runs: Runs, facts: Facts) -> bool:
    """Return whether a number is not claimed now, and its run not purged meanwhile."""
    try:
        insist(lambda: store.get(key))
    except NotFoundError:
        again = runs.again(facts.run)
        return again.last > 0 and not again.purged
    return False


def claim(store: Store, experiment: str, number: int, run: str, replaced: bool) -> None:
    """Claim a number for a run that has it already; `replaced`: also over a damaged claim."""
    data = encode_number(NumberClaim(number=number, run_id=run, write_id=clock.random_hex(16)))
    key = keys.number(experiment, number)
    if replaced:
        insist(lambda: store.put(key, data))
    else:
        put_once(store, key, data)
