"""All that can be read of an experiment's tables, whether a checkpoint names them or not."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Final, TypeVar

from objrun.errors import CorruptObjectError, Problem
from objrun.format import keys
from objrun.format.checkpoints import TableFile
from objrun.format.tables import KEYS
from objrun.protocol.settle import insist
from objrun.tables.footers import DAMAGES
from objrun.tables.reading import SMALL, TableReader, frame_of_table

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    import polars as pl
    import pyarrow.parquet as pq

    from objrun.storage import ObjectInfo, Store
    from objrun.tables.reading import Rows

T = TypeVar("T")

NEVER_NULL: Final = {"time", "stop", "version", *KEYS["metrics"], *KEYS["coverage"]} - {"name"}
"""Columns without which a row says nothing."""

_LAST: Final = "\U0010ffff"


class OldTable(TableReader):
    """Read a file of a table as it stands, whatever a checkpoint tells of it.

    `doubted`: what of it cannot be read is left out; of others that is an error.
    """

    def __init__(
        self, store: Store, experiment: str, info: ObjectInfo, kind: str, *, doubted: bool
    ) -> None:
        """Read nothing yet."""
        name = info.key.rpartition("/")[2]
        file = TableFile(
            name=name,
            kind=kind,
            level=0,
            rows=1,
            size=info.size,
            footer=8,
            crc32=0,
            first="",
            last=_LAST,
        )
        super().__init__(store, experiment, file)
        self.doubted = doubted

    def _bytes(self, start: int, stop: int) -> bytes:
        if self.file.size > SMALL:
            return insist(lambda: self.store.get_range(self.key, start, stop - start))
        if self._data is None:
            self._data = insist(partial(self.store.get, self.key))
        return self._data[start:stop]

    def _read_footer(self) -> pq.FileMetaData:
        tail = self._bytes(max(self.file.size - 8, 0), self.file.size)
        length = int.from_bytes(tail[:4], "little") + 8
        if tail[4:] != b"PAR1" or length > self.file.size:
            raise CorruptObjectError(self.key, [Problem("$", "bad_parquet", "it has no end")])
        self.file = replace(self.file, footer=length)
        return super()._read_footer()

    def salvaged(self, rows: Rows, columns: Sequence[str]) -> Iterator[pl.DataFrame]:
        """Yield the rows that are wanted, row group by row group."""
        for group in self._tried(lambda: self.groups(rows)) or ():
            frame = self._tried(partial(self._frame, group, [*columns]))
            if frame is not None:
                yield frame.filter(rows.condition())

    def _frame(self, group: int, columns: list[str]) -> pl.DataFrame:
        table = self.read([group], columns)
        # What is not text would only crash where it is used.
        table.validate(full=True)
        frame = frame_of_table(table).select(columns)
        return frame.drop_nulls([name for name in columns if name in NEVER_NULL])

    def _tried(self, read: Callable[[], T]) -> T | None:
        try:
            return read()
        except (CorruptObjectError, *DAMAGES):
            if not self.doubted:
                raise
            return None


def old_tables(
    store: Store, experiment: str, kind: str, is_doubted: Callable[[str], bool]
) -> list[OldTable]:
    """Return all files of a kind that there are; doubted ones, by name, are the last."""
    listed = insist(lambda: store.list(keys.tables(experiment)))
    tables = [
        OldTable(store, experiment, info, kind, doubted=is_doubted(info.key.rpartition("/")[2]))
        for info in listed
        if (table := keys.parse_table(info.key)) and table.kind == kind
    ]
    return sorted(tables, key=lambda table: table.doubted)


def salvaged(
    tables: Sequence[OldTable], rows: Rows, columns: Sequence[str]
) -> Iterator[pl.DataFrame]:
    """Yield the rows that are wanted of several files."""
    for table in tables:
        yield from table.salvaged(rows, columns)
