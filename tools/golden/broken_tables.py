"""Damaged checkpoints and tables."""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING, Any, Final

import pyarrow as pa
import pyarrow.parquet as pq

from objrun.format import keys
from objrun.format.tables import COVERAGE
from tools.golden.broken import Broken, edited, top, without

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

TABLE: Final = keys.TableKey(0, "0f" * 8, "coverage")


def broken_tables() -> list[Broken]:
    """Return every damaged checkpoint and table."""
    return [*_checkpoints(), *_tables()]


def _file(**changes: Any) -> Callable[[dict[str, Any]], object]:
    return lambda document: document["files"][0].update(changes)


def _file_without(name: str) -> Callable[[dict[str, Any]], object]:
    return lambda document: document["files"][0].pop(name)


def _checkpoints() -> Iterator[Broken]:
    yield edited(
        "checkpoint_types", "numbers that are none, or too small", "11.1", "checkpoint",
        top(checkpoint=True, orphan_floor=-1, experiment="", written=None),
        ("wrong_type", "$.checkpoint"), ("out_of_range", "$.orphan_floor"),
        ("out_of_range", "$.experiment"), ("wrong_type", "$.written"),
    )  # fmt: skip
    yield edited(
        "checkpoint_file_types", "every problem of a table is reported", "11.1", "checkpoint",
        _file(level=-1, rows=0, size="4000", footer=7, crc32=None, first="../r", last=""),
        ("out_of_range", "$.files[0].level"), ("out_of_range", "$.files[0].rows"),
        ("wrong_type", "$.files[0].size"), ("out_of_range", "$.files[0].footer"),
        ("wrong_type", "$.files[0].crc32"), ("bad_name", "$.files[0].first"),
        ("out_of_range", "$.files[0].last"),
    )  # fmt: skip
    yield edited(
        "checkpoint_files", "files hold a text", "11.1", "checkpoint",
        lambda document: document["files"].append("more"), ("wrong_type", "$.files"),
    )  # fmt: skip
    yield edited(
        "checkpoint_no_files", "no files, which is not the same as none", "11.1", "checkpoint",
        without("files"), ("missing_field", "$.files"),
    )  # fmt: skip
    yield edited(
        "checkpoint_no_crc32", "a table without its CRC-32", "11.1", "checkpoint",
        _file_without("crc32"), ("missing_field", "$.files[0].crc32"),
    )  # fmt: skip
    yield edited(
        "checkpoint_kind", "a table of an unknown kind", "11.1", "checkpoint",
        _file(name=f"00000000-{'0f' * 8}-rows.parquet"), ("bad_name", "$.files[0].name"),
    )  # fmt: skip
    yield edited(
        "checkpoint_path", "a table that stands elsewhere", "11.1", "checkpoint",
        _file(name=f"../../x/tables/00000000-{'0f' * 8}-runs.parquet"),
        ("bad_name", "$.files[0].name"),
    )  # fmt: skip
    yield edited(
        "checkpoint_number", "checkpoint 1 under the key of 2", "11.1", "checkpoint", top(),
        ("key_mismatch", "$.checkpoint"), key=keys.checkpoint("digits", 2),
    )  # fmt: skip
    yield edited(
        "checkpoint_of_another", "the checkpoint of another experiment", "11.1", "checkpoint",
        top(experiment="Digits"), ("key_mismatch", "$.experiment"),
    )  # fmt: skip


def _tables() -> Iterator[Broken]:
    rows = pa.table([["r1", "r1"], ["r1", "r2"], ["00000000000000a1"] * 2, [3, 4]], schema=COVERAGE)
    sound = _parquet(rows)
    flipped = bytearray(sound)
    flipped[20] ^= 1
    text = b"the bytes that its checkpoint tells of are no Parquet\n"

    def case(name: str, shows: str, data: bytes, told: bytes, code: str) -> Broken:
        entry = {
            "name": keys.table("digits", TABLE).rpartition("/")[2],
            "level": 0,
            "rows": 2,
            "size": len(told),
            "footer": 8 if told is text else int.from_bytes(told[-8:-4], "little") + 8,
            "crc32": zlib.crc32(told),
            "first": "r1",
            "last": "r1",
        }
        key = keys.table("digits", TABLE)
        return Broken(name, shows, "11.7", "table", key, data, ((code, "$"),), entry=entry)

    yield case("table_truncated", "the last byte is missing", sound[:-1], sound, "key_mismatch")
    yield case("table_flipped", "a bit is another", bytes(flipped), sound, "key_mismatch")
    yield case("table_text", "the right bytes, but not Parquet", text, text, "bad_parquet")
    short = _parquet(rows.drop_columns(["stop"]))
    yield case("table_no_stop", "no column stop", short, short, "bad_parquet")


def _parquet(rows: pa.Table) -> bytes:
    sink = pa.BufferOutputStream()
    pq.write_table(rows, sink, compression="zstd", store_schema=False)
    data: bytes = sink.getvalue().to_pybytes()
    return data
