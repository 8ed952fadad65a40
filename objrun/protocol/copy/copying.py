"""Copy experiments from one store to another; the rules stand in `objrun.protocol.copy`."""

from __future__ import annotations

from collections import defaultdict
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final, TypeVar

from objrun.errors import FormatError, NotAStoreError, NotFoundError, UnavailableError
from objrun.format import keys
from objrun.format.documents import decode_run
from objrun.format.media import parse_pack
from objrun.protocol.checkpointing import latest_checkpoint
from objrun.protocol.copy.claims import Claims
from objrun.protocol.copy.compacted import Covered
from objrun.protocol.copy.forks import lacking, meeting
from objrun.protocol.copy.listing import Folder, list_experiment, list_folders, list_segments
from objrun.protocol.copy.pair import find, read
from objrun.protocol.copy.plan import (
    RunPlan,
    Sides,
    lacking_cuts,
    lacking_packs,
    lacks_points,
    missing_rows,
    plan_run,
)
from objrun.protocol.copy.shared import Shared
from objrun.protocol.experiments import experiment_scheme
from objrun.protocol.live import RESTARTS, last_markers, run_scheme
from objrun.protocol.opening import check_empty, new_header, open_for_reading
from objrun.storage import together

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping

    from objrun.format.checkpoints import Checkpoint
    from objrun.protocol.chain import Scheme
    from objrun.protocol.copy.compacted import Tables
    from objrun.protocol.copy.pair import Pair
    from objrun.protocol.copy.work import Work
    from objrun.storage import Store

S = TypeVar("S")

BATCH: Final = 256
"""Runs that are planned, then copied, at a time: so memory does not grow with the work."""

NOTHING: Final = Covered("", {})
"""What tables cover of a run that they do not have."""


def copy_experiments(
    pair: Pair,
    chosen: Mapping[str, Collection[str] | None],
    work: Work,
    tables: Tables,
    *,
    whole: bool,
) -> Collection[str]:
    """Copy experiments by name: all of their runs (None), or some with all below them.

    Where the target is no store yet it becomes one, with the id of the source if `whole`. What was
    done is in `work.copied`; returned are the runs that were meant.
    """
    _begin(pair, work, whole=whole)
    found: dict[str, Collection[str]] = {}
    for name, only in chosen.items():
        with _told(work, name):
            found[name] = _runs(pair.source, name, only, tables)
    every = {run for runs in found.values() for run in runs}
    ours, theirs = list_folders(pair.source, every), list_folders(pair.target, every)
    work.copied.all_runs = sum(bool(folder.versions) for folder in ours.values())
    shared = Shared(pair)
    for name, runs in found.items():
        listed = {
            run: (ours[run], theirs.get(run, Folder()))
            for run in runs
            if run in ours and ours[run].versions
        }
        with _told(work, name):
            if _copy_chain(pair, name, work):
                purged = {run for run, both in listed.items() if _is_purged(pair, name, run, *both)}
                work.copied.purged += sorted(purged)
                left = {run: both for run, both in listed.items() if run not in purged}
                all_of_it = chosen[name] is None and not purged
                _Experiment(pair, name, left, work, tables, shared).copy(whole=all_of_it)
    return every


@contextmanager
def _told(work: Work, experiment: str) -> Iterator[None]:
    """Let what is damaged or too new in one experiment not stop the others."""
    try:
        yield
    except FormatError as error:
        told = f"experiment {experiment!r} is not copied, or only in part: {error.message}"
        work.copied.conflicts.append(told)


def _begin(pair: Pair, work: Work, *, whole: bool) -> None:
    open_for_reading(pair.source)
    try:
        open_for_reading(pair.target)
    except NotAStoreError:
        check_empty(pair.target)
        work.header(read(pair.source, keys.HEADER) if whole else new_header())


def _is_purged(pair: Pair, experiment: str, run: str, ours: Folder, theirs: Folder) -> bool:
    """Return whether the chain there ends in a tombstone, as one may that ours is shorter than."""
    if theirs.last <= len(ours.versions):
        return False
    scheme = run_scheme(experiment, run)
    try:
        return (
            scheme.decode(key := scheme.key(theirs.last), read(pair.target, key)).purged is not None
        )
    except FormatError:
        return False


def _runs(
    source: Store, experiment: str, only: Collection[str] | None, tables: Tables
) -> Collection[str]:
    """Return the runs to be copied: those that have markers or stand in tables."""
    marked = last_markers(source, experiment)
    checkpoint = latest_checkpoint(source, experiment)
    parents = tables.parents(source, checkpoint) if checkpoint else {}
    every = marked.keys() | parents.keys()
    return every if only is None else _families(source, every, only, parents)


def _families(
    source: Store,
    every: Collection[str],
    only: Collection[str],
    known: Mapping[str, str | None],
) -> Collection[str]:
    """Return some runs and all below them; what no table knows is read from its first version."""
    children: defaultdict[str | None, list[str]] = defaultdict(list)
    unknown = [run for run in every if run not in known]
    firsts = together(source, lambda run: find(source, keys.run_state(run, 1)), unknown)
    parents = {**known}
    for run, answer in zip(unknown, firsts, strict=True):
        if (data := answer()) is not None:
            state = decode_run(keys.run_state(run, 1), data).state
            parents[run] = state.parent_run_id if state else None
    for run, parent in parents.items():
        children[parent].append(run)
    found: set[str] = set()
    pending = [*only]
    while pending:
        run = pending.pop()
        if run not in found:
            found.add(run)
            pending += children[run]
    return found


def _copy_chain(pair: Pair, experiment: str, work: Work) -> bool:
    """Copy what the target lacks of an experiment's chain.

    Returns False where its runs are not to be copied: the source has no such experiment (any more),
    or it was purged in the target.
    """
    scheme = experiment_scheme(experiment)
    ours = list_experiment(pair.source, experiment)
    if not ours or _is_tombstone(pair.source, scheme, ours):
        return False
    theirs = list_experiment(pair.target, experiment)
    if theirs and _is_tombstone(pair.target, scheme, theirs):
        told = f"experiment {experiment!r} was purged there: to copy its runs, make it anew there"
        work.copied.conflicts.append(told)
        return False
    if ours.items() <= theirs.items():
        return True
    known = meeting(pair, scheme, ours, theirs)
    if not theirs or known == max(theirs):
        later = {number: size for number, size in ours.items() if number > known}
        work.experiment(experiment, later, forked=False)
    elif known and (again := lacking(pair, scheme, known, ours, theirs)):
        work.experiment(experiment, {number: ours[number] for number in again}, forked=True)
    return True


def _is_tombstone(store: Store, scheme: Scheme[S], sizes: Mapping[int, int]) -> bool:
    """Return whether a chain ends in a tombstone; one that has version 1 does not."""
    if 1 in sizes:
        return False
    key = scheme.key(max(sizes))
    return scheme.decode(key, read(store, key)).purged is not None


class _Experiment:
    """One experiment on its way: its runs, each with its folders on both sides."""

    def __init__(
        self,
        pair: Pair,
        name: str,
        folders: Mapping[str, tuple[Folder, Folder]],
        work: Work,
        tables: Tables,
        shared: Shared,
    ) -> None:
        self._shared = shared
        self._pair = pair
        self._name = name
        self._folders = folders
        self._work = work
        self._tables = tables
        self._claims = Claims(pair, name)

    def copy(self, *, whole: bool) -> None:
        """Copy the runs; those of which something vanishes meanwhile again, from a new listing."""
        pending = {*self._folders}
        for restart in range(RESTARTS):
            if not pending:
                break
            sides, checkpoint, is_first = self._look(pending)
            sides = self._with_packs(sides)
            may_adopt = whole and is_first and not restart and self._may_adopt(sides)
            packs = [pack for side in sides.values() for pack in lacking_packs(side)]
            if (
                may_adopt
                and checkpoint
                and not self._work.packs(packs)
                and self._work.tables(checkpoint)
            ):
                sides = {r: each._replace(their_covered=each.covered) for r, each in sides.items()}
            pending = self._round(sides, checkpoint)
        if pending:
            message = f"the runs of {self._name!r} change faster than they are copied: try again"
            raise UnavailableError(message)

    def _look(self, runs: set[str]) -> tuple[dict[str, Sides], Checkpoint | None, bool]:
        """List both sides: segments before checkpoints, so that what vanished is in those.

        Also returned: the source's checkpoint, and whether it would be the target's first.
        """
        source, target = self._pair
        ours, our_cuts = list_segments(source, self._name, runs)
        checkpoint = latest_checkpoint(source, self._name)
        theirs, their_cuts = list_segments(target, self._name, runs)
        there = latest_checkpoint(target, self._name)
        covered = self._tables.coverage(source, checkpoint, runs) if checkpoint else {}
        their_covered = self._tables.coverage(target, there, runs) if there else {}
        our_cuts += self._tables.cuts(source, checkpoint, runs) if checkpoint else []
        their_cuts += self._tables.cuts(target, there, runs) if there else []
        cuts = lacking_cuts(our_cuts, their_cuts)
        unlisted = self._unlisted(runs, there)
        sides = {
            run: Sides(
                *self._folders[run],
                ours[run],
                theirs[run],
                covered.get(run, NOTHING),
                their_covered.get(run, NOTHING),
                run in unlisted,
                cuts.get(run, ()),
            )
            for run in runs
        }
        return sides, checkpoint, checkpoint is not None and there is None

    def _with_packs(self, sides: dict[str, Sides]) -> dict[str, Sides]:
        """List the packs of runs with new points, behind the segments that refer to them.

        What was listed before may have been put together with others, or purged.
        """
        runs = {run for run, s in sides.items() if lacks_points(run, s) or lacking_packs(s)}
        again = list_folders(self._pair.source, runs)
        found = {}
        for run in runs:
            ours = sides[run].ours
            kept = {key: size for key, size in ours.others.items() if parse_pack(key) is None}
            others = kept | dict(again.get(run, Folder()).others)
            found[run] = sides[run]._replace(ours=ours._replace(others=others))
        return sides | found

    def _unlisted(self, runs: set[str], there: Checkpoint | None) -> set[str]:
        """Return the runs of one version that the target has, too, but does not list."""
        lone = {run for run in runs if all(len(f.versions) == 1 for f in self._folders[run])}
        if lone:
            lone -= last_markers(self._pair.target, self._name).keys()
        if lone and there:
            lone -= self._tables.parents(self._pair.target, there).keys()
        return lone

    def _may_adopt(self, sides: Mapping[str, Sides]) -> bool:
        """Return whether rows stand only in tables, and these suit the runs that are there.

        They name versions by number, so no chain there may have gone its own way.
        """
        lacks = any(
            missing_rows(run, [*side.segments, *side.their_segments], side)
            for run, side in sides.items()
        )
        return lacks and all(
            self._meeting(run, ours, theirs) == min(len(ours.versions), len(theirs.versions))
            for run, (ours, theirs, *_) in sides.items()
        )

    def _meeting(self, run: str, ours: Folder, theirs: Folder) -> int:
        both = (dict(enumerate(folder.versions, start=1)) for folder in (ours, theirs))
        return meeting(self._pair, run_scheme(self._name, run), *both)

    def _round(self, sides: Mapping[str, Sides], checkpoint: Checkpoint | None) -> set[str]:
        """Plan and copy some runs after others; return those of which something has vanished."""
        vanished: set[str] = set()
        order = sorted(sides)
        for start in range(0, len(order), BATCH):
            batch = order[start : start + BATCH]
            plans = [plan for plan in self._plans(batch, sides) if plan is not None]
            vanished |= self._work.runs(self._name, plans, checkpoint)
        return vanished

    def _plans(
        self, batch: Collection[str], sides: Mapping[str, Sides]
    ) -> Iterator[RunPlan | None]:
        def plan(run: str) -> RunPlan | None:
            try:
                return plan_run(self._pair, self._name, run, sides[run], self._claims, self._shared)
            except NotFoundError:
                return None  # purged since it was listed

        for answer in self._pair.together(plan, batch):
            yield answer()
