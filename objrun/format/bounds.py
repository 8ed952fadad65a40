"""How much a Parquet file comes to, found in it before it is decoded. No I/O.

A few hundred bytes can stand for terabytes: pages that decompress to gigabytes, runs of equal
values, words that are repeated, and numbers of values that nobody checks before there is room for
them. And the library that reads Parquet ends the whole process where it tells of a column whose
part of the footer is damaged. So both are looked at first.
"""

from __future__ import annotations

import io
import re
from typing import TYPE_CHECKING, Final, NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

from objrun.format.skim import items_at, skip, walk
from objrun.format.thrift import BINARY, BOOL, I32, I64, STRUCT, Reader, ThriftError, varint_at

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

MOST_BYTES: Final = 2**29
"""Bytes of a segment, or of a row group of a table, at most, when its pages are decompressed."""

MOST_VALUES: Final = 2**22
"""Rows of a segment, or values of a column in a row group of a table, at most."""

_DICTIONARY: Final = 2
_WORDS: Final = (2, 8)
_ENCODINGS: Final = (0, *_WORDS, 3, 5, 9)
"""Plain, dictionaries, runs, DELTA_BINARY_PACKED, BYTE_STREAM_SPLIT. Those that are left out, of
texts as differences, say how many there are where only their decoder looks."""

_V: Final = rb"[\x80-\xff]{0,4}[\0-\x7f]"
_HEAD: Final = re.compile(rb"\x15([\0\4\6])\x15(%b)\x15(%b)(\x15%b)?" % (_V, _V, _V), re.DOTALL)
_DATA: Final = rb"\x15(%b)\x15(%b)\x15%b\x15%b" % (_V, _V, _V, _V)
_WORD: Final = rb"\x15(%b)\x15(%b)[\x11\x12]?" % (_V, _V)
_DATA2: Final = rb"\x15(%b)\x15%b\x15%b\x15(%b)\x15%b\x15%b[\x11\x12]?" % ((_V,) * 6)
_KINDS: Final = {
    # The number of the field that tells more; what stands in it.
    b"\0": (5, 0, re.compile(_DATA, re.DOTALL)),
    b"\4": (7, 2, re.compile(_WORD, re.DOTALL)),
    b"\6": (8, 3, re.compile(_DATA2, re.DOTALL)),
}


class Head(NamedTuple):
    """What the head of a page tells; its content is `data[at:stop]`, its kind 2 a dictionary."""

    kind: int
    size: int
    values: int
    encoding: int
    at: int
    stop: int


def read_head(data: bytes, at: int) -> Head:
    """Return the head of the page at `at`.

    Raises ThriftError where it is none as every known writer writes them: in order of the fields.
    """
    found = _HEAD.match(data, at)
    if found is None:
        raise ThriftError(_ODD)
    field, kind, pattern = _KINDS[found[1]]
    inner = found.end()
    told = pattern.match(data, inner + 1)
    if told is None or data[inner] != (field - (4 if found[4] else 3)) << 4 | STRUCT:
        raise ThriftError(_ODD)
    end = told.end()
    if kind != _DICTIONARY and data[end : end + 1] in (b"\x1c", b"\x2c"):
        reader = Reader(data, end + 1)
        if any(value.kind not in (BOOL, I64, BINARY) for value in reader.struct().values()):
            raise ThriftError(_ODD)
        end = reader.at
    if data[end : end + 2] != b"\0\0":
        raise ThriftError(_ODD)
    end += 2
    size, stored, values, encoding = map(_natural, (found[2], found[3], told[1], told[2]))
    return Head(kind, size, values, encoding, end, end + stored)


_ODD: Final = "it has a page without a proper head"


def _natural(varint: bytes) -> int:
    packed, _ = varint_at(varint, 0)
    if packed & 1 or packed >> 32:
        raise ThriftError(_ODD)
    return packed >> 1


class Weight(NamedTuple):
    """What pages come to: bytes when they are decompressed, and at most when words are repeated."""

    size: int = 0
    repeated: int = 0

    def check(self) -> None:
        """Raise ThriftError where the pages are too large to be decompressed."""
        if self.size > MOST_BYTES:
            raise ThriftError(f"{self.size} bytes when decompressed are more than {MOST_BYTES}")


def weigh(data: bytes, start: int, stop: int, values: int) -> Weight:
    """Return what the pages of a column in `data[start:stop]` come to, which hold `values` values.

    Raises ThriftError where they are no such pages, or have an encoding that could hide how much
    there is.
    """
    if not 0 <= values <= MOST_VALUES:
        raise ThriftError(f"{values} values are more than {MOST_VALUES}")
    size = words = repeated = seen = 0
    at = start
    while seen < values:
        head = read_head(data, at)
        at = head.stop
        if at > stop or (head.kind == _DICTIONARY and head.values > head.size):
            raise ThriftError(_ODD)
        if head.encoding not in _ENCODINGS:
            raise ThriftError(f"the encoding {head.encoding} of pages, which is not read")
        size += head.size
        if head.kind == _DICTIONARY:
            words = head.size
            continue
        seen += head.values
        if head.encoding in _WORDS:
            repeated += head.values * words
    if seen > values:
        raise ThriftError(_ODD)
    return Weight(size, repeated)


def check_words(table: pa.Table) -> None:
    """Raise ThriftError where the words of dictionaries, repeated in all rows, are too large."""
    import pyarrow.compute as pc  # rarely needed, and a worker starts faster without

    size = 0
    for column in table.columns:
        if pa.types.is_dictionary(column.type):
            for chunk in column.chunks:
                lengths = pc.binary_length(chunk.dictionary).cast(pa.int64())
                size += pc.sum(pc.take(lengths, chunk.indices)).as_py() or 0
    if size > MOST_BYTES:
        raise ThriftError(f"{size} bytes of text are more than {MOST_BYTES}")


def check_times(table: pa.Table) -> None:
    """Raise ThriftError where a time is of no year from 1 to 9999: nothing else could show it."""
    import pyarrow.compute as pc

    for column in table.columns:
        if pa.types.is_timestamp(column.type) and len(column):
            ends = pc.min_max(column.cast(pa.int64())).as_py()
            if not _FIRST <= (ends["min"] or 0) <= (ends["max"] or 0) <= _LAST:
                raise ThriftError("a time that is in no year from 1 to 9999")


_FIRST: Final = -62_135_596_800_000_000
_LAST: Final = 253_402_300_799_999_999


def total(weights: Iterable[Weight]) -> Weight:
    """Return what several columns come to together."""
    sizes = [*weights]
    return Weight(sum(each.size for each in sizes), sum(each.repeated for each in sizes))


class Stored(NamedTuple):
    """A column of a row group: its place in it, its bytes `[start, stop)`, its number of values."""

    column: int
    start: int
    stop: int
    values: int


def columns_in(data: bytes) -> list[Stored]:
    """Return the columns of all row groups of a file.

    Raises ThriftError where its footer is none, or one that another reader might take otherwise.
    """
    footer = data[-8 - int.from_bytes(data[-8:-4], "little") : -8]
    found: list[Stored] = []

    def chunk(place: int, at: int) -> int:
        numbers: dict[int, int] = {}

        def told(kind: int, at: int) -> int:
            if kind != STRUCT:
                raise ThriftError(_UNTOLD)
            end, taken = walk(footer, at, handlers=sizes, wanted=_PLACES, lists=_META)
            numbers.update(taken)
            return end

        end, _ = walk(footer, at, handlers={3: told, 8: _refuse, 9: _refuse})
        found.append(_stored(place, numbers))
        return end

    def size(kind: int, at: int) -> int:
        if kind != STRUCT:
            return at if kind == BOOL else skip(footer, at, kind)
        return walk(footer, at, handlers={}, lists=_SIZES)[0]

    def chunks(_kind: int, at: int) -> int:
        return _each(footer, at, chunk)

    def group(_place: int, at: int) -> int:
        return walk(footer, at, handlers={1: chunks}, lists=_GROUP)[0]

    sizes = {16: size}
    try:
        walk(footer, 0, handlers={4: lambda _kind, at: _each(footer, at, group)}, lists=_FILE)
    except IndexError:
        raise ThriftError("it ends too early") from None
    return found


_FILE: Final = {2: STRUCT, 4: STRUCT, 5: STRUCT, 7: STRUCT}
_GROUP: Final = {1: STRUCT, 4: STRUCT}
_META: Final = {2: I32, 3: BINARY, 8: STRUCT, 13: STRUCT}
_SIZES: Final = {2: I64, 3: I64}
_PLACES: Final = (5, 7, 9, 11)
_UNTOLD: Final = "a column is not told of, or is encrypted"


def _each(data: bytes, at: int, item: Callable[[int, int], int]) -> int:
    count, _, at = items_at(data, at)
    for place in range(count):
        at = item(place, at)
    return at


def _refuse(_kind: int, _at: int) -> int:
    raise ThriftError(_UNTOLD)


def _stored(place: int, numbers: dict[int, int]) -> Stored:
    if not {5, 7, 9} <= numbers.keys():
        raise ThriftError(_UNTOLD)
    data, words = numbers[9], numbers.get(11, 0)
    start = min(data, words) if words > 0 else data
    return Stored(place, start, start + numbers[7], numbers[5])


class _Reached(Exception):  # noqa: N818 - no error: what is hoped for
    pass


class _Unread(io.RawIOBase):
    """A file of `size` bytes, none of which can be read."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._at = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        self._at = offset + (self._size if whence == io.SEEK_END else 0)
        return self._at

    def tell(self) -> int:
        return self._at

    def read(self, _size: int = -1) -> bytes:
        raise _Reached


def check_columns(footer: pq.FileMetaData, size: int) -> None:
    """Raise an error of pyarrow where a column's part of the footer of `size` bytes is damaged.

    pyarrow checks it only when the column is asked for: as an error where it is to be read, and as
    the end of the process where it is only to be told of. So all are asked to be read ahead, which
    is planned for all before it begins for any; and the file says that it is not to begin.
    """
    every = [*range(footer.num_row_groups)], [*range(footer.num_columns)]
    if not all(every):
        return
    # Several groups at once: so few are read ahead that it stays one at a time.
    file = pq.ParquetFile(pa.PythonFile(_Unread(size), mode="r"), metadata=footer, pre_buffer=True)
    try:
        file.reader.read_row_groups(every[0], column_indices=every[1], use_threads=False)
    except _Reached:
        return
    finally:
        # Arrow keeps the exception, and with it this frame and those above: a circle that nobody
        # would ever collect.
        del file
    raise ThriftError("its columns have no bytes")
