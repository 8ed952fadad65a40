"""`objrun demo`, end to end on a small size, and what happens when a part of it is missing."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from importlib.metadata import PackageNotFoundError
from typing import TYPE_CHECKING

import pytest

from objrun import Experiment, Workspace
from objrun.cli import curves
from objrun.cli.program import program
from objrun.demo.sweep import ChildFailedError, sweep
from objrun.errors import MissingExtraError

if TYPE_CHECKING:
    from pathlib import Path

    from tests.cli.conftest import Call

MEGABYTES = 400
"""A child imports scikit-learn, and of objrun what logs: no polars."""


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """The store of a small demo, and what it printed."""
    folder = tmp_path_factory.mktemp("demo")
    command = [sys.executable, "-m", "objrun", "demo", "--children", "2", "--epochs", "5"]
    done = subprocess.run(
        [*command, "--option", "durability=none"],
        check=False,
        capture_output=True,
        text=True,
        cwd=folder,
        env={**os.environ, "COLUMNS": "80"},
    )
    assert (done.returncode, done.stderr) == (0, "")
    return folder / "demo-store", done.stdout


def test_the_demo_prints_all_there_is(demo: tuple[Path, str]) -> None:
    _, out = demo
    for part in ("runs", "metrics", "accuracy by epoch", "best child", "try next"):
        assert f"\n{part}" in out or part in out
    assert "mlp-64 lr=0.002" in out
    assert "sgd lr=0.0005" in out
    assert "--url ./demo-store" in out
    assert "\x1b" not in out


def test_the_demo_logs_real_training(demo: tuple[Path, str]) -> None:
    workspace = Workspace(demo[0])
    parent = next(iter(Experiment(workspace, "digits").get_runs(tags={"kind": "sweep"})))
    children = parent.get_children()
    assert [run.status for run in (parent, *children)] == ["Completed"] * 3
    best = max(max(child.get_metrics("accuracy")["accuracy"]) for child in children)
    assert parent.get_metrics("best_accuracy")["best_accuracy"] == best > 0.8
    assert parent.tags["best_child"] in {child.id for child in children}
    # Each child was a process of its own.
    assert len({run.properties["objrun.pid"] for run in (parent, *children)}) == 3
    for child in children:
        found = child.get_metrics()
        assert len(found["loss"]) == len(found["accuracy"]) == 5
        matrix = found["confusion"]
        assert sum(sum(matrix[f"as_{digit}"]) for digit in range(10)) == 360
        assert child.get_params()["epochs"] == 5
        assert child.tags["model"] in {"mlp", "sgd"}


def test_the_commands_it_names_work(demo: tuple[Path, str], bare: Call) -> None:
    import shlex

    folder, out = demo
    named = [line for line in out.splitlines() if "--url ./demo-store" in line]
    assert len(named) == 7
    assert [line.split()[0] for line in named[:2]] == ["runs", "metrics"]
    begins = named[-1].partition(" history ")[0].strip()
    assert all(begins in line for line in named)
    for line in named:
        words = shlex.split(line.partition(begins)[2])
        printed = bare(*[str(folder) if word == "./demo-store" else word for word in words])
        assert (printed.code, printed.err) == (0, ""), line
        assert len(printed.lines) > 1


def test_a_program_that_is_not_on_path_is_named_as_it_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    script = tmp_path / "bin" / "objrun"
    script.parent.mkdir()
    script.write_text("#!/bin/sh\n")
    script.chmod(0o755)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", [str(script)])
    monkeypatch.setenv("PATH", str(script.parent))
    assert program() == "objrun"
    monkeypatch.setenv("PATH", "")
    assert program() == "bin/objrun"
    monkeypatch.chdir(script.parent)
    assert program() == "./objrun"
    monkeypatch.chdir("/")
    monkeypatch.setattr(sys, "argv", ["objrun/__main__.py"])
    words = program().split()
    assert words[1:] == ["-m", "objrun"]
    assert subprocess.run([*words, "--version"], check=False).returncode == 0


CHILD = r"""
import re, sys
from pathlib import Path
from objrun.demo.train import main
main(sys.argv[1:])
# Not ru_maxrss: between vfork and exec a child counts the memory of its parent.
print(int(re.search(r"VmHWM:\s+(\d+)", Path("/proc/self/status").read_text())[1]) // 1024)
# Not pandas: scikit-learn imports it where it is there.
print([name for name in ("polars", "matplotlib", "typer") if name in sys.modules])
"""


def test_a_child_is_light(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path / "store", {"durability": "none"})
    parent = Experiment(workspace, "digits").start_logging()
    arguments = ["--url", workspace.url, "--parent", parent.id, "--child", "1", "--epochs", "2"]
    done = subprocess.run(
        [sys.executable, "-c", CHILD, *arguments], check=True, capture_output=True, text=True
    )
    megabytes, heavy = done.stdout.splitlines()
    assert int(megabytes) < MEGABYTES
    assert json.loads(heavy.replace("'", '"')) == []


def test_a_child_that_fails_fails_the_sweep(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = tmp_path / "broken" / "sklearn"
    broken.mkdir(parents=True)
    (broken / "__init__.py").write_text("raise RuntimeError('no such processor')\n")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(broken.parent), *sys.path]))
    workspace = Workspace(tmp_path / "store", {"durability": "none"})
    with pytest.raises(ChildFailedError, match="RuntimeError: no such processor"):
        sweep(workspace, children=1, epochs=1)
    (parent,) = Experiment(workspace, "digits").get_runs()
    (child,) = parent.get_children()
    assert (parent.status, child.status) == ("Failed", "Failed")
    assert "no such processor" in str(parent.get_details()["error"])


@pytest.mark.parametrize("found", [None, "5.3.2"])
def test_a_missing_extra_is_named(
    bare: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, found: str | None
) -> None:
    def version(package: str) -> str:
        if package == "plotext":
            if found is None:
                raise PackageNotFoundError(package)
            return found
        return "1.5"

    monkeypatch.setattr("importlib.metadata.version", version)
    printed = bare("demo", "--url", str(tmp_path / "store"))
    assert printed.code == 1
    assert "pip install 'objrun[demo]'" in printed.err
    assert not (tmp_path / "store").exists()
    with pytest.raises(MissingExtraError, match="plotext 6"):
        curves.check_extra()
