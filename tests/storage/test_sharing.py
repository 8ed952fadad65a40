"""Files with the same bytes are one in a folder, and nobody who reads or deletes sees it."""

from __future__ import annotations

import os
import subprocess
import sys
from hashlib import sha256
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given
from hypothesis import strategies as st

from objrun.storage import CountingStore, LocalStore, MemoryStore, sharing
from objrun.storage.keys import SCRATCH
from objrun.storage.remote import RemoteStore
from objrun.storage.sharing import HINTS, LEAST, Share

BODY = bytes(range(256)) * (LEAST // 256)
LONG = BODY * 8
OF_BODY = sha256(BODY).hexdigest()
ROUNDS = 100


@pytest.fixture
def store(tmp_path: Path) -> LocalStore:
    return LocalStore(str(tmp_path / "store"), durable=True)


def stored(store: LocalStore, *keys: str, body: bytes = BODY) -> list[Path]:
    """Store bytes under each key, have them shared, and return the files."""
    for key in keys:
        store.upload(key, [body])
        store.share(key, sha256(body).hexdigest())
    return [Path(store.root, key) for key in keys]


def hints(store: LocalStore) -> Path:
    return Path(store.root, SCRATCH, HINTS)


def inodes(*files: Path) -> int:
    """Return how many files these are."""
    return len({file.stat().st_ino for file in files})


def test_who_can() -> None:
    assert issubclass(LocalStore, Share)
    assert not any(issubclass(each, Share) for each in (MemoryStore, RemoteStore, CountingStore))


def test_equal_files_are_one(store: LocalStore) -> None:
    files = stored(store, "a/1", "b/2", "b/3")
    assert inodes(*files) == 1
    other = stored(store, "a/other", body=BODY[::-1])
    assert inodes(*files, *other) == 2
    assert [info.key for info in store.list("")] == ["a/1", "a/other", "b/2", "b/3"]
    assert store.folders("") == ["a", "b"]
    assert [path.name for path in Path(store.root, SCRATCH).iterdir()] == [HINTS]


def test_small_files_and_what_is_none_stay(store: LocalStore, tmp_path: Path) -> None:
    assert inodes(*stored(store, "a", "b", body=BODY[1:])) == 2
    Path(store.root, "link").symlink_to(tmp_path)
    for key in ("missing", "link", "no/folder"):
        store.share(key, OF_BODY)
    assert not hints(store).exists()


def test_what_is_written_again_changes_no_other(store: LocalStore) -> None:
    stored(store, "a", "b", "c")
    store.put("a", b"")
    store.put("b", b"new")
    assert [store.get(key) for key in "abc"] == [b"", b"new", BODY]


def test_whoever_may_read_a_file_may_so_after(store: LocalStore) -> None:
    """Modes and owners are part of what an equal file is."""
    stored(store, "a")
    store.upload("b", [BODY])
    Path(store.root, "b").chmod(0o600)
    store.share("b", OF_BODY)
    store.upload("c", [BODY])
    if os.geteuid() == 0:
        os.chown(Path(store.root, "c"), 1234, -1)
    store.share("c", OF_BODY)
    files = [Path(store.root, key) for key in "abc"]
    assert inodes(*files) == (3 if os.geteuid() == 0 else 2)
    assert [oct(file.stat().st_mode & 0o777) for file in files][1] == "0o600"


def test_a_file_whose_mode_was_changed(store: LocalStore) -> None:
    (first,) = stored(store, "a")
    first.chmod(0o600)
    second, third = stored(store, "b", "c")
    assert (inodes(first, second), inodes(second, third)) == (2, 1)
    assert first.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("damage", [LONG[:-1] + b"x", LONG[:100], b"", LONG + b"more"])
def test_a_damaged_file_never_takes_the_place_of_a_good_one(
    store: LocalStore, damage: bytes
) -> None:
    (first,) = stored(store, "first", body=LONG)
    first.write_bytes(damage)
    good = stored(store, "second", "third", body=LONG)
    assert [store.get(key) for key in ("first", "second", "third")] == [damage, LONG, LONG]
    assert inodes(*good) == 1


def test_a_damaged_file_does_not_get_the_bytes_of_another(store: LocalStore) -> None:
    stored(store, "good")
    store.upload("damaged", [BODY[::-1]])
    store.share("damaged", OF_BODY)
    assert store.get("damaged") == BODY[::-1]
    assert inodes(*stored(store, "later", "last")) == 1


def test_what_is_deleted_is_gone(store: LocalStore) -> None:
    """Hints hold no bytes; the last one to store them is the one that is known."""
    files = stored(store, "a", "b", "c")
    store.delete(["a", "b"])
    assert files[2].stat().st_nlink == 1
    assert inodes(files[2], *stored(store, "d")) == 1
    store.delete(["c", "d"])
    assert inodes(*stored(store, "e", "f")) == 1


@pytest.mark.parametrize("kind", ["link", "folder", "fifo", "hard link", "missing", "noise"])
def test_hints_that_are_none(store: LocalStore, tmp_path: Path, kind: str) -> None:
    outside = tmp_path / "outside"
    outside.write_bytes(BODY)
    stored(store, "a")
    hints(store).unlink()
    if kind == "link":
        hints(store).symlink_to(outside)
    elif kind == "folder":
        hints(store).mkdir()
    elif kind == "fifo":
        os.mkfifo(hints(store))
    elif kind == "hard link":
        hints(store).hardlink_to(outside)
    elif kind == "noise":
        hints(store).write_bytes(os.urandom(1 << 16) * 128)
    files = stored(store, "b", "c", "d")
    assert outside.read_bytes() == BODY
    assert {file.read_bytes() for file in files} == {BODY}
    assert inodes(*files) == {"missing": 1, "noise": 1, "hard link": 2}.get(kind, 3)


@pytest.mark.parametrize(
    "to", ["../../outside", "link/file", "b", "gone", "file/x", "\\", "x" * 300, "a\0b", "fifo"]
)
def test_hints_that_lead_elsewhere(store: LocalStore, tmp_path: Path, to: str) -> None:
    (tmp_path / "outside").write_bytes(BODY)
    (tmp_path / "file").write_bytes(BODY)
    (file,) = stored(store, "a")
    Path(store.root, "link").symlink_to(tmp_path)
    os.mkfifo(Path(store.root, "fifo"))
    told = hints(store).read_bytes()
    start = told.index(OF_BODY.encode())
    key = told.index(b"a\n", start)
    hints(store).write_bytes(told[:key] + os.fsencode(to) + b"\n")
    (other,) = stored(store, "b")
    assert inodes(file, other, tmp_path / "outside", tmp_path / "file") == 4
    assert inodes(other, *stored(store, "c")) == 1


def test_hints_last_longer_than_what_is_left_over(store: LocalStore) -> None:
    files = stored(store, "a")
    os.utime(hints(store), (0, 0))
    assert inodes(*files, *stored(LocalStore(store.root, durable=False), "b")) == 1


def test_bytes_that_others_did_not_sync_are_synced_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    careless = LocalStore(str(tmp_path), durable=False)
    (file,) = stored(careless, "a")
    calls: list[str | int] = []
    replace = os.replace

    def note(*names: str) -> None:
        calls.append("replace")
        replace(*names)

    monkeypatch.setattr(sharing, "_sync", lambda fd: calls.append(os.fstat(fd).st_ino))
    monkeypatch.setattr(os, "replace", note)
    stored(careless, "b")
    assert calls == ["replace", "replace"]
    stored(LocalStore(str(tmp_path), durable=True), "c")
    assert calls[2:] == ["replace", file.stat().st_ino, "replace"]


@pytest.mark.parametrize("body", [None, b"new"])
@pytest.mark.parametrize("key", ["old", "new"])
def test_what_is_done_to_a_file_while_it_is_compared(
    store: LocalStore, monkeypatch: pytest.MonkeyPatch, key: str, body: bytes | None
) -> None:
    """It stays deleted, or overwritten, and nobody gets other bytes than their own."""
    compare = sharing.are_equal

    def meanwhile(*files: int) -> bool:
        equal = compare(*files)
        if body is None:
            store.delete([key])
        else:
            store.put(key, body)
        return equal

    stored(store, "old")
    monkeypatch.setattr(sharing, "are_equal", meanwhile)
    stored(store, "new")
    expected = {"old": BODY, "new": BODY, key: body}
    found = {info.key: store.get(info.key) for info in store.list("")}
    assert found == {name: data for name, data in expected.items() if data is not None}


@pytest.mark.slow
def test_a_file_with_all_the_names_it_can_have(store: LocalStore) -> None:
    """ext4: 65,000. The next file is the one that others share."""
    (file,) = stored(store, "a")
    names = Path(store.root, "names")
    names.mkdir()
    try:
        for number in range(70_000):
            os.link(file, names / str(number))
    except OSError:
        last = stored(store, "b", "c")
        assert inodes(file, *last) == 2
        assert inodes(*last) == 1
    else:
        pytest.skip("files have more names here")


BODIES = {"one": BODY, "two": BODY[::-1], "long": BODY * 2, "small": b"small", "empty": b""}
KEYS = st.sampled_from(["r1/a", "r1/b", "r2/a", "r2/b", "r3/a"])
KINDS = st.sampled_from(["upload", "put", "share", "delete", "spoil"])


def take(store: LocalStore, model: dict[str, bytes], step: str, key: str, body: bytes) -> None:
    """Take a step, and note in the model what is then stored; "share" may have a wrong digest."""
    if step == "upload":
        stored(store, key, body=body)
        model[key] = body
    elif step == "put":
        store.put(key, body)
        model[key] = body
    elif step == "share":
        store.share(key, sha256(body).hexdigest())
    elif step == "delete":
        store.delete([key])
        model.pop(key, None)
    elif hints(store).exists():
        told = hints(store).read_bytes()
        hints(store).write_bytes(told.replace(b"r1/", b"r2/").replace(b"/b", b"/a"))


@given(st.lists(st.tuples(KINDS, KEYS, st.sampled_from([*BODIES])), max_size=25))
def test_any_history(steps: list[tuple[str, str, str]]) -> None:
    """Each key has the bytes that were stored last, whatever hints say; in the end one inode."""
    with TemporaryDirectory() as root:
        store = LocalStore(root, durable=False)
        model: dict[str, bytes] = {}
        for step, key, body in steps:
            take(store, model, step, key, BODIES[body])
            assert {info.key: store.get(info.key) for info in store.list("")} == model
        for _ in range(2):  # the first time round a hint may be wrong
            for key, data in model.items():
                store.share(key, sha256(data).hexdigest())
        for data in {data for data in model.values() if len(data) >= LEAST}:
            files = [Path(root, key) for key in model if model[key] == data]
            assert inodes(*files) == 1
            assert {file.stat().st_nlink for file in files} == {len(files)}
        assert {path.name for path in Path(root).glob(f"{SCRATCH}/*")} <= {HINTS}


PROGRAM = f"""
import sys
from hashlib import sha256
from objrun.storage import LocalStore
store = LocalStore(sys.argv[1], durable=False)
for number in range({ROUNDS}):
    body = number.to_bytes(8) * ({LEAST} // 8)
    for name in ("x", "y", "z"):
        key = f"{{name}}{{number}}/{{sys.argv[2]}}"
        store.upload(key, [body])
        store.share(key, sha256(body).hexdigest())
    store.delete([f"x{{number}}/{{sys.argv[2]}}"] * (number % 2))
    store.delete([f"z{{number}}/{{sys.argv[2]}}"] * (number % 3))
"""


def test_processes_that_store_and_delete_the_same_at_once(tmp_path: Path) -> None:
    children = [
        subprocess.Popen([sys.executable, "-c", PROGRAM, str(tmp_path), str(number)])
        for number in range(3)
    ]
    assert [child.wait() for child in children] == [0, 0, 0]
    store = LocalStore(str(tmp_path), durable=False)
    expected = {
        f"{name}{number}/{child}": number.to_bytes(8) * (LEAST // 8)
        for child in range(3)
        for number in range(ROUNDS)
        for name, dropped in (("x", number % 2), ("y", 0), ("z", number % 3))
        if not dropped
    }
    assert {info.key: store.get(info.key) for info in store.list("")} == expected
    files = [tmp_path / key for key in expected]
    assert ROUNDS <= inodes(*files) < len(files)
    for key, body in [*expected.items()] * 2:  # the first time round a hint may be stale
        store.share(key, sha256(body).hexdigest())
    assert inodes(*files) == ROUNDS
    assert [path.name for path in (tmp_path / SCRATCH).iterdir()] == [HINTS]
