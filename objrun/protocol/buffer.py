"""Points that were logged and are not yet in a segment, filled without a lock.

A metric whose points all are plain floats is an array of packed records: 24 bytes a point, and
nothing left to do for each when they become columns. `array.frombytes` is one indivisible step of
CPython, so threads may log at once while the flusher cuts whole points off the front. The points of
any other metric stand in a flat list `[value, step, time, value, step, time, ...]`, where a value
is a float, a `Cell` or a table of rows; `list.extend` is as indivisible.
"""

from __future__ import annotations

import threading
from array import array
from typing import Any, Final, NamedTuple

import pyarrow as pa

from objrun import clock
from objrun.format.segments import SCHEMA
from objrun.protocol.columns import RECORD, WIDTH, Cell, Records, mixtures

HELD_SECONDS: Final = 60.0
"""How long retired points are looked at though there are none: a thread may be adding one."""


class _Series(NamedTuple):
    """The waiting points of one metric, and what is known of all of them."""

    name: str
    rows: array[int] | list[Any]
    has_steps: bool
    retired: float = 0.0


class Buffer:
    """What one writer has logged since it last froze.

    `stepped` and `plain` are the metrics whose points all are floats, with a step and without;
    whoever finds a name there may append a record to it. Everything else goes through `add`.

    >>> buffer = Buffer()
    >>> buffer.add("loss", 0.5, 0, 1)
    >>> buffer.freeze().num_rows, buffer.points()
    (1, 0)
    """

    def __init__(self) -> None:
        """Hold nothing yet."""
        self.stepped: dict[str, array[int]] = {}
        self.plain: dict[str, array[int]] = {}
        self._mixed: dict[str, list[Any]] = {}
        self._retired: list[_Series] = []
        # A signal handler may log while its own thread holds it.
        self._lock = threading.RLock()

    def add(self, name: str, value: float | Cell | pa.Table, step: int | None, time: int) -> None:
        """Append one point of a metric, or a table of its rows; `time` is in nanoseconds."""
        mine = self.plain if step is None else self.stepped
        other = self.stepped if step is None else self.plain
        with self._lock:
            if name not in self._mixed and name not in other and isinstance(value, float):
                mine.setdefault(name, array("q")).frombytes(RECORD.pack(value, step or 0, time))
                return
            rows = self._mixed.setdefault(name, [])
            # From now on they come here, and what was logged before comes first.
            self._retire(name, self.stepped, self.plain)
            rows.extend((value, step, time))

    def points(self) -> int:
        """Return how many points wait; a table of `log_batch` counts as one."""
        # In this order: what is retired meanwhile may count twice, but never not at all.
        living = sum(len(rows) for lists in self._kinds() for rows in [*lists.values()])
        return (living + sum(len(series.rows) for series in [*self._retired])) // WIDTH

    def metrics(self) -> int:
        """Return how many metrics there are."""
        return len(self.stepped) + len(self.plain) + len(self._mixed)

    def _kinds(self) -> tuple[dict[str, Any], ...]:
        return self.stepped, self.plain, self._mixed

    def retire(self) -> None:
        """Forget the names, so that the next point of each comes through `add`.

        A thread that is logging at this moment may still hold what it appends to: that is looked
        at by later freezes. Names are taken one by one, because another may come in between.
        """
        for lists in self._kinds():
            for name in [*lists]:
                self._retire(name, lists)

    def _retire(self, name: str, *kinds: dict[str, Any]) -> None:
        with self._lock:
            for kind in kinds:
                rows = kind.get(name)
                if rows is not None:
                    has_steps = kind is self.stepped
                    self._retired.append(_Series(name, rows, has_steps, clock.monotonic()))
                    # After that, or `points` could miss them.
                    kind.pop(name, None)

    def _all(self) -> list[_Series]:
        """Return what was retired, then the rest, each kind by the time of the first points."""
        living = [
            _Series(name, rows, has_steps=lists is self.stepped)
            for lists in self._kinds()
            for name, rows in sorted(
                (item for item in lists.items() if item[1]), key=lambda item: item[1][2]
            )
        ]
        # A signal handler that logs may have retired once more what was just being retired.
        return [*{id(series.rows): series for series in (*self._retired, *living)}.values()]

    def clear(self) -> None:
        """Drop everything: what a forked child does with the points of its parent."""
        self._lock = threading.RLock()
        self._retired.clear()
        for lists in self._kinds():
            lists.clear()

    def discard(self, keep: int) -> int:
        """Drop the newest points of every metric beyond `keep` in all; return how many went."""
        with self._lock:
            lost = 0
            for series in self._all():
                count = len(series.rows)
                kept = min(count, WIDTH * keep)
                lost += sum(
                    item.num_rows if isinstance(item, pa.Table) else 1
                    for item in series.rows[kept:count:WIDTH]
                )
                # What others append meanwhile stays, since it is not counted.
                del series.rows[kept:count]
                keep -= kept // WIDTH
            return lost

    def freeze(self) -> pa.Table | None:
        """Take out everything logged so far as rows, metric by metric; None if there is nothing.

        Within a metric the order is that of logging. One thread may freeze at a time.
        """
        with self._lock:
            waiting = [(series, len(series.rows)) for series in self._all() if series.rows]
            late = clock.monotonic() - HELD_SECONDS
            self._retired = [old for old in self._retired if old.rows or old.retired > late]
        if not waiting:
            return None
        table = pa.concat_tables(_tables(waiting), promote_options="default")
        with self._lock:
            # Not before all is there; and others may have appended meanwhile.
            for series, count in waiting:
                is_float_again = isinstance(series.rows[count - WIDTH], float)
                if is_float_again and self._mixed.get(series.name) is series.rows:
                    self._retire(series.name, self._mixed)
                del series.rows[:count]
        return table.select([name for name in SCHEMA.names if name in table.column_names])


def _tables(waiting: list[tuple[_Series, int]]) -> list[pa.Table]:
    """Return the first `count` items of each series as rows, in this order."""
    tables: list[pa.Table] = []
    records = Records(has_steps=True)
    for series, count in waiting:
        taken = series.rows[:count]
        is_packed = isinstance(taken, array)
        if records and not (is_packed and records.has_steps == series.has_steps):
            tables.append(records.table())
            records = Records(has_steps=series.has_steps)
        if isinstance(taken, array):
            records.has_steps = series.has_steps
            records.add(series.name, taken)
        else:
            tables += mixtures(series.name, taken)
    return [*tables, records.table()] if records else tables
