"""`objrun files`, `download` and `upload`."""

from __future__ import annotations

import json
import os
from io import BytesIO
from typing import TYPE_CHECKING

import pytest

from objrun import Experiment, Workspace

if TYPE_CHECKING:
    from pathlib import Path

    from tests.cli.conftest import Call


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "plots/deep").mkdir(parents=True)
    (tmp_path / "plots/roc.txt").write_text("roc")
    (tmp_path / "plots/deep/\u202e.txt").write_text("right to left")
    (tmp_path / "model.pt").write_bytes(b"weights")


def test_what_is_uploaded_is_listed_and_downloaded(cli: Call, tmp_path: Path) -> None:
    printed = cli("upload", "digits/1", "model.pt", "plots", "--into", "outputs/")
    assert printed.code == 0, printed.err
    assert "outputs/model.pt: 7 bytes" in printed.out
    rows = [json.loads(line) for line in cli("files", "digits/1", "--json").out.splitlines()]
    names = ["outputs/model.pt", "outputs/plots/deep/\u202e.txt", "outputs/plots/roc.txt"]
    assert [row["name"] for row in rows] == names
    assert [row["size"] for row in rows] == [7, 13, 3]
    assert cli("files", "digits/1", "--csv").lines[0] == "name,size,modified,key"
    shown = cli("files", "digits/1", width=80).out
    assert "outputs/model.pt" in shown
    assert "\u202e" not in shown, "a terminal is not turned around by a name"
    assert cli("download", "digits/1", "outputs/plots", "--to", "there").code == 0
    assert (tmp_path / "there/outputs/plots/roc.txt").read_text() == "roc"
    assert not (tmp_path / "there/outputs/model.pt").exists()
    assert cli("download", "digits/1", "--to", "all").code == 0
    assert (tmp_path / "all/outputs/model.pt").read_bytes() == b"weights"


def test_a_file_was_stored_when_it_was_whatever_bytes_it_shares(bare: Call, tmp_path: Path) -> None:
    experiment = Experiment(Workspace(tmp_path / "store"), "digits")
    runs = [experiment.start_logging(outputs=False) for _ in range(2)]
    runs[0].upload_file("a", BytesIO(b"equal" * 20_000))
    (old,) = tmp_path.glob("store/runs/*/artifacts/a")
    os.utime(old, (0, 0))
    runs[1].upload_file("a", BytesIO(b"equal" * 20_000))
    (row,) = bare("--url", str(tmp_path / "store"), "files", runs[1].id, "--json").lines
    assert old.stat().st_nlink == 2
    assert json.loads(row)["modified"][:4] > "1970"
    for run in runs:
        run.complete()


def test_other_content_is_refused_unless_it_is_asked_for(cli: Call, tmp_path: Path) -> None:
    assert cli("upload", "digits/1", "model.pt").code == 0
    (tmp_path / "model.pt").write_bytes(b"better")
    printed = cli("upload", "digits/1", "model.pt")
    assert (printed.code, "other bytes" in printed.err) == (2, True)
    assert printed.err.endswith("--overwrite\n")
    assert cli("upload", "digits/1", "model.pt", "--overwrite").code == 0
    assert cli("download", "digits/1", "model.pt", "--to", "new").code == 0
    assert (tmp_path / "new/model.pt").read_bytes() == b"better"


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("upload", "digits/1", "absent"), "absent"),
        (("download", "digits/1", "absent"), "absent"),
        (("files", "nobody"), "nobody"),
    ],
)
def test_what_is_not_there_is_named(cli: Call, arguments: tuple[str, ...], told: str) -> None:
    printed = cli(*arguments)
    assert printed.code in (2, 3)
    assert told in printed.err
