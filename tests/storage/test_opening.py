"""URLs, options, and the proof that a store refuses the second of two creates."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import fsspec
import pytest
from fsspec.implementations.local import LocalFileSystem
from fsspec.implementations.memory import MemoryFileSystem

from objrun import clock
from objrun.errors import AlreadyExistsError, InvalidURLError, NotFoundError, UnsafeStoreError
from objrun.storage import CountingStore, MemoryStore, connect, open_store, prove
from objrun.storage.probe import PROBE


class CheckThenWrite(MemoryFileSystem):  # type: ignore[misc]
    """Looks before it creates, which takes a moment."""

    protocol = "checkthenwrite"
    store: dict[str, Any] = {}  # noqa: RUF012 - as in the class that it derives from

    def pipe_file(self, path: str, value: bytes, mode: str = "overwrite", **kwargs: Any) -> None:
        if mode == "create" and self.exists(path):
            raise FileExistsError(path)
        clock.sleep(0.1)
        super().pipe_file(path, value, **kwargs)


class Heedless(MemoryFileSystem):  # type: ignore[misc]
    """Does not know the mode in which a file must be new."""

    protocol = "heedless"
    store: dict[str, Any] = {}  # noqa: RUF012

    def pipe_file(self, path: str, value: bytes, mode: str = "overwrite", **kwargs: Any) -> None:  # noqa: ARG002
        super().pipe_file(path, value, **kwargs)


class ByDefault(LocalFileSystem):  # type: ignore[misc]
    """Creates as fsspec does by default."""

    protocol = "bydefault"
    pipe_file = fsspec.AbstractFileSystem.pipe_file


class Careful(MemoryFileSystem):  # type: ignore[misc]
    """Checks and writes under one lock."""

    protocol = "careful"
    store: dict[str, Any] = {}  # noqa: RUF012
    lock = threading.RLock()

    def pipe_file(self, path: str, value: bytes, mode: str = "overwrite", **kwargs: Any) -> None:
        with self.lock:
            if mode == "create" and self.exists(path):
                raise FileExistsError(path)
            super().pipe_file(path, value, **kwargs)

    def find(self, path: str, *args: Any, **kwargs: Any) -> Any:
        with self.lock:
            return super().find(path, *args, **kwargs)


for kind in (CheckThenWrite, Heedless, ByDefault, Careful):
    fsspec.register_implementation(kind.protocol, kind, clobber=True)


@pytest.mark.parametrize("scheme", ["checkthenwrite", "heedless", "bydefault"])
def test_a_file_system_without_a_create_is_refused(scheme: str, tmp_path: Path) -> None:
    url = f"{scheme}:/{tmp_path}" if scheme == "bydefault" else f"{scheme}://b/store"
    for _ in range(2):  # the first refusal leaves nothing that a second could take for a proof
        with pytest.raises(UnsafeStoreError, match="overwrite each other"):
            open_store(url)
    with pytest.raises(NotFoundError):
        connect(url).get(PROBE)


class Overwriting(CountingStore):
    """Tells who was first, and keeps what came last."""

    def put_if_absent(self, key: str, data: bytes) -> None:
        try:
            super().put_if_absent(key, data)
        except AlreadyExistsError:
            self.put(key, data)
            raise


def test_a_store_that_overwrites_what_it_says_it_keeps_is_refused() -> None:
    store = Overwriting(MemoryStore(clock.random_hex(8)))
    with pytest.raises(UnsafeStoreError, match="overwrite each other"):
        prove(store)
    assert store.list("") == []


def test_two_creates_are_enough_where_both_win() -> None:
    store = CountingStore(connect("heedless://b/other"))
    with pytest.raises(UnsafeStoreError, match="ignores that an object exists"):
        prove(store)
    assert dict(store.counts) == {"put_if_absent": 2, "delete": 1}


def test_any_file_system_that_passes_the_proof_is_a_store() -> None:
    store = open_store(f"careful://{clock.random_hex(8)}/store")
    store.put("a/b/c", b"12345")
    store.put_if_absent("a/d", b"")
    with pytest.raises(AlreadyExistsError):
        store.put_if_absent("a/d", b"")
    with pytest.raises(NotFoundError):
        store.get("absent")
    assert (store.get("a/b/c"), store.get_range("a/b/c", 1, 2)) == (b"12345", b"23")
    assert [(info.key, info.size) for info in store.list("a/")] == [("a/b/c", 5), ("a/d", 0)]
    assert (store.folders(""), store.folders("a/"), store.list("absent/")) == (["a"], ["b"], [])
    assert store.list("a/")[0].modified <= store.now()
    store.delete(["a/d", "absent"])
    assert [info.key for info in store.list("")] == ["a/b/c", PROBE]


def test_a_proof_is_one_request_afterwards() -> None:
    store = CountingStore(MemoryStore(clock.random_hex(8)))
    prove(store)
    assert [info.key for info in store.list("")] == [PROBE]
    store.reset()
    prove(store)
    assert dict(store.counts) == {"put_if_absent": 1}


@pytest.mark.parametrize(
    ("url", "canonical"),
    [
        ("s3://bucket", "s3://bucket"),
        ("s3a://bucket/a/b/", "s3://bucket/a/b"),
        ("S3://bucket/A b", "s3://bucket/A b"),
        ("gcs://bucket/x", "gs://bucket/x"),
        ("az://container/x", "abfs://container/x"),
        ("abfss://container@account.dfs.core.windows.net/x",) * 2,
        ("memory://a/b/", "memory://a/b"),
        ("file:///srv/a%20b/", "file:///srv/a%20b"),
        ("file://localhost/srv/x", "file:///srv/x"),
        ("/srv/100% #1", "file:///srv/100%25%20%231"),
        (Path("/srv/x::y"), "file:///srv/x%3A%3Ay"),
    ],
    ids=str,
)
def test_urls_have_one_form(url: str | Path, canonical: str) -> None:
    canonical = canonical.replace("abfss://", "abfs://")
    store = connect(url)
    assert store.url == canonical
    assert connect(store.url).url == canonical


def test_a_relative_path_is_where_it_was_connected(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    store = connect("runs")
    monkeypatch.chdir("/")
    store.put("a", b"1")
    assert (tmp_path / "runs" / "a").read_bytes() == b"1"


def test_one_letter_and_a_colon_begin_a_path(tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.chdir(tmp_path)
    assert connect("./s3:/x").url.endswith("/s3%3A/x")
    assert connect("c:/x").url.endswith("/c%3A/x")


def test_the_home_folder_is_meant_by_a_tilde(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    assert connect("~/runs").url == connect(tmp_path / "runs").url


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("", "empty"),
        ("  ", "empty"),
        (None, "NoneType"),
        (b"/srv/x", "bytes"),
        ("/srv/nul\0", "NUL"),
        ("simplecache::s3://bucket/x", "chained"),
        ("s3://key:secret@bucket/x", "credentials"),
        ("abfs://user:secret@container/x", "credentials"),
        ("s3://bucket/x?versionId=1", "query"),
        ("gs://bucket#1", "query"),
        ("s3://", "no bucket"),
        ("s3:/bucket/x", "two slashes, s3://"),
        ("file:/srv/x", "two slashes, file://"),
        ("s3:///x", "no bucket"),
        ("s3://bucket/../other", "malformed"),
        ("s3://bucket/a//b", "malformed"),
        ("memory://", "needs a name"),
        ("file://host/share", "three slashes"),
        ("nosuch://bucket/x", "objrun\\[s3\\]"),
    ],
)
def test_urls_that_name_no_store(url: Any, reason: str) -> None:
    with pytest.raises(InvalidURLError, match=reason) as raised:
        connect(url)
    assert "secret" not in str(raised.value)


def test_a_file_is_no_store(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(InvalidURLError, match="is a file"):
        connect(tmp_path / "file")


@pytest.mark.parametrize(
    ("url", "options", "reason"),
    [
        ("/srv/x", {"durability": "maybe"}, "'fsync' or 'none'"),
        ("/srv/x", {"durabilty": "none"}, "durabilty"),
        ("memory://x", {"key": "k"}, "key"),
    ],
)
def test_options_that_a_store_does_not_know(url: str, options: dict[str, Any], reason: str) -> None:
    with pytest.raises(InvalidURLError, match=reason):
        connect(url, **options)


def test_options_that_a_client_does_not_take() -> None:
    with pytest.raises(InvalidURLError, match="abfs://container cannot be reached"):
        connect("abfs://container", connection_string="nonsense").list("")
