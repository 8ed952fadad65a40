"""Do what was planned for a copy."""

from __future__ import annotations

from contextlib import suppress
from functools import partial
from itertools import chain
from typing import TYPE_CHECKING

from objrun.errors import (
    CorruptObjectError,
    FormatError,
    NotFoundError,
    PermissionDeniedError,
)
from objrun.format import keys, log_keys
from objrun.format.documents import decode_run
from objrun.protocol.copy import files
from objrun.protocol.copy.compacted import become_first, copy_table
from objrun.protocol.copy.forks import commit_again
from objrun.protocol.copy.models import carry_model
from objrun.protocol.copy.pair import read
from objrun.protocol.copy.shared import copy_shared
from objrun.protocol.copy.work import Copied, note
from objrun.protocol.experiments import experiment_scheme
from objrun.protocol.live import run_scheme
from objrun.protocol.opening import open_for_writing
from objrun.protocol.settle import insist, put_once

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from objrun.format.checkpoints import Checkpoint
    from objrun.protocol.copy.compacted import Tables
    from objrun.protocol.copy.pair import Pair
    from objrun.protocol.copy.plan import RunPlan
    from objrun.protocol.files import StoredFile


class Carrier:
    """Copy what is planned, `tell` after each object and run."""

    def __init__(self, pair: Pair, tables: Tables, tell: Callable[[Copied], None]) -> None:
        """Write nothing yet: a copy that has nothing to do only reads."""
        self.copied = Copied()
        self._pair = pair
        self._tables = tables
        self._tell = tell
        self._opened = False
        self._claimed: set[str] = set()
        self._shared: set[str] = set()
        self._packs: dict[str, bool] = {}

    def header(self, data: bytes) -> None:
        """Make the target a store with these bytes as its header."""
        open_for_writing(self._pair.target, data)
        self._opened = True
        self._count(1, len(data))

    def experiment(self, name: str, sizes: Mapping[int, int], *, forked: bool) -> None:
        """Copy versions of an experiment's chain."""
        for version in sizes:
            self._open()
            if forked:
                self._count(1, commit_again(self._pair, experiment_scheme(name), version))
                continue
            size, stands = self._pair.copy(keys.experiment_state(name, version))
            if not stands:
                # Somebody made or changed the experiment there just now: theirs stays.
                return
            self._count(1, size)

    def model(
        self,
        name: str,
        number: int,
        files: list[StoredFile],
        versions: Mapping[int, int],
        *,
        forked: bool,
    ) -> None:
        """Copy files of a version of a model, and then versions of its chain."""
        self._open()
        for size in carry_model(self._pair, name, number, files, versions, forked=forked):
            self._count(1, size)

    def tables(self, checkpoint: Checkpoint) -> bool:
        """Copy tables one by one, since they are large, and commit them as a first checkpoint."""
        self._open()
        for file in checkpoint.files:
            self._count(1, copy_table(self._pair, checkpoint.experiment, file))
        return become_first(self._pair.target, checkpoint)

    def runs(
        self, experiment: str, plans: Sequence[RunPlan], checkpoint: Checkpoint | None
    ) -> set[str]:
        """Copy what belongs to runs, many objects at once, each chain in order."""
        if any(not plan.is_empty for plan in plans):
            self._open()
        # One by one: a snapshot may be large.
        for key, size in chain.from_iterable(plan.shared for plan in plans):
            if key not in self._shared:
                self._shared.add(key)
                try:
                    self._count(1, copy_shared(self._pair, key, size))
                except FormatError as error:
                    self.copied.conflicts.append(error.message)
        vanished = self.packs(chain.from_iterable(plan.packs for plan in plans))
        plans = [plan for plan in plans if plan.run not in vanished]
        self._cuts(experiment, plans)
        vanished |= self._objects(plans)
        left = [plan for plan in plans if plan.run not in vanished]
        finish = partial(self._finish, experiment, checkpoint)
        for plan, answer in zip(left, self._pair.together(finish, left), strict=True):
            try:
                moved = answer()
            except NotFoundError:
                vanished.add(plan.run)
                continue
            note(self.copied, experiment, plan)
            self._count(*moved)
        return vanished

    def packs(self, packs: Iterable[tuple[str, int]]) -> set[str]:
        """Copy packs, each once; return the runs of which one has vanished.

        It was put together with others, or went with its run.
        """
        vanished: set[str] = set()
        wanted = [key for key, _ in packs if key not in self._packs]
        if wanted:
            self._open()
        for key, answer in zip(wanted, self._pair.together(self._pair.copy, wanted), strict=True):
            try:
                size, self._packs[key] = answer()
            except NotFoundError:
                vanished.add(key.split("/")[1])
                continue
            self._count(1, size)
            if not self._packs[key]:
                self.copied.conflicts.append(f"{key} has other bytes there")
        return vanished

    def _open(self) -> None:
        if not self._opened:
            open_for_writing(self._pair.target)
            self._opened = True

    def _count(self, objects: int, size: int) -> None:
        self.copied.add(objects, size)
        self._tell(self.copied)

    def _cuts(self, experiment: str, plans: Sequence[RunPlan]) -> None:
        """Cut writers: first, so that nobody sees what came instead of their points beside them."""
        missing = [keys.cut(experiment, *cut) for plan in plans for cut in plan.cuts]
        put = self._pair.target.put
        for answer in self._pair.together(lambda key: insist(partial(put, key, b"")), missing):
            answer()

    def _objects(self, plans: Sequence[RunPlan]) -> set[str]:
        """Copy segments and properties; return the runs of which one has vanished."""
        vanished: set[str] = set()
        wanted = [(plan, key) for plan in plans for key, _ in plan.objects]
        answers = self._pair.together(lambda each: self._pair.copy(each[1]), wanted)
        for (plan, key), answer in zip(wanted, answers, strict=True):
            try:
                size, stands = answer()
            except NotFoundError:
                # What supersedes a chunk of a log is for the next copy.
                if log_keys.parse_chunk(key) is None:
                    vanished.add(plan.run)
            else:
                self._count(1, size)
                known = stands or keys.parse_segment(key) is not None
                if not known and not files.stands(self._pair, key):
                    plan.conflict = f"{key} has another content there"
        return vanished

    def _finish(
        self, experiment: str, checkpoint: Checkpoint | None, plan: RunPlan
    ) -> tuple[int, int]:
        """Copy what must have an order; return how many objects and bytes."""
        sizes: list[int] = []
        try:
            for key, size in plan.files:
                sizes.append(files.copy_file(self._pair, plan.run, key, size))
            self._points(experiment, checkpoint, plan, sizes)
            self._number(plan, sizes)
            self._chain(experiment, plan, sizes)
        except CorruptObjectError as error:
            plan.conflict = f"run {plan.run} is not copied: {error.message}"
        if plan.superseded and all(self._packs[key] for key, _ in plan.packs):
            # They only take up room: who may not delete leaves them.
            with suppress(PermissionDeniedError):
                insist(partial(self._pair.target.delete, plan.superseded))
        return len(sizes), sum(sizes)

    def _points(
        self, experiment: str, checkpoint: Checkpoint | None, plan: RunPlan, sizes: list[int]
    ) -> None:
        """Make segments of what stands only in tables of the source."""
        if checkpoint is None or not plan.rows:
            return
        whose = (plan.root, plan.run)
        made = self._tables.segments(self._pair.source, checkpoint, whose, plan.rows)
        for (writer, start, stop), data in made:
            put_once(
                self._pair.target, keys.segment(experiment, plan.run, writer, start, stop), data
            )
            sizes.append(len(data))
        self.copied.points += sum(rows.stop - rows.start for rows in plan.rows)

    def _number(self, plan: RunPlan, sizes: list[int]) -> None:
        for claim in plan.claims:
            if claim.key in self._claimed:
                continue
            self._claimed.add(claim.key)
            if put_once(self._pair.target, claim.key, claim.data):
                sizes.append(len(claim.data))
            elif claim is plan.claims[-1]:
                plan.number = keys.parse_version(claim.key)

    def _chain(self, experiment: str, plan: RunPlan, sizes: list[int]) -> None:
        """Copy versions in order; a tombstone is not for others."""
        pair, scheme = self._pair, run_scheme(experiment, plan.run)
        if plan.unmarked or (plan.versions and plan.versions[0][0] == 2):
            self._mark(experiment, plan.run, 1)
        for version, _ in plan.versions:
            key = keys.run_state(plan.run, version)
            data = read(pair.source, key)
            if version == plan.versions[-1][0] and _is_tombstone(key, data):
                return
            if version > 1:
                self._mark(experiment, plan.run, version)
            if not put_once(pair.target, key, data):
                plan.conflict = f"run {plan.run} was changed there just now: copy again"
                return
            sizes.append(len(data))
            if version == 1:
                self._mark(experiment, plan.run, version)
        sizes.extend(commit_again(pair, scheme, version) for version in plan.forked)

    def _mark(self, experiment: str, run: str, version: int) -> None:
        """Put a marker: after version 1, but before all others.

        A marker of a run that is not there would be taken for that of a writer who died, and
        after an hour the run's id for used up; of later versions only one number is. Version 1
        without its marker is found by the next copy.
        """
        marker = keys.marker(experiment, run, version)
        insist(partial(self._pair.target.put, marker, b""))


def _is_tombstone(key: str, data: bytes) -> bool:
    try:
        return decode_run(key, data).purged is not None
    except FormatError:
        return False  # damaged or of a newer format: its bytes are kept as they are
