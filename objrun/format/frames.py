"""Large tables as blobs: Parquet files with the columns of a table. SPEC section 6.4; no I/O."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.parquet as pq

from objrun.errors import CorruptObjectError, Problem
from objrun.format.bounds import MOST_BYTES, Weight, columns_in, total, weigh

MOST_ROWS = 1 << 20
"""Rows of one blob at most."""


def encode_frame(table: pa.Table) -> bytes:
    """Return the Parquet bytes of a table; the same rows and pyarrow give the same bytes.

    >>> encode_frame(pa.table({"x": [1, 2]}))[:4]
    b'PAR1'
    """
    sink = pa.BufferOutputStream()
    # Without dictionaries it is plain how much there is; zstd finds what is repeated.
    pq.write_table(
        table,
        sink,
        row_group_size=MOST_ROWS,
        compression="zstd",
        use_dictionary=False,
        store_schema=False,
        write_page_checksum=True,
    )
    data: bytes = sink.getvalue().to_pybytes()
    return data


def decode_frame(key: str, data: bytes) -> pa.Table:
    """Return the table that `encode_frame` made `data` of.

    Raises CorruptObjectError, naming `key`, where it is none, has columns of other types than
    those of scalars, or would come to more than a reader must take.
    """
    try:
        file = pq.ParquetFile(pa.BufferReader(data), page_checksum_verification=True)
        _check(file, total(weigh(data, *each[1:]) for each in columns_in(data)))
        table = file.read(use_threads=False)
        # Text that is not UTF-8 would only be found, or crash, where it is used.
        table.validate(full=True)
    except (pa.ArrowException, OSError, ValueError, LookupError) as error:
        raise CorruptObjectError(key, [Problem("$", "bad_parquet", str(error)[:200])]) from None
    return table


def _check(file: pq.ParquetFile, weight: Weight) -> None:
    weight.check()
    wrong = [f.name for f in file.schema_arrow if not is_plain(f.type)]
    if wrong or weight.repeated > MOST_BYTES or file.metadata.num_rows > MOST_ROWS:
        message = f"too much, or of other types than those of scalars: {wrong[:3]}"
        raise ValueError(message)


def is_plain(type_: pa.DataType) -> bool:
    """Return whether a column of this type holds scalars.

    >>> is_plain(pa.int8()), is_plain(pa.list_(pa.int8())), is_plain(pa.date32())
    (True, False, False)
    """
    tests = (
        *(pa.types.is_null, pa.types.is_boolean, pa.types.is_integer, pa.types.is_floating),
        *(pa.types.is_string, pa.types.is_large_string),
    )
    return any(test(type_) for test in tests)
