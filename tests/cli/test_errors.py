"""What goes wrong: the exit code, and one or two lines on stderr that say what to do."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import objrun
from objrun import Experiment, Workspace

if TYPE_CHECKING:
    from tests.cli.conftest import Call

OBJRUN = [sys.executable, "-m", "objrun"]
COMMANDS = ["demo", "runs", "show", "metrics", "children", "history"]
OF_A_RUN = ["show", "metrics", "children", "history"]


@pytest.fixture
def damaged(place: Path, tmp_path: Path) -> Path:
    """A copy of the store, to be damaged."""
    return Path(shutil.copytree(place, tmp_path / "copy"))


@pytest.mark.parametrize("command", OF_A_RUN)
@pytest.mark.parametrize("run", ["nothing", "digits/99", "nowhere/1", "0"])
def test_a_run_that_is_not_there(cli: Call, command: str, run: str) -> None:
    printed = cli(command, run)
    assert (printed.code, printed.out) == (3, "")
    assert printed.err.startswith("error: ")
    assert run.partition("/")[0] in printed.err or "number 99" in printed.err
    assert len(printed.err.splitlines()) == 1
    assert ("numbers may have gaps" in printed.err) == (run == "digits/99")


ONCE = """config_kwargs={"retries": {"max_attempts": 0}}"""


def test_who_waits_for_a_store_is_told(bare: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("objrun.protocol.settle.PATIENCE", 3.0)
    monkeypatch.setattr("objrun.cli.waiting.SILENT", 0.0)
    nobody = ["key=a", "secret=b", "endpoint_url=http://127.0.0.1:9", ONCE]
    options = [part for option in nobody for part in ("--option", option)]
    printed = bare("runs", "--url", "s3://bucket/store", *options)
    first, last = printed.err.splitlines()
    assert first.startswith("trying again: cannot read objrun.json in s3://bucket/store: Could not")
    assert last.startswith("error: cannot read objrun.json in s3://bucket/store: Could not")
    assert (printed.code, printed.out) == (1, "")


@pytest.mark.parametrize("run", ["../x", "digits/0", "digits/x", "a b", "", "/", "x" * 1000])
def test_what_cannot_name_a_run(cli: Call, run: str) -> None:
    printed = cli("show", run)
    assert (printed.code, printed.out) == (2, "")
    assert printed.err.startswith("error: ")


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["runs", "nowhere"], "there is no experiment 'nowhere'"),
        (["metrics", "failed-2", "accuracy"], "it has loss"),
        (["metrics", "canceled-8", "accuracy"], "it has none"),
        (["children", "sweep-4", "--metric", "loss"], "it has accuracy"),
    ],
)
def test_names_that_are_not_there(cli: Call, arguments: list[str], told: str) -> None:
    printed = cli(*arguments)
    assert (printed.code, printed.out) == (3, "")
    assert told in printed.err


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["runs", "--where", "status = "], "is no condition"),
        (["runs", "--where", ""], "is no condition"),
        (["runs", "--where", "started > 'yesterday'"], "'yesterday' is no time: write"),
        (["runs", "--where", "foo(1)"], "unsupported function 'foo'"),
        (["runs", "--where", "number = 1; DROP TABLE runs"], "is no condition"),
        (["runs", "--where", "number IN (SELECT 1)"], "no SELECT"),
        (["runs", "--where", "nope = 1"], "there is no column 'nope'"),
        (["runs", "--where", "metrics.loss < 1"], "there is no column 'metrics.loss'"),
        (["runs", "--where", "number + 1"], "where cannot be applied"),
        (["runs", "--where", "metrics.loss < 1"], "perhaps metrics.loss.last"),
        (["runs", "--where", "lr > 1"], "there is no column 'lr'; perhaps params.lr"),
        (["runs", "--where", "id = 'x'"], "perhaps run_id"),
        (["runs", "--all", "--columns", "accuracy"], "perhaps metrics.accuracy.last"),
        (["runs", "--columns", "nope"], "there is no column 'nope'"),
        (["runs", "--columns", "nope.*"], "there is no column 'nope.*'"),
        (["runs", "--status", "Done"], "a status is one of"),
        (["runs", "--limit", "-1"], "--limit"),
        (["runs", "--watch"], "needs a terminal"),
        (["runs", "--json", "--csv"], "choose one"),
        (["runs", "a/b"], "cannot name an experiment"),
        (["runs", "--option", "durability"], "is not KEY=VALUE"),
        (["children", "sweep-4", "--best", "most"], "is min or max"),
        (["--csv", "show", "done-1"], "does not print CSV"),
        (["--json", "demo"], "does not print JSON"),
        (["demo", "--children", "0"], "--children"),
        (["nope"], "nope"),
        (["list"], "No such command 'list'; it is `objrun runs`."),
        (["metric"], "'metrics'"),
        (["show"], "RUN"),
    ],
)
def test_wrong_use(cli: Call, arguments: list[str], told: str) -> None:
    printed = cli(*arguments)
    assert (printed.code, printed.out) == (2, "")
    assert told in " ".join(printed.err.replace("│", " ").split())
    assert "Traceback" not in printed.err


@pytest.mark.parametrize("command", [["runs"], *([name, "x"] for name in OF_A_RUN)])
def test_no_store(bare: Call, tmp_path: Path, command: list[str]) -> None:
    printed = bare(*command, "--url", str(tmp_path / "nothing"))
    assert (printed.code, printed.out) == (3, "")
    first, second = printed.err.splitlines()
    assert first.startswith("error: there is no objrun store at")
    assert "--url" in second
    assert not (tmp_path / "nothing").exists()


@pytest.mark.parametrize(
    ("url", "option", "told"),
    [
        ("", [], "URL"),
        ("nope://x", [], "nope"),
        ("simplecache::s3://b", [], "::"),
        ("{place}", ["--option", "durability=maybe"], "durability"),
        ("{place}", ["--option", "speed=1"], "speed"),
        ("{file}", [], "is a file"),
    ],
)
def test_urls_that_cannot_be(
    bare: Call, place: Path, tmp_path: Path, url: str, option: list[str], told: str
) -> None:
    file = tmp_path / "file"
    file.touch()
    printed = bare("runs", "--url", url.format(place=place, file=file), *option)
    assert (printed.code, printed.out) == (2, "")
    assert told in printed.err


def test_a_store_of_a_newer_format(bare: Call, damaged: Path) -> None:
    header = damaged / "objrun.json"
    document = json.loads(header.read_bytes())
    header.write_text(json.dumps({**document, "min_reader": 99}))
    printed = bare("runs", "--url", str(damaged))
    assert (printed.code, printed.out) == (1, "")
    assert "upgrade" in printed.err


def test_a_damaged_run_is_named_and_the_others_are_listed(bare: Call, damaged: Path) -> None:
    (last,) = (damaged / "runs" / "failed-2" / "state").glob("*3.json")
    last.write_bytes(b'{"format": 1')
    printed = bare("runs", "digits", "--url", str(damaged), "--json")
    assert printed.code == 0
    assert [json.loads(line)["number"] for line in printed.lines] == [8, 4, 3, 1]
    assert "warning: runs/failed-2/state/00000003.json is damaged" in printed.err
    shown = bare("show", "failed-2", "--url", str(damaged))
    assert (shown.code, shown.out) == (1, "")
    assert "runs/failed-2/state/00000003.json is damaged" in shown.err


def test_damaged_metrics_are_named_after_all_else_was_shown(bare: Call, damaged: Path) -> None:
    (segment,) = damaged.glob("experiments/digits/shards/failed-2/*.parquet")
    segment.write_bytes(segment.read_bytes()[:100])
    shown = bare("show", "failed-2", "--url", str(damaged))
    assert shown.code == 1
    assert "OOM" in shown.out
    assert segment.name in shown.err
    listed = bare("runs", "digits", "--url", str(damaged))
    assert listed.code == 0
    assert len(listed.lines) == 6
    assert segment.name in listed.err


DENIED = """
import contextlib, io, os, sys
from objrun.cli.edge import execute
with contextlib.redirect_stdout(io.StringIO()):
    assert execute(["runs", "--url", sys.argv.pop()]) == 0  # imports all that somebody else may not
if os.geteuid() == 0:  # root may read everything, so become somebody else
    os.seteuid(65534)
sys.exit(execute(sys.argv[1:]))
"""


def test_no_permission(damaged: Path, place: Path) -> None:
    (damaged / "objrun.json").chmod(0)
    damaged.chmod(0)
    command = [sys.executable, "-c", DENIED, "runs", "--url", str(damaged), str(place)]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    damaged.chmod(0o700)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("error: ")
    assert len(done.stderr.splitlines()) == 1


def test_a_reader_that_has_seen_enough(tmp_path: Path) -> None:
    run = Experiment(Workspace(tmp_path / "store", {"durability": "none"}), "e").start_logging()
    run.log_batch("x", [float(i) for i in range(50_000)])
    run.complete()
    command = [*OBJRUN, "metrics", run.id, "--json", "--url", str(tmp_path / "store")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        first = json.loads(process.stdout.readline())
        process.stdout.close()
        assert process.stderr.read() == b""
    assert (first["value"], process.returncode) == (0.0, 1)


def test_an_unexpected_error_is_one_line_too(bare: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    from objrun.cli import edge

    def fault(_: object) -> int:
        raise ZeroDivisionError

    monkeypatch.setattr(edge, "_call", fault)
    printed = bare("runs")
    assert printed.code == 1
    assert printed.err.startswith("error: unexpected ZeroDivisionError")
    monkeypatch.setenv("OBJRUN_TRACEBACK", "1")
    assert "Traceback" in bare("runs").err


def test_output_that_the_encoding_lacks(place: Path) -> None:
    done = subprocess.run(
        [*OBJRUN, "show", "done-1", "--url", str(place)],
        check=False,
        capture_output=True,
        env={"PYTHONIOENCODING": "ascii", "PATH": "", "PYTHONPATH": ":".join(sys.path)},
    )
    assert (done.returncode, done.stderr) == (0, b"")
    assert b"loss" in done.stdout.decode("ascii").encode()


@pytest.mark.parametrize("command", COMMANDS)
def test_help_has_examples(bare: Call, command: str) -> None:
    printed = bare(command, "--help")
    assert printed.code == 0
    assert f"$ objrun {command}" in printed.out
    assert "--url" in printed.out


def test_help_names_every_command(bare: Call) -> None:
    printed = bare("-h")
    assert printed.code == 0
    assert all(f"│ {name} " in printed.out for name in COMMANDS)
    without = bare()
    assert (without.code, without.out.strip()) == (2, printed.out.strip())


def test_the_version(bare: Call) -> None:
    assert bare("--version") == (0, f"objrun {objrun.__version__}\n", "")


LIGHT = """
import sys
from objrun.cli.edge import execute
execute(sys.argv[1:])
print([name for name in ("polars", "pyarrow", "numpy", "fsspec") if name in sys.modules])
"""


@pytest.mark.parametrize("arguments", [["--help"], ["runs", "--help"], ["--version"]])
def test_help_is_light(arguments: list[str]) -> None:
    done = subprocess.run(
        [sys.executable, "-c", LIGHT, *arguments], check=True, capture_output=True, text=True
    )
    assert done.stdout.splitlines()[-1] == "[]"


@pytest.mark.parametrize(
    ("words", "wanted"),
    [
        ("objrun ", {"runs", "show", "demo"}),
        ("objrun runs d", {"digits"}),
        ("objrun runs --status C", {"Completed", "Canceled", "CancelRequested"}),
    ],
)
def test_the_shell_completes(
    bare: Call, place: Path, monkeypatch: pytest.MonkeyPatch, words: str, wanted: set[str]
) -> None:
    monkeypatch.setenv("OBJRUN_URL", str(place))
    monkeypatch.setenv("_OBJRUN_COMPLETE", "complete_bash")
    monkeypatch.setenv("COMP_WORDS", words)
    monkeypatch.setenv("COMP_CWORD", str(len(words.split(" ")) - 1))
    assert wanted <= set(bare().out.split())


def test_completion_without_a_store_is_silent(
    bare: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OBJRUN_URL", str(tmp_path / "nothing"))
    monkeypatch.setenv("_OBJRUN_COMPLETE", "complete_bash")
    monkeypatch.setenv("COMP_WORDS", "objrun runs d")
    monkeypatch.setenv("COMP_CWORD", "2")
    printed = bare()
    assert (printed.out.strip(), printed.err) == ("", "")
