"""`objrun submit` and `objrun logs`, as a person uses them."""

from __future__ import annotations

import io
import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from objrun import Experiment, Workspace
from objrun.format.log_keys import ChunkKey, chunk
from objrun.protocol.log_writer import new_writer

if TYPE_CHECKING:
    from tests.cli.conftest import Call


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A store for submitted runs; their work folders are no one else's."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    (tmp_path / "src").mkdir()
    monkeypatch.chdir(tmp_path / "src")
    return str(tmp_path / "store")


def test_submit_and_wait_then_logs(bare: Call, place: str, tmp_path: Path) -> None:
    (tmp_path / "src" / "train.py").write_text("import sys; print('lr', sys.argv[2])")
    done = bare(
        "submit", "digits", "--url", place, "--wait", "--", "python", "train.py", "--lr", "1"
    )
    assert done.code == 0
    assert done.lines[0].endswith("digits/1")
    assert done.lines[1:] == ["lr 1"]
    assert bare("logs", "digits/1", "--url", place).out == "lr 1\n"
    assert bare("logs", "digits/1", "-f", "--url", place).out == "lr 1\n"
    files = [json.loads(line) for line in bare("files", "digits/1", "--json", "--url", place).lines]
    run = next(iter(Experiment(Workspace(place), "digits").get_runs()))
    assert [row["name"] for row in files] == run.get_file_names()
    assert [row["size"] for row in files if row["name"] == "logs/std_log.txt"] == [5]
    other = bare("logs", "digits/1", "--stream", "other", "--url", place)
    assert other.code == 2
    assert "it has logs/std_log.txt" in other.err


def test_a_command_that_fails(bare: Call, place: str) -> None:
    done = bare("submit", "digits", "--url", place, "--wait", "--slots", "1", "--", "/bin/false")
    assert done.code == 1
    assert done.err.startswith("digits/1 Failed: ")
    assert bare("submit", "digits", "--source", "none", "--url", place, "--", "x").code == 1


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ((), "Missing argument '-- COMMAND'"),
        (("--",), "Missing argument '-- COMMAND'"),
        (("--", ""), "one that is not empty"),
        (("--", " ", "train.py"), "one that is not empty"),
        (("python", "train.py", "--lr", "1"), "digits --wait -- python"),
        (("python", "train.py", "--limit", "1"), "digits --wait -- python"),
    ],
)
def test_what_is_no_command_is_refused(
    bare: Call, place: str, arguments: tuple[str, ...], told: str
) -> None:
    done = bare("--url", place, "submit", "digits", *arguments)
    assert (done.code, told in " ".join(done.err.split())) == (2, True), done.err
    assert not Path(place).exists()


def test_a_run_without_a_log_is_no_error(bare: Call, place: str) -> None:
    run = Experiment(Workspace(place), "digits").start_logging()
    done = bare("logs", "digits/1", "--url", place)
    assert (done.code, done.out) == (0, "")
    assert done.err.startswith("digits/1 is Running and has printed nothing that is kept: `objrun ")
    run.upload_file("logs/own.txt", io.BytesIO(b"own"))
    assert "logs/own.txt: --stream NAME" in bare("logs", "digits/1", "--url", place).err
    run.complete()
    done = bare("logs", "digits/1", "-f", "--url", place)
    assert (done.code, done.out) == (0, "")
    assert done.err.startswith("digits/1 is Completed and has printed nothing; ")


def test_a_run_is_canceled(bare: Call, place: str) -> None:
    Experiment(Workspace(place), "digits").start_logging()
    done = bare("cancel", "digits/1", "--url", place)
    assert (done.code, done.err) == (0, "digits/1 Canceled\n")
    assert Workspace(place).runs().collect()["status"].to_list() == ["Canceled"]


def test_a_log_that_orders_the_terminal_about_is_shown_as_text(bare: Call, place: str) -> None:
    run = Experiment(Workspace(place), "digits").start_logging()
    key = ChunkKey(run.id, "std_log.txt", new_writer(), 0, 19)
    run.experiment.workspace.store.put(chunk(key), b"\x1b]0;owned\x07\x1b[2J\xff\xc2\x9bA\n")
    run.complete()
    assert bare("logs", "digits/1", "--url", place).out == "?]0;owned??[2J\ufffd?A\n"


def test_ctrl_c_ends_following_and_not_the_run(place: str) -> None:
    run = Experiment(Workspace(place), "digits").start_logging()
    key = ChunkKey(run.id, "std_log.txt", new_writer(), 0, 6)
    run.experiment.workspace.store.put(chunk(key), b"so far")
    program = subprocess.Popen(
        [sys.executable, "-m", "objrun", "logs", "-f", "digits/1", "--url", place],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert program.stdout
    assert os.read(program.stdout.fileno(), 100) == b"so far"
    program.send_signal(signal.SIGINT)
    out, err = program.communicate()
    assert (program.returncode, out, err) == (130, b"", b"")
    assert run.get_status() == "Running"
