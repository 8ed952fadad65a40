"""What a copy has to do for one run, found out from listings and as few GETs as are safe."""

from __future__ import annotations

import re
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Final, NamedTuple

from objrun.errors import FormatError
from objrun.format import file_keys, keys
from objrun.format.documents import decode_property, decode_run
from objrun.format.media import pack_key, parse_pack
from objrun.format.shared import REFERRING
from objrun.protocol.copy.compacted import Covered, TableRows
from objrun.protocol.copy.forks import is_within, lacking, meeting
from objrun.protocol.copy.pair import read
from objrun.protocol.cover import choose, outermost, superseded
from objrun.protocol.live import run_scheme

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from objrun.format.keys import CutKey, SegmentKey
    from objrun.format.media import PackKey
    from objrun.protocol.copy.claims import Claim, Claims
    from objrun.protocol.copy.listing import Folder, Segments
    from objrun.protocol.copy.pair import Pair
    from objrun.protocol.copy.shared import Shared

_RANDOM: Final = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")


class Sides(NamedTuple):
    """What was listed of one run on both sides, and what its tables cover.

    `unmarked`: all of the run is version 1, on both sides, and no listing of the target shows it.
    `cuts`: those that the target lacks.
    """

    ours: Folder
    theirs: Folder
    segments: Segments
    their_segments: Segments
    covered: Covered
    their_covered: Covered
    unmarked: bool
    cuts: Sequence[CutKey] = ()


@dataclass
class RunPlan:
    """What is to be done for a run, in this order; sizes are in bytes.

    `shared`: snapshots and environments that it refers to. `packs`: what its points refer to.
    `cuts`: where writers were cut. `objects`: segments, properties and entries of files, any order.
    `files`: the bytes of files.
    `rows`: from the source's tables, below `root`. `claims`: its number. `versions`: numbers and
    sizes. `forked`: versions to be committed again behind those of the target. `unmarked`: version
    1 is there, perhaps without its marker. `superseded`: to be deleted in the target. `number` is
    the run's where that is another's in the target, `conflict` says what cannot be copied and why.
    """

    run: str
    root: str = ""
    shared: list[tuple[str, int]] = field(default_factory=list)
    packs: list[tuple[str, int]] = field(default_factory=list)
    cuts: Sequence[CutKey] = ()
    objects: list[tuple[str, int]] = field(default_factory=list)
    files: list[tuple[str, int]] = field(default_factory=list)
    rows: list[TableRows] = field(default_factory=list)
    claims: list[Claim] = field(default_factory=list)
    versions: list[tuple[int, int]] = field(default_factory=list)
    forked: list[int] = field(default_factory=list)
    unmarked: bool = False
    superseded: list[str] = field(default_factory=list)
    number: int | None = None
    conflict: str = ""

    @property
    def is_empty(self) -> bool:
        """Whether the target has all of the run already."""
        versions = self.versions or self.forked or self.unmarked
        objects = self.cuts or self.packs or self.objects or self.files
        points = self.rows or self.superseded
        return not (objects or points or versions or self.conflict)


def plan_run(
    pair: Pair, experiment: str, run: str, sides: Sides, claims: Claims, shared: Shared
) -> RunPlan | None:
    """Return what is to be done for a run; None where it is a run of another experiment."""
    ours, theirs = sides.ours.versions, sides.theirs.versions
    plan = RunPlan(run)
    if not theirs:
        try:
            if not _plan_new(pair, experiment, plan, claims, shared):
                return None
        except FormatError as error:
            plan.conflict = f"run {run} is not copied: {error.message}"
            return plan
    _plan_objects(plan, experiment, sides)
    _plan_shared(pair, plan, shared)
    plan.unmarked = sides.unmarked
    if theirs and not (plan.is_empty and theirs == ours and _RANDOM.fullmatch(run)):
        _plan_meeting(pair, experiment, plan, sides)
    elif not theirs:
        plan.versions = [*enumerate(ours, start=1)]
    return plan


def _plan_meeting(pair: Pair, experiment: str, plan: RunPlan, sides: Sides) -> None:
    """Plan the versions of a run that both have."""
    ours = dict(enumerate(sides.ours.versions, start=1))
    theirs = dict(enumerate(sides.theirs.versions, start=1))
    scheme = run_scheme(experiment, plan.run)
    known = meeting(pair, scheme, ours, theirs)
    if known == len(theirs):
        plan.versions = [(number, size) for number, size in ours.items() if number > known]
    elif known < len(ours):
        try:
            if not known and not is_within(pair, scheme, ours, theirs):
                told = (
                    f"run {plan.run} is another run of the same id there: nothing of it is copied"
                )
                vars(plan).update(vars(RunPlan(plan.run, conflict=told)))
                return
            plan.forked = lacking(pair, scheme, known, ours, theirs)
        except FormatError as error:
            plan.conflict = (
                f"run {plan.run} was changed on both sides, and its versions from {known + 1} on "
                f"are not copied: {error.message}"
            )


def _plan_new(pair: Pair, experiment: str, plan: RunPlan, claims: Claims, shared: Shared) -> bool:
    """Plan the number of a run that the target does not have; False where it is not of here.

    Of two writers that create a run of one id in two experiments, the one that lost leaves a
    marker in its own.
    """
    key = keys.run_state(plan.run, 1)
    state = decode_run(key, read(pair.source, key)).state
    if state is None or state.experiment != experiment:
        return False
    plan.claims, taken = claims.lacking(plan.run, state.number)
    plan.number = state.number if taken else None
    plan.shared = shared.lacking(state.properties)
    return True


def _plan_shared(pair: Pair, plan: RunPlan, shared: Shared) -> None:
    """Plan what properties refer to that the run got after its start: each has an object."""
    for key, _ in plan.objects:
        if key in map(partial(keys.run_property, plan.run), REFERRING):
            with suppress(FormatError):  # damaged, or too new: its bytes are kept as they are
                prop = decode_property(key, read(pair.source, key))
                plan.shared += shared.lacking({prop.key: prop.value})


def _plan_objects(plan: RunPlan, experiment: str, sides: Sides) -> None:
    """Plan segments, rows of tables and other objects of a run."""
    folder = file_keys.artifacts(plan.run)
    plan.packs = lacking_packs(sides)
    for key, size in sides.ours.others.items():
        is_file = key.startswith(folder)
        if parse_pack(key):
            continue
        if key not in sides.theirs.others:
            (plan.files if is_file else plan.objects).append((key, size))
        elif is_file and size != sides.theirs.others[key]:
            plan.conflict = f"{key} has other bytes there"
    best = {*outermost([*sides.segments, *sides.their_segments])}
    wanted = [
        segment
        for segment in sides.segments
        if segment in best
        and segment not in sides.their_segments
        and segment.stop > sides.their_covered.stops.get(segment.writer, 0)
    ]
    plan.objects += [(_key(experiment, segment), sides.segments[segment]) for segment in wanted]
    plan.superseded = [
        *(_key(experiment, each) for each in superseded(sides.segments, sides.their_segments)),
        *map(pack_key, superseded(*_packs(sides))),
    ]
    plan.cuts = sides.cuts
    plan.root = sides.covered.root
    plan.rows = missing_rows(plan.run, [*sides.their_segments, *wanted], sides)


def missing_rows(run: str, there: Iterable[SegmentKey], sides: Sides) -> list[TableRows]:
    """Return what is missing between what the target will have and what our tables cover."""
    position = {writer: sides.their_covered.stops.get(writer, 0) for writer in sides.covered.stops}
    known = {(run, writer): stop for writer, stop in position.items()}
    for piece in choose(there, known):
        writer = piece.segment.writer
        position[writer] = max(position.get(writer, 0), piece.segment.stop)
    return [
        TableRows(writer, position[writer], stop)
        for writer, stop in sorted(sides.covered.stops.items())
        if position[writer] < stop
    ]


def lacking_packs(sides: Sides) -> list[tuple[str, int]]:
    """Return the packs that the target needs to have what ours have, and their sizes."""
    ours, theirs = _packs(sides)
    best = outermost([*ours, *theirs])
    return [(pack_key(pack), ours[pack]) for pack in best if pack in ours and pack not in theirs]


def _packs(sides: Sides) -> tuple[dict[PackKey, int], dict[PackKey, int]]:
    """Return the packs of both sides, and their sizes."""
    ours, theirs = (
        {pack: size for key, size in folder.others.items() if (pack := parse_pack(key))}
        for folder in (sides.ours, sides.theirs)
    )
    return ours, theirs


def lacks_points(run: str, sides: Sides) -> bool:
    """Return whether the target does not have all points of a run."""
    stops = sides.their_covered.stops
    live = any(
        segment not in sides.their_segments and segment.stop > stops.get(segment.writer, 0)
        for segment in sides.segments
    )
    return live or bool(missing_rows(run, sides.their_segments, sides))


def lacking_cuts(ours: Iterable[CutKey], theirs: Iterable[CutKey]) -> dict[str, list[CutKey]]:
    """Return by run the least cuts of writers that are below all of theirs.

    >>> from objrun.format.keys import CutKey
    >>> lacking_cuts([CutKey("r", "a", 5), CutKey("r", "a", 3)], [CutKey("r", "a", 4)])
    {'r': [CutKey(run='r', writer='a', step=3)]}
    """
    known = {cut[:2]: cut.step for cut in sorted(theirs, reverse=True)}
    least = {cut[:2]: cut for cut in sorted(ours, reverse=True)}
    found: dict[str, list[CutKey]] = {}
    for whose, cut in least.items():
        if cut.step < known.get(whose, cut.step + 1):
            found.setdefault(cut.run, []).append(cut)
    return found


def _key(experiment: str, segment: SegmentKey) -> str:
    return keys.segment(experiment, segment.run, segment.writer, segment.start, segment.stop)
