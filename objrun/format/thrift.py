"""Thrift's compact protocol, in which Parquet says what is in a file: bytes to structs and back.

It names the kind of each value, so a struct is read without a definition: a dict of `Value` by
number of field. Maps are not known: Parquet has none. No I/O.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from objrun.errors import FormatError

if TYPE_CHECKING:
    from collections.abc import Callable

BOOL: Final = 1
I8: Final = 3
I16: Final = 4
I32: Final = 5
I64: Final = 6
DOUBLE: Final = 7
BINARY: Final = 8
LIST: Final = 9
SET: Final = 10
STRUCT: Final = 12

DEPTH: Final = 16
"""Levels of values, the outermost struct the first: hostile bytes do not exhaust the stack."""

_FALSE: Final = 2
_BITS: Final = {I16: 16, I32: 32, I64: 64}
_EARLY: Final = "it ends too early"
_I8: Final = struct.Struct("<b")
_DOUBLE: Final = struct.Struct("<d")


class ThriftError(FormatError, ValueError):
    """Bytes that are no struct of the compact protocol."""


class Value(NamedTuple):
    """A value and its kind.

    `content` is a bool, an int, a float, bytes, a `Struct`, or of lists and sets `Items`.
    """

    kind: int
    content: Any


class Items(NamedTuple):
    """The items of a list, all of one kind."""

    kind: int
    contents: list[Any]


Struct = dict[int, Value]
"""The fields of a struct by their numbers, which rise."""


def number(fields: Struct, field: int) -> int:
    """Return a field that must be there and be an integer.

    >>> number({1: Value(I32, 7)}, 1)
    7
    """
    value = fields.get(field)
    if value is None or value.kind not in (I8, *_BITS):
        raise ThriftError(f"field {field} is no integer")
    content: int = value.content
    return content


class Reader:
    """Read values from `data`, one after the other, the next from byte `at`.

    >>> Reader(encode({1: Value(I32, 7), 4: Value(BINARY, b"x")})).struct()
    {1: Value(kind=5, content=7), 4: Value(kind=8, content=b'x')}
    """

    def __init__(self, data: bytes, at: int = 0) -> None:
        """Read nothing yet."""
        self.data = data
        self.at = at

    def struct(self, after: int = 0, last: int = 2**15) -> Struct:
        """Return the next struct, or what follows in it after the field numbered `after`.

        Behind the field `last` nothing is read. Raises ThriftError where the bytes end before the
        struct does, are none, or where the numbers of its fields do not rise: another reader might
        take the first of two equal ones where this one takes the second.
        """
        try:
            found, self.at = _struct(self.data, self.at, 1, after, last)
        except IndexError:
            raise ThriftError(_EARLY) from None
        return found


# Places are passed on from function to function: attributes would take thrice as long.
def _struct(data: bytes, at: int, depth: int, after: int, last: int) -> tuple[Struct, int]:
    found: Struct = {}
    field = after
    while field < last:
        head = data[at]
        at += 1
        if not head:
            break
        if head >> 4:
            field += head >> 4
        else:
            before = field
            field, at = integer_at(data, at, I16)
            if field <= before:
                raise ThriftError(f"field {field} behind {before}")
        kind = head & 15
        if kind in (BOOL, _FALSE):
            found[field] = Value(BOOL, kind == BOOL)
            continue
        content, at = integer_at(data, at, kind) if kind in _BITS else _other(data, at, kind, depth)
        found[field] = Value(kind, content)
    return found, at


def _other(data: bytes, at: int, kind: int, depth: int) -> tuple[Any, int]:
    if depth >= DEPTH:
        raise ThriftError(f"more than {DEPTH} levels")
    if kind == BINARY:
        length, at = varint_at(data, at)
        return _taken(data, at, length), at + length
    if kind == STRUCT:
        return _struct(data, at, depth + 1, 0, 2**15)
    if kind in (LIST, SET):
        return _items(data, at, depth + 1)
    if kind == DOUBLE:
        return _DOUBLE.unpack(_taken(data, at, 8))[0], at + 8
    if kind == I8:
        return _I8.unpack(_taken(data, at, 1))[0], at + 1
    if kind in (BOOL, _FALSE):
        return data[at] == BOOL, at + 1
    raise ThriftError(f"a value of kind {kind}")


def _items(data: bytes, at: int, depth: int) -> tuple[Items, int]:
    head = data[at]
    at += 1
    count = head >> 4
    if count == 15:
        count, at = varint_at(data, at)
    kind = BOOL if head & 15 == _FALSE else head & 15
    contents = []
    # Each takes a byte or more, so a lie about their number ends where the bytes do.
    for _ in range(count):
        content, at = integer_at(data, at, kind) if kind in _BITS else _other(data, at, kind, depth)
        contents.append(content)
    return Items(kind, contents), at


def integer_at(data: bytes, at: int, kind: int) -> tuple[int, int]:
    r"""Return the integer of a kind at `at`, and where it ends.

    >>> integer_at(b"\x03", 0, I32)
    (-2, 1)
    """
    packed = data[at]
    if packed < 128:
        return (packed >> 1) ^ -(packed & 1), at + 1
    packed, at = varint_at(data, at)
    if packed >> _BITS[kind]:
        raise ThriftError(f"{packed} does not fit {_BITS[kind]} bits")
    return (packed >> 1) ^ -(packed & 1), at


def varint_at(data: bytes, at: int) -> tuple[int, int]:
    r"""Return the number of no sign at `at`, and where it ends.

    >>> varint_at(b"\x96\x01", 0)
    (150, 2)
    """
    found = 0
    for shift in range(0, 70, 7):
        byte = data[at]
        at += 1
        found |= (byte & 127) << shift
        if byte < 128:
            return found, at
    raise ThriftError("an integer of more than ten bytes")


def _taken(data: bytes, at: int, count: int) -> bytes:
    if at + count > len(data):
        raise ThriftError(_EARLY)
    return data[at : at + count]


def encode(fields: Struct, after: int = 0) -> bytes:
    """Return the bytes of a struct, or of those that follow its field numbered `after`.

    >>> encode({1: Value(I32, 7)}).hex(), encode({5: Value(I64, -1)}, after=4).hex()
    ('150e00', '160100')
    """
    out = bytearray()
    for field, (kind, content) in fields.items():
        shown = _FALSE if kind == BOOL and not content else kind
        if 0 < field - after < 16:
            out.append((field - after) << 4 | shown)
        else:
            out.append(shown)
            out += _zigzag(field)
        if kind != BOOL:
            out += _ENCODERS[kind](content)
        after = field
    return bytes(out) + b"\0"


def _listed(items: Items) -> bytes:
    count = len(items.contents)
    head = bytes([min(count, 15) << 4 | items.kind]) + (_varint(count) if count >= 15 else b"")
    return head + b"".join(_ENCODERS[items.kind](each) for each in items.contents)


def _zigzag(value: int) -> bytes:
    return _varint(value << 1 if value >= 0 else ~(value << 1))


def _varint(value: int) -> bytes:
    out = bytearray()
    while value > 127:
        out.append(value & 127 | 128)
        value >>= 7
    out.append(value)
    return bytes(out)


_ENCODERS: Final[dict[int, Callable[[Any], bytes]]] = {
    BOOL: lambda content: bytes([BOOL if content else _FALSE]),
    I8: _I8.pack,
    I16: _zigzag,
    I32: _zigzag,
    I64: _zigzag,
    DOUBLE: _DOUBLE.pack,
    BINARY: lambda content: _varint(len(content)) + content,
    LIST: _listed,
    SET: _listed,
    STRUCT: encode,
}
