"""Walk through structs of Thrift's compact protocol, keeping a few integers: no `Value` is made.

As strict as `objrun.format.thrift` in all that decides where a value ends and whose it is. No I/O.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from objrun.format.thrift import (
    BINARY,
    DEPTH,
    DOUBLE,
    I8,
    I16,
    I32,
    I64,
    LIST,
    SET,
    STRUCT,
    ThriftError,
    integer_at,
    varint_at,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping

    Handler = Callable[[int, int], int]

_BOOLS: Final = (1, 2)
_FIXED: Final = {1: 1, 2: 1, I8: 1, DOUBLE: 8}
"""Bytes of values of one length; a boolean is one as the item of a list."""

_LONGEST: Final = {I16: 3, I32: 5, I64: 10}
"""Bytes of an integer at most."""


def walk(
    data: bytes,
    at: int,
    *,
    handlers: Mapping[int, Handler],
    wanted: Collection[int] = (),
    lists: Mapping[int, int] | None = None,
) -> tuple[int, dict[int, int]]:
    """Return where the struct at `at` ends, and its integers of 64 bits in the fields `wanted`.

    `handlers[field](kind, at)` returns where that field ends. `lists`: the kind of the items of
    each list that may be there; None: all may be. Raises ThriftError as `Reader.struct`, and where
    a field is not of the kind that it has to be; IndexError where the bytes end too early.

    >>> from objrun.format.thrift import Value, encode
    >>> walk(encode({1: Value(I32, 7), 3: Value(I64, 9)}), 0, handlers={}, wanted=(3,))
    (5, {3: 9})
    """
    found: dict[int, int] = {}
    field = 0
    while head := data[at]:
        field, at = _next(data, at, head, field)
        kind = head & 15
        if lists is not None and (kind == LIST or field in lists):
            _check_list(data[at], kind, field, lists)
        if field in handlers:
            at = handlers[field](kind, at)
        elif field in wanted:
            if kind != I64:
                raise ThriftError(f"field {field} is no integer of 64 bits")
            found[field], at = integer_at(data, at, I64)
        elif kind not in _BOOLS:
            at = skip(data, at, kind)
    return at + 1, found


def skip(data: bytes, at: int, kind: int, depth: int = 1) -> int:
    r"""Return where the value of a kind at `at` ends.

    >>> skip(b"\x96\x01", 0, I32)
    2
    """
    if kind in _LONGEST:
        end = at
        while data[end] > 127:
            end += 1
        if end - at >= _LONGEST[kind]:
            raise ThriftError(f"an integer of {end - at + 1} bytes")
        return end + 1
    if kind == BINARY:
        length, at = varint_at(data, at)
        return at + length
    if kind in _FIXED:
        return at + _FIXED[kind]
    if depth >= DEPTH:
        raise ThriftError(f"more than {DEPTH} levels")
    if kind == STRUCT:
        return _skip_struct(data, at, depth + 1)
    if kind not in (LIST, SET):
        raise ThriftError(f"a value of kind {kind}")
    count, inner, at = items_at(data, at)
    for _ in range(count):
        at = skip(data, at, inner, depth + 1)
    return at


def _skip_struct(data: bytes, at: int, depth: int) -> int:
    field = 0
    while head := data[at]:
        field, at = _next(data, at, head, field)
        if head & 15 not in _BOOLS:
            at = skip(data, at, head & 15, depth)
    return at + 1


def items_at(data: bytes, at: int) -> tuple[int, int, int]:
    r"""Return how many items the list at `at` has, their kind, and where they begin.

    >>> items_at(b"\x35", 0)
    (3, 5, 1)
    """
    head = data[at]
    if head < 0xF0:
        return head >> 4, head & 15, at + 1
    count, begin = varint_at(data, at + 1)
    return count, head & 15, begin


def _next(data: bytes, at: int, head: int, before: int) -> tuple[int, int]:
    """Return the number of the field that `head` at `at` begins, and where its value is."""
    if head > 15:
        return before + (head >> 4), at + 1
    field, at = integer_at(data, at + 1, I16)
    if field <= before:
        raise ThriftError(f"field {field} behind {before}")
    return field, at


def _check_list(head: int, kind: int, field: int, lists: Mapping[int, int]) -> None:
    """Refuse lists that say to hold something else than they do: others do not look."""
    if kind != LIST or (head > 15 and head & 15 != lists.get(field)):
        raise ThriftError(f"field {field} is no list as it has to be")
