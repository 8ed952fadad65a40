"""Small images for the card of a run: the last ones of some metrics, by one request, or four."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from objrun.cards.pictures import data_uri
from objrun.format.media import Blob, parse_reference
from objrun.protocol.blobs import NEAR, BlobReader, Kept

if TYPE_CHECKING:
    from collections.abc import Iterable

    import polars as pl

    from objrun.storage import Store

MOST: Final = 6
"""Images that a card shows."""

SMALL: Final = 64 << 10
"""Bytes of an image that is shown in a card."""

TOGETHER: Final = 256 << 10
"""Bytes that are fetched for all of them."""


def thumbnails(store: Store, run: str, points: pl.DataFrame) -> dict[str, str]:
    """Return the last images of metrics as data URIs, by name: those that one request reads.

    `points` in reading order. Larger ones, and those that browsers do not show, are left out. Where
    their pack was put together with others it takes three requests more.
    """
    last = points.filter(kind="image", type="blob").group_by("name", maintain_order=True).last()
    blobs = {}
    for name, reference in last.select("name", "data").iter_rows():
        try:
            blob = parse_reference(reference or "")
        except ValueError:  # damage is told by whoever reads the metric
            continue
        if blob.size <= SMALL and data_uri(_ending(blob), b""):
            blobs[name] = blob
    near = together(blobs.values())
    shown = [name for name, blob in blobs.items() if blob in near][:MOST]
    images = BlobReader(store).read([Kept(run, blobs[name]) for name in shown])
    found = zip(shown, images, strict=True)
    return {name: data_uri(_ending(blobs[name]), data) or "" for name, data in found}


def together(blobs: Iterable[Blob]) -> list[Blob]:
    """Return as many blobs as one request reads, in the order of their bytes.

    >>> a, b = Blob("p", "m", 0, 9, ""), Blob("p", "m", 20, 9, "")
    >>> together([b, Blob("q", "m", 0, 9, ""), a]) == [a, b]
    True
    """
    groups: list[list[Blob]] = []
    for blob in sorted(blobs, key=lambda each: (each.pack, each.start)):
        group = groups[-1] if groups else []
        if (
            group
            and group[0].pack == blob.pack
            and blob.start <= group[-1].start + group[-1].size + NEAR
            and blob.start + blob.size <= group[0].start + TOGETHER
        ):
            group.append(blob)
        else:
            groups.append([blob])
    return max(groups, key=len, default=[])


def _ending(blob: Blob) -> str:
    return f".{blob.filename.rpartition('.')[2]}"
