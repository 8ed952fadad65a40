"""Arrow columns of buffered points, made without a Python loop where all values are plain floats.

Nothing here uses `pa.array` or `pyarrow.compute`: they import pandas where it is installed, which
would cost a worker 0.2 s.
"""

from __future__ import annotations

from array import array
from struct import Struct
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import pyarrow as pa

if TYPE_CHECKING:
    from collections.abc import Sequence

TIME: Final = pa.timestamp("ns", tz="UTC")
"""The type of a buffered time; a segment keeps microseconds of it."""

RECORD: Final = Struct("=dqq")
"""A point whose value is a float, as it is buffered: value, step, nanoseconds since the epoch."""

WIDTH: Final = 3
"""Items of a buffered point, in an array of records and in a list of values of any type."""

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


class Records:
    """Rows of several metrics, put together before they become Arrow.

    All of them have a step, or none has. False as long as there are none.

    >>> records = Records(has_steps=True)
    >>> records.add("loss", array("q", RECORD.pack(0.5, 7, 0)))
    >>> records.table().drop_columns("time").to_pylist()
    [{'name': 'loss', 'value': 0.5, 'step': 7}]
    """

    def __init__(self, *, has_steps: bool) -> None:
        """Hold nothing yet."""
        self.has_steps = has_steps
        self._names: list[str] = []
        self._places = array("i")
        self._bits = array("q")
        self._steps = array("q")
        self._times = array("q")

    def __bool__(self) -> bool:
        """Return whether there are rows."""
        return bool(self._names)

    def add(self, name: str, taken: array[int]) -> None:
        """Add the records of one metric: eight bytes an item, whatever they mean."""
        self._places += array("i", [len(self._names)]) * (len(taken) // WIDTH)
        self._names.append(name)
        self._bits += taken[0::WIDTH]
        self._steps += taken[1::WIDTH]
        self._times += taken[2::WIDTH]

    def table(self) -> pa.Table:
        """Return the rows."""
        columns = {
            "name": _dictionary(self._places, self._names),
            "time": _wide(TIME, self._times),
            "value": _wide(pa.float64(), self._bits),
        }
        if self.has_steps:
            columns["step"] = _wide(pa.int64(), self._steps)
        return pa.table(columns)


def _wide(type_: pa.DataType, items: array[int]) -> pa.Array:
    return pa.Array.from_buffers(type_, len(items), [None, pa.py_buffer(items)])


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


def mixtures(name: str, taken: list[Any]) -> list[pa.Table]:
    """Return the rows of one metric of any values, from a flat list of value, step and time.

    A value is a float, a Cell, or a table of rows, which stays whole.

    >>> [table.num_rows for table in mixtures("a", [0.5, None, 0, 0.25, 1, 0])]
    [2]
    """
    tables: list[pa.Table] = []
    start = size = 0
    for place in range(0, len(taken), WIDTH):
        item = taken[place]
        length = len(item.data or "") if isinstance(item, Cell) else 0
        size += length
        if size > _MUCH_TEXT or isinstance(item, pa.Table):
            tables += [_mixture(name, taken[start:place])] if place > start else []
            start, size = place, length
        if isinstance(item, pa.Table):
            tables.append(item)
            start = place + WIDTH
    return [*tables, _mixture(name, taken[start:])] if start < len(taken) else tables


def _mixture(name: str, taken: list[Any]) -> pa.Table:
    cells = [
        item if isinstance(item, Cell) else Cell("scalar", "float", item, None)
        for item in taken[0::WIDTH]
    ]
    columns = {
        "name": repeated(name, len(cells)),
        "kind": texts([None if cell.kind == "scalar" else cell.kind for cell in cells]),
        "step": _nullable(pa.int64(), "q", taken[1::WIDTH]),
        "time": _wide(TIME, array("q", taken[2::WIDTH])),
        "type": texts([None if cell.type == "float" else cell.type for cell in cells]),
        "value": _nullable(pa.float64(), "d", [cell.value for cell in cells]),
        "data": texts([cell.data for cell in cells]),
    }
    return pa.table(columns)


def _nullable(type_: pa.DataType, code: str, items: Sequence[Any]) -> pa.Array:
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
