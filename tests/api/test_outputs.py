"""What is new in the folder of outputs at the end of a run becomes files of the run."""

from __future__ import annotations

import logging
import os
import threading
from pathlib import Path

import pytest

from objrun import Experiment, Run, Workspace
from objrun.errors import UnavailableError, UserErrorException
from objrun.storage import FaultyStore
from tests.api.places import refused


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory with outputs of an earlier run."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "outputs").mkdir()
    (tmp_path / "outputs/old.txt").write_text("of an earlier run")
    (tmp_path / "outputs/changed.txt").write_text("before")
    return tmp_path


def write(path: str, text: str) -> None:
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    Path(path).write_text(text)


def end(run: Run, how: str) -> None:
    if how == "fail":
        run.fail("on purpose")
    elif how == "cancel":
        run.cancel()
    else:
        run.complete()


@pytest.mark.parametrize("how", ["complete", "fail", "cancel"])
def test_what_is_new_is_stored(live_ws: Workspace, how: str) -> None:
    """New and changed files, hidden ones, below other folders; once; not what was there before."""
    if how != "complete" and not live_ws.url.startswith("memory"):
        pytest.skip("one end is enough on each backend")
    run = Experiment(live_ws, "outputs").start_logging()
    for path in ("new", "deep/er/x", ".hidden", "changed.txt"):
        write(f"outputs/{path}", f"{path} of this run")
    os.chdir("/")
    end(run, how)
    names = ["outputs/.hidden", "outputs/changed.txt", "outputs/deep/er/x", "outputs/new"]
    assert run.get_file_names() == names
    assert run.open("outputs/deep/er/x").read() == b"deep/er/x of this run"
    run.complete() if how == "complete" else None
    assert run.get_file_names() == names


def test_a_block_that_fails_keeps_its_outputs(ws: Workspace) -> None:
    """They tell why it failed."""
    run = Experiment(ws, "outputs").start_logging()

    def train() -> None:
        with run:
            write("outputs/trace", "here")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        train()
    assert run.status == "Failed"
    assert run.get_file_names() == ["outputs/trace"]


def test_other_folders_and_none(ws: Workspace, here: Path) -> None:
    """True is the default, False none, a path that folder under its name; a child has none."""
    experiment = Experiment(ws, "outputs")
    runs = {
        "True": experiment.start_logging(outputs=True),
        "False": experiment.start_logging(outputs=False),
        "path": experiment.start_logging(outputs=here / "results"),
        "text": experiment.start_logging(outputs="./absent/"),
    }
    child = runs["True"].child_run("child")
    other = runs["True"].child_run("other", outputs="results")
    write("outputs/a", "a")
    write("results/b", "b")
    for run in (*runs.values(), child, other):
        run.complete()
    assert {name: run.get_file_names() for name, run in runs.items()} == {
        "True": ["outputs/a"],
        "False": [],
        "path": ["results/b"],
        "text": [],
    }
    assert child.get_file_names() == []
    assert other.get_file_names() == ["results/b"]
    for wrong in (7, "", 0.5):
        with refused(ws, UserErrorException, "outputs"):
            experiment.start_logging(outputs=wrong)


def test_what_was_uploaded_before(ws: Workspace, caplog: pytest.LogCaptureFixture) -> None:
    """The same content is not stored again; changed content is, with a warning."""
    run = Experiment(ws, "outputs").start_logging()
    write("outputs/same", "same")
    write("outputs/log", "line 1")
    run.upload_folder("outputs", "outputs")
    write("outputs/log", "line 1, line 2")
    with caplog.at_level(logging.WARNING, "objrun"):
        run.complete()
    assert run.open("outputs/log").read() == b"line 1, line 2"
    assert [record.getMessage().split(": ")[1] for record in caplog.records] == [
        "outputs/log has changed since it was uploaded"
    ]


def test_a_file_that_cannot_be_stored_does_not_keep_a_run_from_its_end(
    ws: Workspace, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is named in the log, and the others are stored."""
    monkeypatch.setattr("objrun.protocol.settle.PATIENCE", 0.1)
    ws.go_through(
        lambda store: FaultyStore(
            store,
            lambda _verb, key: UnavailableError("down") if "outputs/bad" in key else None,
        )
    )
    run = Experiment(ws, "outputs").start_logging()
    for name in ("a", "bad", "back\\slash", "z"):
        write(f"outputs/{name}", name)
    run.complete()
    assert run.status == "Completed"
    assert run.get_file_names() == ["outputs/a", "outputs/z"]
    assert sum("is not captured" in record.getMessage() for record in caplog.records) == 2


def test_links_do_not_lead_away(
    ws: Workspace, here: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """A link to a file is that file; one to a folder is left out, so nothing goes in circles."""
    run = Experiment(ws, "outputs").start_logging()
    write("elsewhere/secret", "s")
    (here / "outputs/file").symlink_to(here / "elsewhere/secret")
    (here / "outputs/folder").symlink_to(here / "elsewhere")
    (here / "outputs/circle").symlink_to(here / "outputs")
    (here / "outputs/dangling").symlink_to(here / "nowhere")
    (here / "outputs/self").symlink_to("self")
    run.complete()
    assert run.get_file_names() == ["outputs/file"]
    (told,) = [record.getMessage() for record in caplog.records]
    assert told.endswith("'outputs/circle', 'outputs/folder'")
    Experiment(ws, "outputs").start_logging().complete()
    assert len(caplog.records) == 1  # of links that were there before nothing is said


def test_some_are_stored_at_once(ws: Workspace) -> None:
    """Each of the two waits for the other."""
    both = threading.Barrier(2, timeout=60)

    def plan(verb: str, key: str) -> None:
        if verb == "upload" and "outputs/" in key:
            both.wait()

    ws.go_through(lambda store: FaultyStore(store, plan))
    run = Experiment(ws, "outputs").start_logging()
    write("outputs/a", "a")
    write("outputs/b", "b")
    run.complete()
    assert run.get_file_names() == ["outputs/a", "outputs/b"]


def test_logs_are_captured_beside_them(ws: Workspace, here: Path) -> None:
    """What is new in ./logs; no such folder is made. Who names a folder means that one alone."""
    write("logs/old.txt", "of another run")
    run = Experiment(ws, "outputs").start_logging()
    other = Experiment(ws, "outputs").start_logging(outputs="results")
    write("logs/train.txt", "epoch 1")
    run.complete()
    other.complete()
    assert run.get_file_names() == ["logs/train.txt"]
    assert other.get_file_names() == []
    (here / "elsewhere").mkdir()
    os.chdir("elsewhere")
    Experiment(ws, "outputs").start_logging().complete()
    assert [*Path().iterdir()] == []
