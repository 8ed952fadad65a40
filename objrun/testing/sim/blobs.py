"""What points refer to is there before them, and stays as long as they do."""

from __future__ import annotations

import hashlib
import io
import re
import zipfile
from functools import lru_cache
from typing import TYPE_CHECKING

import pyarrow.parquet as pq

from objrun.format import keys

if TYPE_CHECKING:
    from collections.abc import Collection

    from objrun.testing.sim.bucket import Bucket, Written

__all__ = ["Blobs"]

PACK = re.compile(r"runs/([^/]+)/media/([0-9a-f]{16})-([0-9]{8})(?:-([0-9]{8}))?[.]zip")


class Blobs:
    """Watches a bucket; AssertionError at the write that breaks a promise.

    - Whoever finds a point finds the bytes that it refers to, in the pack that it names or in one
      that repeats this.
    """

    def __init__(self, bucket: Bucket, purged: Collection[str] = ()) -> None:
        self.bucket = bucket
        self.referred: dict[str, set[str]] = {}
        self._purged = purged
        bucket.watchers.append(self._watch)

    def follow(self, before: Blobs) -> None:
        """Also expect what was referred to before, in the bucket that this one is a copy of."""
        self.referred.update({run: {*found} for run, found in before.referred.items()})

    def _watch(self, written: Written) -> None:
        key, before, after = written
        segment, pack = keys.parse_segment(key), PACK.fullmatch(key)
        if segment and after is not None and segment.run not in self._purged:
            self.referred.setdefault(segment.run, set()).update(references(after))
            self._check(segment.run)
        elif pack and before is not None and after is None and pack[1] not in self._purged:
            self._check(pack[1])

    def _check(self, run: str) -> None:
        for reference in self.referred.get(run, ()):
            pack, _, rest = reference.removeprefix("media://").partition("/")
            member, _, told = rest.partition("?")
            fields = dict(pair.split("=") for pair in told.split("&"))
            start, size = int(fields["start"]), int(fields["size"])
            whole = self.bucket.objects.get(f"runs/{run}/media/{pack}.zip")
            data = whole[0][start : start + size] if whole else self._moved(run, pack, member)
            found = hashlib.sha256(data).hexdigest()
            assert found == fields["sha256"], f"{pack} of {run} has other bytes at {start}"

    def _moved(self, run: str, pack: str, member: str) -> bytes:
        """Return a member of any pack that says it repeats one."""
        writer, number = pack.split("-")
        for match in filter(None, map(PACK.fullmatch, self.bucket.objects)):
            if match.group(1, 2) == (run, writer) and (match[4] or match[3]) <= number <= match[3]:
                return _member(self.bucket.objects[match[0]][0], member)
        raise AssertionError(f"points of {run} refer to {pack}, which is nowhere")


@lru_cache(4096)
def references(segment: bytes) -> list[str]:
    """Return what the points of a segment refer to."""
    table = pq.read_table(io.BytesIO(segment))
    if "type" not in table.column_names:
        return []
    rows = zip(table["type"].to_pylist(), table["data"].to_pylist(), strict=True)
    return [data for type_, data in rows if type_ == "blob"]


@lru_cache(4096)
def _member(pack: bytes, member: str) -> bytes:
    with zipfile.ZipFile(io.BytesIO(pack)) as several:
        return several.read(member)
