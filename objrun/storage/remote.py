"""A store in a bucket: the public verbs and their errors over a backend's requests.

The client is made at the first request, and made anew in a child after a fork: no client survives
one, since its connections and its event loop belong to the parent. The parent's client is kept in
the child and never touched, lest its clean-up wait for a thread that the child does not have.
"""

from __future__ import annotations

import os
from contextlib import contextmanager
from functools import partial
from itertools import chain
from typing import TYPE_CHECKING, Any

from fsspec.asyn import reset_lock

from objrun import clock
from objrun.errors import (
    BucketNotFoundError,
    InvalidURLError,
    NotFoundError,
    ObjrunError,
    UnavailableError,
)
from objrun.storage.classify import answer_of, classify
from objrun.storage.keys import check_key, check_prefix, check_range, check_size, is_key
from objrun.storage.location import AZURE, GCS, S3
from objrun.storage.parts import Parts, whole_source
from objrun.storage.probe import PROBE
from objrun.storage.verbs import ObjectInfo

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from datetime import datetime

    from objrun.storage.bucket import Backend, Bucket
    from objrun.storage.location import Location

__all__ = ["RemoteStore", "connect_remote"]

_RANGE_NOT_SATISFIABLE = 416

# A thread that makes fsspec's event loop holds its lock. fsspec means to renew the lock in forked
# children and misses it, so a fork at that moment would leave a child that waits for ever.
os.register_at_fork(after_in_child=reset_lock)


def connect_remote(location: Location, options: Mapping[str, Any]) -> RemoteStore:
    """Return the store at a remote location; nothing is sent.

    Raises:
        InvalidURLError: no installed package knows the scheme.
    """
    return RemoteStore(location, _backend(location), dict(options))


class RemoteStore:
    """The objects below a prefix of a bucket."""

    concurrency = 64

    def __init__(self, location: Location, backend: Backend, options: dict[str, Any]) -> None:
        self.url = location.url
        self._backend = backend
        self._options = options
        self._prefix = f"{location.path}/" if location.path else ""
        self._buckets: dict[int, Bucket] = {}  # by process id

    def get(self, key: str) -> bytes:
        """Return the object's bytes, in one request; see `Get`."""
        check_key(key)
        with self._classified(f"cannot read {key} in {self.url}"):
            return self._bucket().read(self._prefix + key, partial(check_size, key))

    def get_range(self, key: str, start: int, length: int) -> bytes:
        """Return a part of the object, in one request; see `GetRange`."""
        check_key(key)
        check_range(start, length)
        with self._classified(f"cannot read {key} in {self.url}"):
            try:
                # No server can be asked for no bytes, but the object may be missing.
                return self._bucket().read_range(self._prefix + key, start, max(length, 1))[:length]
            except self._backend.raises as error:
                answer = answer_of(error)
                if answer is None or answer.status != _RANGE_NOT_SATISFIABLE:
                    raise
                return b""

    def put(self, key: str, data: bytes) -> None:
        """Write the object, in one request; see `Put`."""
        check_key(key)
        with self._classified(f"cannot store {key} in {self.url}", absent=BucketNotFoundError):
            self._bucket().write(self._prefix + key, data)

    def upload(self, key: str, parts: Iterable[bytes]) -> None:
        """Write the object, in one request where there is but one part; see `Upload`."""
        check_key(key)
        what = f"cannot store {key} in {self.url}"
        with whole_source(), self._classified(what, absent=BucketNotFoundError):
            source = Parts(parts)
            first, second = next(source, b""), next(source, None)
            if second is None:
                self._bucket().write(self._prefix + key, first)
            else:
                self._bucket().write_parts(self._prefix + key, chain((first, second), source))

    def put_if_absent(self, key: str, data: bytes) -> None:
        """Create the object, in one request; see `PutIfAbsent`."""
        check_key(key)
        with self._classified(f"cannot create {key} in {self.url}", absent=BucketNotFoundError):
            self._bucket().create(self._prefix + key, data)

    def folders(self, prefix: str) -> list[str]:
        """Return the names below `prefix` that hold objects, one request a page; see `Folders`."""
        check_prefix(prefix)
        below = self._prefix + prefix
        with self._classified(f"cannot list {prefix!r} of {self.url}", absent=BucketNotFoundError):
            found = {path[len(below) :].removesuffix("/") for path in self._bucket().folders(below)}
        return sorted(name for name in found if is_key(name) and "/" not in name)

    def list(self, prefix: str) -> list[ObjectInfo]:
        """Return the objects below `prefix`, one request a page; see `List`."""
        check_prefix(prefix)
        below = self._prefix + prefix
        with self._classified(f"cannot list {prefix!r} of {self.url}", absent=BucketNotFoundError):
            found = [
                ObjectInfo(key, row.size, row.modified)
                for row in self._bucket().objects(below)
                # Consoles make "folders" by empty objects whose names end in a slash.
                if is_key(key := row.key[len(self._prefix) :])
            ]
        found.sort(key=lambda info: info.key)
        return found

    def delete(self, keys: Iterable[str]) -> None:
        """Remove the objects, many in one request where the backend can; see `Delete`."""
        named = [*keys]
        for key in named:
            check_key(key)
        if named:
            with self._classified(f"cannot delete {named[0]}... from {self.url}"):
                self._bucket().remove([self._prefix + key for key in named])

    def now(self) -> datetime:
        """Return the time stamped on a new object, in three requests; see `Now`."""
        # If the process dies here, what it leaves is of the kind that no reader looks at.
        folder = f"{PROBE}-{clock.random_hex(8)}/"
        self.put(f"{folder}0", b"")
        try:
            seen = self.list(folder)
        finally:
            self.delete([f"{folder}0"])
        if not seen:
            raise UnavailableError(f"{self.url} does not list an object that was just stored")
        return seen[0].modified

    def _bucket(self) -> Bucket:
        pid = os.getpid()
        bucket = self._buckets.get(pid)
        if bucket is None:
            try:
                made = self._backend.bucket(self._options)
            except (TypeError, ValueError, KeyError) as error:
                raise InvalidURLError(
                    f"{self.url} cannot be reached with these storage options: {error}"
                ) from error
            # Of several threads that come first, one provides the bucket that all use.
            bucket = self._buckets.setdefault(pid, made)
        return bucket

    @contextmanager
    def _classified(
        self, what: str, *, absent: type[NotFoundError | BucketNotFoundError] = NotFoundError
    ) -> Iterator[None]:
        try:
            yield
        except ObjrunError:  # said already; some of them are ValueErrors too
            raise
        except self._backend.raises as error:
            raise classify(error, self._backend.scheme, what, absent=absent) from error


def _backend(location: Location) -> Backend:
    # Each client is an extra of the package, imported when its scheme is used.
    extras = {S3: "s3", GCS: "gcs", AZURE: "azure"}
    try:
        if location.scheme == S3:
            from objrun.storage.s3 import S3Backend

            return S3Backend(location.bucket)
        if location.scheme == GCS:
            from objrun.storage.gcs import GCSBackend

            return GCSBackend(location.bucket)
        if location.scheme == AZURE:
            from objrun.storage.azure import AzureBackend

            return AzureBackend(location.bucket)
    except ImportError as error:
        extra = extras[location.scheme]
        raise InvalidURLError(
            f"{location.url} needs a client that is not installed ({error.name}): "
            f"pip install 'objrun[{extra}]'"
        ) from error
    from objrun.storage.generic import find_backend

    return find_backend(location)
