"""A process dies between any two calls to the system: its object is whole or not there.

What the disk keeps of a power cut is what was synced; so the calls come in the one order in which
a name never stands for bytes that are not on the disk.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from objrun.errors import AlreadyExistsError
from objrun.storage import LocalStore
from objrun.storage.keys import SCRATCH
from tests.storage.killing import KEY, NEW, OLD

CASES = {
    "create": (None, NEW),
    "named": (None, NEW),
    "put": (None, NEW),
    "empty": (None, b""),
    "replace": (OLD, NEW),
    "delete": (OLD, None),
}
"""What is under KEY before and after."""

CHANGING = {"mkdir", "write", "fsync", "link", "unlink", "replace"}


def killed(folder: Path, case: str, durability: str) -> tuple[list[Path], list[str]]:
    """Return the folders that were left at each call, in order, and the calls."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.storage.killing", str(folder), case, durability],
        cwd=Path(__file__).parents[2],
        check=True,
        capture_output=True,
        text=True,
    )
    calls = done.stdout.splitlines()[-1].split()
    left = [folder / f"{n}{half}" for n in range(1, len(calls) + 2) for half in ("-half", "")]
    return left, calls


def stored(store: LocalStore) -> bytes | None:
    """What is under KEY; besides it there is what was there before, and nothing else."""
    found = {info.key: store.get(info.key) for info in store.list("")}
    assert all(len(found[info.key]) == info.size for info in store.list(""))
    assert found.pop("other/object") == OLD
    body = found.pop(KEY, None)
    assert found == {}
    assert store.folders("") == (["other"] if body is None else ["a", "other"])
    return body


@pytest.mark.parametrize("durability", ["fsync", "none"])
@pytest.mark.parametrize("case", CASES)
def test_a_verb_is_done_or_not_begun(tmp_path: Path, case: str, durability: str) -> None:
    old, new = CASES[case]
    left, calls = killed(tmp_path, case, durability)
    assert len(calls) >= 3
    bodies = [stored(LocalStore(str(folder), durable=False)) for folder in left]
    changed = bodies.index(new)
    assert bodies == [old] * changed + [new] * (len(left) - changed)
    assert 0 < changed < len(left)
    for folder in left:
        scratch = folder / SCRATCH
        assert len([*scratch.iterdir()] if scratch.is_dir() else []) <= 1


def test_a_file_gives_way_at_once_to_one_with_its_bytes(tmp_path: Path) -> None:
    left, calls = killed(tmp_path, "share", "fsync")
    assert {"link", "replace", "unlink"} <= {*calls}
    inodes = []
    for folder in left:
        store = LocalStore(str(folder), durable=False)
        assert stored(store) == OLD
        inodes.append({(folder / key).stat().st_ino for key in (KEY, "other/object")})
        assert len([*(folder / SCRATCH).iterdir()]) <= 2
    assert [len(each) for each in inodes[:2]] == [2, 2]
    assert [len(each) for each in inodes[-2:]] == [1, 1]


@pytest.mark.parametrize("case", ["create", "named"])
def test_who_comes_after_the_death_creates_once(tmp_path: Path, case: str) -> None:
    left, _ = killed(tmp_path, case, "none")
    created = []
    for folder in left:
        store = LocalStore(str(folder), durable=False)
        try:
            store.put_if_absent(KEY, b"mine")
            created.append(b"mine")
        except AlreadyExistsError:
            created.append(NEW)
        assert stored(store) == created[-1]
        with pytest.raises(AlreadyExistsError):
            store.put_if_absent(KEY, b"late")
        assert stored(store) == created[-1]
    assert set(created) == {b"mine", NEW}


@pytest.mark.parametrize(
    ("case", "order"),
    # Folders above the object, the scratch folder (of which nothing need last), bytes, name.
    [
        ("create", "mkdir fsync mkdir fsync mkdir write fsync link fsync"),
        ("named", "mkdir fsync mkdir fsync mkdir write fsync link unlink fsync"),
        ("put", "mkdir fsync mkdir fsync mkdir write fsync replace fsync"),
        ("empty", "mkdir fsync mkdir fsync mkdir fsync fsync"),
        ("replace", "write fsync replace fsync"),
    ],
)
def test_bytes_are_synced_before_their_name_and_that_before_the_answer(
    tmp_path: Path, case: str, order: str
) -> None:
    _, calls = killed(tmp_path, case, "fsync")
    changing = " ".join(name for name in calls if name in CHANGING)
    assert changing.endswith(order)
