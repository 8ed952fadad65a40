"""Amazon S3 and the servers that speak its language, through s3fs.

s3fs finds credentials, signs, pools connections and retries; the requests are named here, because
its file verbs look before they act (`cat_file` asks for the size, `find` for the folder) and read
`?versionId=` in a key as an instruction.
"""

from __future__ import annotations

from contextlib import suppress
from datetime import UTC
from hashlib import md5
from importlib import import_module
from typing import TYPE_CHECKING, Any

from aiohttp import ClientError
from fsspec import asyn
from fsspec.asyn import sync
from s3fs import S3FileSystem

from objrun.storage.bucket import CONNECT_TIMEOUT, CONNECTIONS, READ_TIMEOUT, merged
from objrun.storage.classify import Answer, category_of
from objrun.storage.last import outlive_executors
from objrun.storage.location import S3
from objrun.storage.parts import AT_ONCE, BrokenSourceError
from objrun.storage.together import in_flight
from objrun.storage.verbs import ObjectInfo

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

__all__ = ["S3Backend", "S3Bucket"]

_PER_DELETE = 1000  # keys that one request may name
_DEFAULTS: dict[str, Any] = {
    "skip_instance_cache": True,
    "use_listings_cache": False,
    "config_kwargs": {
        "max_pool_connections": CONNECTIONS,
        "connect_timeout": CONNECT_TIMEOUT,
        "read_timeout": READ_TIMEOUT,
        # Each may take READ_TIMEOUT, and callers try again themselves.
        "retries": {"total_max_attempts": 2},
    },
}
_boto: Any = import_module("botocore.exceptions")


class _FileSystem(S3FileSystem):  # type: ignore[misc]
    """An S3FileSystem that a forked child does not try to close, and that leaves trying again.

    Its loop ran in a thread of the parent, so the child would wait for it in vain, a second each.
    Botocore tries again below, and callers do above.
    """

    retries = 1

    async def set_session(self, refresh: bool = False, kwargs: Any = None) -> Any:
        """Have no PUT wait for `100 Continue`: no timeout counts meanwhile."""
        before = self._s3
        client = await super().set_session(refresh=refresh, kwargs=kwargs or {})
        if client is not before:  # each request asks for the client
            handler = import_module("botocore.handlers").add_expect_header
            client.meta.events.unregister("before-call.s3", handler)
        return client

    @staticmethod
    def close_session(loop: Any, s3: Any) -> None:
        """Close a client of this process: fsspec renews its loop in a child."""
        if loop is asyn.loop[0]:
            S3FileSystem.close_session(loop, s3)


class S3Backend:
    """The way to a bucket of S3."""

    scheme = S3
    raises = (OSError, ClientError, TypeError, _boto.BotoCoreError, _boto.ClientError)

    def __init__(self, name: str) -> None:
        self._name = name

    def bucket(self, options: Mapping[str, Any]) -> S3Bucket:
        """Return the bucket with a new client; the options are those of `s3fs.S3FileSystem`."""
        fs = _FileSystem(**merged(_DEFAULTS, options))
        outlive_executors(fs.loop)
        return S3Bucket(fs, self._name)


class S3Bucket:
    """A bucket of S3; see `Bucket`."""

    def __init__(self, fs: Any, name: str) -> None:
        self._fs = fs
        self._name = name

    def read(self, path: str, allow: Callable[[int], None]) -> bytes:
        """GetObject, whose head tells the size."""
        return self._read(path, allow)

    def read_range(self, path: str, start: int, length: int) -> bytes:
        """GetObject with a Range."""
        return self._read(path, None, Range=f"bytes={start}-{start + length - 1}")

    def write(self, path: str, data: bytes) -> None:
        """PutObject: whole and single, since only this replaces atomically everywhere."""
        self._call("put_object", Key=path, Body=data)

    def write_parts(self, path: str, parts: Iterator[bytes]) -> None:
        """CreateMultipartUpload, UploadPart for each, CompleteMultipartUpload.

        One that the store broke off goes on with the parts that it has.
        """
        begun = self._begun(path)
        upload = begun or self._call("create_multipart_upload", Key=path)["UploadId"]
        stored = self._stored_parts(path, upload) if begun else {}

        def send(part: tuple[int, bytes]) -> dict[str, Any]:
            number, data = part
            tag = stored.get(number)
            if tag is None or tag.strip('"') != md5(data, usedforsecurity=False).hexdigest():
                named = {"Key": path, "UploadId": upload, "PartNumber": number}
                tag = self._call("upload_part", Body=data, **named)["ETag"]
            return {"PartNumber": number, "ETag": tag}

        try:
            sent = [answer() for answer in in_flight(send, enumerate(parts, 1), at_once=AT_ONCE)]
        except BrokenSourceError:
            # Who may not do that leaves its parts, as whoever dies does.
            with suppress(PermissionError):
                self._call("abort_multipart_upload", Key=path, UploadId=upload)
            raise
        whole = {"Key": path, "UploadId": upload, "MultipartUpload": {"Parts": sent}}
        self._call("complete_multipart_upload", **whole)

    def create(self, path: str, data: bytes) -> None:
        """PutObject with If-None-Match. Never in parts: some servers then forget the condition."""
        self._call("put_object", Key=path, Body=data, IfNoneMatch="*")

    def objects(self, prefix: str) -> Iterator[ObjectInfo]:
        """ListObjectsV2, 1000 objects a page."""
        for page in self._pages(Prefix=prefix):
            for row in page.get("Contents", []):
                yield ObjectInfo(row["Key"], row["Size"], row["LastModified"].astimezone(UTC))

    def folders(self, prefix: str) -> Iterator[str]:
        """ListObjectsV2 with a delimiter."""
        for page in self._pages(Prefix=prefix, Delimiter="/"):
            for row in page.get("CommonPrefixes", []):
                yield row["Prefix"]

    def remove(self, paths: list[str]) -> None:
        """DeleteObject, or DeleteObjects of up to 1000."""
        if len(paths) == 1:
            self._call("delete_object", Key=paths[0])
            return
        for first in range(0, len(paths), _PER_DELETE):
            named = [{"Key": path} for path in paths[first : first + _PER_DELETE]]
            answer = self._call("delete_objects", Delete={"Objects": named, "Quiet": True})
            for failed in answer.get("Errors", []):
                # The request succeeded, and says for each key what became of it.
                category = category_of(S3, Answer(500, failed.get("Code", "")))
                raise category(f"cannot delete {failed.get('Key')}: {failed.get('Message')}")

    def _begun(self, path: str) -> str | None:
        """Return the upload of this object that was begun last and not ended, None if none is."""
        try:
            found = self._call("list_multipart_uploads", Prefix=path).get("Uploads", [])
        except PermissionError:
            return None
        mine = [(row["Initiated"], row["UploadId"]) for row in found if row["Key"] == path]
        return max(mine)[1] if mine else None

    def _stored_parts(self, path: str, upload: str) -> dict[int, str]:
        """Return the tags of the parts that an upload has, by number."""
        request: dict[str, Any] = {"Key": path, "UploadId": upload}
        tags: dict[int, str] = {}
        while True:
            page = self._call("list_parts", **request)
            tags.update((row["PartNumber"], row["ETag"]) for row in page.get("Parts", []))
            if not page.get("IsTruncated"):
                return tags
            request["PartNumberMarker"] = page["NextPartNumberMarker"]

    def _pages(self, **request: Any) -> Iterator[dict[str, Any]]:
        while True:
            page = self._call("list_objects_v2", **request)
            yield page
            if not page.get("IsTruncated"):
                return
            request["ContinuationToken"] = page["NextContinuationToken"]

    def _call(self, method: str, **request: Any) -> dict[str, Any]:
        answer: dict[str, Any] = self._fs.call_s3(method, Bucket=self._name, **request)
        return answer

    def _read(self, path: str, allow: Callable[[int], None] | None, **request: Any) -> bytes:
        data: bytes = sync(self._fs.loop, self._read_body, path, allow, request)
        return data

    async def _read_body(
        self, path: str, allow: Callable[[int], None] | None, request: dict[str, Any]
    ) -> bytes:
        # The body must be read on the event loop's thread, so this uses the asynchronous call.
        answer = await self._fs._call_s3("get_object", Bucket=self._name, Key=path, **request)  # noqa: SLF001
        async with answer["Body"] as body:
            if allow is not None:
                allow(answer["ContentLength"])
            data: bytes = await body.read()
        return data
