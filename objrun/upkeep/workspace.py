"""What a whole store needs now and then: compaction, vacuum, purging, copies, and its figures."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING, cast

from objrun.errors import ExperimentNotFoundError, UserErrorException

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from concurrent.futures import Executor

    from objrun.protocol.copy.work import Copied
    from objrun.protocol.purge import Freed
    from objrun.storage import Store
    from objrun.tables.compaction import Compacted
    from objrun.tables.stats import Stats
    from objrun.tables.vacuum import Needless
    from objrun.upkeep.reaping import Reaped
    from objrun.workspace import Workspace

HOUR = timedelta(hours=1)


class Upkeep:
    """The part of `Workspace` that keeps a store small and quick; all of it may run at any time.

    Several machines may do the same at once, beside whoever logs and reads.
    """

    def writing(self) -> Store:
        """Return the store for writing; `Workspace` has it."""
        raise NotImplementedError

    def reading(self) -> Store:
        """Return the store for reading; `Workspace` has it."""
        raise NotImplementedError

    def experiment_names(self) -> list[str]:
        """Return the names of all experiments; `Workspace` knows them."""
        raise NotImplementedError

    def compact(
        self,
        experiments: Sequence[str] | str | None = None,
        *,
        executor: Executor | None = None,
        workers: int | None = None,
        whole: bool = False,
        progress: Callable[[str, int, int], None] = lambda _name, _done, _all: None,
    ) -> dict[str, Compacted]:
        """Put what is live into tables, in all experiments or in some; say what that was, by name.

        Afterwards a question about 100,000 runs costs a dozen requests. Experiments in which
        nothing is live are left out. `executor` runs the work: threads, processes, or
        `dask.distributed`'s `Client.get_executor()`; it is split for `workers`, by default as many
        as the executor says it has. `whole` merges each table into one level. `progress` is told
        the experiment, and points done and in all. Raises ExperimentNotFoundError.

        >>> run.complete()
        >>> ws.compact()["digits"].runs, ws.compact()
        (1, {})
        """
        from objrun.tables.compaction import compact

        names = self._named(experiments)
        store = self.writing()
        known: int = getattr(executor, "_max_workers", 4) if executor else 1
        split = workers or known

        def work(name: str) -> Compacted | None:
            told = partial(progress, name)
            return compact(
                store, name, executor=executor, workers=split, whole=whole, progress=told
            )

        # What plans and commits stays here, and experiments side by side keep the workers busy.
        with ThreadPoolExecutor(split) as threads:
            made = zip(names, threads.map(work, names), strict=True)
            return {name: one for name, one in made if one is not None}

    def vacuum(
        self,
        experiments: Sequence[str] | str | None = None,
        *,
        retention: timedelta = HOUR,
        dry_run: bool = False,
        executor: Executor | None = None,
        progress: Callable[[str, int, int], None] = lambda _name, _done, _all: None,
    ) -> dict[str, Needless]:
        """Remove what tables have made needless, in all experiments or in some; say what, by name.

        Tables stay for `retention` after they were superseded, for readers that hold them. The
        tables that stand for what goes are checked before (size, CRC-32): where one is `damaged`,
        nothing of its experiment goes.
        `dry_run`: remove nothing. `executor` does the work of several experiments at once.
        `progress` is told an experiment, how many are done, and how many there are. Raises
        ExperimentNotFoundError.

        >>> run.complete()
        >>> ws.compact()["digits"].points
        1
        >>> found = ws.vacuum()["digits"]
        >>> len(found.segments), len(found.markers)
        (1, 3)
        """
        from objrun.tables.vacuum import vacuum

        if retention < timedelta(0):
            message = f"retention is a time of 0 or more, not {retention}"
            raise UserErrorException(message)
        names = self._named(experiments)
        store = self.reading() if dry_run else self.writing()
        work = partial(vacuum, store, retention=retention, dry_run=dry_run)
        answers = [
            executor.submit(work, name).result if executor else partial(work, name)
            for name in names
        ]
        found: dict[str, Needless] = {}
        for done, (name, answer) in enumerate(zip(names, answers, strict=True)):
            progress(name, done, len(names))
            needless = answer()
            if needless.removed or needless.damaged:
                found[name] = needless
        return found

    def stats(self, *, exact: bool = False) -> Stats:
        """Return what the store holds: objects and bytes, by experiment and kind; the live tail.

        With more than 1,000 runs in tables the small objects of runs, their chains and claims, are
        estimated by those of 64 runs, unless `exact` is asked for: that lists every object, a page
        for each 1,000.

        >>> ws.stats().experiments["digits"].live.runs
        1
        """
        from objrun.tables.stats import count_all, stats_of

        return (count_all if exact else stats_of)(self.reading())

    def gc(
        self, older_than: timedelta = timedelta(days=30), *, dry_run: bool = False
    ) -> Sequence[Freed]:
        """Purge deleted runs, experiments and models that nobody wrote to for so long; say which.

        So go files of models whose registration was broken off. Both times are of the store's
        clock. One entry a run and a model, and one for an experiment: objects and bytes fewer in
        listings of the store. What a purged run had in compacted tables is removed by the next
        vacuum; it, and the checkpoint that says so, are not counted. `dry_run`: change nothing.

        Handles of other processes rely on two days at least: with less, see that nobody uses what
        was deleted.

        >>> ws.gc(dry_run=True)
        []
        """
        from objrun.upkeep.trash import collect

        return [*collect(cast("Workspace", self), older_than, dry_run=dry_run)]

    def reap(
        self,
        experiments: Sequence[str] | str | None = None,
        *,
        older_than: timedelta = HOUR,
        dry_run: bool = False,
    ) -> Sequence[Reaped]:
        """Mark lost runs as failed, in all experiments or in some, and say which.

        Lost is a run whose status says that it goes on, and that gave no sign of life for so long,
        by the store's clock: every process that has a run open gives one every five minutes. The
        error code is NotResponding. `dry_run`: change nothing. Raises UserErrorException for less
        than 15 minutes, and ExperimentNotFoundError.

        >>> ws.reap()
        []
        """
        from objrun.upkeep.reaping import reap

        workspace, names = cast("Workspace", self), self._named(experiments)
        return [*reap(workspace, names, older_than, dry_run=dry_run)]

    def copy_to(
        self,
        target: Workspace,
        experiments: Sequence[str] | None = None,
        runs: Sequence[str] | None = None,
        *,
        dry_run: bool = False,
    ) -> Copied:
        """Copy experiments by name, and runs by id with all below them, into another workspace.

        Without either, all is copied, models too; else `models` of the result names those of these
        runs that stay. Ids, times and bytes stay as they are; what is there already is not sent
        again, so call it as often as you like, also while runs are being written. Returns what was
        done (with `dry_run`, what would be). Raises StoreError, after all else was copied, naming
        runs that were not: another run has the id there, or they are damaged.

        >>> from objrun import Workspace
        >>> copied = ws.copy_to(Workspace("memory://backup"), experiments=["digits"])
        >>> copied.runs, ws.copy_to(Workspace("memory://backup")).objects
        (1, 0)
        """
        from objrun.upkeep.copying import choose, copy_workspace

        workspace = cast("Workspace", self)
        chosen = choose(workspace, experiments or (), runs or ())
        told = None if dry_run else lambda _copied: None
        copied = copy_workspace(workspace, target, chosen, told)
        if not dry_run:
            copied.check()
        return copied

    def _named(self, experiments: Sequence[str] | str | None) -> Sequence[str]:
        """Return the experiments that are meant; ExperimentNotFoundError for one there is not."""
        there = self.experiment_names()
        if experiments is None:
            return there
        asked = [experiments] if isinstance(experiments, str) else experiments
        for name in asked:
            if name not in there:
                message = f"there is no experiment {name!r}"
                raise ExperimentNotFoundError(message)
        return asked
