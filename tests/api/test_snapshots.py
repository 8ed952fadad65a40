"""Snapshots of source: the same files are the same object, and come back as they were."""

from __future__ import annotations

import hashlib
import os
import subprocess
import zipfile
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from objrun import Experiment, Run, Workspace, clock
from objrun.errors import (
    CorruptObjectError,
    PermissionDeniedError,
    SnapshotException,
    SnapshotWarning,
    StoreError,
    UnavailableError,
)
from objrun.format.archives import MOST_FILES, Entry, head, tail
from objrun.format.shared import snapshot_key
from objrun.protocol import files
from objrun.snapshots import packing, tree, unpacking
from objrun.storage import CountingStore, FaultyStore, LatencyStore, connect
from tests.api.places import another, contents, store_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

NAMES = st.text(
    st.characters(exclude_categories=["Cs", "Cc"], exclude_characters="/\\"), min_size=1, max_size=8
).filter(lambda name: name not in (".", "..", *tree.NEVER, *tree.IGNORE_FILES))
TREES = st.recursive(
    st.tuples(st.binary(max_size=3000), st.booleans()),
    lambda below: st.dictionaries(NAMES, below, max_size=4),
    max_leaves=12,
)
Tree = dict[str, "tuple[bytes, bool] | Tree"]


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """A folder with a program and what belongs to it."""
    folder = tmp_path / "source"
    write(folder, {"train.py": b"print(1)", "lib/model.py": b"", "lib/weights.bin": bytes(3000)})
    return folder


def write(folder: Path, files: Mapping[str, bytes | str]) -> None:
    folder.mkdir(exist_ok=True)
    for name, data in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data.encode() if isinstance(data, str) else data)


def read(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


def names(place: Path) -> list[str]:
    """What a snapshot of a folder has."""
    return [file.name for file in tree.list_files(str(place))]


def identity(place: Path) -> str:
    with packing.pack(str(place)) as packed:
        return packed.digest


def test_a_snapshot_comes_back(live_ws: Workspace, source: Path, tmp_path: Path) -> None:
    run = Experiment(live_ws, "digits").start_logging()
    assert run.get_snapshot_id() is None
    taken = run.take_snapshot(source)
    assert run.properties["ContentSnapshotId"] == taken
    same = another(live_ws).get_run(run.id)
    assert same.get_snapshot_id() == taken
    place = same.restore_snapshot(path=tmp_path / "to")
    assert place == str(tmp_path / "to" / f"{taken}.zip")
    assert hashlib.sha256(Path(place).read_bytes()).hexdigest() == taken
    with zipfile.ZipFile(place) as found:
        assert found.namelist() == ["lib/model.py", "lib/weights.bin", "train.py"]
        assert found.read("train.py") == b"print(1)"
    folder = same.unpack_snapshot(tmp_path / "out")
    assert read(Path(folder)) == read(source)


def test_any_run_restores_any_snapshot(run: Run, source: Path, tmp_path: Path) -> None:
    taken = run.child_run().take_snapshot(str(source))
    with pytest.raises(SnapshotException, match="has no snapshot"):
        run.restore_snapshot()
    place = Path(run.restore_snapshot(taken))
    assert place.is_absolute()
    assert place.name == f"{taken}.zip"
    assert run.restore_snapshot(taken, tmp_path) == run.restore_snapshot(taken, str(tmp_path))
    assert sorted(path.name for path in tmp_path.iterdir()) == [f"{taken}.zip", "source"]


def test_a_run_has_one_snapshot(run: Run, source: Path) -> None:
    taken = run.take_snapshot(source)
    for _ in range(2):
        with pytest.raises(SnapshotException, match="has a snapshot already"):
            run.take_snapshot(source)
    assert run.get_snapshot_id() == taken


def test_another_process_may_be_quicker(run: Run, source: Path) -> None:
    """Between the look and the property: that of the other stays."""
    other = another(run.experiment.workspace).get_run(run.id)
    with packing.pack(str(source)) as packed:
        theirs = other.take_snapshot(source / "lib")
        with pytest.raises(SnapshotException, match="has a snapshot already"):
            run.keep_snapshot(packed)
    assert run.get_snapshot_id() == theirs


def test_one_file_is_a_snapshot(run: Run, source: Path, tmp_path: Path) -> None:
    taken = run.take_snapshot(source / "train.py")
    assert read(Path(run.unpack_snapshot(tmp_path / "out", taken))) == {"train.py": b"print(1)"}


@pytest.mark.parametrize("wrong", ["missing", "train.py/x"])
def test_there_must_be_something(run: Run, source: Path, wrong: str) -> None:
    with pytest.raises(SnapshotException, match="neither a file nor a folder"):
        run.take_snapshot(source / wrong)
    assert run.get_snapshot_id() is None


@pytest.mark.parametrize("wrong", ["", "x", "../x", "0" * 63, "0" * 64])
def test_only_ids_of_snapshots_are_restored(run: Run, tmp_path: Path, wrong: str) -> None:
    with pytest.raises(SnapshotException):
        run.restore_snapshot(wrong, tmp_path)
    assert not [*tmp_path.iterdir()]


class TestSameFilesSameId:
    def test_times_order_and_umask_do_not_count(self, source: Path, tmp_path: Path) -> None:
        other = tmp_path / "other"
        before = os.umask(0o077)
        try:
            write(other, dict(reversed(read(source).items())))
        finally:
            os.umask(before)
        os.utime(other / "train.py", (0, 0))
        assert identity(other) == identity(source)

    def test_it_is_the_same_on_every_machine(self, source: Path) -> None:
        """Written down: if this fails, a change of the code has changed the format."""
        assert (
            identity(source) == "265bc195f6325bb2c91ef3d0bc69c4a7da8ad643360d802dc138fb574e5e6545"
        )

    def test_all_else_counts(self, source: Path) -> None:
        seen = {identity(source)}
        (source / "train.py").write_bytes(b"print(2)")
        seen.add(identity(source))
        (source / "train.py").chmod(0o755)
        seen.add(identity(source))
        (source / "train.py").rename(source / "main.py")
        seen.add(identity(source))
        assert len(seen) == 4

    def test_it_is_sent_once(self, tmp_path: Path, source: Path) -> None:
        workspace = Workspace(tmp_path / "store", {"durability": "none"})
        store = CountingStore(workspace.store)
        workspace.go_through(lambda _: store)
        runs = [Experiment(workspace, "digits").start_logging() for _ in range(3)]
        taken = {run.take_snapshot(source) for run in runs}
        puts = [asked.key for asked in store.log if asked.verb == "put_if_absent"]
        assert [key for key in puts if key.startswith("snapshots/")] == [
            snapshot_key(one) for one in taken
        ]

    @settings(max_examples=30, deadline=None)
    @given(TREES.filter(lambda each: isinstance(each, dict)))
    def test_random_trees_come_back(
        self, tmp_path_factory: pytest.TempPathFactory, made: Tree
    ) -> None:
        top = tmp_path_factory.mktemp("random")
        source, store = top / "source", connect(f"memory://{clock.random_hex(8)}")
        grow(source, made)
        with packing.pack(str(source)) as packed:
            packing.keep(store, packed)
            place = unpacking.fetch(store, packed.digest, str(top / "zip"))
        folder = Path(unpacking.unpack(place, str(top / "out")))
        assert read(folder) == read(source)
        for path in source.rglob("*"):
            if path.is_file():
                same = folder / path.relative_to(source)
                assert same.stat().st_mode & 0o100 == path.stat().st_mode & 0o100
        assert identity(folder) == packed.digest


def grow(folder: Path, made: Tree) -> None:
    folder.mkdir()
    for name, below in made.items():
        if isinstance(below, dict):
            grow(folder / name, below)
        else:
            (folder / name).write_bytes(below[0])
            (folder / name).chmod(0o755 if below[1] else 0o644)


class TestIgnored:
    def test_what_is_surely_no_source_is_left_out(self, source: Path) -> None:
        before = identity(source)
        for name in tree.NEVER:
            write(source, {f"{name}/a/b": "", f"lib/{name}/a": ""})
        write(source, {"env/pyvenv.cfg": "", "env/bin/python": "", "env/lib/a.py": ""})
        assert identity(source) == before
        write(source, {".amlignore": "", ".gitignore": "train.py"})  # it ignores nothing, and yet
        assert names(source) == [
            *(".amlignore", ".gitignore", "lib/model.py", "lib/weights.bin", "train.py")
        ]
        assert names(source / "node_modules") == ["a/b"]

    def test_git_is_left_out_and_nothing_else(self, source: Path) -> None:
        write(source, {".git/config": "", "lib/.git": "", "outputs/x": "", ".env": ""})
        assert names(source) == [
            *(".env", "lib/model.py", "lib/weights.bin", "outputs/x", "train.py")
        ]

    def test_amlignore_counts_before_gitignore(self, source: Path) -> None:
        write(source, {".gitignore": "train.py", ".amlignore": "*.bin\n"})
        assert names(source) == [".amlignore", ".gitignore", "lib/model.py", "train.py"]

    def test_an_empty_amlignore_ignores_nothing(self, source: Path) -> None:
        write(source, {".gitignore": "train.py", ".amlignore": "\n"})
        assert "train.py" in names(source)

    def test_only_that_of_the_top_counts(self, source: Path) -> None:
        write(source, {"lib/.gitignore": "*"})
        assert "lib/model.py" in names(source)

    def test_patterns_are_anchored_at_the_folder(
        self, source: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        write(source, {".amlignore": "/train.py", "lib/train.py": ""})
        monkeypatch.chdir(source.parent)
        found = [file.name for file in tree.list_files("source")]
        assert found == [".amlignore", "lib/model.py", "lib/train.py", "lib/weights.bin"]

    @pytest.mark.parametrize(
        "rules",
        [
            "*.py",
            "lib/",
            "lib",
            "/a",
            "a/",
            "**/b",
            "a/**",
            "a/**/c",
            "*\n!*.py\n!*/",
            "a/**\n!*.py",
            "/*\n!/a",
            "/*\n!/a\n/a/*\n!/a/b",
            "a/*\n!a/b",
            "a/b\n!a/b/c.py",
            "# a\n\\#x\n\n  \nlib  ",
            "*.b[io]n",
            "?.py",
            "\\!x",
        ],
    )
    def test_as_git_understands_it(self, tmp_path: Path, rules: str) -> None:
        """Git itself says which files of a folder are not ignored."""
        files = [
            "a/b/c.py",
            "a/b/c",
            "a/d.py",
            "b/a/x",
            "lib/m.py",
            "lib/m.bin",
            "c.py",
            "#x",
            "!x",
        ]
        write(tmp_path, dict.fromkeys(files, "") | {".gitignore": rules})
        subprocess.run(["git", "init", "--quiet"], cwd=tmp_path, check=True)
        listed = subprocess.run(
            ["git", "ls-files", "-z", "--others", "--exclude-from=.gitignore"],
            cwd=tmp_path,
            check=True,
            capture_output=True,
            text=True,
        )
        assert names(tmp_path) == sorted(filter(None, listed.stdout.split("\0")))

    def test_a_rule_that_is_none_is_named(self, source: Path) -> None:
        write(source, {".amlignore": "a\n!\n"})
        with pytest.raises(SnapshotException, match=r"\.amlignore.*syntax"):
            names(source)

    def test_the_store_is_no_part_of_the_source(self, source: Path, tmp_path: Path) -> None:
        workspace = Workspace(source / "objrun", {"durability": "none"})
        run = Experiment(workspace, "digits").start_logging()
        run.take_snapshot(source)
        found = read(Path(run.unpack_snapshot(tmp_path / "out")))
        assert found.keys() == {"train.py", "lib/model.py", "lib/weights.bin"}


class TestOddFiles:
    def test_links_within_the_folder_are_files(self, source: Path, tmp_path: Path) -> None:
        (source / "link.py").symlink_to("lib/model.py")
        (source / "gone").symlink_to("nowhere")
        (source / "circle").symlink_to("circle")
        (source / "out.txt").symlink_to(tmp_path / "secret.txt")
        (source / "libs").symlink_to(source / "lib")
        (tmp_path / "secret.txt").write_text("secret")
        os.mkfifo(source / "pipe")
        with pytest.warns(SnapshotWarning) as caught:
            assert names(source) == ["lib/model.py", "lib/weights.bin", "link.py", "train.py"]
        told = str(caught[0].message)
        assert all(name in told for name in ("gone", "out.txt", "libs", "pipe"))

    def test_what_is_ignored_is_not_told_of(self, source: Path) -> None:
        (source / "gone").symlink_to("nowhere")
        write(source, {".amlignore": "gone"})
        assert "train.py" in names(source)

    @pytest.mark.parametrize("name", ["a\\b", "a\nb"])
    def test_names_that_others_could_not_unpack_are_refused(self, source: Path, name: str) -> None:
        (source / name).write_text("")
        with pytest.raises(SnapshotException, match="rename or ignore"):
            names(source)
        write(source, {".amlignore": "a*b"})
        assert "train.py" in names(source)

    def test_a_name_of_bytes_is_refused(self, source: Path) -> None:
        Path(os.fsdecode(os.fsencode(source) + b"/\xff")).write_text("")
        with pytest.raises(SnapshotException, match="Unicode"):
            names(source)

    def test_a_file_that_grows_meanwhile_is_cut(self, source: Path, tmp_path: Path) -> None:
        files = tree.list_files(str(source))
        write(source, {"train.py": "print(1)" * 1000, "lib/model.py": "more"})
        (source / "lib/weights.bin").unlink()
        store = connect(f"memory://{clock.random_hex(8)}")
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(packing, "list_files", lambda *_: files)
            with packing.pack(str(source)) as packed:
                packing.keep(store, packed)
        place = unpacking.fetch(store, packed.digest, str(tmp_path))
        with zipfile.ZipFile(place) as found:
            assert {name: found.read(name) for name in found.namelist()} == {
                "lib/model.py": b"",
                "train.py": b"print(1)",
            }


class TestLimits:
    def test_the_largest_files_are_named(
        self, run: Run, source: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("OBJRUN_SNAPSHOT_SIZE", "3000")
        with pytest.raises(SnapshotException, match=r"\(the largest are lib/weights\.bin.*train"):
            run.take_snapshot(source)
        assert run.get_snapshot_id() is None
        monkeypatch.setenv("OBJRUN_SNAPSHOT_SIZE", "3008")
        run.take_snapshot(source)

    def test_300_mb_is_most(self, source: Path) -> None:
        with (source / "large.bin").open("wb") as file:
            file.truncate(300_000_001)
        with pytest.raises(SnapshotException, match=r"300\.0 MB.*large\.bin"):
            identity(source)
        write(source, {".amlignore": "large.bin"})
        assert identity(source)

    def test_folders_of_too_many_files_are_named(
        self, source: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        assert MOST_FILES < 2**16
        write(source, {f"many/{number}": "" for number in range(9)})
        monkeypatch.setattr(tree, "MOST_FILES", 10)
        with pytest.raises(SnapshotException, match=r"more than 10 files.*many 9"):
            identity(source)


class TestDamage:
    @pytest.fixture
    def taken(self, any_ws: Workspace, source: Path) -> Run:
        run = Experiment(any_ws, "digits").start_logging()
        run.take_snapshot(source)
        return run

    def spoil(self, run: Run, change: Callable[[bytes], bytes]) -> None:
        store = store_of(run.experiment.workspace)
        key = snapshot_key(run.get_snapshot_id() or "")
        store.put(key, change(store.get(key)))

    @pytest.mark.parametrize(
        "change",
        [lambda data: data[:-1], lambda data: data + b"\0", lambda data: b"Q" + data[1:]],
        ids=["cut", "longer", "flipped"],
    )
    def test_other_bytes_are_never_restored(
        self, taken: Run, tmp_path: Path, change: Callable[[bytes], bytes]
    ) -> None:
        self.spoil(taken, change)
        with pytest.raises(CorruptObjectError, match="key_mismatch"):
            taken.restore_snapshot(path=tmp_path / "to")
        with pytest.raises(CorruptObjectError, match="key_mismatch"):
            taken.unpack_snapshot(tmp_path / "out")
        assert not [*(tmp_path / "to").iterdir()]
        assert not (tmp_path / "out").exists()

    @pytest.mark.parametrize("name", ["../x", "/x", "a\\..\\x"])
    def test_a_name_that_leaves_the_folder_is_never_restored(
        self, run: Run, tmp_path: Path, name: str
    ) -> None:
        """Whoever may write to the store may give an archive of his own its right name."""
        entry = Entry(name, 0, 0)
        data = head(entry) + tail([entry])
        digest = hashlib.sha256(data).hexdigest()
        store_of(run.experiment.workspace).put(snapshot_key(digest), data)
        with pytest.raises(CorruptObjectError, match="bad_name"):
            run.restore_snapshot(digest, tmp_path)
        with pytest.raises(CorruptObjectError, match="bad_name"):
            run.unpack_snapshot(tmp_path / "out", digest)
        assert not [*tmp_path.iterdir()]

    def test_bytes_of_another_file_are_found(self, tmp_path: Path) -> None:
        entry = Entry("a", 2, 0)
        for number, begun in enumerate([head(entry), head(entry._replace(name="b"))]):
            place = tmp_path / f"{number}.zip"
            place.write_bytes(begun + b"no" + tail([entry]))
            with pytest.raises(CorruptObjectError, match="not what the directory says"):
                unpacking.unpack(str(place), str(tmp_path / str(number)))

    def test_an_other_folder_is_left_alone(self, taken: Run, source: Path) -> None:
        before = read(source)
        with pytest.raises(SnapshotException, match="not empty"):
            taken.unpack_snapshot(source)
        assert read(source) == before

    @pytest.mark.parametrize("name", ["aux.py", "lib/NUL", "C:x", "a:b", "x ", "com1.tar.gz"])
    def test_windows_has_names_of_its_own(self, name: str) -> None:
        with pytest.raises(SnapshotException, match="Windows"):
            unpacking._check_names([Entry(name, 0, 0)], windows=True)  # noqa: SLF001
        unpacking._check_names([Entry(name, 0, 0)], windows=False)  # noqa: SLF001


def test_a_large_snapshot_comes_in_pieces(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """So memory holds one of them; the object is asked for by ranges."""
    monkeypatch.setattr(unpacking, "PIECE", 1000)
    write(tmp_path / "source", {"a": os.urandom(3500)})
    store = CountingStore(connect(f"memory://{clock.random_hex(8)}"))
    with packing.pack(str(tmp_path / "source")) as packed:
        packing.keep(store, packed)
    store.reset()
    unpacking.fetch(store, packed.digest, str(tmp_path))
    assert store.counts == {"get_range": 4}


def test_a_large_snapshot_goes_in_parts(
    any_ws: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is never in memory whole, neither here nor in a copy."""
    for module in (packing, files):
        monkeypatch.setattr(module, "PART", 5 << 20)
    monkeypatch.setattr(packing.Packed, "read", lambda _: pytest.fail("read whole"))
    write(tmp_path / "source", {"a": os.urandom(6 << 20)})
    run = Experiment(any_ws, "digits").start_logging()
    run.take_snapshot(tmp_path / "source")
    target = Workspace(f"memory://{clock.random_hex(8)}")
    any_ws.copy_to(target)
    same = target.get_run(run.id).unpack_snapshot(tmp_path / "out")
    assert read(Path(same)) == read(tmp_path / "source")


def test_who_may_only_create_takes_snapshots(ws: Workspace, source: Path, tmp_path: Path) -> None:
    Experiment(ws, "digits").start_logging().take_snapshot(source)
    refused = ("get", "get_range", "list", "folders", "delete", "now", "upload")
    plan = lambda verb, key: PermissionDeniedError("no") if verb in refused else None  # noqa: ARG005, E731
    blind = another(ws)
    blind.go_through(lambda store: FaultyStore(store, plan))
    run = Experiment(blind, "digits").start_logging()
    run.take_snapshot(source)
    assert blind.is_blind
    same = another(ws).get_run(run.id)
    assert read(Path(same.unpack_snapshot(tmp_path / "out"))) == read(source)
    assert same.get_environment()["cpus"] == os.cpu_count()


def test_a_damaged_snapshot_is_not_copied_and_told(ws: Workspace, source: Path) -> None:
    run = Experiment(ws, "digits").start_logging()
    key = snapshot_key(run.take_snapshot(source))
    store_of(ws).put(key, b"other bytes")
    target = Workspace(f"memory://{clock.random_hex(8)}")
    with pytest.raises(StoreError, match="another SHA-256"):
        ws.copy_to(target)
    assert key not in contents(target)
    assert target.get_run(run.id).status == "Running"


class TestAtTheStart:
    """`start_logging(snapshot_directory=...)`: who names a folder gets a snapshot of it."""

    def test_a_folder_that_is_named(
        self, experiment: Experiment, source: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.chdir(source)
        for place in (".", str(source)):
            run = experiment.start_logging(snapshot_directory=place)
            assert run.get_snapshot_id() == identity(source)

    def test_nothing_unless_named(
        self, experiment: Experiment, source: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.chdir(source)
        assert experiment.start_logging().get_snapshot_id() is None
        assert experiment.start_logging(snapshot_directory=None).get_snapshot_id() is None

    def test_no_run_is_started_for_a_folder_that_is_not_there(self, experiment: Experiment) -> None:
        with pytest.raises(SnapshotException):
            experiment.start_logging(snapshot_directory="missing")
        assert not [key for key in contents(experiment.workspace) if key.startswith("runs/")]


def test_a_purge_leaves_snapshots_alone(any_ws: Workspace, source: Path, tmp_path: Path) -> None:
    """Other runs may refer to them, now or later."""
    experiment = Experiment(any_ws, "digits")
    run, other = experiment.start_logging(), experiment.start_logging()
    taken = run.take_snapshot(source)
    run.complete()
    run.delete()
    assert [freed.run for freed in any_ws.gc(timedelta())] == [run.id]
    assert read(Path(other.unpack_snapshot(tmp_path / "out", taken))) == read(source)


def test_a_run_in_the_spool_brings_its_snapshot_home(tmp_path: Path, source: Path) -> None:
    workspace = Workspace(tmp_path / "store", {"spool": str(tmp_path / "spool")})
    run = Experiment(workspace, "digits").start_logging()
    is_down = True
    plan = lambda verb, key: UnavailableError("down") if is_down else None  # noqa: ARG005, E731
    workspace.go_through(lambda store: FaultyStore(store, plan))
    run._chain.store = workspace.store  # noqa: SLF001 - as if the store had failed since
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("objrun.protocol.settle.PATIENCE", 0.0)
        taken = run.take_snapshot(source)
    is_down = False
    assert run.state.properties["ContentSnapshotId"] == taken
    assert workspace.spool
    workspace.spool.flush(60)
    home = Workspace(tmp_path / "store").get_run(run.id)
    assert read(Path(home.unpack_snapshot(tmp_path / "out"))) == read(source)


@pytest.mark.parametrize("how", ["all", "one"])
def test_copies_take_what_runs_refer_to(ws: Workspace, source: Path, how: str) -> None:
    experiment = Experiment(ws, "digits")
    runs = [experiment.start_logging() for _ in range(2)]
    runs[0].take_snapshot(source)
    runs[1].take_snapshot(source / "lib")
    target = Workspace(f"memory://{clock.random_hex(8)}")
    chosen = None if how == "all" else [runs[0].id]
    would = ws.copy_to(target, runs=chosen, dry_run=True)
    assert would == ws.copy_to(target, runs=chosen)
    copied = {key for key in contents(target) if key.startswith(("snapshots/", "environments/"))}
    assert len(copied) == (3 if how == "all" else 2)
    assert target.get_run(runs[0].id).get_environment() == runs[0].get_environment()
    assert Path(target.get_run(runs[0].id).restore_snapshot()).exists()
    assert ws.copy_to(target, runs=chosen).objects == 0
    assert LatencyStore(store_of(target), 0).list("snapshots/")
