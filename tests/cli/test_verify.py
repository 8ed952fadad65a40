"""`objrun verify`: what it says, how it ends, and that it mends what it says it will."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from objrun import Experiment, Workspace

if TYPE_CHECKING:
    from pathlib import Path

    from tests.cli.conftest import Call

CLAIM = "experiments/digits/numbers/00000/00000001.json"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A store of two compacted experiments: two runs with a point each, and one."""
    workspace = Workspace(tmp_path / "store", {"durability": "none"})
    for name, count in (("digits", 2), ("other", 1)):
        for number in range(count):
            with Experiment(workspace, name).start_logging(run_id=f"{name}-{number}") as run:
                run.log("loss", 0.5)
    workspace.compact()
    return tmp_path / "store"


def test_a_sound_store(bare: Call, folder: Path) -> None:
    done = bare("verify", "--url", str(folder))
    assert (done.code, done.err) == (0, "")
    (line,) = done.lines
    assert line.endswith("objects, 3 runs, 3 points: no errors")
    deep = bare("--url", str(folder), "verify", "digits", "--deep", "--json")
    assert deep == (0, "", "")


def test_errors_are_told_and_warnings_are_no_failure(bare: Call, folder: Path) -> None:
    (folder / "holiday").mkdir()
    (folder / "holiday" / "photo.jpg").write_bytes(b"")
    done = bare("verify", "--url", str(folder))
    assert done.code == 0
    assert done.lines[0] == "warning unknown_object  holiday/"
    assert done.lines[-1].endswith(": 1 warning")
    (folder / CLAIM).unlink()
    done = bare("verify", "--url", str(folder))
    assert done.code == 1
    assert [
        f"error unclaimed  {CLAIM}",
        "  run digits-0 has the number 1",
        "  repair: the number is claimed for the run",
    ] == done.lines[2:5]
    assert done.lines[-2].endswith(": 1 error and 1 warning")
    assert bare("verify", "other", "--url", str(folder)).code == 0


def test_json_has_one_finding_a_line(bare: Call, folder: Path) -> None:
    state = folder / "runs" / "digits-1" / "state" / "00000002.json"
    state.write_bytes(b"{")
    done = bare("verify", "--json", "--url", str(folder))
    assert done.code == 1
    (line,) = done.lines
    found = json.loads(line)
    assert found.pop("message").startswith("unexpected end of data")
    assert found == {
        "severity": "error",
        "code": "damaged",
        "key": "runs/digits-1/state/00000002.json",
        "repair": None,
    }


def test_a_repair_is_told_and_verified(bare: Call, folder: Path) -> None:
    (folder / CLAIM).unlink()
    (table,) = folder.glob("experiments/digits/tables/*-runs.parquet")
    table.write_bytes(table.read_bytes()[:-1])
    done = bare("verify", "--repair", "--url", str(folder))
    assert done.code == 0
    assert [line.partition(": ")[0] for line in done.err.splitlines()] == [
        CLAIM,
        str(table.relative_to(folder)),
    ]
    assert done.lines[-1].endswith("3 runs, 3 points: no errors")
    assert bare("verify", "--repair", "--yes", "--url", str(folder)).err == ""
    assert len(bare("runs", "digits", "--url", str(folder), "--json").lines) == 2


def test_many_findings_of_one_kind_are_cut_at_a_terminal(bare: Call, folder: Path) -> None:
    with Experiment(Workspace(folder), "digits").start_logging() as run:
        for number in range(12):
            with run.child_run(run_id=f"child-{number}") as child:
                child.log("loss", 1.0)
    Workspace(folder).compact()
    Workspace(folder).vacuum()
    for table in folder.glob("experiments/digits/tables/*-metrics.parquet"):
        table.unlink()
    told = bare("verify", "--url", str(folder)).lines
    assert sum("are in no table" in line for line in told) == 14
    shown = bare("verify", "--url", str(folder), width=100).lines
    assert sum("are in no table" in line for line in shown) == 10
    assert "  and 4 more: --json shows all" in shown


@pytest.mark.parametrize(
    ("arguments", "code", "told"),
    [
        (["nope"], 3, "there is no experiment 'nope'"),
        (["a/b"], 2, "cannot name an experiment"),
        (["--csv"], 2, "No such option"),
    ],
)
def test_what_cannot_be(
    bare: Call, folder: Path, arguments: list[str], code: int, told: str
) -> None:
    done = bare("verify", *arguments, "--url", str(folder))
    assert (done.code, done.out) == (code, "")
    assert told in done.err


def test_no_store_and_a_damaged_header(bare: Call, folder: Path) -> None:
    assert bare("verify", "--url", str(folder / "runs")).code == 3
    (folder / "objrun.json").write_bytes(b"")
    done = bare("verify", "--url", str(folder))
    assert done.code == 1
    assert "objrun.json is damaged" in done.err
