"""Whatever names stand in a bucket or in its documents: nothing outside of a folder is touched."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from objrun import Experiment, Workspace, clock
from objrun.errors import ObjrunError, UserErrorException
from objrun.format import keys
from objrun.storage import LocalStore, MemoryStore
from objrun.storage.cache_folder import CacheFolder
from objrun.storage.keys import MAX_JSON_BYTES, check_key, check_size, is_key
from objrun.storage.wrappers import Around
from objrun.upkeep.copying import copy_workspace

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

ODD = [
    "..", ".", "", "../../etc/passwd", "%2e%2e", "%2E%2E%2Fx", "a/../b", "/etc/passwd", "a//b",
    "a\0b", "a\nb", "\x1b[2J", "a\\..\\b", "CON", "nul.txt", "a.", "a ", " a", "~", "a~b",
    "\u202egpj.exe", "e\u0301", "\u00e9", "\ufeff", "\U0001f600", "\ud800", "x" * 2000, "-rf",
    "$(id)", ".objrun-tmp/x", "C:x",
]  # fmt: skip
texts = st.text(st.characters(), max_size=20) | st.sampled_from(ODD)
paths = st.lists(texts | st.sampled_from(["runs", "state", "feed"]), max_size=6).map("/".join)


def everything(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*")}


@given(paths)
def test_no_key_leaves_its_folder(path: str) -> None:
    """Of any text: it is refused, or a path below the root of exactly these pieces."""
    try:
        check_key(path)
    except UserErrorException:
        return
    assert os.path.normpath(f"/data/{path}") == f"/data/{path}"
    assert "\0" not in path


@given(texts)
def test_no_name_leaves_its_piece(name: str) -> None:
    try:
        piece = keys.encode_name(name)
    except UnicodeEncodeError:
        return
    assert "/" not in piece
    assert piece not in (".", "..")
    assert piece.isascii()
    assert piece.isprintable()
    if name:
        check_key(keys.experiment_state(name, 1))
        check_key(keys.run_property("r", name))


@pytest.mark.parametrize("key", ODD)
def test_a_local_store_stays_in_its_folder(tmp_path: Path, key: str) -> None:
    (tmp_path / "secret").write_bytes(b"secret")
    store = LocalStore(str(tmp_path / "store"), durable=False)
    store.put("sound", b"1")
    acts: list[Callable[[], object]] = [
        lambda: store.put(key, b"2"),
        lambda: store.put_if_absent(key, b"2"),
        lambda: store.get(key),
        lambda: store.delete([key, f"../{key}"]),
        lambda: store.list(f"{key}/"),
    ]
    for act in acts:
        try:
            act()
        except ObjrunError:
            continue
    outside = {path for path in everything(tmp_path) if not path.startswith("store")}
    assert outside == {"secret"}
    assert store.get("sound") == b"1"


class Planted(Around):
    """A store whose listings also tell of objects that an attacker has planted.

    Those whose names no store could hold no listing tells of.
    """

    def list(self, prefix: str) -> Any:
        found = super().list(prefix)
        info = self.store.list("")[0]
        planted = [f"{prefix}{name}" for name in ODD]
        return [*found, *(type(info)(k, info.size, info.modified) for k in planted if is_key(k))]

    def folders(self, prefix: str) -> Any:
        planted = {name for name in ODD if is_key(name) and "/" not in name}
        return sorted({*super().folders(prefix), *planted})

    def _ask(self, verb: str, key: str, call: Callable[[], Any]) -> Any:  # noqa: ARG002
        return call()


def test_a_copy_of_a_hostile_bucket_stays_in_its_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = Workspace(f"memory://{clock.random_hex(8)}")
    with Experiment(source, "e").start_logging() as run:
        run.log("x", 1.0)
    store = MemoryStore(source.url.removeprefix("memory://"))
    target = Workspace(tmp_path / "in" / "store")
    monkeypatch.setattr(source, "reading", lambda: Planted(store))
    monkeypatch.setattr(source, "querying", lambda: Planted(store))
    copy_workspace(source, target, None, lambda _copied: None)
    assert target.get_run(run.id).get_metrics() == {"x": 1.0}
    assert {path.partition("/")[0] for path in everything(tmp_path)} == {"in"}
    assert not [path for path in everything(tmp_path) if ".." in path.split("/")]


@pytest.mark.parametrize("name", ODD)
def test_a_cache_is_not_left(tmp_path: Path, name: str) -> None:
    """Files of caches are named by digests of keys."""
    from objrun.storage.cache import CachingStore

    store = MemoryStore(clock.random_hex(8))
    folder = CacheFolder(str(tmp_path / "in" / "cache"), 10**6)
    caching = CachingStore(store, "an id", lambda _: True, folder)
    for key in (name, f"runs/{name}"):
        try:
            store.put(key, b"1")
            assert caching.get(key) == caching.get(key) == b"1"
        except UserErrorException:
            continue
    assert {path.partition("/")[0] for path in everything(tmp_path)} <= {"in"}


@pytest.mark.parametrize("hostile", [name for name in ODD if name])
def test_ids_in_documents_are_checked_before_they_are_keys(hostile: str) -> None:
    """A parent, a root and a run id of a state; a name of a claim."""
    workspace = Workspace(f"memory://{clock.random_hex(8)}")
    run = Experiment(workspace, "e").start_logging()
    run.complete()
    store = MemoryStore(workspace.url.removeprefix("memory://"))
    key = keys.run_state(run.id, 1)
    import orjson

    for field in ("run_id", "root_run_id", "parent_run_id"):
        document = orjson.loads(store.get(key))
        try:
            document["state"][field] = hostile
            data = orjson.dumps(document)
        except TypeError:
            return  # no document can hold a lone surrogate
        store.put(keys.run_state(run.id, 2), data.replace(b'"version":1', b'"version":2'))
        if is_id(hostile):
            continue
        with pytest.raises(ObjrunError):
            Workspace(workspace.url).get_run(run.id)


def is_id(text: str) -> bool:
    from objrun.format.names import is_run_id

    return is_run_id(text)


def test_what_is_too_large_is_not_read(tmp_path: Path) -> None:
    """By its size: the file is a hole, which takes no room on the disk."""
    store = LocalStore(str(tmp_path), durable=False)
    store.put("objrun.json", b"1")
    with (tmp_path / "objrun.json").open("r+b") as file:
        file.truncate(50 * 2**30)
    with pytest.raises(ObjrunError, match="53687091200 bytes"):
        Workspace(tmp_path).get_run("r")
    check_size("objrun.json", MAX_JSON_BYTES)
    assert store.get_range("objrun.json", 0, 1) == b"1"
