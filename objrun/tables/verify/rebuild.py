"""Make all tables of an experiment anew: of runs, segments, and what can be read of tables.

Nothing is removed: the old tables are named by no checkpoint any more, and a vacuum takes them.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Final

import polars as pl

from objrun import clock
from objrun.errors import FormatError, NotFoundError, UnavailableError
from objrun.format import keys
from objrun.format.checkpoints import Checkpoint, decode_checkpoint
from objrun.format.tables import CUTS
from objrun.protocol.chain import load_last
from objrun.protocol.checkpointing import commit_checkpoint
from objrun.protocol.live import list_logged, run_scheme
from objrun.protocol.purge import list_markers
from objrun.protocol.settle import insist
from objrun.storage import together
from objrun.tables.cuts import least
from objrun.tables.cutting import write_cuts
from objrun.tables.reading import Rows
from objrun.tables.run_rows import STORED, stored_frame
from objrun.tables.verify.points import Points
from objrun.tables.verify.salvage import old_tables, salvaged
from objrun.tables.writing import Target, write_frames

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from objrun.format.checkpoints import TableFile
    from objrun.storage import Store

TRIES: Final = 10

LOST: Final = "lost_points"
"""The field of a checkpoint that says how many points of its coverage a repair did not find."""


def rebuild(
    store: Store, experiment: str, runs: Collection[str], damaged: Collection[str] = ()
) -> None:
    """Commit a checkpoint whose tables are made anew of all that can be read.

    `runs` are known to be of the experiment; others are found by markers and tables. Rows of the
    tables named in `damaged` count only where nothing else has them; other tables must be readable,
    else a CorruptObjectError. Rows that are nowhere stay covered, so that late retries of their
    writers stay without effect.
    """
    for _ in range(TRIES):
        number, before = last_checkpoint(store, experiment)
        known = before is not None and before.number == number
        named = {file.name for file in before.files} if before and known else set()

        def is_doubted(name: str, named: Collection[str] = named) -> bool:
            # What is not named may be anything, but where it is not known what is.
            return name in damaged or (bool(named) and name not in named)

        try:
            files, lost = _remade(store, experiment, number, runs, is_doubted)
        except NotFoundError:
            # Superseded or purged since it was listed.
            continue
        extra = {k: v for k, v in (before.extra if before else {}).items() if k != LOST}
        checkpoint = Checkpoint(
            number=number + 1,
            experiment=experiment,
            write_id=clock.random_hex(16),
            written=clock.now(),
            orphan_floor=number + 1,
            files=tuple(files),
            extra=extra | ({LOST: lost} if lost else {}),
        )
        if commit_checkpoint(store, checkpoint):
            if not known:
                remove_checkpoint(store, experiment, number)
            return
    message = f"others compact {experiment!r} faster than this process: try again"
    raise UnavailableError(message)


def _remade(
    store: Store,
    experiment: str,
    base: int,
    runs: Collection[str],
    is_doubted: Callable[[str], bool],
) -> tuple[list[TableFile], int]:
    """Return new files of all kinds, and how many points that are covered were not found."""
    # Whatever is compacted from here on takes the number that this is to be committed under.
    segments, live = list_logged(store, experiment)
    marked = list_markers(store, experiment)
    rows, purged = _run_rows(store, experiment, {*runs, *marked}, is_doubted)
    target = Target(store, experiment, base, "runs", 0)
    files = write_frames(target, [rows] if rows.height else [])
    roots = dict(rows.select("run_id", "root_run_id").iter_rows())
    # A cut is for ever, so whatever tells of one counts.
    tables = salvaged(old_tables(store, experiment, "cuts", lambda _name: True), Rows(), CUTS.names)
    told = [
        row for frame in tables for row in frame.drop_nulls().iter_rows() if row[1] not in purged
    ]
    told += [(roots[run], run, w, step) for (run, w), step in live.items() if run in roots]
    cuts = least(*({(run, writer): step} for _, run, writer, step in told))
    points = Points(store, experiment, segments, roots, purged, is_doubted, cuts)
    files += [*points.write(base), *write_cuts(store, experiment, base, told)]
    return files, points.lost


def _run_rows(
    store: Store, experiment: str, known: Collection[str], is_doubted: Callable[[str], bool]
) -> tuple[pl.DataFrame, set[str]]:
    """Return the last versions of runs, and the ids of purged ones.

    Rows of sound tables stay for those that cannot be read.
    """
    tables = [t for t in old_tables(store, experiment, "runs", is_doubted) if not t.doubted]
    old = pl.concat([STORED.to_frame(), *salvaged(tables, Rows(), [*STORED])])
    old = old.sort("version").unique("run_id", keep="last")
    wanted = sorted({*known, *old["run_id"]})
    versions = []
    purged = set()
    read = together(store, lambda run: load_last(store, run_scheme(experiment, run)), wanted)
    for run, answer in zip(wanted, read, strict=True):
        try:
            version = answer()
        except FormatError:
            continue
        if version is not None and version.purged:
            purged.add(run)
        elif version and version.state and version.state.experiment == experiment:
            versions.append(version)
    new = stored_frame(versions)
    later = old.select("run_id", pl.col("version").alias("had"))
    stale = new.join(later, on="run_id").filter(pl.col("version") < pl.col("had"))
    new = new.join(stale, on="run_id", how="anti")
    old = old.join(new, on="run_id", how="anti").filter(~pl.col("run_id").is_in([*purged]))
    return pl.concat([old, new]).sort("root_run_id", "run_id"), purged


def last_checkpoint(store: Store, experiment: str) -> tuple[int, Checkpoint | None]:
    """Return the greatest number of a checkpoint, 0 if none, and the last one that can be read."""
    listed = insist(lambda: store.list(keys.checkpoints(experiment)))
    numbers = sorted(n for info in listed if (n := keys.parse_version(info.key)))
    for number in reversed(numbers):
        key = keys.checkpoint(experiment, number)
        try:
            return numbers[-1], decode_checkpoint(key, insist(partial(store.get, key)))
        except (FormatError, NotFoundError):
            continue
    return max(numbers, default=0), None


def remove_checkpoint(store: Store, experiment: str, number: int) -> None:
    """Remove a checkpoint that cannot be read, if a greater one has taken its place."""
    greatest, _ = last_checkpoint(store, experiment)
    if greatest > number:
        insist(lambda: store.delete([keys.checkpoint(experiment, number)]))
