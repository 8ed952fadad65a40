"""`objrun models`, `env` and `snapshot`."""

from __future__ import annotations

import json
import platform
from typing import TYPE_CHECKING

import pytest

from objrun import Experiment, Workspace
from tests.cli.conftest import FAST

if TYPE_CHECKING:
    from pathlib import Path

    from tests.cli.conftest import Call


@pytest.fixture
def url(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[str, str]:
    """The options of a store whose `digits/1` has files and a snapshot."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "outputs").mkdir()
    (tmp_path / "outputs/model.pt").write_bytes(b"weights")
    (tmp_path / "source").mkdir()
    (tmp_path / "source/train.py").write_text("print(1)")
    (tmp_path / "source/\u202e.txt").write_text("right to left")
    experiment = Experiment(Workspace(tmp_path / "store", FAST), "digits")
    with experiment.start_logging(snapshot_directory="source") as run:
        run.upload_folder("outputs", "outputs")
    return "--url", str(tmp_path / "store")


def test_models(bare: Call, url: tuple[str, str], tmp_path: Path) -> None:
    assert bare(*url, "models").code == 0
    done = bare(*url, "models", "cnn", "--register", "outputs/model.pt", "--run", "digits/1")
    assert (done.code, "cnn" in done.out) == (0, True), done.err
    assert bare(*url, "models", "cnn", "--register", "outputs").code == 0
    rows = [json.loads(line) for line in bare(*url, "models", "cnn", "--json").lines]
    assert [(row["name"], row["version"]) for row in rows] == [("cnn", 2), ("cnn", 1)]
    assert [row["files"] for row in rows] == [{"outputs/model.pt": 7}, {"model.pt": 7}]
    assert [row["experiment"] for row in rows] == [None, "digits"]
    assert bare(*url, "models", "--csv").lines[0].startswith("name,version,created,run_id")
    assert "cnn" in bare(*url, "models", width=80).out
    assert "outputs/model.pt" in bare(*url, "models", "cnn:2", "--files", width=100).out
    assert "perhaps 'cnn'; it has cnn" in bare(*url, "models", "cn").err
    assert "it has cnn:2, cnn:1" in bare(*url, "models", "cnn:9").err
    assert bare(*url, "models", "cnn:1", "--to", "there").code == 0
    assert (tmp_path / "there/model.pt").read_bytes() == b"weights"


@pytest.mark.parametrize(
    ("arguments", "code", "told"),
    [
        (("models", "dnn"), 3, "no model dnn"),
        (("models", "cnn:x"), 2, "NAME:VERSION"),
        (("models", "--to", "x"), 2, "name of a model"),
        (("models", "a b", "--register", "outputs"), 2, "cannot name a model"),
        (("models", "m", "--register", "absent"), 2, "absent"),
        (("models", "m", "--register", "no", "--run", "digits/1"), 2, "outputs/model.pt"),
        (("env", "digits/1", "--json", "--pip"), 2, "choose one"),
        (("snapshot", "digits/1", "--diff"), 2, "not committed"),
        (("register",), 2, "objrun models NAME --register PATH"),
    ],
)
def test_what_is_wrong_is_said(
    bare: Call, url: tuple[str, str], arguments: tuple[str, ...], code: int, told: str
) -> None:
    printed = bare(*url, *arguments)
    assert (printed.code, told in printed.err) == (code, True), printed.err


def test_env(bare: Call, url: tuple[str, str]) -> None:
    found = json.loads(bare(*url, "env", "digits/1", "--json").out)
    assert found["python"] == platform.python_version()
    printed = bare(*url, "env", "digits/1", width=80)
    assert f"python: {platform.python_version()}" in printed.lines
    pinned = [f"{name}=={version}" for name, version in sorted(found["packages"].items())]
    assert bare(*url, "env", "digits/1", "--pip").lines == pinned
    assert printed.lines[-len(pinned) :] == pinned


def test_snapshots(bare: Call, url: tuple[str, str], tmp_path: Path) -> None:
    rows = [json.loads(line) for line in bare(*url, "snapshot", "digits/1", "--json").lines]
    assert {row["name"]: row["size"] for row in rows} == {"train.py": 8, "\u202e.txt": 13}
    shown = bare(*url, "snapshot", "digits/1", width=80).out
    assert "train.py" in shown
    assert "\u202e" not in shown, "a terminal is not turned around by a name"
    assert bare(*url, "snapshot", "digits/1", "-o", "again").code == 0
    assert (tmp_path / "again/train.py").read_text() == "print(1)"
