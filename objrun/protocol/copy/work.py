"""What a copy does or would do: the count of it, and the form that counts only."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple, Protocol

from objrun.errors import StoreError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from objrun.format.checkpoints import Checkpoint
    from objrun.protocol.copy.plan import RunPlan
    from objrun.protocol.files import StoredFile


class Taken(NamedTuple):
    """A run whose number belongs to another run in the target."""

    experiment: str
    number: int
    run: str


@dataclass
class Copied:
    """What a copy did, or would do: objects but for markers, their bytes, and runs.

    `runs` got something, `seen` were looked at so far, of `all_runs`. `points` are those that only
    tables of the source have; the segments made of them are counted when they are there. `taken`
    are runs that keep a number that is another run's there, `purged` those that were purged there,
    `conflicts` says what could not be copied, a sentence each. `models` were registered from runs
    that were chosen, as `name:number`: they are not copied with these, and are not there.
    """

    objects: int = 0
    size: int = 0
    runs: int = 0
    seen: int = 0
    all_runs: int = 0
    points: int = 0
    taken: list[Taken] = field(default_factory=list)
    purged: list[str] = field(default_factory=list)
    conflicts: list[str] = field(default_factory=list)
    models: list[str] = field(default_factory=list)

    def add(self, objects: int, size: int) -> None:
        """Count objects and their bytes."""
        self.objects += objects
        self.size += size

    def check(self) -> None:
        """Raise StoreError where there were conflicts; the message names them."""
        if self.conflicts:
            raise StoreError(f"all is copied but this: {'; '.join(self.conflicts)}")


class Work(Protocol):
    """What becomes of plans; both forms count in `copied`."""

    copied: Copied

    def header(self, data: bytes) -> None:
        """Make the target a store; it is none yet."""
        ...

    def experiment(self, name: str, sizes: Mapping[int, int], *, forked: bool) -> None:
        """Create versions of an experiment's chain in order, or commit them again if `forked`."""
        ...

    def model(
        self,
        name: str,
        number: int,
        files: list[StoredFile],
        versions: Mapping[int, int],
        *,
        forked: bool,
    ) -> None:
        """Copy files of a version of a model, then versions of its chain as an experiment's."""
        ...

    def tables(self, checkpoint: Checkpoint) -> bool:
        """Copy all tables of the source, and return whether they are the target's now."""
        ...

    def packs(self, packs: Iterable[tuple[str, int]]) -> set[str]:
        """Copy packs, before points that refer to them; return the runs of which one vanished."""
        ...

    def runs(
        self, experiment: str, plans: Sequence[RunPlan], checkpoint: Checkpoint | None
    ) -> set[str]:
        """Do the plans; return the runs of which something listed has vanished."""
        ...


class Estimate:
    """Count what would be done."""

    def __init__(self) -> None:
        """Nothing is counted yet."""
        self.copied = Copied()
        self._seen: set[str] = set()

    def header(self, data: bytes) -> None:
        """Count the header."""
        self.copied.add(1, len(data))

    def experiment(self, name: str, sizes: Mapping[int, int], *, forked: bool) -> None:  # noqa: ARG002
        """Count versions."""
        self.copied.add(len(sizes), sum(sizes.values()))

    def model(
        self,
        name: str,  # noqa: ARG002
        number: int,  # noqa: ARG002
        files: list[StoredFile],
        versions: Mapping[int, int],
        *,
        forked: bool,  # noqa: ARG002
    ) -> None:
        """Count files and versions."""
        size = sum(file.size for file in files) + sum(versions.values())
        self.copied.add(len(files) + len(versions), size)

    def tables(self, checkpoint: Checkpoint) -> bool:
        """Count tables, and say that they would be the target's."""
        self.copied.add(len(checkpoint.files), sum(file.size for file in checkpoint.files))
        return True

    def packs(self, packs: Iterable[tuple[str, int]]) -> set[str]:
        """Count packs, or anything else that may be named twice."""
        new = {key: size for key, size in packs if key not in self._seen}
        self._seen |= new.keys()
        self.copied.add(len(new), sum(new.values()))
        return set()

    def runs(
        self,
        experiment: str,
        plans: Sequence[RunPlan],
        checkpoint: Checkpoint | None,  # noqa: ARG002
    ) -> set[str]:
        """Count what plans name."""
        for plan in plans:
            self.packs([*plan.shared, *plan.packs])
            sized = [*plan.objects, *plan.files, *plan.versions]
            self.copied.add(len(sized), sum(size for _, size in sized))
            self.copied.add(len(plan.claims), sum(len(claim.data) for claim in plan.claims))
            self.copied.points += sum(rows.stop - rows.start for rows in plan.rows)
            note(self.copied, experiment, plan)
        return set()


def note(copied: Copied, experiment: str, plan: RunPlan) -> None:
    """Count a run that is done, and keep what people must be told of it."""
    copied.seen += 1
    objects = plan.cuts or plan.objects or plan.packs or plan.files or plan.rows
    copied.runs += bool(objects or plan.versions or plan.forked)
    if plan.number is not None:
        copied.taken.append(Taken(experiment, plan.number, plan.run))
    if plan.conflict:
        copied.conflicts.append(plan.conflict)
