"""Fit columns to a terminal: which are shown, and how wide each is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from rich.cells import cell_len
from rich.console import Console
from rich.table import Table
from rich.text import Text

GAP: Final = 2
"""Spaces between two columns."""

_HINT: Final = 3


@dataclass(frozen=True)
class Column:
    """A column: its cells, and what may be done to it where room is short.

    `least`: it may be cut to this width. `most`: it is never wider at a terminal. `rank`: 0 for a
    column that is always shown; others are left out where there is no room, the largest first.
    """

    title: str
    cells: Sequence[str | Text]
    right: bool = False
    least: int = 6
    most: int = 32
    rank: int = 0

    @property
    def natural(self) -> int:
        """The width that shows every cell in full.

        >>> Column("id", ["a", "abc"]).natural
        3
        """
        cells = (cell.plain if isinstance(cell, Text) else cell for cell in self.cells)
        return max([cell_len(self.title), *map(cell_len, cells)])


def fit(columns: Sequence[Column], width: int) -> list[tuple[Column, int]]:
    """Return the columns that are shown, in order, each with its width.

    Columns of rank 0 are all shown, cut where they must be; others as far as they fit in full.

    >>> name, extra = Column("name", ["x" * 20]), Column("extra", ["1"], rank=1)
    >>> [(c.title, w) for c, w in fit([name, extra], 30)]
    [('name', 20), ('extra', 5)]
    >>> [(c.title, w) for c, w in fit([name, extra], 10)]
    [('name', 10)]
    """
    widths = {i: min(c.natural, c.most) for i, c in enumerate(columns) if not c.rank}
    spare = width - sum(widths.values()) - GAP * max(len(widths) - 1, 0)
    # First down to what a column can spare, then until nothing is left but a hint of each.
    for least in ({i: columns[i].least for i in widths}, dict.fromkeys(widths, _HINT)):
        while spare < 0 and (able := [i for i in widths if widths[i] > least[i]]):
            widths[max(able, key=widths.__getitem__)] -= 1
            spare += 1
    for i in sorted(range(len(columns)), key=lambda i: columns[i].rank):
        needed = min(columns[i].natural, columns[i].most) + GAP
        if i not in widths and needed <= spare:
            widths[i] = needed - GAP
            spare -= needed
    return [(columns[i], widths[i]) for i in sorted(widths)]


def in_full(columns: Sequence[Column], width: int) -> Sequence[Column]:
    """Return the first columns, one at least, that fit into `width` cells without being cut.

    >>> [c.title for c in in_full([Column("one", []), Column("two", []), Column("six", [])], 8)]
    ['one', 'two']
    """
    used = 0
    for count, column in enumerate(columns):
        used += min(column.natural, column.most)
        if used > width:
            return columns[: max(count, 1)]
        used += GAP
    return columns


def readable(columns: Sequence[Column], always: int, width: int) -> Sequence[Column]:
    """Return the columns without the last ones that would cut others below their `least`.

    The first `always` are kept, and one more.

    >>> wide = [Column(f"column {n}", [], least=8) for n in range(9)]
    >>> len(readable(wide, 1, 40)), len(readable(wide, 5, 40)), len(readable(wide, 1, 200))
    (4, 6, 9)
    """
    used = 0
    for count, column in enumerate(columns):
        used += 0 if column.rank else min(column.natural, column.least) + GAP
        if count > always and used - GAP > width:
            return columns[:count]
    return columns


def make_table(columns: Sequence[Column], width: int | None) -> Table:
    """Return a table that fits into `width` cells, or with `None` one of everything in full."""
    shown = [(c, c.natural) for c in columns] if width is None else fit(columns, width)
    table = Table(box=None, pad_edge=False, padding=(0, GAP, 0, 0), header_style="bold")
    for position, (column, cells) in enumerate(shown):
        last = position == len(shown) - 1
        table.add_column(
            Text(column.title),
            justify="right" if column.right else "left",
            no_wrap=True,
            overflow="ellipsis",
            width=None if last and not column.right and width is None else cells,
        )
    for row in zip(*(column.cells for column, _ in shown), strict=True):
        table.add_row(*(cell if isinstance(cell, Text) else Text(cell) for cell in row))
    return table


def print_table(console: Console, columns: Sequence[Column]) -> None:
    """Print a table: fitted to a terminal; in full, and without trailing spaces, elsewhere."""
    if console.is_terminal:
        console.print(make_table(columns, console.width))
        return
    with console.capture() as captured:
        console.print(make_table(columns, None))
    console.file.write("".join(f"{line.rstrip()}\n" for line in captured.get().splitlines()))
