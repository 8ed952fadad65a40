"""Equal files of runs and models take up the room of one in a folder."""

from __future__ import annotations

import io
import os
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from objrun import Experiment, Model, Run, Workspace
from objrun.format import file_keys, model_keys
from objrun.protocol.files import PART
from objrun.protocol.models import claim
from objrun.storage.sharing import LEAST
from objrun.tables.verify.store import verify

if TYPE_CHECKING:
    from objrun.format.states import ModelState
    from objrun.protocol.chain import Chain
    from objrun.storage import Store

SIZES = [LEAST, PART + 1]  # by one request, and in parts


@pytest.fixture
def home(tmp_path: Path) -> Workspace:
    return Workspace(tmp_path / "home", {"durability": "none"})


def trained(ws: Workspace, body: bytes) -> Run:
    run = Experiment(ws, "sharing").start_logging(outputs=False)
    run.upload_file("outputs/weights", io.BytesIO(body))
    run.complete()
    return run


def weights(ws: Workspace, run: Run) -> Path:
    return Path(ws.url.removeprefix("file://"), file_keys.artifact(run.id, "outputs/weights", 1))


def inodes(*files: Path) -> int:
    return len({file.stat().st_ino for file in files})


@pytest.mark.parametrize("size", SIZES)
def test_a_file_of_runs_and_models_is_stored_once(
    home: Workspace, tmp_path: Path, size: int
) -> None:
    body = os.urandom(size)
    runs = [trained(home, body) for _ in range(3)]
    model = runs[0].register_model("m", "outputs/weights")
    away = Workspace(tmp_path / "away", {"durability": "none"})
    home.copy_to(away)
    for ws in (home, away):
        root = Path(ws.url.removeprefix("file://"))
        files = [*(weights(ws, run) for run in runs)]
        files += [file for file in (root / "models").rglob("weights") if file.is_file()]
        assert len(files) == 4
        assert inodes(*files) == 1
        assert [*verify(ws.store)] == []
    (tmp_path / "got").mkdir()
    for run in runs[:2]:
        run.delete()
    assert len(home.gc(timedelta())) == 2
    assert runs[2].open("outputs/weights").read() == body
    model.download(str(tmp_path / "got"))
    assert (tmp_path / "got/weights").read_bytes() == body
    model.delete()
    runs[2].delete()
    deleted = home.store.now()
    while home.store.now() == deleted:
        pass  # the clock of a file system has ticks, and what is deleted in this one stays
    assert len(home.gc(timedelta())) == 2
    assert not [*(tmp_path / "home").rglob("weights")]
    assert Run.get(away, runs[2].id).open("outputs/weights").read() == body


def test_a_damaged_file_is_no_other_ones(home: Workspace) -> None:
    """What a file of a run has become on the disk, runs and models that come later do not get."""
    body = os.urandom(LEAST)
    first = trained(home, body)
    model = first.register_model("m", "outputs/weights")
    weights(home, first).write_bytes(body[::-1])
    second = trained(home, body)
    assert inodes(weights(home, first), weights(home, second)) == 2
    assert second.open("outputs/weights").read() == body
    again = second.register_model("m", "outputs/weights")
    assert again.version == model.version + 1
    assert weights(home, second).stat().st_nlink == 2


def test_a_registration_is_not_left_over_since_its_bytes_are_old(
    home: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A `gc` just before the claim goes by the times of files: of their own, not of equal ones."""
    run = trained(home, os.urandom(LEAST))
    os.utime(weights(home, run), (0, 0))

    def late(store: Store, draft: ModelState) -> Chain[ModelState]:
        assert not home.gc(timedelta(days=30))
        return claim(store, draft)

    monkeypatch.setattr("objrun.models.registering.claim", late)
    model = run.register_model("m", "outputs/weights")
    assert [*model.files] == ["weights"]
    assert weights(home, run).stat().st_nlink == 2
    assert Model(home, "m").version == 1
    assert home.store.list(model_keys.FILES)
