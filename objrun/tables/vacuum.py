"""Remove what the tables have made needless. SPEC section 11.5.

Every rule here looks at the greatest checkpoint, listed anew, never at what this process believes
to have committed: a checkpoint of a smaller number may have been made after one was removed.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import timedelta
from itertools import pairwise
from typing import TYPE_CHECKING, Final

import polars as pl

from objrun import clock
from objrun.errors import CorruptObjectError, FormatError, NotFoundError, UnavailableError
from objrun.format import keys
from objrun.format.checkpoints import decode_checkpoint
from objrun.format.heartbeat_keys import parse_heartbeat
from objrun.format.states import TERMINAL
from objrun.protocol.chain import load, load_last
from objrun.protocol.live import Marked, read_changed, run_scheme
from objrun.protocol.settle import insist, put_once
from objrun.protocol.tombstones import FREE, is_free, tombstone
from objrun.tables.cuts import least
from objrun.tables.intact import newly_covering, wrong_bytes, wrong_sizes
from objrun.tables.reading import Rows, TableReader, read_frame
from objrun.tables.run_rows import last_rows

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from datetime import datetime

    from objrun.format.checkpoints import Checkpoint
    from objrun.format.keys import Marker
    from objrun.format.states import RunState, Version
    from objrun.storage import ObjectInfo, Store

RETENTION: Final = timedelta(hours=1)
"""How long a checkpoint and its tables stay after a newer one: for readers that hold it."""

DEAD: Final = timedelta(hours=1)
"""Age of a marker without a version at which its writer counts as dead."""

TRIES: Final = 10


@dataclass(frozen=True)
class Needless:
    """Objects that can go, by reason; each is a row of a listing.

    `burnt` are markers whose version its dead writer never made: it is made as a version that
    changes nothing, so that the marker can go with the next compaction. `damaged` are tables that
    are not what their checkpoint tells of: while there are any nothing else can go.
    """

    segments: Sequence[ObjectInfo] = ()
    cuts: Sequence[ObjectInfo] = ()
    markers: Sequence[ObjectInfo] = ()
    checkpoints: Sequence[ObjectInfo] = ()
    tables: Sequence[ObjectInfo] = ()
    burnt: Sequence[Marked] = ()
    damaged: Sequence[CorruptObjectError] = ()

    @property
    def removed(self) -> list[ObjectInfo]:
        """All that goes, checkpoints before the tables that they name."""
        return [*self.segments, *self.cuts, *self.markers, *self.checkpoints, *self.tables]

    @property
    def size(self) -> int:
        """The bytes of what goes."""
        return sum(info.size for info in self.removed)


def vacuum(
    store: Store, experiment: str, *, retention: timedelta = RETENTION, dry_run: bool = False
) -> Needless:
    """Remove what is needless in an experiment and return what that was.

    Segments, cuts and markers that the greatest checkpoint covers; checkpoints that were superseded
    `retention` ago, and tables that none of those left names. With `dry_run` nothing is removed.
    The tables that stand for what goes are checked before: all by their size, those with the points
    by their CRC-32. Where one is damaged nothing is removed.
    """
    for _ in range(TRIES):
        try:
            found = _look(store, experiment, retention)
        except NotFoundError:
            # Another vacuum, or a compaction, was here meanwhile.
            continue
        except CorruptObjectError as error:
            return Needless(damaged=(error,))
        if not dry_run:
            _burn(store, found.burnt)
            live = found.segments, found.cuts, found.markers
            for infos in (*live, found.checkpoints, found.tables):
                _delete(store, [info.key for info in infos])
        return found
    message = f"the objects of {experiment!r} change faster than they can be read: try again"
    raise UnavailableError(message)


def _delete(store: Store, names: list[str]) -> None:
    if names:
        insist(lambda: store.delete(names))


def _look(store: Store, experiment: str, retention: timedelta) -> Needless:
    # What is listed before the checkpoints is covered by the greatest of them, or stays.
    segments = insist(lambda: store.list(keys.shards(experiment)))
    markers = insist(lambda: store.list(keys.feed(experiment)))
    tables = insist(lambda: store.list(keys.tables(experiment)))
    logged = insist(lambda: store.list(keys.checkpoints(experiment)))
    log = [info for info in logged if keys.parse_version(info.key)]
    if not log:
        return Needless()
    now = insist(store.now)
    ages = [now - later.modified for _, later in pairwise(log)]
    old = [info for info, age in zip(log, ages, strict=False) if age >= retention]
    kept = [_read(store, info.key) for info in log if info not in old]
    latest = kept[-1]
    named = {file.name for checkpoint in kept for file in checkpoint.files}
    orphans = [info for info in tables if _is_orphan(info, named, latest)]
    if damaged := wrong_sizes(store, latest, tables):
        return Needless(damaged=damaged)
    covered = _covered(store, latest, segments)
    before = _names_of(store, old[-1].key) if old and orphans else None
    new = newly_covering(latest, tables, covered, before)
    if damaged := wrong_bytes(store, experiment, new):
        return Needless(damaged=damaged)
    folded, burnt = _folded(store, latest, markers, now)
    cuts = _cuts_in(store, latest, segments)
    return Needless([*covered], cuts, folded, old, orphans, burnt)


def _read(store: Store, key: str) -> Checkpoint:
    return decode_checkpoint(key, insist(lambda: store.get(key)))


def _names_of(store: Store, key: str) -> frozenset[str]:
    """Return the tables that a checkpoint names, none where it is damaged."""
    try:
        return frozenset(file.name for file in _read(store, key).files)
    except FormatError:
        return frozenset()


def _is_orphan(info: ObjectInfo, named: set[str], latest: Checkpoint) -> bool:
    """Return whether nobody names a table, nor ever will: its base is below the orphan floor."""
    table = keys.parse_table(info.key)
    if table is None or info.key.rpartition("/")[2] in named:
        return False
    return table.base < latest.orphan_floor


def _covered(
    store: Store, checkpoint: Checkpoint, listed: Iterable[ObjectInfo]
) -> dict[ObjectInfo, str]:
    """Return the segments all of whose rows are in tables, and their root runs."""
    named = {info: segment for info in listed if (segment := keys.parse_segment(info.key))}
    runs = {segment.run for segment in named.values()}
    found: dict[tuple[str, str], tuple[int, str]] = {}
    for file in checkpoint.of_kind("coverage") if runs else ():
        # Whole, by its CRC-32: what it says decides what goes.
        rows = read_frame(store, checkpoint.experiment, file).filter(pl.col("run_id").is_in(runs))
        for root, run, writer, stop in rows.iter_rows():
            found[run, writer] = max((stop, root), found.get((run, writer), (0, "")))
    return {
        info: found[s.run, s.writer][1]
        for info, s in named.items()
        if s.stop <= found.get((s.run, s.writer), (0, ""))[0]
    }


def _cuts_in(
    store: Store, checkpoint: Checkpoint, listed: Iterable[ObjectInfo]
) -> list[ObjectInfo]:
    """Return the cuts that are in tables."""
    named = {info: cut for info in listed if (cut := keys.parse_cut(info.key))}
    found: dict[tuple[str, str], int] = {}
    for file in checkpoint.of_kind("cuts") if named else ():
        # Whole, by its CRC-32, too.
        rows = read_frame(store, checkpoint.experiment, file).iter_rows()
        found = least(found, {(run, writer): step for _, run, writer, step in rows})
    return [i for i, cut in named.items() if found.get(cut[:2], cut.step + 1) <= cut.step]


def _folded(
    store: Store, checkpoint: Checkpoint, listed: Sequence[ObjectInfo], now: datetime
) -> tuple[list[ObjectInfo], list[Marked]]:
    """Return the markers of versions that are in tables or purged, and those of dead writers.

    With the former go heartbeats that nobody needs any more.
    """
    named = {info: marker for info in listed if (marker := keys.parse_marker(info.key))}
    beats = {info: run for info in listed if (run := parse_heartbeat(info.key))}
    marked = frozenset(marker.run for marker in named.values())
    known = marked.union(beats.values())
    rows = last_rows([*_frames(store, checkpoint, "runs", known)])
    versions = dict(rows.select("run_id", "version").iter_rows())
    # A run that goes on has a row or a marker; one that has neither was purged.
    going_on = marked.union(rows.filter(~pl.col("status").is_in(TERMINAL))["run_id"])
    old = (marker for info, marker in named.items() if now - info.modified >= DEAD)
    asked = _waiting(checkpoint.experiment, old, versions)
    burnt: list[Marked] = []
    read = read_changed(store, asked)
    for one in asked:
        if one in read.damaged:
            continue
        found = read.versions.get(one) or read.purged.get(one)
        last = found if found is not None or one.known else _of_another(store, one)
        if isinstance(last, FormatError):
            continue
        number = last.version if last is not None else one.known
        is_nobodys = last is None or is_free(last)
        if found is None and last and last.experiment == one.experiment and not is_nobodys:
            is_going_on = (one.run, last.version) in named.values()
            if is_going_on:
                # Its purge does, by the tombstone's marker, which is too young to be asked for.
                continue
        if last is not None and (is_nobodys or found is None):
            # Whoever has put a marker up to that version has lost, and nobody waits for it.
            versions[one.run] = number
        # The markers of a purged run its purge removes, last: by them it goes on if it was killed.
        if one.marked == number + 1 and (is_nobodys or (found is not None and not found.purged)):
            burnt.append(one._replace(known=number))
    folded = [info for info, m in named.items() if m.version <= versions.get(m.run, 0)]
    newest = {run: info for info, run in sorted(beats.items(), key=lambda beat: beat[0].modified)}
    needless = [i for i, run in beats.items() if run not in going_on or i != newest[run]]
    return [*folded, *(info for info in needless if now - info.modified >= DEAD)], burnt


def _waiting(
    experiment: str, markers: Iterable[Marker], versions: Mapping[str, int]
) -> list[Marked]:
    """Return the runs that have markers above their versions, each with its greatest."""
    waiting: dict[str, int] = {}
    for run, version in markers:
        if version > versions.get(run, 0):
            waiting[run] = max(version, waiting.get(run, 0))
    return [Marked(experiment, run, versions.get(run, 0), n) for run, n in waiting.items()]


def _of_another(store: Store, one: Marked) -> Version[RunState] | FormatError | None:
    """Return the last version of a run that is in another experiment, None if there is no run.

    Raises NotFoundError where it is in this one, so that it came just now.
    """
    try:
        version = load_last(store, run_scheme(one.experiment, one.run))
    except FormatError as error:
        return error
    if version and version.state and version.state.experiment == one.experiment:
        message = f"run {one.run!r} was made just now"
        raise NotFoundError(message)
    return version


def _frames(
    store: Store, checkpoint: Checkpoint, kind: str, runs: frozenset[str]
) -> Iterator[pl.DataFrame]:
    if runs:
        for file in checkpoint.of_kind(kind):
            yield from TableReader(store, checkpoint.experiment, file).frames(Rows(runs=runs))


def _burn(store: Store, markers: Iterable[Marked]) -> None:
    """Make the versions that dead writers announced; one that was made meanwhile stays as it is."""
    for experiment, run, known, marked in markers:
        scheme = run_scheme(experiment, run)
        try:
            head = load(store, scheme, known) if known else None
        except (FormatError, NotFoundError):
            # Nothing can follow a version that is damaged or was purged just now; the rest goes on.
            continue
        # A run that was never made can be made behind it.
        goes_on = head if head and head.state else None
        version = no_change(goes_on) if goes_on else tombstone(marked, experiment, FREE)
        put_once(store, scheme.key(marked), scheme.encode(version))


def no_change(head: Version[RunState]) -> Version[RunState]:
    """Return the version after `head` that changes nothing."""
    fresh = {"write_id": clock.random_hex(16), "written": clock.now(), "base": None}
    return replace(head, version=head.version + 1, ops=(), **fresh)  # type: ignore[arg-type]
