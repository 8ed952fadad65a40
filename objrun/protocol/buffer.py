"""Points that were logged and are not yet in a segment: columns per metric, filled without a lock.

A scalar metric is one flat list `[value, step, time, value, step, time, ...]`, with times in
nanoseconds. `list.extend` of a tuple is one indivisible step of CPython, so threads may log at once
while the flusher cuts whole points off the front; the list object of a name never changes. A value
that is not a plain float stands there as a `Cell`, or as a table of rows from `log_batch`, and its
name is in `mixed`.
"""

from __future__ import annotations

import threading
from array import array
from itertools import chain
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import pyarrow as pa

from objrun import clock
from objrun.format.segments import SCHEMA

if TYPE_CHECKING:
    from collections.abc import Sequence

TIME: Final = pa.timestamp("ns", tz="UTC")
"""The type of a buffered time; a segment keeps microseconds of it."""


HELD_SECONDS: Final = 60.0
"""How long a retired list is kept though it is empty: a thread may hold it between two steps."""


_MUCH_TEXT: Final = 2**28
"""Characters of text in one piece: an Arrow column of text ends at 2 GiB."""


class Cell(NamedTuple):
    """A value that is not a plain float: its columns in a metric row.

    >>> Cell("scalar", "str", None, "hello").data
    'hello'
    """

    kind: str
    type: str
    value: float | None
    data: str | None


class Buffer:
    """What one writer has logged since it last froze.

    >>> buffer = Buffer()
    >>> buffer.series("loss").extend((0.5, 0, 1))
    >>> buffer.freeze().num_rows, buffer.points()
    (1, 0)
    """

    def __init__(self) -> None:
        """Hold nothing yet."""
        self.scalars: dict[str, list[Any]] = {}
        self.others: dict[str, list[Any]] = {}
        self._mixed: set[str] = set()
        self._retired: list[tuple[str, list[Any], float]] = []
        self._lock = threading.Lock()

    def series(self, name: str, *, scalar: bool = True) -> list[Any]:
        """Return the list of a metric; scalar metrics and others (rows, tables) are kept apart."""
        return (self.scalars if scalar else self.others).setdefault(name, [])

    def mark_mixed(self, name: str) -> None:
        """Say, before it is appended, that something other than a float follows under `name`."""
        self._mixed.add(name)

    def points(self) -> int:
        """Return how many points wait; a table of `log_batch` counts as one."""
        lists = chain(self.scalars.values(), self.others.values())
        waiting = sum(map(len, list(lists)))
        return (waiting + sum(len(rows) for _, rows, _ in self._retired)) // 3

    def retire(self) -> None:
        """Forget the names, so that the next point of each must ask for its list again.

        A thread that is logging at this moment may still hold a list: it is looked at by later
        freezes. Names are taken one by one, because another may come in between.
        """
        with self._lock:
            now = clock.monotonic()
            for lists in (self.scalars, self.others):
                for name in [*lists]:
                    self._retired.append((name, lists[name], now))
                    del lists[name]

    def clear(self) -> None:
        """Drop everything: what a forked child does with the points of its parent."""
        self._lock = threading.Lock()
        self._retired.clear()
        self.scalars.clear()
        self.others.clear()

    def discard(self, keep: int) -> int:
        """Drop the newest points of every metric beyond `keep` in all; return how many went."""
        with self._lock:
            lost = 0
            for rows in [*self.scalars.values(), *self.others.values()]:
                count = len(rows)
                kept = min(count, 3 * keep)
                lost += (count - kept) // 3
                # What others append meanwhile stays, since it is not counted.
                del rows[kept:count]
                keep -= kept // 3
            return lost

    def freeze(self) -> pa.Table | None:
        """Take out everything logged so far as rows, metric by metric; None if there is nothing.

        Within a metric the order is that of logging. One thread may freeze at a time.
        """
        tables: list[pa.Table] = []
        taken: list[tuple[list[Any], int]] = []
        floats = _Floats()
        with self._lock:
            living = [*self.scalars.items(), *self.others.items()]
            # Metrics are read in the order of their first points, whatever their kind.
            living = sorted((item for item in living if item[1]), key=lambda item: item[1][2])
            late = clock.monotonic() - HELD_SECONDS
            retired = [(name, rows) for name, rows, _ in self._retired]
            named = [*retired, *living]
            self._retired = [old for old in self._retired if old[1] or old[2] > late]
            for name, rows in named:
                count = len(rows)
                if not count:
                    continue
                if name not in self._mixed:
                    floats.add(name, rows, count)
                else:
                    tables += floats.tables()
                    floats = _Floats()
                    tables += _mixtures(name, rows[:count])
                taken.append((rows, count))
            tables += floats.tables()
            if not tables:
                return None
            table = pa.concat_tables(tables, promote_options="default")
            # Not before all is there; and others may have appended meanwhile.
            for rows, count in taken:
                del rows[:count]
        return table.select([name for name in SCHEMA.names if name in table.column_names])


class _Floats:
    """Columns of metrics that are all plain floats, put together before they become Arrow."""

    def __init__(self) -> None:
        self._names: list[str] = []
        self._places = array("i")
        self._values: list[float] = []
        self._steps: list[int | None] = []
        self._times: list[int] = []

    def add(self, name: str, rows: list[Any], count: int) -> None:
        self._places.extend(array("i", [len(self._names)]) * (count // 3))
        self._names.append(name)
        self._values += rows[0:count:3]
        self._steps += rows[1:count:3]
        self._times += rows[2:count:3]

    def tables(self) -> list[pa.Table]:
        if not self._names:
            return []
        columns = {
            "name": _dictionary(self._places, self._names),
            "step": _integers(self._steps),
            "time": _column(TIME, "q", self._times),
            "value": _doubles(self._values),
        }
        return [pa.table(columns)]


def repeated(text: str, count: int) -> pa.DictionaryArray:
    """Return a column that holds `text` `count` times, without a Python loop.

    >>> repeated("loss", 3).to_pylist()
    ['loss', 'loss', 'loss']
    """
    return _dictionary(array("i", bytes(4 * count)), [text])


def _dictionary(places: array[int], names: list[str]) -> pa.DictionaryArray:
    indices = [None, pa.py_buffer(places)]
    type_ = pa.dictionary(pa.int32(), pa.string())
    return pa.DictionaryArray.from_buffers(type_, len(places), indices, texts(names))


def texts(items: Sequence[str | None]) -> pa.StringArray:
    """Return a column of texts and nulls.

    Not `pa.array`, which imports pandas where it is installed and so costs a worker 0.2 s.

    >>> texts(["a", None, ""]).to_pylist()
    ['a', None, '']
    """
    encoded = [b"" if item is None else item.encode() for item in items]
    offsets = array("i", [0])
    for item in encoded:
        offsets.append(offsets[-1] + len(item))
    valid = _valid([item is not None for item in items])
    data = pa.py_buffer(b"".join(encoded))
    return pa.StringArray.from_buffers(len(items), pa.py_buffer(offsets), data, valid)


def _mixtures(name: str, taken: list[Any]) -> list[pa.Table]:
    """Return rows of a metric that has other values than floats; tables of batches stay whole."""
    tables: list[pa.Table] = []
    start = size = 0
    for place in range(0, len(taken), 3):
        item = taken[place]
        if isinstance(item, Cell):
            size += len(item.data or "")
        if size > _MUCH_TEXT or isinstance(item, pa.Table):
            tables += [_mixture(name, taken[start:place])] if place > start else []
            start, size = place, 0
        if isinstance(item, pa.Table):
            tables.append(item)
            start = place + 3
    return [*tables, _mixture(name, taken[start:])] if start < len(taken) else tables


def _mixture(name: str, taken: list[Any]) -> pa.Table:
    cells = [
        item if isinstance(item, Cell) else Cell("scalar", "float", item, None)
        for item in taken[0::3]
    ]
    columns = {
        "name": repeated(name, len(cells)),
        "kind": texts([None if cell.kind == "scalar" else cell.kind for cell in cells]),
        "step": _integers(taken[1::3]),
        "time": _column(TIME, "q", taken[2::3]),
        "type": texts([None if cell.type == "float" else cell.type for cell in cells]),
        "value": _doubles([cell.value for cell in cells]),
        "data": texts([cell.data for cell in cells]),
    }
    return pa.table(columns)


def _doubles(items: Sequence[float | None]) -> pa.Array:
    return _column(pa.float64(), "d", items)


def _integers(items: Sequence[int | None]) -> pa.Array:
    return _column(pa.int64(), "q", items)


def _column(type_: pa.DataType, code: str, items: Sequence[Any]) -> pa.Array:
    try:
        values, valid = array(code, items), None
    except TypeError:
        values = array(code, [0 if item is None else item for item in items])
        valid = _valid([item is not None for item in items])
    return pa.Array.from_buffers(type_, len(items), [valid, pa.py_buffer(values)])


def _valid(flags: list[bool]) -> pa.Buffer | None:
    """Return the validity bitmap of a column, None where all are there."""
    if all(flags):
        return None
    bits = bytearray((len(flags) + 7) // 8)
    for place, flag in enumerate(flags):
        bits[place >> 3] |= flag << (place & 7)
    return pa.py_buffer(bits)
