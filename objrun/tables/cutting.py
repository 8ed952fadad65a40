"""Take cuts into tables: points stay where they are, and what they come to is summed up anew."""

from __future__ import annotations

from typing import TYPE_CHECKING

import polars as pl

from objrun.format import keys
from objrun.format.tables import CUTS
from objrun.protocol.settle import insist
from objrun.tables.cuts import counting
from objrun.tables.merging import merge_frames
from objrun.tables.reading import Rows, TableReader
from objrun.tables.summing import joined, parts_of
from objrun.tables.writing import Target, write_frames

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator

    from objrun.format.checkpoints import TableFile
    from objrun.storage import Store
    from objrun.tables.cuts import Cuts

    Row = tuple[str, str, str, int]


def write_cuts(store: Store, experiment: str, base: int, rows: Iterable[Row]) -> list[TableFile]:
    """Store cuts (root, run, writer, step) as a table and return its files."""
    found: dict[tuple[str, str, str], int] = {}
    for *whose, step in sorted(rows, reverse=True):
        # Of several the last one, so the least.
        found[whose[0], whose[1], whose[2]] = step
    cut = [(*whose, step) for whose, step in sorted(found.items())]
    frame = pl.DataFrame(cut, pl.DataFrame(CUTS.empty_table()).schema, orient="row")
    return write_frames(Target(store, experiment, base, "cuts", 0), [frame] if cut else [])


def recounted(
    target: Target, files: Iterable[TableFile], runs: Collection[str], cuts: Cuts
) -> tuple[TableFile, ...]:
    """Return files with the summary made anew, that of `runs` from their points that count.

    `target`: where the summary goes. Files of its base that nobody knows of yet are removed.
    """
    store, experiment, folder = target.store, target.experiment, keys.tables(target.experiment)
    old = [file for file in files if file.kind == "summary"]
    others = Rows(without=frozenset(runs))
    sources = [TableReader(store, experiment, file).frames(others) for file in old]

    def parts(file: TableFile) -> Iterator[pl.DataFrame]:
        for chunk in TableReader(store, experiment, file).chunks(Rows(runs=frozenset(runs))):
            yield parts_of(counting(chunk, cuts))

    sources += [parts(file) for file in files if file.kind == "metrics"]
    made = write_frames(target, merge_frames(sources, joined))
    fresh = [file.name for file in old if _base(file) == target.base]
    insist(lambda: store.delete(folder + name for name in fresh))
    return (*(file for file in files if file.kind != "summary"), *made)


def _base(file: TableFile) -> int:
    table = keys.parse_table(file.name)
    return table.base if table else -1
