"""Cuts: which rows of a writer were superseded when its run was rewound. SPEC section 10.9.

A rewind at a step cuts all writers that the run has then. Their rows from that step on, also those
that still come, stay where they are and do not count; rows without a step always do.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import polars as pl

from objrun.errors import NotFoundError, UnavailableError
from objrun.format import keys
from objrun.protocol.checkpointing import latest_checkpoint
from objrun.protocol.live import RESTARTS, list_logged
from objrun.protocol.settle import put_new
from objrun.storage import together
from objrun.tables.reading import Rows, TableReader, of_root
from objrun.tables.spread import spread

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from objrun.format.checkpoints import Checkpoint
    from objrun.storage import Store
    from objrun.tables.chunks import Chunk

    Cuts = Mapping[tuple[str, str], int]


def cuts_in_tables(
    store: Store, checkpoint: Checkpoint | None, rows: Rows
) -> dict[tuple[str, str], int]:
    """Return the cuts that tables have of the root runs in `rows`, by run and writer.

    It costs nothing where no run was rewound.
    """
    told = rows_of_writers(store, checkpoint, "cuts", Rows(rows.first, rows.stop, roots=rows.roots))
    return least(*({(run, writer): step} for _, run, writer, step in told))


def rows_of_writers(
    store: Store, checkpoint: Checkpoint | None, kind: str, rows: Rows
) -> Iterator[tuple[str, str, str, int]]:
    """Yield the rows that are wanted of a table that has one number a writer: coverage or cuts."""
    if checkpoint is None:
        return
    readers = [
        TableReader(store, checkpoint.experiment, file)
        for file in checkpoint.of_kind(kind)
        if rows.may_be_in(file)
    ]
    for answer in together(store, lambda reader: [*reader.frames(rows)], readers):
        for frame in answer():
            yield from frame.iter_rows()


def rewind(store: Store, experiment: str, run: tuple[str, str], step: int) -> None:
    """Cut all writers that a run (given with its root) has now at a step.

    Points of others, such as those who begin now, are not concerned. One LIST of segments, one of
    checkpoints, the tables that know of its writers, and a PUT for each that is not cut there yet.
    """
    root, name = run
    rows = replace(of_root(root), runs=frozenset([name]))
    for _ in range(RESTARTS):
        segments, cuts = list_logged(store, experiment, name)
        checkpoint = latest_checkpoint(store, experiment)
        try:
            stops = stops_in_tables(store, checkpoint, rows)
            known = least(cuts_in_tables(store, checkpoint, rows), cuts)
        except NotFoundError:
            # Superseded and removed since its checkpoint was read.
            continue
        every = {(each.run, each.writer): step for each in segments} | dict.fromkeys(stops, step)
        missing = [keys.cut(experiment, *whose, step) for whose in sorted(deeper(every, known))]
        for answer in together(store, lambda key: put_new(store, key, b""), missing):
            answer()
        return
    message = f"the tables of {experiment!r} change faster than they can be read: try again"
    raise UnavailableError(message)


def stops_in_tables(
    store: Store, checkpoint: Checkpoint | None, rows: Rows
) -> dict[tuple[str, str], tuple[str, int]]:
    """Return root and covered rows of writers of the runs in `rows`, by (run, writer)."""
    found: dict[tuple[str, str], tuple[str, int]] = {}
    for root, run, writer, stop in rows_of_writers(store, checkpoint, "coverage", rows):
        _, before = found.get((run, writer), (root, 0))
        found[run, writer] = root, max(stop, before)
    return found


def least(*several: Cuts) -> dict[tuple[str, str], int]:
    """Return cuts put together: of a writer the least step counts.

    >>> least({("r", "a"): 5}, {("r", "a"): 3, ("r", "b"): 9})
    {('r', 'a'): 3, ('r', 'b'): 9}
    """
    found: dict[tuple[str, str], int] = {}
    for cuts in several:
        for whose, step in cuts.items():
            found[whose] = min(step, found.get(whose, step))
    return found


def deeper(cuts: Cuts, known: Cuts) -> dict[tuple[str, str], int]:
    """Return the cuts that are at lesser steps than those known of their writers, or new.

    >>> deeper({("r", "a"): 5, ("r", "b"): 5}, {("r", "a"): 5})
    {('r', 'b'): 5}
    """
    return {whose: step for whose, step in cuts.items() if step < known.get(whose, step + 1)}


def counting(chunk: Chunk, cuts: Cuts) -> Chunk:
    """Return the points that count."""
    return chunk.filter(~_is_cut(chunk, cuts)) if cuts else chunk


def superseded(chunk: Chunk, cuts: Cuts) -> Chunk:
    """Return the points that do not count."""
    return chunk.filter(_is_cut(chunk, cuts))


def _is_cut(chunk: Chunk, cuts: Cuts) -> pl.Series:
    """Return, a point, whether it was superseded."""
    rows = [(*whose, step) for whose, step in cuts.items()]
    schema = {"run_id": pl.String(), "writer": pl.String(), "until": pl.Int64()}
    untils = pl.DataFrame(rows, schema, orient="row")
    until = chunk.blocks.join(untils, on=("run_id", "writer"), how="left", maintain_order="left")
    if until["until"].null_count() == until.height or "step" not in chunk.rows.columns:
        return pl.repeat(value=False, n=len(chunk), eager=True)
    behind = chunk.rows["step"] >= spread(until["until"], chunk.blocks["length"])
    return behind.fill_null(value=False)
