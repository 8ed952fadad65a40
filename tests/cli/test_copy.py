"""`objrun copy` and `objrun sync`."""

from __future__ import annotations

import json
from io import BytesIO
from typing import TYPE_CHECKING

import pytest

from objrun import Experiment, Workspace

if TYPE_CHECKING:
    from pathlib import Path

    from tests.cli.conftest import Call

FAST = {"durability": "none"}


@pytest.fixture
def spool(tmp_path: Path) -> Workspace:
    """A folder with two experiments."""
    workspace = Workspace(tmp_path / "spool", FAST)
    for name in ("digits", "other"):
        with Experiment(workspace, name).start_logging(run_id=f"run-{name}") as run:
            run.log("loss", 0.5)
            run.child_run("child", run_id=f"child-{name}").complete()
    return workspace


def place(workspace: Workspace) -> str:
    return workspace.url.removeprefix("file://")


def test_sync_says_what_it_did_and_then_that_nothing_is_left(
    bare: Call, spool: Workspace, tmp_path: Path
) -> None:
    target = str(tmp_path / "target")
    would = bare("sync", place(spool), target, "--dry-run")
    assert would.code == 0
    assert would.out.startswith("would copy ")
    assert not (tmp_path / "target").exists()
    done = bare("sync", place(spool), target, "--dst-option", 'durability="none"')
    assert done.code == 0
    assert done.out == would.out.replace("would copy", "copied")
    assert "of 4 runs to file://" in done.out
    assert done.out.endswith("; 4 runs in all\n")
    again = bare("sync", place(spool), target)
    assert (again.code, again.out) == (0, f"nothing to copy to file://{target}; 4 runs in all\n")
    assert bare("--url", target, "show", "digits/1").code == 0


def test_copy_takes_experiments_and_runs(bare: Call, spool: Workspace, tmp_path: Path) -> None:
    target = tmp_path / "target"
    source = place(spool)
    assert bare("copy", source, str(target), "--run", "digits/1").code == 0
    there = Workspace(target)
    assert sorted(
        run.id for run in Experiment(there, "digits").get_runs(include_children=True)
    ) == [
        "child-digits",
        "run-digits",
    ]
    assert there.experiment_names() == ["digits"]
    done = bare("copy", source, str(target), "--experiment", "other")
    assert (done.code, done.err) == (0, "")
    trained = spool.get_run("run-digits")
    trained.upload_file("m", BytesIO(b"weights"))
    trained.register_model("m")
    told = bare("copy", source, str(target), "--run", "digits/1")
    assert told.code == 0
    assert "warning: 1 model of these runs not copied" in told.err
    assert ": m:1" in told.err
    assert there.experiment_names() == ["digits", "other"]
    missing = bare("copy", source, str(target), "--experiment", "no-such")
    assert (missing.code, missing.err.count("no experiment 'no-such'")) == (3, 1)
    assert bare("copy", source, str(target), "--run", "no-such").code == 3


def test_json_tells_all(bare: Call, spool: Workspace, tmp_path: Path) -> None:
    other = Workspace(tmp_path / "other", FAST)
    Experiment(other, "digits").start_logging().complete()
    stores = (place(spool), place(other))
    done = [
        json.loads(bare(*call).out)
        for call in (("copy", *stores, "--json"), ("--json", "sync", *stores))
    ]
    assert [(found["all_runs"], found["conflicts"]) for found in done] == [(4, []), (4, [])]
    taken = [(claim["experiment"], claim["number"]) for claim in done[0]["numbers_taken"]]
    assert taken == [("digits", 1)]
    assert (done[1]["objects"], done[1]["bytes"], done[1]["runs"]) == (0, 0, 0)


def test_numbers_that_are_taken_are_told(bare: Call, spool: Workspace, tmp_path: Path) -> None:
    other = Workspace(tmp_path / "other", FAST)
    Experiment(other, "digits").start_logging().complete()
    done = bare("sync", place(spool), place(other))
    assert done.code == 0
    assert "warning: 1 run must be found by id there" in done.err
    assert "run-digits (digits/1)" in done.err


def test_a_conflict_is_an_error(bare: Call, spool: Workspace, tmp_path: Path) -> None:
    other = Workspace(tmp_path / "other", FAST)
    Experiment(other, "digits").start_logging(run_id="run-digits").complete()
    for more in (["--dry-run"], []):
        done = bare("sync", place(spool), place(other), *more)
        assert done.code == 1
        assert "run run-digits is another run of the same id there" in done.err
    assert other.get_run("run-other").get_metrics() == {"loss": 0.5}


def test_at_a_terminal_a_bar_shows_the_way(bare: Call, spool: Workspace, tmp_path: Path) -> None:
    done = bare("sync", place(spool), str(tmp_path / "target"), width=80)
    assert done.code == 0
    assert "4/4" in done.out
    assert "copied " in done.out


def test_stores_stand_behind_the_name(bare: Call, spool: Workspace, tmp_path: Path) -> None:
    done = bare("--url", place(spool), "sync", place(spool), str(tmp_path / "target"))
    assert done.code == 2
    assert "takes its two stores" in done.err
    assert bare("sync", place(spool), place(spool)).code == 2
    assert bare("sync", str(tmp_path / "empty"), place(spool)).code == 3
