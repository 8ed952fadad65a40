"""Azure Blob Storage, through the client that adlfs makes.

adlfs finds credentials and makes the service client; the requests are sent with that client, since
adlfs reads `?` and `#` in a key as parts of a URL, answers a listing of a missing container with
nothing, and hides which 409 it got.

Creates are sent once: the client's own retries wait 15 seconds and more, and a create whose outcome
is unknown is the caller's to settle. The other verbs are tried again here.
"""

from __future__ import annotations

import asyncio
import io
import os
import re
import weakref
from hashlib import md5
from typing import TYPE_CHECKING, Any, TypeVar

from adlfs import AzureBlobFileSystem
from azure.core.exceptions import AzureError, ResourceNotFoundError
from azure.storage.blob import BlobBlock
from fsspec.asyn import sync

from objrun import clock
from objrun.errors import UnavailableError
from objrun.storage.bucket import CONNECT_TIMEOUT, CONNECTIONS, READ_TIMEOUT, merged
from objrun.storage.classify import classify
from objrun.storage.last import outlive_executors
from objrun.storage.location import AZURE
from objrun.storage.parts import AT_ONCE
from objrun.storage.together import in_flight
from objrun.storage.verbs import ObjectInfo

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterator, Mapping

__all__ = ["AzureBackend", "AzureBucket"]

_Answer = TypeVar("_Answer")
_ATTEMPTS = 4
_DEFAULTS: dict[str, Any] = {"skip_instance_cache": True, "use_listings_cache": False}
_LIMITS = {
    "connection_timeout": CONNECT_TIMEOUT,
    "read_timeout": READ_TIMEOUT,
    "retry_total": 0,
}
_WITH_ACCOUNT = re.compile(r"([^@]+)@([^.]+)\.(?:dfs|blob)\..+")


def _leave_alone() -> None:
    # adlfs closes its clients when the interpreter ends. In a forked child that would wait for
    # ever for the event loop's thread, which only the parent has.
    for finalizer in list(weakref.finalize._registry):  # type: ignore[attr-defined]  # noqa: SLF001
        alive = finalizer.peek()
        if alive and isinstance(alive[0], AzureBlobFileSystem):
            finalizer.atexit = False


os.register_at_fork(after_in_child=_leave_alone)


class AzureBackend:
    """The way to a container, named `container` or `container@account.dfs.core.windows.net`."""

    scheme = AZURE
    raises = (OSError, AzureError)

    def __init__(self, name: str) -> None:
        self._name = name

    def bucket(self, options: Mapping[str, Any]) -> AzureBucket:
        """Return the container with a new client; the options are adlfs's."""
        match = _WITH_ACCOUNT.fullmatch(self._name)
        defaults = {**_DEFAULTS, "account_name": match[2]} if match else _DEFAULTS
        given = merged(defaults, options)
        limits = {name: given[name] for name in _LIMITS if name in given}
        fs = AzureBlobFileSystem(**given)
        outlive_executors(fs.loop)
        return AzureBucket(fs, match[1] if match else self._name, {**_LIMITS, **limits})


class AzureBucket:
    """A container of Azure Blob Storage; see `Bucket`."""

    def __init__(self, fs: Any, name: str, limits: dict[str, Any]) -> None:
        self._fs = fs
        self._name = name
        self._limits = limits

    def read(self, path: str, allow: Callable[[int], None]) -> bytes:
        """Get Blob; an empty blob takes a second request, as its first range cannot be met."""
        return self._retried(lambda: self._read(path, allow))

    def read_range(self, path: str, start: int, length: int) -> bytes:
        """Get Blob with a range."""
        return self._retried(lambda: self._read(path, None, offset=start, length=length))

    def write(self, path: str, data: bytes) -> None:
        """Put Blob."""
        self._retried(lambda: self._write(path, data, overwrite=True))

    def write_parts(self, path: str, parts: Iterator[bytes]) -> None:
        """Put Block for each, Put Block List.

        What was broken off goes on with the blocks that are there: their names tell their bytes.
        """
        stored = self._retried(lambda: self._blocks(path))

        def send(part: tuple[int, bytes]) -> str:
            number, data = part
            name = f"{number:05d}-{md5(data, usedforsecurity=False).hexdigest()}"
            if name not in stored:
                self._retried(lambda: self._write_block(path, name, data))
            return name

        sent = [answer() for answer in in_flight(send, enumerate(parts, 1), at_once=AT_ONCE)]
        self._retried(lambda: self._write_list(path, sent))

    def create(self, path: str, data: bytes) -> None:
        """Put Blob with If-None-Match."""
        sync(self._fs.loop, self._write, path, data, overwrite=False)

    def objects(self, prefix: str) -> list[ObjectInfo]:
        """List Blobs, 5000 a page."""
        return self._retried(lambda: self._objects(prefix))

    def folders(self, prefix: str) -> list[str]:
        """List Blobs with a delimiter."""
        return self._retried(lambda: self._folders(prefix))

    def remove(self, paths: list[str]) -> None:
        """Delete Blob for each, many at once."""
        self._retried(lambda: self._remove(paths))

    def _retried(self, ask: Callable[[], Coroutine[Any, Any, _Answer]]) -> _Answer:
        for attempt in range(_ATTEMPTS - 1):
            try:
                return self._wait(ask)
            except (OSError, AzureError) as error:
                if not isinstance(classify(error, AZURE, "asked"), UnavailableError):
                    raise
                clock.sleep(clock.backoff(attempt, first=0.2))
        return self._wait(ask)

    def _wait(self, ask: Callable[[], Coroutine[Any, Any, _Answer]]) -> _Answer:
        answer: _Answer = sync(self._fs.loop, ask)
        return answer

    def _container(self) -> Any:
        return self._fs.service_client.get_container_client(self._name)

    async def _read(self, path: str, allow: Callable[[int], None] | None, **part: int) -> bytes:
        blob = self._container().get_blob_client(path)
        stream = await blob.download_blob(**part, **self._limits)
        if allow is not None:
            allow(stream.size)
        data: bytes = await stream.readall()
        return data

    async def _write(self, path: str, data: bytes, *, overwrite: bool) -> None:
        blob = self._container().get_blob_client(path)
        await blob.upload_blob(data, overwrite=overwrite, length=len(data), **self._limits)

    async def _blocks(self, path: str) -> set[str]:
        blob = self._container().get_blob_client(path)
        try:
            _, waiting = await blob.get_block_list("uncommitted", **self._limits)
        except ResourceNotFoundError as error:
            if error.error_code == "ContainerNotFound":  # type: ignore[attr-defined]
                raise
            return set()
        return {block.id for block in waiting}

    async def _write_block(self, path: str, name: str, data: bytes) -> None:
        blob = self._container().get_blob_client(path)
        await blob.stage_block(name, io.BytesIO(data), length=len(data), **self._limits)

    async def _write_list(self, path: str, names: list[str]) -> None:
        blob = self._container().get_blob_client(path)
        await blob.commit_block_list([BlobBlock(name) for name in names], **self._limits)

    async def _objects(self, prefix: str) -> list[ObjectInfo]:
        rows = self._container().list_blobs(name_starts_with=prefix or None, **self._limits)
        return [ObjectInfo(row.name, row.size, row.last_modified) async for row in rows]

    async def _folders(self, prefix: str) -> list[str]:
        rows = self._container().walk_blobs(
            name_starts_with=prefix or None, delimiter="/", **self._limits
        )
        return [row.name async for row in rows if row.name.endswith("/")]

    async def _remove(self, paths: list[str]) -> None:
        gate = asyncio.Semaphore(CONNECTIONS)
        container = self._container()

        async def remove(path: str) -> None:
            async with gate:
                try:
                    await container.delete_blob(path, **self._limits)
                except ResourceNotFoundError as error:
                    if error.error_code == "ContainerNotFound":  # type: ignore[attr-defined]
                        raise

        await asyncio.gather(*map(remove, paths))
