"""Checkpoints: which compacted tables of an experiment are current. SPEC section 11; no I/O."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from objrun.errors import Problem
from objrun.format import keys
from objrun.format.checking import Fields, format_time
from objrun.format.documents import close_document, document_bytes, open_document
from objrun.format.states import FORMAT

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime


@dataclass(frozen=True, kw_only=True, slots=True)
class TableFile:
    """One Parquet file of a table: rows sorted by root run and run, from `first` to `last` root.

    `name` is the last piece of its key; `size` and `footer` (with the 8 bytes behind it) are in
    bytes; `crc32` is that of the whole file. Files of one `level` follow each other without overlap
    of rows; level 0 is the oldest and largest, greater ones hold what came later.
    """

    name: str
    kind: str
    level: int
    rows: int
    size: int
    footer: int
    crc32: int
    first: str
    last: str
    extra: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True, slots=True)
class Checkpoint:
    """Checkpoint `number` of an experiment: `files` are all its tables, none other counts.

    A table that no checkpoint names and whose base is below `orphan_floor` may be deleted; a
    compaction based below it must start again.
    """

    number: int
    experiment: str
    write_id: str
    written: datetime
    orphan_floor: int = 0
    files: tuple[TableFile, ...] = ()
    extra: Mapping[str, Any] = field(default_factory=dict)

    def of_kind(self, kind: str) -> list[TableFile]:
        """Return the files of one kind of table, the oldest level first, each in order of key."""
        return [file for file in self.files if file.kind == kind]


def encode_checkpoint(checkpoint: Checkpoint) -> bytes:
    """Return the bytes of a checkpoint."""
    return document_bytes(
        {
            **checkpoint.extra,
            "format": FORMAT,
            "checkpoint": checkpoint.number,
            "experiment": checkpoint.experiment,
            "write_id": checkpoint.write_id,
            "written": format_time(checkpoint.written),
            "orphan_floor": checkpoint.orphan_floor,
            "files": [_file_fields(file) for file in checkpoint.files],
        }
    )


def decode_checkpoint(key: str, data: bytes) -> Checkpoint:
    """Return a checkpoint; CorruptObjectError where it is damaged."""
    fields = open_document(key, data)
    checkpoint = Checkpoint(
        number=fields.integer("checkpoint", least=1),
        experiment=(experiment := fields.text("experiment")),
        write_id=fields.text("write_id"),
        written=fields.time("written"),
        orphan_floor=fields.integer("orphan_floor"),
        files=tuple(
            _file(Fields(item, f"$.files[{place}]", fields.problems))
            for place, item in enumerate(fields.objects("files"))
        ),
        extra=fields.rest(),
    )
    if keys.parse_version(key) not in (None, checkpoint.number):
        fields.note("checkpoint", "key_mismatch", f"{checkpoint.number} under another's key")
    elif experiment and key != keys.checkpoint(experiment, checkpoint.number):
        fields.note("experiment", "key_mismatch", f"the tables of {experiment[:80]!r}")
    close_document(key, fields)
    return checkpoint


def _file_fields(file: TableFile) -> dict[str, Any]:
    return {
        **file.extra,
        "name": file.name,
        "level": file.level,
        "rows": file.rows,
        "size": file.size,
        "footer": file.footer,
        "crc32": file.crc32,
        "first": file.first,
        "last": file.last,
    }


def _file(fields: Fields) -> TableFile:
    name = fields.text("name")
    parsed = None if "/" in name else keys.parse_table(name)
    if name and parsed is None:
        fields.problems.append(
            Problem(f"{fields.at}.name", "bad_name", f"no table is named {name[:80]!r}")
        )
    return TableFile(
        name=name,
        kind=parsed.kind if parsed else "",
        level=fields.integer("level"),
        rows=fields.integer("rows", least=1),
        size=fields.integer("size", least=1),
        footer=fields.integer("footer", least=8),
        crc32=fields.integer("crc32"),
        first=fields.run_id("first"),
        last=fields.run_id("last"),
        extra=fields.rest(),
    )
