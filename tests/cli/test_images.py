"""`objrun images`."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from objrun import Experiment, Workspace
from tests.cli.conftest import FAST

if TYPE_CHECKING:
    from pathlib import Path

    from tests.cli.conftest import Call

NAMES = ("../up", "/etc/x", "..", "\u202ea", "digit")


@pytest.fixture
def url(tmp_path: Path) -> str:
    """A store with a run that has logged images of strange names."""
    workspace = Workspace(tmp_path / "store", FAST)
    with Experiment(workspace, "e").start_logging(snapshot_directory=None) as run:
        for name in NAMES:
            for step in (None, 3, 3, -4):
                run.log_image(name, path=b"P1 2 1 0 %d" % (step or 0), step=step)
            run.log_image(f"{name}s", path=b"P1 2 1 0 1", step=7)
    return workspace.url


def test_images_are_listed(bare: Call, url: str) -> None:
    printed = bare("images", "--url", url, "e/1", "digit", "--json")
    rows = [json.loads(line) for line in printed.out.splitlines()]
    assert {(row["name"], row["kind"], row["width"], row["height"]) for row in rows} == {
        ("digit", "pbm", 2, 1)
    }
    assert [row["step"] for row in rows] == [None, 3, 3, -4]
    assert len(bare("images", "--url", url, "e/1", "--csv").lines) == 26
    shown = bare("images", "--url", url, "e/1", width=100).out
    assert "2 x 1" in shown
    assert "\u202e" not in shown, "a terminal is not turned around by a name"
    assert bare("images", "--url", url, "e/9").code == 3
    absent = bare("images", "--url", url, "e/1", "digt")
    assert (absent.code, "perhaps 'digit' or 'digits'; it has" in absent.err) == (3, True)


def test_images_are_written_into_the_folder_and_nowhere_else(
    bare: Call, url: str, tmp_path: Path
) -> None:
    before = {path for path in tmp_path.rglob("*") if "pictures" not in path.parts}
    printed = bare("images", "--url", url, "e/1", "--out", str(tmp_path / "pictures"))
    assert (printed.code, "25 images" in printed.out) == (0, True), printed.err
    written = [path for path in (tmp_path / "pictures").rglob("*") if path.is_file()]
    assert len(written) == 25
    assert {*tmp_path.rglob("*")} - {*written} >= before
    folder = tmp_path / "pictures" / "digit"
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == {
        "000000.pbm": b"P1 2 1 0 0",
        "000001.pbm": b"P1 2 1 0 3",
        "000002.pbm": b"P1 2 1 0 3",
        "step--4.pbm": b"P1 2 1 0 -4",
    }
    named = {path.name for path in (tmp_path / "pictures").iterdir()}
    assert {"%2E%2E", "..%2Fup", "%2Fetc%2Fx", "%E2%80%AEa", "digits"} <= named
    outside = {path for path in tmp_path.rglob("*") if "pictures" not in path.parts}
    assert outside == before
