"""What is recorded of the program when a run starts: commit, host, nothing secret."""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
from typing import TYPE_CHECKING

import pytest

from objrun import Experiment, Workspace, clock

if TYPE_CHECKING:
    from pathlib import Path

    from objrun import Run

SECRETS = ("secret", "token", "hunter2")


@pytest.fixture(autouse=True)
def no_overrides(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("AZUREML_GIT_")]:
        monkeypatch.delenv(name)


@pytest.fixture
def work_tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A git work tree with one commit, which is the working directory."""
    monkeypatch.chdir(tmp_path)
    for name in ("AUTHOR", "COMMITTER"):
        monkeypatch.setenv(f"GIT_{name}_NAME", "A")
        monkeypatch.setenv(f"GIT_{name}_EMAIL", "a@example.org")
    git("init", "--quiet", "--initial-branch=main")
    commit(tmp_path, "1")
    return tmp_path


def git(*arguments: str) -> str:
    return subprocess.run(["git", *arguments], check=True, capture_output=True, text=True).stdout


def commit(folder: Path, text: str) -> str:
    (folder / "file").write_text(text)
    git("add", "file")
    git("commit", "--quiet", "--message", text)
    return git("rev-parse", "HEAD").strip()


def start() -> Run:
    return Experiment(Workspace(f"memory://{clock.random_hex(8)}"), "e").start_logging()


def facts() -> dict[str, str | None]:
    """What a run that starts now says of git, by the last piece of each name."""
    prefix = "azureml.git."
    found = start().properties
    return {k.removeprefix(prefix): v for k, v in found.items() if k.startswith(prefix)}


@pytest.mark.usefixtures("work_tree")
def test_a_run_knows_commit_branch_and_remote() -> None:
    git("remote", "add", "origin", "https://example.org/x.git")
    head = git("rev-parse", "HEAD").strip()
    properties = start().properties
    expected = {"commit": head, "branch": "main", "repository_uri": "https://example.org/x.git"}
    assert facts() == expected
    assert properties["mlflow.source.git.commit"] == head
    assert properties["mlflow.source.git.branch"] == "main"
    assert properties["mlflow.source.git.repoURL"] == "https://example.org/x.git"


@pytest.mark.usefixtures("work_tree")
def test_a_head_without_a_branch_names_none() -> None:
    git("checkout", "--quiet", "--detach")
    assert "branch" not in facts()
    assert "commit" in facts()


def test_a_folder_without_git_says_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert facts() == {}


@pytest.mark.usefixtures("work_tree")
@pytest.mark.parametrize(
    ("origin", "kept"),
    [
        ("https://[x", "https://[x"),
        ("https://x:port/y.git", "https://x:port/y.git"),
        ("https://me:secret@example.org/x.git", "https://example.org/x.git"),
        ("https://token@example.org:8443/x.git", "https://example.org:8443/x.git"),
        ("HTTP://me:se@cret@example.org/x", "HTTP://example.org/x"),
        ("https://me:sec/ret@example.org/x", "https://example.org/x"),
        ("https://example.org/@scope/x.git", "https://example.org/@scope/x.git"),
        ("ssh://git:secret@example.org/x.git", "ssh://git@example.org/x.git"),
        ("git+ssh://git:secret@example.org:22/x", "git+ssh://git@example.org:22/x"),
        ("ssh://git@example.org/x.git", "ssh://git@example.org/x.git"),
        ("ftp://me:secret@example.org/x", "ftp://example.org/x"),
        ("git@example.org:team/x.git", "git@example.org:team/x.git"),
        ("/srv/git/x.git", "/srv/git/x.git"),
        ("../x@y.git", "../x@y.git"),
    ],
)
def test_a_remote_is_kept_without_its_secrets(origin: str, kept: str) -> None:
    git("config", "remote.origin.url", origin)
    found = facts()
    assert found["repository_uri"] == kept
    assert "commit" in found


class TestOverrides:
    def test_count_where_there_is_no_git(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.chdir(tmp_path)
        given = {
            "repository_uri": "https://me:secret@example.org/x.git",
            "branch": "  main ",
            "commit": "abc",
            "dirty": "true",
            "build_id": "17",
            "build_uri": "https://token@ci.example.org/17",
        }
        for name, value in given.items():
            monkeypatch.setenv(f"AZUREML_GIT_{name.upper()}", value)
        assert facts() == {
            "repository_uri": "https://example.org/x.git",
            "branch": "main",
            "commit": "abc",
            "dirty": "True",
            "build_id": "17",
            "build_uri": "https://ci.example.org/17",
        }
        assert start().properties["mlflow.source.git.commit"] == "abc"

    def test_win_over_the_work_tree(self, work_tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        (work_tree / "file").write_text("changed")
        assert facts()["dirty"] == "True"
        monkeypatch.setenv("AZUREML_GIT_DIRTY", "False")
        monkeypatch.setenv("AZUREML_GIT_COMMIT", "abc")
        monkeypatch.setenv("AZUREML_GIT_BRANCH", " ")
        assert facts() == {"commit": "abc", "branch": "main"}

    def test_of_strange_bytes_do_no_harm(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setitem(os.environb, b"AZUREML_GIT_BRANCH", b"\xff")
        assert facts()["branch"] == "\\udcff"


class TestFreshness:
    def test_a_commit_between_two_runs_is_seen(self, work_tree: Path) -> None:
        assert facts()["commit"] != commit(work_tree, "2")
        assert facts()["commit"] == git("rev-parse", "HEAD").strip()

    def test_a_change_is_seen_after_a_while(
        self, work_tree: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        assert "dirty" not in facts()
        (work_tree / "file").write_text("changed")
        now = clock.monotonic()
        monkeypatch.setattr(clock, "monotonic", lambda: now + 60)
        assert facts()["dirty"] == "True"

    def test_many_starts_run_git_once(
        self, work_tree: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A `git` that notes its calls stands before the real one."""
        folder = work_tree / "bin"
        folder.mkdir()
        fake = folder / "git"
        fake.write_text(f'#!/bin/sh\necho >> "{folder}/calls"\nexec {shutil.which("git")} "$@"\n')
        fake.chmod(fake.stat().st_mode | stat.S_IXUSR)
        monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")
        monkeypatch.setattr(clock, "monotonic", lambda: 0.0)
        experiment = Experiment(Workspace(f"memory://{clock.random_hex(8)}"), "e")
        for _ in range(20):
            experiment.start_logging()
        assert len((folder / "calls").read_text().splitlines()) == 2


@pytest.mark.usefixtures("work_tree")
def test_nothing_secret_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    git("config", "remote.origin.url", "https://token@example.org/x.git")
    monkeypatch.setenv("OBJRUN_TEST_PASSWORD", "hunter2")
    monkeypatch.setattr("sys.orig_argv", ["python", "train.py", "--password=secret"])
    told = str(start().properties)
    assert not [secret for secret in SECRETS if secret in told]
