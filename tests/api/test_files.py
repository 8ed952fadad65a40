"""Files of runs: stored, listed, downloaded, opened, on every backend."""

from __future__ import annotations

import io
import os
from datetime import timedelta
from hashlib import sha256
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from objrun import Experiment, Run, Workspace
from objrun.errors import (
    CorruptObjectError,
    FileConflictError,
    FileNotInRunError,
    SpoolWarning,
    StoreError,
    UnavailableError,
    UserErrorException,
)
from objrun.format import file_keys, keys
from objrun.format.names import is_file_name
from objrun.protocol.files import PART
from objrun.storage import CountingStore, FaultyStore
from tests.api.places import contents, refused

LARGE = os.urandom(1 << 20) * 17 + b"the end"
"""More than one part."""


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_a_life_of_files(live_ws: Workspace, tmp_path: Path) -> None:
    """What is stored is listed, downloaded, opened and found by another handle, byte by byte."""
    run = Experiment(live_ws, "files").start_logging()
    (tmp_path / "large").write_bytes(LARGE)
    (tmp_path / "d/e").mkdir(parents=True)
    (tmp_path / "d/.hidden").write_bytes(b"h")
    (tmp_path / "d/e/ü 1.txt").write_bytes(b"deep")
    run.upload_file("outputs/empty", io.BytesIO())
    stored = run.upload_file("large", tmp_path / "large").artifacts["large"]
    assert (stored.size, stored.sha256) == (len(LARGE), sha256(LARGE).hexdigest())
    run.upload_folder("d", "d")
    named, _ = run.upload_files(["a", "b"], ["d/.hidden", "large"], return_artifacts=True)
    assert [*named] == ["a", "b"]
    run.complete()
    again = Run.get(Workspace(live_ws.url, live_ws.storage_options), run.id)
    names = ["a", "b", "d/.hidden", "d/e/ü 1.txt", "large", "outputs/empty"]
    assert again.get_file_names() == names
    again.download_files(output_directory="all")
    found = {p.relative_to("all").as_posix(): p for p in Path("all").rglob("*") if p.is_file()}
    assert sorted(found) == names
    assert found["b"].read_bytes() == found["large"].read_bytes() == LARGE
    assert found["d/e/ü 1.txt"].read_bytes() == b"deep"
    with again.open("large") as file:
        assert file.seek(-7, os.SEEK_END) == len(LARGE) - 7
        assert file.read() == b"the end"
        assert file.seek(PART - 3) == PART - 3
        assert file.read(9) == LARGE[PART - 3 : PART + 6]
        assert file.seek(0) == 0
        assert file.read() == LARGE
    with again.open("outputs/empty") as file:
        assert file.read() == b""


def test_a_file_is_no_folder_of_files(tmp_path: Path) -> None:
    """Where files are files of a disk, such a name is the caller's to change, and no outage."""
    run = Experiment(Workspace(str(tmp_path / "store")), "files").start_logging()
    for first, second in (("a", "a/b"), ("c/d", "c"), ("e", "e/large")):
        data = LARGE if second == "e/large" else b"2"
        run.upload_file(first, io.BytesIO(b"1"))
        with pytest.raises(UserErrorException, match=r"is a (file|folder)"):
            run.upload_file(second, io.BytesIO(data))
    assert not run.is_spooled
    assert run.get_file_names() == ["a", "c/d", "e"]
    run.complete()


def test_the_same_again_is_no_more(live_ws: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same bytes store nothing, others are refused, or are another version."""
    monkeypatch.setattr("objrun.protocol.files.PART", 5 << 20)  # the least that S3 takes
    large = LARGE[: 6 << 20]
    run = Experiment(live_ws, "files").start_logging()
    for name, data in (("small", b"1"), ("large", large)):
        run.upload_file(name, io.BytesIO(data))
        before = contents(live_ws)
        run.upload_file(name, io.BytesIO(data))
        for other in (b"2", data[:-1] + b"?", large + b"!"):
            with pytest.raises(FileConflictError, match=f"{name}.*overwrite=True"):
                run.upload_file(name, io.BytesIO(other))
        assert contents(live_ws) == before
        for other in (b"3", large + b"3", data):
            run.upload_file(name, io.BytesIO(other), overwrite=True)
            run.download_file(name, "out")
            assert Path("out").read_bytes() == other
        assert {*before} < {*contents(live_ws)}, "earlier versions are kept"
    assert run.get_file_names() == ["large", "small"]


def test_where_downloads_go(run: Run, tmp_path: Path) -> None:
    """As Azure ML says: a name, a folder, nothing; with and without the prefix."""
    for name in ("outputs/a/x", "outputs/b", "other"):
        run.upload_file(name, io.BytesIO(name.encode()))
    run.download_file("outputs/a/x")
    run.download_file("outputs/a/x", "new/folder/y")
    run.download_file("outputs/a/x", "new/")
    run.download_file("outputs/b", tmp_path / "new")
    run.download_files("outputs", "with")
    run.download_files("outputs/", "without", append_prefix=False)
    run.download_files("outputs", append_prefix=False)
    run.download_files("outputs", "paths", output_paths=["1", "2/3"])
    with pytest.warns(UserWarning, match="output_paths"):
        run.download_files("outputs", "wrong", output_paths=["1"])
    found = {p.relative_to(tmp_path).as_posix() for p in tmp_path.rglob("*") if p.is_file()}
    assert found == {
        *("x", "new/folder/y", "new/x", "new/b", "with/outputs/a/x", "with/outputs/b"),
        *("without/a/x", "without/b", "outputs/a/x", "outputs/b", "paths/1", "paths/2/3"),
        *("wrong/outputs/a/x", "wrong/outputs/b"),
    }
    run.upload_file("outputs/b", io.BytesIO(b"new"), overwrite=True)
    run.download_file("outputs/b", "new")
    assert Path("new/b").read_bytes() == b"new", "a file that is there is replaced"


@pytest.mark.parametrize(
    "name", ["", "/abs", "../up", "a/../b", "a//b", "a/", ".", "nul\0", "back\\slash", "\udce9"]
)
def test_names_that_are_none(run: Run, ws: Workspace, name: str) -> None:
    """A name that could leave its folder is refused before anything is stored, and asked for."""
    with refused(ws, UserErrorException):
        run.upload_file(name, io.BytesIO(b"x"))
    with refused(ws, UserErrorException):
        run.download_file(name)


def test_wrong_sources(run: Run, ws: Workspace, tmp_path: Path) -> None:
    """What cannot be stored is named, and of several files none is stored."""
    (tmp_path / "there").write_bytes(b"1")
    with refused(ws, FileNotFoundError, "absent"):
        run.upload_files(["a", "b"], ["there", "absent"])
    with refused(ws, UserErrorException, "upload_folder"):
        run.upload_file("a", tmp_path)
    for stream in (io.StringIO("text"), b"bytes", 7):
        with refused(ws, UserErrorException, "binary stream"):
            run.upload_file("a", stream)  # type: ignore[arg-type]
    with refused(ws, TypeError, "as many names"):
        run.upload_files(["a", "b"], ["there"])
    with refused(ws, UserErrorException, "twice"):
        run.upload_files(["a", "./a"], ["there", "there"])
    with refused(ws, UserErrorException, "no folder"):
        run.upload_folder("a", "there")
    for absent in (lambda: run.download_file("no"), lambda: run.open("no")):
        with refused(ws, FileNotInRunError, "no file 'no'"):
            absent()
    with refused(ws, FileNotInRunError, "no files"):
        run.download_files("no")


def test_several_conflicts_are_told_together(run: Run, tmp_path: Path) -> None:
    """The files that can be stored are, and one error names all others."""
    (tmp_path / "1").write_bytes(b"1")
    for name in ("a", "c"):
        run.upload_file(name, io.BytesIO(b"other"))
    with pytest.raises(FileConflictError) as caught:
        run.upload_files(["a", "b", "c", "d"], ["1"] * 4)
    assert [line[:3] for line in str(caught.value).splitlines()] == ["'a'", "'c'"]
    assert run.get_file_names() == ["a", "b", "c", "d"]


def test_damage_is_told_and_nothing_is_left(run: Run, ws: Workspace, tmp_path: Path) -> None:
    """Other bytes than were stored are an error, and no file appears."""
    run.upload_file("a", io.BytesIO(LARGE))
    key = file_keys.artifact(run.id, "a", 1)
    ws.store.put(key, LARGE[:-1] + b"?")
    with pytest.raises(CorruptObjectError, match=key):
        run.download_file("a")
    assert [*tmp_path.rglob("*")] == [tmp_path / "outputs"]


def test_files_that_others_have_put(run: Run, ws: Workspace) -> None:
    """What lies among the files without an entry is a file, too, as far as its key is a name."""
    for path in ("model/MLmodel", "%2E%2E/up", "a%2Fb", "x/%2E.", "sp ace"):
        ws.store.put(f"{file_keys.artifacts(run.id)}{path}", b"plain")
    assert run.get_file_names() == ["model/MLmodel"]
    run.download_file("model/MLmodel")
    assert Path("MLmodel").read_bytes() == b"plain"


def test_long_names(live_ws: Workspace) -> None:
    """A name whose pieces are cut in keys comes back in full; one that no key can hold is told."""
    run = Experiment(live_ws, "files").start_logging()
    names = ["a" * 300 + "/x", "ü" * 100, "b/" * 100 + "c"]
    for name in names:
        run.upload_file(name, io.BytesIO(name.encode()))
        run.upload_file(name, io.BytesIO(b"2" + name.encode()), overwrite=True)
    assert run.get_file_names() == sorted(names)
    for name in names:
        assert run.open(name).read() == b"2" + name.encode()
    with refused(live_ws, UserErrorException, "1024 bytes"):
        run.upload_file("/".join(["ü" * 100] * 9), io.BytesIO(b"x"))


@given(st.text(min_size=1, max_size=40))
def test_any_name_comes_back(name: str) -> None:
    """Key and name are inverses, versions included; what is no name has no key of a file."""
    for version in (1, 2, 12_345_678):
        if is_file_name(name):
            found = file_keys.parse_artifact(file_keys.artifact("r1", name, version))
            assert found is not None
            assert found == ("r1", name if found.name is not None else None, version)
    raw = file_keys.parse_artifact(f"{file_keys.artifacts('r1')}{name}")
    assert raw is None or raw.name is None or is_file_name(raw.name)


def test_what_files_cost(ws: Workspace, tmp_path: Path) -> None:
    """A small file is two requests; asking for the names, and those of logs, is two."""
    counting = CountingStore(ws.store)
    ws.go_through(lambda _store: counting)
    run = Experiment(ws, "files").start_logging()
    (tmp_path / "large").write_bytes(LARGE)

    def cost(act: object) -> dict[str, int]:
        counting.reset()
        assert callable(act)
        act()
        return dict(counting.counts)

    assert cost(lambda: run.upload_file("a", io.BytesIO(b"1"))) == {"put_if_absent": 1, "upload": 1}
    assert cost(lambda: run.upload_file("large", "large")) == {
        "get": 1,
        "put_if_absent": 1,
        "upload": 1,
    }
    assert cost(run.get_file_names) == {"list": 2}
    assert cost(lambda: run.download_file("a")) == {"get": 2, "get_range": 1}
    assert cost(lambda: run.open("large").read(9)) == {"get": 2, "get_range": 1}


def test_a_copy_has_the_files(live_ws: Workspace, tmp_path: Path) -> None:
    """Files come along, all versions of them; a second copy moves nothing; conflicts are told."""
    run = Experiment(live_ws, "files").start_logging()
    run.upload_file("outputs/large", io.BytesIO(LARGE))
    run.upload_file("x" * 300, io.BytesIO(b"long"))
    run.upload_file("a", io.BytesIO(b"1"))
    run.upload_file("a", io.BytesIO(b"2"), overwrite=True)
    run.complete()
    there = Workspace(tmp_path / "there")
    live_ws.copy_to(there)
    copied = Run.get(there, run.id)
    assert copied.get_file_names() == run.get_file_names()
    assert copied.open("outputs/large").read() == LARGE
    assert copied.open("x" * 300).read() == b"long"
    assert copied.open("a").read() == b"2"
    assert live_ws.copy_to(there).objects == 0
    run.upload_file("both", io.BytesIO(b"here"))
    copied.upload_file("both", io.BytesIO(b"there"))
    with pytest.raises(StoreError, match="both"):
        live_ws.copy_to(there)
    assert (copied.open("both").read(), run.open("both").read()) == (b"there", b"here")


def test_a_copy_does_not_fill_what_another_began(ws: Workspace, tmp_path: Path) -> None:
    """Bytes go only under an entry that is theirs."""
    run = Experiment(ws, "files").start_logging()
    run.upload_file("a", io.BytesIO(b"1"))
    there = Workspace(tmp_path / "there")
    ws.copy_to(there)
    run.upload_file("b", io.BytesIO(b"ours"))
    other = Run.get(there, run.id)
    other.upload_file("b", io.BytesIO(b"theirs"))
    there.store.delete([file_keys.artifact(run.id, "b", 1)])
    with pytest.raises(StoreError, match="other bytes there"):
        ws.copy_to(there)
    assert other.get_file_names() == ["a"]


def test_purged_runs_leave_no_files(ws: Workspace) -> None:
    """What a run stored goes with it."""
    run = Experiment(ws, "files").start_logging()
    run.upload_file("a", io.BytesIO(b"1"))
    run.complete()
    run.delete()
    assert any("/artifacts/" in key for key in contents(ws))
    assert ws.gc(timedelta())
    assert [key for key in contents(ws) if run.id in key] == [keys.run_state(run.id, 4)]


def test_files_of_a_run_in_the_spool_come_home(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While its store fails a run keeps its files there; what was stored twice is one."""
    monkeypatch.setattr("objrun.protocol.settle.PATIENCE", 0.2)
    home = Workspace(tmp_path / "home", {"durability": "none"})
    is_down = False

    def plan(_verb: str, key: str) -> Exception | None:
        return UnavailableError("down") if is_down or "artifacts/b" in key else None

    home.go_through(lambda store: FaultyStore(store, plan))
    run = Experiment(home, "files").start_logging()
    (tmp_path / "1").write_bytes(b"1")
    run.upload_files(["a", "b"], ["1", "1"])
    is_down = True
    run.upload_file("large", io.BytesIO(LARGE))
    with pytest.warns(SpoolWarning):
        assert run.get_file_names() == ["a", "b", "large"]
    with pytest.warns(SpoolWarning):
        assert run.open("large").read() == LARGE
    run.complete()
    is_down, plan.__kwdefaults__ = False, None
    healthy = Workspace(home.url, {"spool": False})
    assert home.spool is not None
    Workspace(home.spool.folder, {"spool": False}).copy_to(healthy)
    found = Run.get(healthy, run.id)
    assert found.get_file_names() == ["a", "b", "large"]
    assert (found.open("b").read(), found.open("large").read()) == (b"1", LARGE)
