"""A folder as a store: links, other people's files, crashes, and what the disk is asked to keep."""

from __future__ import annotations

import errno
import os
import signal
import stat
import subprocess
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from objrun.errors import (
    AlreadyExistsError,
    NotFoundError,
    ObjrunError,
    PermissionDeniedError,
    StoreError,
    StoreFullError,
    UnavailableError,
    UserErrorException,
)
from objrun.storage import LocalStore, connect
from objrun.storage.keys import SCRATCH
from objrun.storage.oserrors import classify_os_error
from objrun.storage.recipes import link_named, link_unnamed

if TYPE_CHECKING:
    from objrun.storage.recipes import Recipe


@pytest.fixture
def store(tmp_path: Path) -> LocalStore:
    return LocalStore(str(tmp_path / "store"), durable=False)


def test_links_are_not_followed(store: LocalStore, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "secret").write_bytes(b"secret")
    store.put("inside/object", b"1")
    root = tmp_path / "store"
    (root / "folder").symlink_to(outside)
    (root / "file").symlink_to(outside / "secret")
    (root / "inside" / "loop").symlink_to(root)
    assert [info.key for info in store.list("")] == ["inside/object"]
    assert store.folders("") == ["inside"]
    assert store.list("folder/") == store.list("inside/loop/") == []
    for key in ("folder/secret", "file", "inside/loop/inside/object"):
        with pytest.raises(NotFoundError):
            store.get(key)
    for verb in (store.put, store.put_if_absent):
        with pytest.raises(StoreError, match="symbolic link"):
            verb("folder/new", b"")
    for body in (b"mine", b""):
        (root / "file").unlink()
        (root / "file").symlink_to(outside / "secret")
        store.put("file", body)
        assert store.get("file") == body
    store.delete(["folder/secret"])
    assert {path.name: path.read_bytes() for path in outside.iterdir()} == {"secret": b"secret"}


def test_the_root_may_be_a_link(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real")
    store = connect(tmp_path / "link")
    store.put("a/b", b"1")
    assert (tmp_path / "real" / "a" / "b").read_bytes() == b"1"
    assert store.url == connect(tmp_path / "real").url


def test_files_of_others_are_no_objects(store: LocalStore, tmp_path: Path) -> None:
    store.put("a", b"")
    root = tmp_path / "store"
    for name in (b"back\\slash", b"new\nline", b"not unicode \xff"):
        (root / os.fsdecode(name)).write_bytes(b"")
    (root / "empty" / "folders").mkdir(parents=True)
    os.mkfifo(root / "fifo")
    assert [info.key for info in store.list("")] == ["a"]
    assert store.folders("") == []
    with pytest.raises(NotFoundError):
        store.get("fifo")


def test_an_object_cannot_be_a_folder_too(store: LocalStore) -> None:
    store.put("a/b", b"1")
    for verb in (store.put, store.put_if_absent, lambda key, data: store.upload(key, [data])):
        with pytest.raises(UserErrorException, match="is a folder"):
            verb("a", b"")
        with pytest.raises(UserErrorException, match="is a file"):
            verb("a/b/c", b"")
    with pytest.raises(UserErrorException, match="255"):
        store.put("x" * 256, b"")
    assert [info.key for info in store.list("")] == ["a/b"]


@pytest.mark.parametrize("recipe", [link_unnamed, link_named])
def test_both_recipes_create_once(recipe: Recipe, tmp_path: Path) -> None:
    path, scratch = tmp_path / "object", tmp_path / "scratch"
    scratch.mkdir()
    for durable in (True, False):
        path.unlink(missing_ok=True)
        recipe(str(path), b"first", scratch=str(scratch), durable=durable)
        with pytest.raises(FileExistsError):
            recipe(str(path), b"second", scratch=str(scratch), durable=durable)
        assert path.read_bytes() == b"first"
    assert not list(scratch.iterdir())


def test_without_unnamed_files(store: LocalStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "O_TMPFILE", os.O_DIRECTORY)  # opening a folder to write is EISDIR
    store.put_if_absent("a/b", b"1")
    with pytest.raises(AlreadyExistsError):
        store.put_if_absent("a/b", b"2")
    assert store.get("a/b") == b"1"


def test_folders_that_vanish_are_made_again(store: LocalStore, tmp_path: Path) -> None:
    store.put("a/b/c", b"1")
    for verb in (store.put, store.put_if_absent):
        subprocess.run(["rm", "-r", str(tmp_path / "store")], check=True)
        assert store.list("") == []
        verb("a/b/c", b"2")
        assert store.get("a/b/c") == b"2"


def test_a_listing_bears_with_files_that_vanish(store: LocalStore) -> None:
    stop = threading.Event()

    def churn() -> None:
        while not stop.is_set():
            for number in range(20):
                store.put(f"churn/{number % 3}/{number}", b"")
            store.delete(f"churn/{number % 3}/{number}" for number in range(20))

    store.put("stays", b"")
    thread = threading.Thread(target=churn)
    thread.start()
    try:
        for _ in range(200):
            assert "stays" in [info.key for info in store.list("")]
            store.folders("churn/")
    finally:
        stop.set()
        thread.join()


def test_a_listing_has_what_is_there_or_what_came_before_that_went(store: LocalStore) -> None:
    """One who supersedes an object puts the next one before this goes: readers see one of both."""
    stop = threading.Event()
    store.put("chain/0", b"")

    def supersede() -> None:
        number = 0
        while not stop.is_set():
            number += 1
            store.put(f"chain/{number}", b"")
            store.delete([f"chain/{number - 1}"])

    thread = threading.Thread(target=supersede)
    thread.start()
    try:
        for _ in range(2000):
            assert store.list("chain/")
    finally:
        stop.set()
        thread.join()


KILLED = """
import sys
from objrun.storage import connect
store = connect(sys.argv[1], durability="none")
store.put("ready", b"")
number = 0
while True:
    number += 1
    store.put_if_absent(f"created/{number}", b"x" * 100_000)
    store.put("replaced", b"x" * 100_000)
"""


def test_a_killed_writer_leaves_no_torn_object(store: LocalStore) -> None:
    for _ in range(5):
        with subprocess.Popen([sys.executable, "-c", KILLED, store.root]) as writer:
            while not any(info.key == "replaced" for info in store.list("")):
                assert writer.poll() is None
            writer.send_signal(signal.SIGKILL)
        torn = [info for info in store.list("") if info.size != 100_000 and info.key != "ready"]
        assert not torn
        store.delete(info.key for info in store.list(""))


def test_old_scratch_files_are_swept(store: LocalStore, tmp_path: Path) -> None:
    scratch = tmp_path / "store" / SCRATCH
    scratch.mkdir(parents=True)
    for name, age in (("old", 100_000), ("new", 0)):
        (scratch / name).write_bytes(b"")
        stamp = (scratch / name).stat().st_mtime - age
        os.utime(scratch / name, (stamp, stamp))
    store.put("a", b"")
    assert [path.name for path in scratch.iterdir()] == ["new"]
    assert [info.key for info in store.list("")] == ["a"]


def test_the_scratch_folder_is_no_link(store: LocalStore, tmp_path: Path) -> None:
    """What is old in it is removed, so it must not be a way to the files of others."""
    (tmp_path / "others").mkdir()
    (tmp_path / "others" / "old").write_bytes(b"kept")
    os.utime(tmp_path / "others" / "old", (0, 0))
    (tmp_path / "store").mkdir()
    (tmp_path / "store" / SCRATCH).symlink_to(tmp_path / "others")
    with pytest.raises(StoreError, match="symbolic link"):
        store.put("a", b"1")
    assert [path.read_bytes() for path in (tmp_path / "others").iterdir()] == [b"kept"]


def test_what_is_acknowledged_is_synced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Before an object counts, its bytes and every new name above it are on the disk."""
    synced: list[str] = []
    fsync = os.fsync

    def note(fd: int) -> None:
        path = str(Path(f"/proc/self/fd/{fd}").readlink())
        synced.append(path if stat.S_ISDIR(os.fstat(fd).st_mode) else "bytes")
        fsync(fd)

    monkeypatch.setattr(os, "fsync", note)
    root = str(tmp_path / "new" / "store")
    store = LocalStore(root, durable=True)
    store.put_if_absent("a/b/c", b"1")
    above = [str(tmp_path), str(tmp_path / "new"), root, f"{root}/a"]
    assert synced == [*above, "bytes", f"{root}/a/b"]
    synced.clear()
    store.put("a/b/c", b"2")
    assert synced == ["bytes", f"{root}/a/b"]
    synced.clear()
    # The loser may build on what it lost to.
    with pytest.raises(AlreadyExistsError):
        store.put_if_absent("a/b/c", b"3")
    assert synced == ["bytes", f"{root}/a/b"]
    synced.clear()
    # Another writer does not know whether the first came as far as syncing the folders.
    LocalStore(root, durable=True).put("a/b/d", b"")
    assert synced == [root, f"{root}/a", "bytes", f"{root}/a/b"]
    synced.clear()
    LocalStore(root, durable=False).put_if_absent("x/y", b"")
    assert synced == []


DENIED = """
import os, sys
from objrun.errors import PermissionDeniedError
from objrun.storage import connect
store = connect(sys.argv[1])
if os.geteuid() == 0:  # root may write everywhere, so become somebody else
    os.seteuid(65534)
try:
    store.put("b", b"")
except PermissionDeniedError:
    print("denied")
"""


def test_a_folder_that_may_not_be_written(store: LocalStore, tmp_path: Path) -> None:
    store.put("a", b"1")
    (tmp_path / "store").chmod(0o500)
    command = [sys.executable, "-c", DENIED, store.root]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    (tmp_path / "store").chmod(0o700)
    assert done.stdout == "denied\n"


def test_a_file_system_that_may_not_be_written() -> None:
    with pytest.raises(StoreError):
        LocalStore("/proc/objrun", durable=False).put("a", b"")


@pytest.mark.parametrize(
    ("number", "category"),
    [
        (errno.ENOSPC, StoreFullError),
        (errno.EDQUOT, StoreFullError),
        (errno.EACCES, PermissionDeniedError),
        (errno.EPERM, PermissionDeniedError),
        (errno.EROFS, PermissionDeniedError),
        (errno.ENOENT, NotFoundError),
        (errno.EIO, UnavailableError),
        (errno.ESTALE, UnavailableError),
        (errno.EMFILE, UnavailableError),
        (errno.ENAMETOOLONG, UserErrorException),
    ],
)
def test_what_the_system_may_say(number: int, category: type[ObjrunError]) -> None:
    error = classify_os_error(OSError(number, os.strerror(number)), "cannot store a")
    assert type(error) is category
    assert os.strerror(number) in str(error)


def test_empty_folders_go_with_their_last_object(tmp_path: Path) -> None:
    store = LocalStore(str(tmp_path / "store"), durable=True)
    store.put("a/b/c/1", b"1")
    store.put("a/b/2", b"2")
    store.delete(["a/b/c/1"])
    assert sorted(path.name for path in (tmp_path / "store" / "a").rglob("*")) == ["2", "b"]
    store.delete(["a/b/2"])
    assert not (tmp_path / "store" / "a").exists()
    store.put("a/b/c/1", b"again")
    assert store.get("a/b/c/1") == b"again"


def test_a_folder_that_others_remove_is_made_again(tmp_path: Path) -> None:
    """One deletes what the other has just written into the same folder, over and over."""
    stores = [LocalStore(str(tmp_path), durable=False) for _ in range(4)]
    errors: list[Exception] = []

    def work(store: LocalStore, name: str) -> None:
        try:
            for _ in range(300):
                store.put(f"deep/er/{name}", b"x")
                assert store.get(f"deep/er/{name}") == b"x"
                store.delete([f"deep/er/{name}"])
        except Exception as error:  # noqa: BLE001 - told to the test
            errors.append(error)

    threads = [
        threading.Thread(target=work, args=(store, str(place)))
        for place, store in enumerate(stores)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
