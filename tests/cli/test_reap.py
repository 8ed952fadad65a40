"""`objrun reap`, and how lost runs look before and after."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING

import pytest

from objrun import Experiment, Workspace, clock
from objrun.runs.open import OPEN

if TYPE_CHECKING:
    from pathlib import Path

    from tests.cli.conftest import Call

DAY = 86400


@pytest.fixture
def url(tmp_path: Path) -> str:
    """A store with a run that was last seen a day ago, a child of it, and one that is done."""
    folder = tmp_path / "store"
    experiment = Experiment(Workspace(folder, {"durability": "none"}), "digits")
    lost = experiment.start_logging(run_id="lost-1")
    child = lost.child_run("fold", run_id="lost-2")
    experiment.start_logging(run_id="done-3").complete()
    for run in (lost, child):
        OPEN.discard(run)
        run._heartbeat.end()  # noqa: SLF001 - its process is gone
    then = clock.now().timestamp() - DAY
    for path in (path for path in folder.rglob("*") if path.is_file()):
        # What was written is as old as its files, and older.
        path.write_bytes(path.read_bytes().replace(b'"written":"20', b'"written":"19'))
        os.utime(path, (then, then))
    return str(folder)


def test_lost_runs_are_shown_as_such(bare: Call, url: str) -> None:
    printed = bare("--url", url, "runs", "--status", "notresponding", "--all", "--json")
    assert {json.loads(line)["id"] for line in printed.lines} == {"lost-1", "lost-2"}
    assert "NotResponding" in bare("--url", url, "runs", width=100).out
    assert "NotResponding" in bare("--url", url, "show", "lost-1").out
    assert json.loads(bare("--url", url, "show", "lost-1", "--json").out)["status"] == (
        "NotResponding"
    )
    assert bare("--url", url, "children", "lost-1").out.count("NotResponding") == 2
    old = bare("--url", url, "runs", "--where", "last_seen < now() - interval '1 hour'", "--json")
    assert [json.loads(line)["id"] for line in old.lines] == ["lost-1"]


def test_they_are_reaped_once(bare: Call, url: str) -> None:
    planned = bare("--url", url, "reap", "--dry-run")
    assert "lost-1" in planned.out
    assert planned.lines[-1] == "would fail 2 lost runs"
    rows = bare("--url", url, "reap", "--csv", "--dry-run").lines
    assert rows[0] == "experiment,run,number,status,last_seen"
    assert len(rows) == 3
    done = bare("--url", url, "reap", "digits", "--json", "--older-than", "2h")
    assert [json.loads(line)["run"] for line in done.lines] == ["lost-1", "lost-2"]
    assert bare("--url", url, "reap").out == "failed 0 lost runs\n"
    shown = bare("--url", url, "show", "lost-1").out
    assert "Failed" in shown
    assert "NotResponding: no sign of life since" in shown


def test_what_cannot_be_reaped_is_refused(bare: Call, url: str) -> None:
    assert bare("--url", url, "reap", "--older-than", "5m").code == 2
    assert bare("--url", url, "reap", "none").code == 3
