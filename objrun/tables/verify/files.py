"""One file of a table: is it as its checkpoint tells, in order, and whose rows does it hold?"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from objrun.format.tables import KEYS, SCHEMAS
from objrun.tables.chunks import BLOCK, block_places
from objrun.tables.footers import check_file
from objrun.tables.reading import BATCH, chunk_of_table, frame_of_table

if TYPE_CHECKING:
    from collections.abc import Iterator

    from objrun.format.checkpoints import TableFile

COLUMNS: Final = {
    "runs": ("root_run_id", "run_id", "experiment", "version"),
    "summary": (*KEYS["summary"], "points"),
    "metrics": KEYS["metrics"],
    "coverage": (*KEYS["coverage"], "stop"),
    "cuts": (*KEYS["cuts"], "step"),
}
"""The columns that are looked at."""

Key = tuple[Any, ...]


class FileLook(NamedTuple):
    """What a file holds, summed up by `summed`; its first and last key; what is wrong with it."""

    held: pl.DataFrame
    first: Key
    last: Key
    problems: list[str]


def look_at_file(file: TableFile, data: bytes) -> FileLook:
    """Look at the bytes of a file, a few row groups at a time; one of DAMAGES if they are none."""
    problems: list[str] = []
    held: list[pl.DataFrame] = []
    first: Key = ()
    last: Key = ()
    words = [name for name in BLOCK if name in SCHEMAS[file.kind].names]
    check_file(file.kind, data)
    source = pq.ParquetFile(
        pa.BufferReader(data), read_dictionary=words, page_checksum_verification=True
    )
    if source.metadata.num_rows != file.rows:
        told = f"it has {source.metadata.num_rows} rows, not {file.rows} as its checkpoint tells"
        problems.append(told)
    for frame, low, high, rising in _parts(file.kind, source):
        if not rising or (last and low <= last):
            problems.append("its rows are not in order")
        first, last = first or low, high
        held.append(summed(file.kind, frame))
    if first and (first[0], last[0]) != (file.first, file.last):
        told = f"its root runs go from {first[0]} to {last[0]}, its checkpoint tells of others"
        problems.append(told)
    kept = pl.concat(held) if held else pl.DataFrame()
    return FileLook(kept, first, last, [*dict.fromkeys(problems)])


def _parts(kind: str, source: pq.ParquetFile) -> Iterator[tuple[pl.DataFrame, Key, Key, bool]]:
    """Yield rows, their first and last key, and whether they are in order."""
    for start in range(0, source.num_row_groups, BATCH):
        groups = [*range(start, min(start + BATCH, source.num_row_groups))]
        table = source.read_row_groups(groups, columns=[*COLUMNS[kind]], use_threads=False)
        # What is not text would only crash where it is used.
        table.validate(full=True)
        if any(table.column(name).null_count for name in COLUMNS[kind]):
            message = "a column that is never null holds a null"
            raise ValueError(message)
        if kind == "metrics":
            yield _points(table)
        elif table.num_rows:
            frame = frame_of_table(table)
            by_key = frame.select(KEYS[kind])
            yield frame, by_key.row(0), by_key.row(-1), _rises(by_key)


def _points(table: pa.Table) -> tuple[pl.DataFrame, Key, Key, bool]:
    chunk = chunk_of_table(table)
    rows = chunk.rows.select("offset").with_columns(block_places(chunk.blocks))
    same = pl.col("block") == pl.col("block").shift()
    rising = rows.select((~same | (pl.col("offset") > pl.col("offset").shift())).all()).item()
    blocks = rows.group_by("block", maintain_order=True).agg(
        count=pl.len().cast(pl.Int64),
        total=pl.col("offset").sum(),
        squares=(pl.col("offset") * pl.col("offset")).sum(),
        least=pl.col("offset").min(),
        most=pl.col("offset").max(),
    )
    whose = chunk.blocks.select(BLOCK)
    first = *chunk.key(0), int(rows["offset"][0])
    last = *chunk.key(-1), int(rows["offset"][-1])
    frame = whose.hstack(blocks.drop("block"))
    return frame, first, last, bool(rising) and _rises(whose)


def _rises(frame: pl.DataFrame) -> bool:
    """Return whether each row is greater than the one before, column by column."""
    above, equal = pl.lit(value=False), pl.lit(value=True)
    for name in frame.columns:
        above = above | (equal & (pl.col(name) > pl.col(name).shift()))
        equal = equal & (pl.col(name) == pl.col(name).shift())
    return bool(frame.select(above.alias("above"))["above"][1:].all())


def summed(kind: str, frame: pl.DataFrame) -> pl.DataFrame:
    """Return what counts of rows of one kind: by run and writer, or by run.

    Of metrics: how many offsets there are, the least, the most, their sum and that of their
    squares modulo 2^64, by which `[0, stop)` is known without keeping them.
    """
    writer = ("root_run_id", "run_id", "writer")
    if kind == "metrics":
        sums = pl.col("count", "total", "squares").sum()
        ends = pl.col("least").min(), pl.col("most").max()
        return frame.group_by(writer, maintain_order=True).agg(sums, *ends)
    if kind == "summary":
        return frame.group_by(writer, maintain_order=True).agg(pl.col("points").sum())
    if kind == "coverage":
        return frame.group_by(writer, maintain_order=True).agg(pl.col("stop").max())
    return frame


def is_whole(stop: int, count: int, total: int, squares: int, least: int, most: int) -> bool:
    """Return whether offsets that were summed up are exactly `[0, stop)`.

    >>> is_whole(3, 3, 0 + 1 + 2, 0 + 1 + 4, 0, 2), is_whole(3, 3, 1 + 1 + 1, 3, 0, 2)
    (True, False)
    """
    sums = stop * (stop - 1) // 2, (stop - 1) * stop * (2 * stop - 1) // 6
    same = (sums[0] - total) % 2**64 == 0 and (sums[1] - squares) % 2**64 == 0
    return same and (count, least, most) == (stop, 0, stop - 1)
