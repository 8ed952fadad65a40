"""Blobs of points: are their packs there, with the bytes that were logged?"""

from __future__ import annotations

from typing import TYPE_CHECKING

import polars as pl

from objrun.errors import CorruptObjectError, NotFoundError
from objrun.format.media import parse_reference
from objrun.protocol.blobs import BlobReader, Kept
from objrun.protocol.live import list_logged
from objrun.tables.chunks import block_places
from objrun.tables.points import files_of, read_points
from objrun.tables.reading import Rows, TableReader
from objrun.tables.verify.findings import Finding

if TYPE_CHECKING:
    from collections.abc import Iterator

    from objrun.format.checkpoints import Checkpoint
    from objrun.storage import Store
    from objrun.tables.chunks import Chunk

WRONG = "wrong_blob"


def compare_blobs(
    store: Store, experiment: str, checkpoint: Checkpoint | None
) -> Iterator[Finding]:
    """Yield what points in tables and segments refer to and is not there, or is other bytes.

    All blobs are read, each pack is told of once.
    """
    told: set[str] = set()
    blobs = BlobReader(store)
    for chunk in _chunks(store, experiment, checkpoint):
        for run, references in _referred(chunk).items():
            for finding in _compare(blobs, run, references):
                if finding.key not in told:
                    told.add(finding.key)
                    yield finding


def _chunks(store: Store, experiment: str, checkpoint: Checkpoint | None) -> Iterator[Chunk]:
    for file in files_of(checkpoint, "metrics", Rows()):
        yield from TableReader(store, experiment, file).chunks(Rows())
    segments = list_logged(store, experiment).segments
    for run in sorted({segment.run for segment in segments}):
        rows = Rows(runs=frozenset([run]))
        # A damaged segment was told of before.
        yield read_points(store, experiment, rows, lambda _: None, run=run).chunk


def _referred(chunk: Chunk) -> dict[str, list[str]]:
    if not {"type", "data"} <= {*chunk.rows.columns}:
        return {}
    runs = chunk.blocks["run_id"].gather(block_places(chunk.blocks))
    rows = chunk.rows.select("type", "data").with_columns(runs.alias("run"))
    blobs = rows.filter(pl.col("type").cast(pl.String) == "blob", pl.col("data").is_not_null())
    grouped = blobs.group_by("run", maintain_order=True).agg(pl.col("data").unique())
    return dict(grouped.iter_rows())


def _compare(blobs: BlobReader, run: str, references: list[str]) -> Iterator[Finding]:
    kept: list[Kept] = []
    for reference in references:
        try:
            kept.append(Kept(run, parse_reference(reference)))
        except ValueError:
            yield Finding("damaged", f"runs/{run}/media/", f"no reference: {reference[:80]!r}")
    packs: dict[str, list[Kept]] = {}
    for each in kept:
        packs.setdefault(each.blob.pack, []).append(each)
    for _, wanted in sorted(packs.items()):
        try:
            for _ in blobs.read(wanted):
                pass
        except CorruptObjectError as error:
            yield Finding(WRONG, error.key, error.problems[0].message)
        except NotFoundError:
            continue  # purged since its points were read
