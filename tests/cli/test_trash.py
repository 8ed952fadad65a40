"""`objrun delete`, `restore` and `gc`: into the trash, out of it, and for good."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from objrun import Workspace
from objrun.cli.program import program

if TYPE_CHECKING:
    from tests.cli.conftest import Call, Printed


@pytest.fixture
def own(place: Path, tmp_path: Path) -> Path:
    """A copy of the store, to be deleted from."""
    return Path(shutil.copytree(place, tmp_path / "copy"))


def ids(printed: Printed) -> set[str]:
    return {json.loads(line)["id"] for line in printed.lines}


def files(place: Path) -> dict[str, int]:
    found = (path for path in place.rglob("*") if path.is_file())
    return {str(path.relative_to(place)): path.stat().st_size for path in found}


def test_runs_go_and_come_back_with_those_below(bare: Call, own: Path) -> None:
    before = ids(bare("--url", str(own), "runs", "--all", "--json"))
    printed = bare("--url", str(own), "delete", "digits/4", "failed-2")
    assert printed.code == 0
    assert printed.out == (
        "deleted digits/4 and 3 runs below it, digits/2; "
        f"bring back: {program()} restore digits/4 failed-2\n"
    )
    left = ids(bare("--url", str(own), "runs", "--all", "--json"))
    assert before - left == {"sweep-4", "child-5", "child-6", "grand-7", "failed-2"}
    shown = bare("--url", str(own), "show", "child-5")
    assert "deleted, `objrun restore` brings it back" in shown.out
    assert bare("--url", str(own), "restore", "digits/4", "failed-2").code == 0
    assert ids(bare("--url", str(own), "runs", "--all", "--json")) == before
    assert "deleted" not in bare("--url", str(own), "show", "child-5").out


def test_an_experiment_goes_and_comes_back(bare: Call, own: Path) -> None:
    before = ids(bare("--url", str(own), "runs", "--json"))
    printed = bare("--url", str(own), "delete", "--experiment", "digits", "--yes")
    assert "restore --experiment digits" in printed.out
    assert ids(bare("--url", str(own), "runs", "--json")) == {"other-1"}
    assert bare("--url", str(own), "restore", "--experiment", "digits").code == 0
    assert ids(bare("--url", str(own), "runs", "--json")) == before


@pytest.mark.parametrize(("answer", "code"), [("y\n", 0), ("n\n", 1)])
def test_at_a_terminal_it_asks(
    bare: Call, own: Path, answer: str, code: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    from io import StringIO

    class Terminal(StringIO):
        def isatty(self) -> bool:
            return True

    monkeypatch.setattr("sys.stdin", Terminal(answer))
    printed = bare("--url", str(own), "delete", "digits/4")
    assert "Delete digits/4 and 3 runs below it? [y/N]" in printed.out + printed.err
    assert printed.code == code
    assert Workspace(own).get_run("sweep-4").state.lifecycle == ("active" if code else "deleted")


def test_gc_says_to_the_byte_what_it_frees(bare: Call, own: Path) -> None:
    url = ("--url", str(own))
    bare(*url, "delete", "digits/4")
    assert bare(*url, "gc").out == "freed 0 objects, 0 bytes (0 bytes)\n"
    before = files(own)
    told = bare(*url, "gc", "--older-than", "0", "--dry-run", "--json")
    assert files(own) == before
    done = bare(*url, "gc", "--older-than", "0", "--csv")
    assert done.lines[0] == "experiment,run,objects,bytes,model"
    entries = [json.loads(line) for line in told.lines]
    assert [line.split(",") for line in done.lines[1:]] == [
        [entry["experiment"], entry["run"], str(entry["objects"]), str(entry["bytes"]), ""]
        for entry in entries
    ]
    # A purge commits a checkpoint of its own, which is no part of what it frees.
    after = {key: size for key, size in files(own).items() if "/checkpoints/" not in key}
    assert sum(entry["objects"] for entry in entries) == len(before) - len(after) > 0
    assert sum(entry["bytes"] for entry in entries) == sum(before.values()) - sum(after.values())
    gone = bare(*url, "show", "sweep-4")
    assert (gone.code, "purged" in gone.err) == (3, True)


def test_gc_of_an_experiment_for_people(bare: Call, own: Path) -> None:
    url = ("--url", str(own))
    bare(*url, "delete", "--experiment", "other")
    printed = bare(*url, "gc", "--older-than", "0", width=80)
    assert "other-1" in printed.out
    assert "the experiment" in printed.out
    assert printed.lines[-1].startswith("freed ")
    gone = bare(*url, "delete", "--experiment", "other")
    assert (gone.code, gone.out) == (3, "")
    assert bare(*url, "runs", "other").code == 3


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["delete"], "name either runs or an --experiment"),
        (["delete", "digits/1", "--experiment", "digits"], "name either"),
        (["restore"], "name either"),
        (["gc", "--older-than", "soon"], "such as 30d"),
        (["gc", "--older-than", "-1d"], "such as 30d"),
        (["rm", "digits/1"], "it is `objrun delete`"),
        (["purge"], "it is `objrun gc`"),
    ],
)
def test_wrong_use(cli: Call, arguments: list[str], told: str) -> None:
    printed = cli(*arguments)
    assert (printed.code, printed.out) == (2, "")
    assert told in " ".join(printed.err.replace("│", "").split())
