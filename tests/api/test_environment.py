"""What is recorded of the environment at the start, and what is not committed; nothing secret."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from importlib import metadata
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from objrun import Experiment, Workspace, clock
from objrun.errors import CorruptObjectError, PermissionDeniedError, UserErrorException
from objrun.format.shared import decode_environment, digest_of, encode_environment, environment_key
from objrun.provenance.environment import command_line, describe, packages
from objrun.secret import redact_command
from objrun.storage import FaultyStore
from tests.api.places import another, contents, store_of

if TYPE_CHECKING:
    from pathlib import Path

    from objrun import Run


def environments(ws: Workspace) -> list[str]:
    return [key for key in contents(ws) if key.startswith("environments/")]


def test_a_run_knows_its_environment(live_ws: Workspace) -> None:
    run = Experiment(live_ws, "digits").start_logging()
    found = another(live_ws).get_run(run.id).get_environment()
    assert found["python"] == ".".join(map(str, sys.version_info[:3]))
    assert found["packages"]["pyarrow"] == metadata.version("pyarrow")
    assert found["cpus"] == os.cpu_count()
    assert found["memory"] % 2**30 == 0
    assert found["host"] == os.uname().nodename
    assert {"system", "release", "machine", "implementation", "command"} <= found.keys()


def test_runs_of_one_environment_share_one_object(any_ws: Workspace) -> None:
    runs = [
        Experiment(another_, "digits").start_logging() for another_ in (any_ws, another(any_ws))
    ]
    runs += [runs[0].child_run(), *runs[0].create_children(3)]
    assert len({run.properties["objrun.environment"] for run in runs}) == 1
    (key,) = environments(any_ws)
    assert digest_of(key) == runs[0].properties["objrun.environment"]


def test_another_environment_is_another_object(ws: Workspace) -> None:
    Experiment(ws, "digits").start_logging()
    store = store_of(ws)
    (key,) = environments(ws)
    fields = decode_environment(key, store.get(key))
    assert encode_environment(fields) == store.get(key)
    assert encode_environment({**fields, "python": "4.0.0"}) != store.get(key)


@pytest.mark.parametrize("word", ["off", "OFF", "0", "false"])
def test_it_can_be_switched_off(ws: Workspace, monkeypatch: pytest.MonkeyPatch, word: str) -> None:
    monkeypatch.setenv("OBJRUN_ENVIRONMENT", word)
    run = Experiment(ws, "digits").start_logging()
    assert not {"objrun.environment", "objrun.command"} & run.properties.keys()
    assert not environments(ws)
    with pytest.raises(UserErrorException, match="no environment was recorded"):
        run.get_environment()


def test_no_start_fails_for_it(ws: Workspace) -> None:
    """Say that credentials allow to write below `runs/` and `experiments/` only."""

    def plan(verb: str, key: str) -> Exception | None:
        denied = verb == "put_if_absent" and key.startswith("environments/")
        return PermissionDeniedError("not there") if denied else None

    ws.go_through(lambda store: FaultyStore(store, plan))
    run = Experiment(ws, "digits").start_logging()
    assert run.status == "Running"
    assert "objrun.environment" not in run.properties
    assert "objrun.command" in run.properties


def test_a_damaged_one_is_named(run: Run) -> None:
    ws = run.experiment.workspace
    (key,) = environments(ws)
    data = store_of(ws).get(key)
    store_of(ws).put(key, data.replace(b'"cpus":', b'"cpvs":'))
    with pytest.raises(CorruptObjectError, match="key_mismatch"):
        another(ws).get_run(run.id).get_environment()


def test_all_that_is_wrong_with_one_is_told() -> None:
    import hashlib

    data = encode_environment({"packages": {"a": 1}, "cpus": 0, "gpus": [1], "cuda": 12})
    with pytest.raises(CorruptObjectError) as caught:
        decode_environment(environment_key(hashlib.sha256(data).hexdigest()), data)
    assert {problem.location for problem in caught.value.problems} == {
        *("$.python", "$.packages.a", "$.cpus", "$.gpus", "$.cuda")
    }


def test_packages_are_those_that_python_knows() -> None:
    known: dict[str, str] = {}
    for one in metadata.distributions():
        known.setdefault(re.sub(r"[-_.]+", "-", one.metadata["Name"]).lower(), one.version)
    assert packages(sys.path) == known


def test_odd_packages_are_no_harm(tmp_path: Path) -> None:
    first, second = tmp_path / "1", tmp_path / "2"
    for name in ("A_b.c-1.0.dist-info", "old-2.0-py3.11.egg-info", "dev.egg-info", "x.dist-info"):
        (first / name).mkdir(parents=True)
    (first / "dev.egg-info" / "PKG-INFO").write_text("Name: dev\nVersion: 3.0\n")
    (second / "a.b_c-0.5.dist-info").mkdir(parents=True)
    (second / "more-1.dist-info").mkdir()
    found = packages([str(first), str(tmp_path / "missing"), str(second), __file__])
    assert found == {"a-b-c": "1.0", "old": "2.0", "dev": "3.0", "x": "", "more": "1"}


class TestGraphics:
    def test_a_driver_that_tells_of_itself(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        for number in range(2):
            place = tmp_path / "gpus" / f"0000:0{number}:00.0"
            place.mkdir(parents=True)
            (place / "information").write_text("Model: \t\t NVIDIA A100-SXM4-80GB\nIRQ: 1\n")
        told = "NVRM version: NVIDIA UNIX x86_64 Kernel Module  550.54.14  Thu Feb 22\n"
        (tmp_path / "version").write_text(told)
        monkeypatch.setenv("CUDA_VERSION", "12.4.1")
        found = describe(str(tmp_path))
        assert found["gpus"] == ["NVIDIA A100-SXM4-80GB"] * 2
        assert (found["driver"], found["cuda"]) == ("550.54.14", "12.4.1")

    @pytest.mark.parametrize(
        ("program", "gpus"),
        [
            ("echo 'Tesla T4, 535.1'; echo 'Tesla T4, 535.1'", ["Tesla T4", "Tesla T4"]),
            ("echo no devices; exit 9", None),
            ("echo", None),
        ],
    )
    def test_a_program_that_tells(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, program: str, gpus: object
    ) -> None:
        fake = tmp_path / "nvidia-smi"
        fake.write_text(f"#!/bin/sh\n{program}\n")
        fake.chmod(0o755)
        monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
        assert describe(str(tmp_path / "none")).get("gpus") == gpus


class TestCommand:
    @pytest.mark.parametrize(
        ("given", "kept"),
        [
            ("train.py --lr 0.1 --max-tokens 512", "train.py --lr 0.1 --max-tokens 512"),
            ("t --password hunter2 --lr 1", "t --password *** --lr 1"),
            ("t --hf-token=hunter2", "t --hf-token=***"),
            ("t --apiKey hunter2", "t --apiKey ***"),
            ("t --auth --lr 1", "t --auth --lr 1"),
            ("t db.password=hunter2 model.lr=1", "t db.password=*** model.lr=1"),
            ("t --url=https://me:hunter2@x.org/y", "t --url=https://***@x.org/y"),
            ("t https://x.org/y?sig=hunter2&n=1", "t https://x.org/y?sig=***&n=1"),
            ("t --x AKIAIOSFODNN7EXAMPLE", "t --x ***"),
            ("t ghp_0123456789abcdefghijABCD", "t ***"),
            ("t --key hunter2 --sort-key loss", "t --key *** --sort-key loss"),
            ("t --account-key=hunter2", "t --account-key=***"),
            ("t --x=in-the-environment", "t --x=***"),
        ],
    )
    def test_what_looks_like_a_secret_is_masked(
        self, monkeypatch: pytest.MonkeyPatch, given: str, kept: str
    ) -> None:
        monkeypatch.setenv("WANDB_API_KEY", "in-the-environment")
        assert " ".join(redact_command(given.split())) == kept

    def test_where_a_shell_is_is_no_password(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("PWD", "/srv/project")
        monkeypatch.setenv("OLDPWD", "/srv/earlier")
        line = ["python", "/srv/project/train.py", "--data=/srv/earlier"]
        assert redact_command(line) == line

    def test_code_is_not_kept(self) -> None:
        told = f"import objrun.provenance.environment as e; print(e.command_line()) # {'hunter2'}"
        done = subprocess.run(
            [sys.executable, "-c", told, "--lr", "1"], check=True, capture_output=True, text=True
        )
        assert done.stdout.endswith(" -c '***' --lr 1\n")

    @given(st.lists(st.text(st.characters(exclude_categories=["Cs", "Cc"])).map("x".__add__)))
    def test_a_shell_reads_it_back(self, arguments: list[str]) -> None:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("sys.orig_argv", arguments)
            patch.setattr("objrun.provenance.environment.redact_command", list)
            patch.setattr("objrun.provenance.environment.MOST_COMMAND", 10**6)
            assert shlex.split(command_line()) == arguments

    def test_a_long_one_is_cut(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("sys.orig_argv", ["t", "\udcff" * 10_000])
        assert len(command_line()) == 1000


@pytest.fixture
def changed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A git work tree with one commit and changes since, which is the working directory."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("OBJRUN_GIT_DIFF", "on")
    for name in ("AUTHOR", "COMMITTER"):
        monkeypatch.setenv(f"GIT_{name}_NAME", "A")
        monkeypatch.setenv(f"GIT_{name}_EMAIL", "a@example.org")
    (tmp_path / "train.py").write_text("lr = 1\n")
    (tmp_path / "data.bin").write_bytes(bytes(100))
    for arguments in ("init --quiet", "add .", "commit --quiet --message=1"):
        subprocess.run(["git", *arguments.split()], check=True)
    (tmp_path / "train.py").write_text("lr = 2\n")
    (tmp_path / "data.bin").write_bytes(b"\xff\0" * 50)
    return tmp_path


def start() -> Run:
    return Experiment(Workspace(f"memory://{clock.random_hex(8)}"), "e").start_logging()


class TestChanges:
    def test_what_is_not_committed_can_be_applied(self, changed: Path) -> None:
        run = start()
        diff = run.git_diff()
        assert diff
        assert "+lr = 2" in diff
        files = [changed / "train.py", changed / "data.bin"]
        wanted = [path.read_bytes() for path in files]
        subprocess.run(["git", "checkout", "--quiet", "."], check=True)
        subprocess.run(["git", "apply"], input=diff.encode("utf-8", "surrogateescape"), check=True)
        assert [path.read_bytes() for path in files] == wanted

    def test_runs_share_it(self, changed: Path) -> None:
        experiment = Experiment(Workspace(f"memory://{changed.name}"), "e")
        runs = [experiment.start_logging() for _ in range(3)]
        assert len({run.properties["objrun.git.diff"] for run in runs}) == 1
        found = [key for key in contents(experiment.workspace) if key.startswith("snapshots/")]
        assert len(found) == 1
        assert runs[0].get_snapshot_id() is None

    def test_no_program_of_the_user_runs(self, changed: Path) -> None:
        for name in ("diff.external", "diff.x.command", "diff.x.textconv"):
            subprocess.run(["git", "config", name, f"touch {changed}/ran; false"], check=True)
        (changed / ".gitattributes").write_text("*.py diff=x\n")
        assert "+lr = 2" in (start().git_diff() or "")
        assert not (changed / "ran").exists()

    @pytest.mark.usefixtures("changed")
    def test_it_can_be_switched_off(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("OBJRUN_GIT_DIFF", "off")
        run = start()
        assert run.git_diff() is None
        assert run.properties["azureml.git.dirty"] == "True"

    def test_too_much_is_not_kept(self, changed: Path) -> None:
        (changed / "train.py").write_text("x = 1\n" * 200_000)
        assert start().git_diff() is None

    def test_nothing_is_kept_where_nothing_changed(self, changed: Path) -> None:
        subprocess.run(["git", "checkout", "--quiet", "."], cwd=changed, check=True)
        assert start().git_diff() is None
