"""Google Cloud Storage, through gcsfs.

gcsfs finds credentials, pools connections and retries. Uploads and listings are worded here: its
own uploads mark their parts with a fixed boundary and lose the rest of a body that contains it, and
its `find` asks twice when there is nothing. Its plain file system is used, not the one for zonal
buckets, which asks for the kind of every bucket first (and stalls for a minute on emulators).
"""

from __future__ import annotations

import asyncio
import io
import json
from datetime import UTC, datetime
from itertools import chain
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from aiohttp import ClientError, ClientTimeout
from fsspec.asyn import sync
from gcsfs.core import GCSFileSystem
from gcsfs.retry import ChecksumError, HttpError
from google.auth.exceptions import GoogleAuthError

from objrun import clock
from objrun.errors import AlreadyExistsError, BucketNotFoundError
from objrun.storage.bucket import CONNECT_TIMEOUT, CONNECTIONS, READ_TIMEOUT, merged
from objrun.storage.last import outlive_executors
from objrun.storage.location import GCS
from objrun.storage.verbs import ObjectInfo

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

__all__ = ["GCSBackend", "GCSBucket"]

_DELETE = "storage.objects.delete"


class _Body(io.BytesIO):
    """A request's body that can be sent again, although the client closes what it has sent."""

    def close(self) -> None:
        self.seek(0)


class GCSBackend:
    """The way to a bucket of Google Cloud Storage."""

    scheme = GCS
    raises = (OSError, ValueError, ClientError, GoogleAuthError, HttpError, ChecksumError)

    def __init__(self, name: str) -> None:
        self._name = name

    def bucket(self, options: Mapping[str, Any]) -> GCSBucket:
        """Return the bucket with a new client; the options are those of `gcsfs.GCSFileSystem`."""
        defaults = {
            "skip_instance_cache": True,
            "use_listings_cache": False,
            "requests_timeout": ClientTimeout(sock_connect=CONNECT_TIMEOUT, sock_read=READ_TIMEOUT),
        }
        fs = GCSFileSystem(**merged(defaults, options))
        outlive_executors(fs.loop)
        return GCSBucket(fs, self._name)


class GCSBucket:
    """A bucket of Google Cloud Storage; see `Bucket`.

    Its "not found" does not tell the object from the bucket. Until some request has succeeded, a
    missing object costs one more request that does.
    """

    def __init__(self, fs: Any, name: str) -> None:
        self._fs = fs
        self._name = name
        self._exists = False

    def read(self, path: str, allow: Callable[[int], None]) -> bytes:
        """Get the object's media, all of which the client reads before it tells of any."""
        data = self._read(path)
        allow(len(data))
        return data

    def read_range(self, path: str, start: int, length: int) -> bytes:
        """Get a range of the object's media."""
        return self._read(path, start=start, end=start + length)

    def write(self, path: str, data: bytes) -> None:
        """Upload in one request."""
        self._upload(path, data)

    def write_parts(self, path: str, parts: Iterator[bytes]) -> None:
        """Upload in a session that ends with the last part; without it, nothing is stored."""
        kind = {"X-Upload-Content-Type": "application/octet-stream"}
        headers, _ = self._fs.call(
            "POST", self._place(), uploadType="resumable", headers=kind, json={"name": path}
        )
        start, part = 0, next(parts)
        for following in chain(parts, (None,)):
            stop = start + len(part)
            self._send(headers["Location"], part, start, stop if following is None else None)
            start, part = stop, following or b""
        self._exists = True

    def create(self, path: str, data: bytes) -> None:
        """Upload in one request, with ifGenerationMatch=0."""
        try:
            self._upload(path, data, ifGenerationMatch="0")
        except OSError as error:
            # Only to replace an object does an upload take the permission to delete.
            if _DELETE in str(error):
                raise AlreadyExistsError(f"cannot create {path}: {error}") from error
            raise

    def objects(self, prefix: str) -> Iterator[ObjectInfo]:
        """List objects, 1000 a page."""
        fields = "nextPageToken,items(name,size,updated)"
        for page in self._pages(prefix=prefix, fields=fields):
            for row in page.get("items", []):
                modified = datetime.fromisoformat(row["updated"]).astimezone(UTC)
                yield ObjectInfo(row["name"], int(row["size"]), modified)

    def folders(self, prefix: str) -> Iterator[str]:
        """List prefixes up to a delimiter."""
        for page in self._pages(prefix=prefix, delimiter="/", fields="nextPageToken,prefixes"):
            yield from page.get("prefixes", [])

    def remove(self, paths: list[str]) -> None:
        """Delete the objects, each by one request, many at once."""
        if sync(self._fs.loop, self._remove_all, paths):
            self._exists = True
        else:
            self._check_bucket()

    def _upload(self, path: str, data: bytes, **condition: str) -> None:
        boundary = clock.random_hex(16)
        opened = (
            f"--{boundary}\r\nContent-Type: application/json; charset=UTF-8\r\n\r\n"
            f"{json.dumps({'name': path})}\r\n"
            f"--{boundary}\r\nContent-Type: application/octet-stream\r\n\r\n"
        )
        self._fs.call(
            "POST",
            self._place(),
            uploadType="multipart",
            headers={"Content-Type": f'multipart/related; boundary="{boundary}"'},
            data=_Body(b"".join((opened.encode(), data, f"\r\n--{boundary}--".encode()))),
            **condition,
        )
        self._exists = True

    def _place(self) -> str:
        return f"{self._fs._location}/upload/storage/v1/b/{quote(self._name)}/o"  # noqa: SLF001

    def _send(self, session: str, data: bytes, start: int, size: int | None) -> None:
        """Send the bytes from `start` on, the last ones where the `size` of all is given."""
        while True:
            stop = start + len(data)
            told = f"bytes {start}-{stop - 1}/{'*' if size is None else size}"
            headers, _ = self._fs.call(
                "POST", session, headers={"Content-Range": told}, data=_Body(data)
            )
            # A session may have taken less than it was sent.
            taken = int(headers.get("Range", f"0-{stop - 1}").rpartition("-")[2]) + 1
            if taken >= stop:
                return
            data, start = data[taken - start :], taken

    def _read(self, path: str, **part: int) -> bytes:
        try:
            data: bytes = self._fs.cat_file(f"{self._name}/{path}", **part)
        except FileNotFoundError:
            self._check_bucket()
            raise
        self._exists = True
        return data

    def _pages(self, **request: str) -> Iterator[dict[str, Any]]:
        while True:
            page = self._fs.call("GET", "b/{}/o", self._name, json_out=True, **request)
            self._exists = True
            yield page
            if "nextPageToken" not in page:
                return
            request["pageToken"] = page["nextPageToken"]

    def _check_bucket(self) -> None:
        if self._exists:
            return
        try:
            self._fs.call("GET", "b/{}/o", self._name, json_out=True, maxResults=1, fields="kind")
        except FileNotFoundError as error:
            raise BucketNotFoundError(f"there is no bucket gs://{self._name}") from error
        self._exists = True

    async def _remove_all(self, paths: list[str]) -> int:
        gate = asyncio.Semaphore(CONNECTIONS)

        async def remove(path: str) -> int:
            async with gate:
                try:
                    await self._fs._call("DELETE", "b/{}/o/{}", self._name, path)  # noqa: SLF001
                except FileNotFoundError:
                    return 0
            return 1

        return sum(await asyncio.gather(*map(remove, paths)))
