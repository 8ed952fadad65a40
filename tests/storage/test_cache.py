"""The readers' cache: what it answers, what it never answers, and what damage does to it."""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import NamedTuple

import pytest

from objrun import clock
from objrun.errors import NotFoundError, UserErrorException
from objrun.format.immutable import is_immutable
from objrun.storage import CountingStore, LatencyStore, LocalStore, MemoryStore
from objrun.storage.cache import LIMIT, CachingStore, cached
from objrun.storage.cache_folder import CacheFolder

VERSION = "runs/r1/state/00000001.json"
NEXT = "runs/r1/state/00000002.json"
MARKER = "experiments/e/feed/r1.00000001"
TABLE = "experiments/e/tables/00000001-00ff00ff00ff00ff-runs.parquet"
LARGE = bytes(range(256)) * 1000


class Place(NamedTuple):
    """A store in memory, what it is asked, and the folder of its cache."""

    inside: MemoryStore
    asked: CountingStore
    root: Path

    def store(self, store_id: str = "one", limit: int = LIMIT) -> CachingStore:
        """A store as another process would have it."""
        return CachingStore(self.asked, store_id, is_immutable, CacheFolder(str(self.root), limit))

    def files(self) -> list[Path]:
        return sorted(self.root.glob("store-*/*/*"))


@pytest.fixture
def place(tmp_path: Path) -> Place:
    inside = MemoryStore(clock.random_hex(8))
    inside.put(VERSION, b'{"version":1}\n')
    inside.put(TABLE, LARGE)
    inside.put(MARKER, b"")
    return Place(inside, CountingStore(inside), tmp_path / "caches" / "objrun")


def test_a_second_look_asks_nothing(place: Place) -> None:
    for _ in range(3):
        store = place.store()
        assert store.get(VERSION) == b'{"version":1}\n'
        assert store.get_range(TABLE, 1000, 300) == LARGE[1000:1300]
        assert store.get_range(TABLE, len(LARGE) - 5, 100) == LARGE[-5:]
        assert store.get_range(TABLE, len(LARGE) + 5, 100) == b""
        assert store.get_range(TABLE, 0, 0) == b""
    assert place.asked.counts == {"get": 1, "get_range": 4}


def test_ranges_of_a_whole_object_ask_nothing(place: Place) -> None:
    assert place.store().get(TABLE) == LARGE
    place.asked.reset()
    store = place.store()
    for start in (0, 1, 65_535, 65_536, 65_537, 131_072, 200_000, 255_999, 256_000, 300_000):
        for length in (0, 1, 65_536, 65_537, 256_000):
            assert store.get_range(TABLE, start, length) == LARGE[start : start + length]
    assert not place.asked.log


def test_an_empty_object_is_kept(place: Place) -> None:
    place.inside.put(NEXT, b"")
    assert [place.store().get(NEXT) for _ in range(2)] == [b"", b""]
    assert place.asked.counts == {"get": 1}


def test_what_may_change_is_asked_for(place: Place) -> None:
    store = place.store()
    for number in range(2):
        place.inside.put(MARKER, b"%d" % number)
        assert store.get(MARKER) == b"%d" % number
        assert store.get_range(MARKER, 0, 1) == b"%d" % number
        assert [info.size for info in store.list("experiments/e/feed/")] == [1]
    assert place.asked.counts == {"get": 2, "get_range": 2, "list": 2}
    assert not place.files()


def test_what_is_absent_is_looked_for_again(place: Place) -> None:
    store = place.store()
    for _ in range(2):
        with pytest.raises(NotFoundError):
            store.get(NEXT)
        with pytest.raises(NotFoundError):
            store.get_range(NEXT, 0, 10)
    store.put_if_absent(NEXT, b"now")
    assert (store.get(NEXT), store.get_range(NEXT, 0, 10)) == (b"now", b"now")


def test_what_is_deleted_or_written_anew_is_forgotten(place: Place) -> None:
    store = place.store()
    store.get_range(TABLE, 5, 5)
    store.get(TABLE)
    store.get(VERSION)
    store.delete([TABLE, MARKER])
    with pytest.raises(NotFoundError):
        store.get(TABLE)
    with pytest.raises(NotFoundError):
        store.get_range(TABLE, 5, 5)
    assert len(place.files()) == 1
    store.put(VERSION, b"repaired")
    assert store.get(VERSION) == b"repaired"


def test_a_store_made_anew_at_the_same_url(place: Place) -> None:
    assert place.store("one").get(VERSION) == b'{"version":1}\n'
    place.inside.delete([VERSION])
    place.inside.put_if_absent(VERSION, b"another store")
    assert place.store("two").get(VERSION) == b"another store"


def test_malformed_requests_are_refused(place: Place) -> None:
    store = place.store()
    store.get(TABLE)
    for start, length in ((-1, 5), (5, -1)):
        with pytest.raises(UserErrorException):
            store.get_range(TABLE, start, length)
    for key in ("runs/../state/00000001.json", "runs/\ud800/state/00000001.json"):
        with pytest.raises(UserErrorException):
            store.get(key)


# -- damage


@pytest.mark.parametrize("read", ["whole", "range", "part of the whole"])
def test_no_flipped_bit_is_ever_returned(place: Place, read: str) -> None:
    def ask(store: CachingStore) -> bytes:
        return store.get(VERSION)[3:9] if read == "whole" else store.get_range(VERSION, 3, 6)

    if read == "part of the whole":
        place.store().get(VERSION)
    right = ask(place.store())
    [file] = place.files()
    whole = file.read_bytes()
    for position in range(len(whole)):
        for bit in (1, 128):
            turned = bytes([whole[position] ^ bit])
            file.write_bytes(whole[:position] + turned + whole[position + 1 :])
            place.asked.reset()
            assert ask(place.store()) == right
            assert sum(place.asked.counts.values()) == 1
            assert not file.exists() or file.read_bytes() == whole
            for each in place.files():
                each.unlink()
    for left in range(len(whole)):
        file.write_bytes(whole[:left])
        assert ask(place.store()) == right


def test_damage_elsewhere_does_not_hide_a_part(place: Place) -> None:
    place.store().get(TABLE)
    [file] = place.files()
    damaged = bytearray(file.read_bytes())
    damaged[-100] ^= 1
    file.write_bytes(damaged)
    place.asked.reset()
    assert place.store().get_range(TABLE, 10, 70_000) == LARGE[10:70_010]
    assert not place.asked.log
    assert place.store().get(TABLE) == LARGE
    assert place.asked.counts == {"get": 1}
    assert place.store().get_range(TABLE, len(LARGE) - 200, 200) == LARGE[-200:]
    assert place.asked.counts == {"get": 1}


def test_files_that_changed_places_are_noticed(place: Place) -> None:
    place.inside.put(NEXT, b'{"version":2}\n')
    store = place.store()
    store.get(VERSION)
    store.get(NEXT)
    first, second = place.files()
    swapped = second.read_bytes()
    second.write_bytes(first.read_bytes())
    first.write_bytes(swapped)
    assert (store.get(VERSION), store.get(NEXT)) == (b'{"version":1}\n', b'{"version":2}\n')
    assert place.asked.counts == {"get": 4}


# -- room


def used(root: Path) -> int:
    return sum(file.stat().st_size for file in root.rglob("*") if file.is_file())


def fill(place: Place, count: int) -> list[str]:
    names = [f"runs/{number}/state/00000001.json" for number in range(count)]
    for name in names:
        place.inside.put(name, name.encode() * 100)
    return names


def test_the_folder_is_bounded_and_keeps_what_was_used_last(place: Place) -> None:
    names = fill(place, 100)
    limit = 40 * 4096
    for name in names[:39]:
        place.store(limit=limit).get(name)
    assert len(place.files()) == 39
    # An hour ago all of them were used, and now the first.
    before = clock.nanoseconds() / 1e9 - 3600
    for file in place.files():
        os.utime(file, (before, before))
    for name in names[:3]:
        place.store(limit=limit).get(name)
    for name in names[39:60]:
        place.store(limit=limit).get(name)
        assert used(place.root) <= limit
    place.asked.reset()
    for name in (*names[:3], *names[57:60]):
        place.store(limit=limit).get(name)
    assert not place.asked.log


def test_a_use_is_noted_once_a_minute(place: Place) -> None:
    store = place.store()
    store.get(VERSION)
    [file] = place.files()
    for ago, noted in ((50, False), (70, True)):
        then = int(clock.nanoseconds() - ago * 10**9)
        os.utime(file, ns=(then, then))
        store.get(VERSION)
        assert (file.stat().st_mtime_ns != then) == noted


def test_what_takes_more_than_half_is_not_kept(place: Place) -> None:
    store = place.store(limit=len(LARGE))
    store.get(VERSION)
    for _ in range(2):
        assert store.get(TABLE) == LARGE
    store.get(VERSION)
    assert place.asked.counts == {"get": 3}


def test_files_of_others_are_left_alone(place: Place) -> None:
    """A folder named by mistake, such as a home, is not emptied."""
    foreign = [place.root / name for name in ("a", "b/c", "store-x", "storage/00/d")]
    for path in foreign:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(bytes(10**6))
        os.utime(path, (0, 0))
    for name in fill(place, 50):
        place.store(limit=20 * 4096).get(name)
    assert all(path.stat().st_size == 10**6 for path in foreign)
    assert len(place.files()) <= 20


def test_a_lost_ledger_is_made_anew(place: Place) -> None:
    names = fill(place, 30)
    for name in names[:18]:
        place.store(limit=20 * 4096).get(name)
    (place.root / "ledger").unlink()
    for name in names[18:]:
        place.store(limit=20 * 4096).get(name)
        assert len(place.files()) <= 20


def test_what_dead_processes_left_is_removed(place: Place) -> None:
    names = fill(place, 30)
    place.store(limit=20 * 4096).get(names[0])
    left = place.files()[0].with_name("new-00ff")
    left.write_bytes(bytes(10 * 4096))
    os.utime(left, (0, 0))
    for name in names[1:]:
        place.store(limit=20 * 4096).get(name)
    assert not left.exists()


# -- where it cannot be


def test_only_for_its_owner(place: Place) -> None:
    before = os.umask(0)
    try:
        place.store().get_range(VERSION, 0, 1)
        place.store().get(VERSION)
    finally:
        os.umask(before)
    folders = [place.root, *place.root.glob("store-*"), *place.root.glob("store-*/*")]
    assert {stat.S_IMODE(path.stat().st_mode) for path in folders} == {0o700}
    files = [*place.files(), place.root / "ledger"]
    assert {stat.S_IMODE(path.stat().st_mode) for path in files} == {0o600}


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file away")
def test_files_that_another_user_put_there_are_not_believed(place: Place) -> None:
    place.store().get(VERSION)
    os.chown(place.files()[0], 65534, 65534)
    place.store().get(VERSION)
    assert place.asked.counts == {"get": 2}


def test_a_folder_that_cannot_be_made(place: Place, caplog: pytest.LogCaptureFixture) -> None:
    place.root.parent.write_text("a file where a folder should be")
    store = place.store()
    with caplog.at_level("DEBUG", "objrun"):
        for _ in range(3):
            assert store.get(VERSION) == b'{"version":1}\n'
            assert store.get_range(TABLE, 0, 5) == LARGE[:5]
            store.delete([NEXT])
    assert place.asked.counts["get"] == 3
    [record] = caplog.records
    assert record.levelname == "DEBUG"
    assert str(place.root) in record.message


def test_after_a_failure_nothing_is_written_for_a_minute(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A disk that is full is not filled again and again, and one day it is not full."""
    place.root.parent.write_text("a file where a folder should be")
    store = place.store()
    store.get(VERSION)
    place.root.parent.unlink()
    store.get(VERSION)
    assert not place.files()
    later = clock.monotonic() + 61
    monkeypatch.setattr(clock, "monotonic", lambda: later)
    store.get(VERSION)
    assert len(place.files()) == 1


def test_a_folder_that_somebody_removes_is_made_anew(place: Place) -> None:
    store = place.store()
    store.get(VERSION)
    shutil.rmtree(place.root)
    store.get(VERSION)
    store.get(VERSION)
    assert place.asked.counts == {"get": 2}


START = """
import logging, os, resource, sys
from pathlib import Path
from objrun.format.immutable import is_immutable
from objrun.storage import CountingStore, MemoryStore
from objrun.storage.cache import CachingStore
from objrun.storage.cache_folder import CacheFolder
root = sys.argv[1]
counting = CountingStore(MemoryStore("m"))
store = CachingStore(counting, "one", is_immutable, CacheFolder(root, 10**9))
keys = [f"runs/{n}/state/00000001.json" for n in range(3)]
for key in keys:
    counting.put(key, key.encode() * 1000)
def look():
    counting.reset()
    assert all(store.get(key) == key.encode() * 1000 for key in keys)
    assert store.get_range(keys[0], 5, 50) == (keys[0].encode() * 1000)[5:55]
    return counting.counts["get"]
"""

FULL = """
resource.setrlimit(resource.RLIMIT_FSIZE, (4096, resource.RLIM_INFINITY))
print(look(), look(), [path.name for path in Path(root).rglob("new-*")])
"""

READ_ONLY = """
if os.geteuid() == 0:
    os.chown(root, 65534, 65534)
    os.seteuid(65534)
keys.pop()
print(look())
keys.append("runs/2/state/00000001.json")
for folder, _, _ in os.walk(root):
    os.chmod(folder, 0o500)
print(look(), look())
"""


@pytest.mark.parametrize(
    ("program", "told"),
    [(FULL, "3 3 []\n"), (READ_ONLY, "2\n1 1\n")],
    ids=["disk full", "read only"],
)
def test_what_cannot_be_written_is_read_from_the_store(program: str, told: str) -> None:
    """What was there before goes on being used."""
    root = tempfile.mkdtemp()  # not below a folder of pytest's, which only its owner may enter
    try:
        done = subprocess.run(
            [sys.executable, "-c", START + program, root],
            check=False,
            capture_output=True,
            text=True,
        )
        assert (done.stdout, done.stderr) == (told, "")
    finally:
        for folder, _, _ in os.walk(root):
            Path(folder).chmod(0o700)
        shutil.rmtree(root)


# -- which stores have one


def test_stores_without_a_network_are_read_directly(tmp_path: Path) -> None:
    for store in (MemoryStore("near"), LocalStore(str(tmp_path), durable=False)):
        assert cached(store, "one", is_immutable) is store


@pytest.mark.parametrize(
    ("names", "root"),
    [
        ({"OBJRUN_CACHE": "/named/here"}, "/named/here"),
        ({"OBJRUN_CACHE": "~/mine", "HOME": "/people"}, "/people/mine"),
        ({"XDG_CACHE_HOME": "/caches", "HOME": "/people"}, "/caches/objrun"),
        ({"XDG_CACHE_HOME": "relative", "HOME": "/people"}, "/people/.cache/objrun"),
        ({"HOME": "/people", "OBJRUN_CACHE_SIZE": ""}, "/people/.cache/objrun"),
        ({"HOME": "nowhere"}, None),
        ({"HOME": "/people", "OBJRUN_CACHE_SIZE": "0"}, None),
        ({"HOME": "/people", "OBJRUN_CACHE_SIZE": "0MB"}, None),
    ],
)
def test_where_it_is(
    monkeypatch: pytest.MonkeyPatch, names: dict[str, str], root: str | None
) -> None:
    for name in ("OBJRUN_CACHE", "OBJRUN_CACHE_SIZE", "XDG_CACHE_HOME", "HOME"):
        monkeypatch.delenv(name, raising=False)
    for name, value in names.items():
        monkeypatch.setenv(name, value)
    far = LatencyStore(MemoryStore("far"), 0)
    found = cached(far, "one", is_immutable)
    if root is None:
        assert found is far
    else:
        assert isinstance(found, CachingStore)
        assert (found.folder.root, found.folder.limit) == (root, LIMIT)


@pytest.mark.parametrize("size", ["much", "-1", "1XB", "1 2", "GB", "1e9"])
def test_a_size_that_is_none_is_refused(monkeypatch: pytest.MonkeyPatch, size: str) -> None:
    monkeypatch.setenv("OBJRUN_CACHE_SIZE", size)
    with pytest.raises(UserErrorException, match="OBJRUN_CACHE_SIZE is a size such as 500MB"):
        cached(LatencyStore(MemoryStore("far"), 0), "one", is_immutable)
