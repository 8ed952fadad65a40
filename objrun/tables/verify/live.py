"""What is live, against runs and tables: markers, segments, rows of runs, purges."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Final

from objrun.errors import CorruptObjectError, NotFoundError
from objrun.format import keys
from objrun.format.segments import decode_segment
from objrun.protocol.chain import load_last
from objrun.protocol.cover import choose
from objrun.protocol.live import list_logged, run_scheme
from objrun.protocol.purge import list_markers, plan_runs, purge_runs
from objrun.protocol.settle import insist
from objrun.storage import together
from objrun.tables.compaction import drop_runs
from objrun.tables.vacuum import DEAD
from objrun.tables.verify.findings import Finding, Mend, unreadable
from objrun.tables.verify.runs import MISSING, refill_run
from objrun.tables.verify.tables import REBUILT

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping

    from objrun.format.keys import SegmentKey
    from objrun.storage import Store
    from objrun.tables.verify.experiments import Parts
    from objrun.tables.verify.findings import Checked
    from objrun.tables.verify.runs import Facts, Runs
    from objrun.tables.verify.tables import Tabled

PURGED: Final = "the purge goes on: all of the run but its tombstone is removed"


@dataclass(frozen=True)
class Live:
    """What was found of one experiment: runs (`early`), then listed objects, then tables.

    In this order a version that is in no table has a marker. `runs` tells of runs also later on.
    `newest`: when anything of the store was written last, by its clock: "now" at the earliest.
    """

    store: Store
    experiment: str
    early: Mapping[str, Facts]
    parts: Parts
    tabled: Tabled
    runs: Runs
    newest: datetime

    def versions(self) -> dict[str, int]:
        """Return the version of each run in tables."""
        found: dict[str, int] = {}
        for run, version in self.tabled.runs.select("run_id", "version").iter_rows():
            found[run] = max(version, found.get(run, 0))
        return found

    def look(self, checked: Checked) -> Iterator[Finding]:
        """Yield what does not fit."""
        versions = self.versions()
        yield from self._rows(versions)
        yield from self._purges(versions)
        if self.tabled.is_known:
            yield from self._unseen(versions)
            yield from self._markers(versions)
            yield from self._segments(checked)

    def _rows(self, versions: dict[str, int]) -> Iterator[Finding]:
        """Yield runs of which tables know more, or something else, than their chains."""
        roots = dict(self.tabled.runs.select("run_id", "root_run_id").iter_rows())
        for run, version in versions.items():
            facts = self.runs.get(run)
            if not facts.purged and facts.last < version:
                facts = self.runs.again(run)
            key = keys.run_state(run, version)
            if facts.purged:
                continue
            if facts.last < version:
                told = f"tables have version {version} of the run, its chain ends at {facts.last}"
                repair = "it is made again as tables have it; what it recorded of history is gone"
                mend = Mend(refill_run, (self.experiment, run))
                code = "lost_version" if facts.last else "missing_run"
                yield Finding(code, key, told, repair, mend)
            elif facts.experiment and (facts.experiment, facts.root) != (
                self.experiment,
                roots[run],
            ):
                told = f"tables have it below root run {roots[run]}, its chain says {facts.root}"
                yield Finding("wrong_run", key, f"{told} of {facts.experiment!r}", REBUILT)

    def _purges(self, versions: dict[str, int]) -> Iterator[Finding]:
        """Yield purged runs of which anything is left."""
        marked = {marker.run: marker.version for marker in self.parts.markers}
        pointed = {run for run, _ in self.tabled.stops}
        live = {segment.run for segment in self.parts.segments}
        for run, facts in self.early.items():
            if not facts.purged:
                continue
            mend = Mend(finish_purge, (self.experiment, run))
            key = keys.run_state(run, facts.last)
            in_tables = run in versions or run in pointed
            if in_tables and marked.get(run, 0) < facts.last:
                told = "the run was purged, and tables have rows of it"
                yield Finding("purged_rows", key, told, "they are removed", mend)
            elif run in live or facts.others or in_tables:
                told = "the run was purged, and parts of it are left"
                yield Finding("unfinished_purge", key, told, PURGED, mend)

    def _unseen(self, versions: dict[str, int]) -> Iterator[Finding]:
        """Yield runs whose last version no marker and no table tells of."""
        marked: dict[str, int] = {}
        for run, version in self.parts.markers:
            marked[run] = max(version, marked.get(run, 0))
        for facts in self.early.values():
            if facts.purged or facts.last <= max(
                versions.get(facts.run, 0), marked.get(facts.run, 0)
            ):
                continue
            again = self.runs.again(facts.run)
            if again.purged or not again.last:
                continue
            key = keys.marker(self.experiment, facts.run, facts.last)
            told = f"version {facts.last} of the run is in no table and has no marker"
            mend = Mend(put_marker, (key,))
            yield Finding("unmarked", key, told, "the marker is put", mend)

    def _markers(self, versions: dict[str, int]) -> Iterator[Finding]:
        """Yield markers of versions that were never made, and of runs that are lost."""
        missed = self._missed()
        for run in sorted(missed):
            if self._is_gone(run) and run not in versions:
                yield Finding(
                    "missing_run", keys.run_states(run), f"it has {missed[run]}: {MISSING}"
                )
        for (run, version), info in self.parts.markers.items():
            if version <= versions.get(run, 0) or version <= self.runs.get(run).last:
                continue
            if self.newest - info.modified < DEAD or run in missed:
                continue
            if version > self.runs.again(run).last:
                told = f"version {version} was never made, or is lost; a vacuum makes it, empty"
                yield Finding("dead_marker", info.key, told)

    def _missed(self) -> dict[str, str]:
        """Return runs that must have a chain and have none, and what tells so."""
        found = {
            m.run: f"the marker of version {m.version}" for m in self.parts.markers if m.version > 1
        }
        found |= {run: "points in tables" for run, _ in self.tabled.stops}
        found |= {segment.run: "segments" for segment in self.parts.segments}
        facts = {run: self.runs.get(run) for run in found}
        # Of properties without a chain was told where they were found.
        return {r: found[r] for r in found if not facts[r].last and not facts[r].others}

    def _is_gone(self, run: str) -> bool:
        return not self.runs.again(run).last

    def _segments(self, checked: Checked) -> Iterator[Finding]:
        """Yield segments that count and cannot be read, and rows that do not count."""
        segments = self.parts.segments
        pieces = choose(segments, self.tabled.stops)
        read = together(
            self.store, lambda piece: _damage(self.store, segments[piece.segment]), pieces
        )
        for piece, answer in zip(pieces, read, strict=True):
            segment = piece.segment
            error = answer()
            checked.add(objects=1, points=segment.stop - segment.start - piece.skip)
            if error is not None:
                yield unreadable(segments[segment], error)
        checked.add(objects=len(segments) - len(pieces))
        for writer, stretch in self._gaps(segments).items():
            again = list_logged(self.store, self.experiment, writer[0]).segments
            # A purge removes segments in any order.
            if stretch == self._gaps(again).get(writer) and not self.runs.again(writer[0]).purged:
                first, start, stop = stretch
                told = f"rows {start} to {stop - 1} of writer {writer[1]} of run {writer[0]}"
                missing = f"rows {first} to {start - 1} before them are missing"
                key = keys.segment(self.experiment, *writer, start, stop)
                yield Finding("gap", key, f"{told} do not count: {missing}")

    def _gaps(
        self, segments: Collection[SegmentKey]
    ) -> dict[tuple[str, str], tuple[int, int, int]]:
        """Return by writer where its rows end, and the first segment behind that."""
        ends = dict(self.tabled.stops)
        for segment, _ in choose(segments, self.tabled.stops):
            ends[segment.run, segment.writer] = segment.stop
        found: dict[tuple[str, str], tuple[int, int, int]] = {}
        for segment in sorted(segments, reverse=True):
            writer = segment.run, segment.writer
            end = ends.get(writer, 0)
            if segment.start > end:
                found[writer] = end, segment.start, segment.stop
        return found


def _damage(store: Store, key: str) -> CorruptObjectError | None:
    try:
        decode_segment(key, insist(partial(store.get, key)))
    except CorruptObjectError as error:
        return error
    except NotFoundError:
        # Superseded or compacted since it was listed.
        return None
    return None


def put_marker(store: Store, key: str) -> None:
    """Put a marker again."""
    insist(lambda: store.put(key, b""))


def finish_purge(store: Store, experiment: str, run: str) -> None:
    """Remove what is left of a run that ends in a tombstone."""
    version = load_last(store, run_scheme(experiment, run))
    if version is None or not version.purged:
        return
    limit = datetime.min.replace(tzinfo=UTC)
    doomed = plan_runs(store, experiment, [run], list_markers(store, experiment), limit)
    purge_runs(store, doomed, partial(drop_runs, store, experiment))
