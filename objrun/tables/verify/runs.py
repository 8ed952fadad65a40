"""Runs: their chains and properties, and what the rest of a store must agree with."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Final, NamedTuple

from objrun import clock
from objrun.errors import FormatError, NotFoundError, UnavailableError
from objrun.format import keys
from objrun.format.documents import decode_property, encode_property
from objrun.format.media import parse_pack
from objrun.format.names import is_run_id
from objrun.format.shared import references
from objrun.format.states import Property
from objrun.protocol.chain import Chain, load_last
from objrun.protocol.live import RESTARTS, run_scheme
from objrun.protocol.settle import insist
from objrun.protocol.tombstones import is_free
from objrun.protocol.updates import AddProperties
from objrun.storage import together
from objrun.tables.run_rows import STORED, version_of
from objrun.tables.runs import list_runs
from objrun.tables.vacuum import DEAD
from objrun.tables.verify.chains import FILLED, hole, look_at_chain, refill
from objrun.tables.verify.findings import Finding, Mend, unreadable
from objrun.tables.verify.stored import is_of_files, look_at_files

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from datetime import datetime

    from objrun.format.states import RunState, Version
    from objrun.storage import ObjectInfo, Store
    from objrun.tables.verify.findings import Checked

    Listed = Mapping[str, list[ObjectInfo]]

MISSING: Final = "its chain was lost, or the copy that brings it has not come to its end"


@dataclass(frozen=True, slots=True)
class Facts:
    """What the chain of a run says of it; None where no version can be read, or they contradict.

    `last` is the number of its last version, 0 where there is none; `others`: whether more than its
    versions is there; `shared`: keys of snapshots and environments that it refers to.
    """

    run: str
    last: int = 0
    purged: bool = False
    experiment: str | None = None
    number: int = 0
    root: str | None = None
    parent: str | None = None
    others: bool = False
    shared: tuple[str, ...] = ()


class Seen(NamedTuple):
    """What one look at a run has found."""

    facts: Facts
    findings: list[Finding]


class Runs:
    """The runs of a store as they were found; those it does not know yet are looked at when asked.

    What looks wrong is looked at twice, the second time with a listing of its own: the store may
    be in use. `newest`: when anything was written last, "now" at the earliest.
    """

    def __init__(self, store: Store, checked: Checked, newest: datetime) -> None:
        """Know nothing yet."""
        self._store = store
        self._newest = newest
        self._checked = checked
        self._facts: dict[str, Facts] = {}
        self._members: dict[str, dict[str, None]] = {}

    def look(self, listed: Listed) -> Iterator[Finding]:
        """Look at all runs that were listed, many at once, and yield what is wrong with them."""
        runs = [run for run in listed if is_run_id(run)]
        answers = together(self._store, lambda run: self._look(run, listed[run]), runs)
        for run, answer in zip(runs, answers, strict=True):
            facts, findings = answer()
            self._keep(facts)
            there = facts.last > 0 and not facts.purged
            self._checked.add(objects=len(listed[run]), runs=int(there))
            yield from findings

    def get(self, run: str) -> Facts:
        """Return the facts of a run, looked for now if it was not listed."""
        return self._facts[run] if run in self._facts else self.again(run)

    def again(self, run: str) -> Facts:
        """Return the facts of a run as they are now."""
        facts = self._look(run, _list(self._store, run)).facts
        self._keep(facts)
        return facts

    def _look(self, run: str, listed: list[ObjectInfo]) -> Seen:
        """Look at a run; where anything is wrong, once more, at a listing of this moment."""
        fresh = False
        for _ in range(RESTARTS):
            try:
                seen = _look_once(self._store, run, listed, self._newest)
            except NotFoundError:
                # Removed by a purge since it was listed.
                pass
            else:
                if fresh or not seen.findings:
                    return seen
            listed, fresh = _list(self._store, run), True
        message = f"the objects of run {run} change faster than they can be read: try again"
        raise UnavailableError(message)

    def _keep(self, facts: Facts) -> None:
        self._facts[facts.run] = facts
        if facts.experiment:
            self._members.setdefault(facts.experiment, {})[facts.run] = None

    def seen(self, experiment: str) -> dict[str, Facts]:
        """Return the runs of an experiment that were looked at until now, purged ones, too."""
        return {run: self._facts[run] for run in self._members.get(experiment, ())}

    def of(self, experiment: str) -> list[Facts]:
        """Return the same without those that were purged."""
        return [facts for facts in self.seen(experiment).values() if not facts.purged]

    def experiments(self) -> set[str]:
        """Return the names of the experiments that runs say they are of."""
        return {name for name in self._members if self.of(name)}

    def shared(self) -> dict[str, str]:
        """Return the keys of snapshots and environments that runs refer to, and one run of each."""
        return {key: facts.run for facts in self._facts.values() for key in facts.shared}

    def families(self, experiment: str) -> Iterator[Finding]:
        """Yield what is wrong with parents and roots in an experiment."""
        for facts in self.of(experiment):
            yield from self._family(facts)

    def _family(self, facts: Facts) -> Iterator[Finding]:
        key = keys.run_states(facts.run)
        if facts.parent is None:
            if facts.root != facts.run:
                told = f"it has no parent, and {facts.root} as its root"
                yield Finding("inconsistent", key, told)
            return
        for what, run in (("parent", facts.parent), ("root", facts.root or "")):
            if not self.get(run).last:
                yield Finding("missing_parent", key, f"its {what} {run} is not there")
        root = self.get(facts.parent).root
        if root is not None and root != facts.root:
            told = f"its root is {facts.root}, that of its parent {facts.parent} is {root}"
            yield Finding("inconsistent", key, told)


def by_run(listed: Iterable[ObjectInfo]) -> dict[str, list[ObjectInfo]]:
    """Return objects below `runs/` by the run that they belong to."""
    found: dict[str, list[ObjectInfo]] = {}
    for info in listed:
        found.setdefault(info.key.split("/")[1], []).append(info)
    return found


def _list(store: Store, run: str) -> list[ObjectInfo]:
    return insist(lambda: store.list(keys.run_folder(run)))


def _look_once(store: Store, run: str, listed: list[ObjectInfo], newest: datetime) -> Seen:
    scheme = run_scheme("", run)
    folders = keys.run_states(run), f"{keys.run_folder(run)}properties/"
    versions, properties, findings = [], [], list[Finding]()
    files: list[ObjectInfo] = []
    for info in listed:
        number = keys.parse_version(info.key)
        if number and info.key == scheme.key(number):
            versions.append(number)
        elif info.key.startswith(folders[1]) and info.key.endswith(".json"):
            properties.append(info)
        elif is_of_files(info.key):
            files.append(info)
        elif parse_pack(info.key) is None:
            findings.append(unknown(info.key))
    look = look_at_chain(store, scheme, _identity, versions)
    findings += look.findings
    last = look.known.state if look.known else None
    mend = Mend(refill_run, (last.experiment, run)) if last else None
    for stretch in look.missing:
        found = hole(scheme, stretch)
        repair = FILLED if last else None
        findings.append(Finding("hole", found.key, found.message, repair, mend))
    others = len(listed) > len(versions)
    facts = _facts(
        run,
        max(versions, default=0),
        look.known,
        # Below a tombstone that says so nothing is left but others like it.
        others=others or (len(versions) > 1 and not (look.known and is_free(look.known))),
        contradicted=any(finding.code == "inconsistent" for finding in look.findings),
    )
    if not facts.purged:
        state = look.last.state if look.last else None
        findings += _properties(store, properties, state, newest)
        findings += look_at_files(store, files)
    if properties and not facts.last:
        findings.append(
            Finding("missing_run", keys.run_states(run), f"it has properties: {MISSING}")
        )
    return Seen(facts, findings)


def unknown(key: str) -> Finding:
    """Return the finding of a key that is none of the format."""
    return Finding("unknown_object", key, "no rule of the format knows this key; nobody reads it")


def _identity(state: RunState) -> tuple[object, ...]:
    parents = state.root_run_id, state.parent_run_id
    fixed = state.created, state.name, state.type
    return (state.run_id, state.experiment, state.number, *parents, *fixed)


def _facts(
    run: str, last: int, version: Version[RunState] | None, *, others: bool, contradicted: bool
) -> Facts:
    if version is not None and version.state is None:
        return Facts(run, last, bool(version.purged), version.experiment, others=others)
    if version is None or version.state is None or contradicted:
        return Facts(run, last, others=others)
    state = version.state
    return Facts(
        run,
        last,
        experiment=state.experiment,
        number=state.number,
        root=state.root_run_id,
        parent=state.parent_run_id,
        others=others,
        shared=(*references(state.properties),),
    )


def refill_run(store: Store, experiment: str, run: str) -> None:
    """Make the versions that a run's chain misses, one that tables have as these have it.

    Those below the last need no marker, nor does one that is in tables.
    """
    try:
        rows = list_runs(store, experiment, {}).rows.filter(run_id=run)
    except FormatError:
        rows = STORED.to_frame()
    told = next((version_of(row) for row in rows.iter_rows(named=True)), None)
    refill(store, run_scheme(experiment, run), told)


def _properties(
    store: Store, listed: Iterable[ObjectInfo], state: RunState | None, newest: datetime
) -> Iterator[Finding]:
    for info in listed:
        key = info.key
        data = insist(partial(store.get, key))
        try:
            found = decode_property(key, data)
        except FormatError as error:
            yield _damaged_property(key, unreadable(key, error), state)
            continue
        if state is None:
            continue
        if found.key not in state.properties:
            if newest - info.modified < DEAD:
                # Its writer is about to add it.
                continue
            told = f"{found.key[:80]!r} of run {state.run_id} is not in its state"
            repair = "it is added to the state, as its writer meant to do"
            mend = Mend(adopt_property, (found.run_id, found.key, found.value))
            yield Finding("orphan_property", key, told, repair, mend)
        elif state.properties[found.key] != found.value:
            stated = state.properties[found.key]
            told = f"its value is {found.value!r:.80}, in the state of the run {stated!r:.80}"
            yield Finding("property_differs", key, told)


def _damaged_property(key: str, found: Finding, state: RunState | None) -> Finding:
    named = {keys.run_property(state.run_id, n): n for n in state.properties} if state else {}
    if state is None or key not in named or found.code != "damaged":
        return found
    repair = "it is written again with the value that the state of the run has"
    mend = Mend(write_property, (state.run_id, named[key], state.properties[named[key]]))
    return Finding(found.code, key, found.message, repair, mend)


def adopt_property(store: Store, run: str, key: str, value: str | None) -> None:
    """Copy a property that was claimed into the state of its run; one that is there stays."""
    version = load_last(store, run_scheme("", run))
    if version is not None and version.state is not None:
        scheme = run_scheme(version.state.experiment, run)
        Chain(store, scheme, version).commit(AddProperties({key: value}))


def write_property(store: Store, run: str, key: str, value: str | None) -> None:
    """Write the object of a property again, whose bytes were damaged."""
    prop = Property(run_id=run, key=key, value=value, write_id=clock.random_hex(16))
    data = encode_property(prop)
    insist(lambda: store.put(keys.run_property(run, key), data))
