"""`objrun show`, `metrics`, `children` and `history`: one run in every format."""

from __future__ import annotations

import csv
import io
import json
from typing import TYPE_CHECKING, Any

import pytest

from objrun import Experiment, Run, Workspace, schemas
from tests.cli.conftest import ERROR

if TYPE_CHECKING:
    from pathlib import Path

    from tests.cli.conftest import Call


def documents(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines()]


@pytest.mark.parametrize("name", ["done-1", "do", "digits/1", "digits/0001"])
def test_a_run_is_named_by_id_prefix_or_number(cli: Call, name: str) -> None:
    assert json.loads(cli("show", name, "--json").out)["id"] == "done-1"


def test_an_id_wins_over_those_that_begin_with_it(cli: Call) -> None:
    printed = cli("show", "c")
    assert printed.code == 2
    assert "3 runs begin with 'c': canceled-8, child-5, child-6" in printed.err


def test_an_experiment_is_no_run(cli: Call) -> None:
    printed = cli("show", "digits")
    assert (printed.code, "digits is an experiment: its runs are digits/NUMBER" in printed.err) == (
        3,
        True,
    )


def test_show_has_all_that_is_noted(cli: Call) -> None:
    out = cli("show", "digits/1").out
    for noted in ("digits/1  a cnn", "Completed after", "done-1", "best model=cnn", "huge", "nan"):
        assert noted in out
    assert str(2**70) in out
    assert "Python 3." in out
    assert "objrun.host" not in out
    assert "objrun.host" in cli("show", "digits/1", "--all").out


def test_show_tells_the_source_of_a_run(
    bare: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)  # the work tree of these tests is not the source
    git = {"commit": "0123456789abcdef", "branch": "main", "dirty": "True"}
    facts = {f"azureml.git.{name}": value for name, value in git.items()}
    own = {"data": "v2", "objrun.host": "h", "ContentSnapshotId": "f" * 64}
    experiment = Experiment(Workspace(tmp_path / "store"), "e")
    experiment.start_logging(properties=facts | own, snapshot_directory=None).complete()
    lines = bare("--url", str(tmp_path / "store"), "show", "e/1").lines
    assert "  source    0123456789ab of main with changes" in lines
    assert "  snapshot  ffffffffffff" in lines
    assert lines[lines.index("properties") + 1 :] == ["  data  v2"]


def test_show_tells_why_a_run_failed(cli: Call) -> None:
    out = cli("show", "failed-2", width=80).out
    assert f"OOM: {ERROR}" in out
    assert "Failed after" in out


def test_show_tells_how_long_a_run_has_been_running(cli: Call) -> None:
    out = cli("show", "running-3", width=80).out
    assert "Running for" in out
    assert "goes on" in out
    assert "ended" not in out


def test_show_draws_metrics_with_their_spike(cli: Call) -> None:
    out = cli("show", "done-1", width=80).out
    (loss,) = (line for line in out.splitlines() if line.startswith("  loss"))
    assert loss.split()[1:6] == ["101", "nan", "0.01", "9", "1"]
    assert loss.split()[6].count("█") == 1
    assert [line.split()[0] for line in out.splitlines()[-6:]] == [
        "loss", "top", "note", "count", "confusion", "folds",
    ]  # fmt: skip
    assert "↑" in out
    assert "two lines" in out


@pytest.mark.parametrize("width", [60, 80, 120])
def test_show_fits_the_terminal(cli: Call, width: int) -> None:
    assert max(map(len, cli("show", "done-1", width=width).lines)) <= width


def test_show_as_json_is_one_document(cli: Call) -> None:
    run = json.loads(cli("show", "done-1", "--json").out)
    assert run["metrics"]["loss"]["count"] == 101
    assert run["metrics"]["loss"]["last"] == {"float": "NaN"}
    assert run["metrics"]["loss"]["nan_count"] == 1
    assert run["metrics"]["top"]["max"] == {"float": "Infinity"}
    assert run["metrics"]["confusion"] == {"kind": "table", "count": 1}


def test_metrics_as_json_are_exact(cli: Call) -> None:
    rows = documents(cli("metrics", "done-1", "--json").out)
    values: dict[str, list[Any]] = {}
    for row in rows:
        values.setdefault(row["name"], []).append(row["value"])
    assert values["loss"][:2] == [1.0, 0.5]
    assert values["loss"][-1] == {"float": "NaN"}
    assert values["count"] == [{"int": str(2**70)}]
    assert values["note"] == ["two\nlines"]
    assert values["confusion"] == [{"a": [1, 2], "b": [3.5, None]}]
    assert values["folds"] == [[1, {"float": "-Infinity"}]]
    assert [row["step"] for row in rows[:101]] == list(range(101))


def test_metrics_as_csv_are_exact(cli: Call) -> None:
    rows = list(csv.DictReader(io.StringIO(cli("metrics", "done-1", "--csv").out)))
    assert [float(row["value"]) for row in rows[:100]] == [
        9.0 if step == 61 else 1 / (step + 1) for step in range(100)
    ]
    named = {row["name"]: row for row in rows}
    assert named["count"]["data"] == str(2**70)
    assert named["top"]["value"] == "inf"
    assert rows[100]["value"] == "NaN"
    assert rows[0]["time"].endswith("Z")


def test_one_metric_alone(cli: Call) -> None:
    assert [
        row["value"] for row in documents(cli("metrics", "failed-2", "loss", "--json").out)
    ] == [3.5]


def test_what_a_rewind_took_the_place_of(bare: Call, tmp_path: Path) -> None:
    workspace = Workspace(tmp_path, {"durability": "none"})
    run = Experiment(workspace, "digits").start_logging(run_id="r")
    for step in range(3):
        run.log("loss", 1.0, step=step)
    run.flush()
    Run.resume(workspace, "r", from_step=1)

    def steps(*options: str) -> list[int]:
        printed = bare("--url", str(tmp_path), "metrics", "r", *options, "--json")
        return [row["step"] for row in documents(printed.out)]

    assert steps("--superseded") == steps("loss", "--superseded") == [1, 2]
    assert steps("other", "--superseded") == []
    assert steps() == [0]
    told = bare("--url", str(tmp_path), "metrics", "r", "--superseded", "--recursive")
    assert (told.code, "--superseded" in told.err) == (2, True)
    assert "resumed from step 1" in bare("--url", str(tmp_path), "history", "r").out


def test_a_terminal_shows_the_last_values_and_says_so(cli: Call) -> None:
    printed = cli("metrics", "done-1", "loss", width=80)
    assert len(printed.lines) == 1 + 20 + 1
    assert printed.lines[-1] == "the last 20 of each; 101 in all: --limit 0 shows them"
    assert len(cli("metrics", "done-1", "loss", "--limit", "3", width=80).lines) == 5
    assert len(cli("metrics", "done-1", "loss", "--limit", "0", width=80).lines) == 102
    assert len(cli("metrics", "done-1", "loss").lines) == 102


def test_a_table_that_was_logged_looks_like_one(cli: Call) -> None:
    rows = [line.split() for line in cli("metrics", "done-1", "confusion").lines]
    assert rows == [["a", "b"], ["1", "3.5"], ["2"]]


def test_a_long_table_is_limited_as_all_metrics_are(bare: Call, tmp_path: Path) -> None:
    url = str(tmp_path / "store")
    run = Experiment(Workspace(url, {"durability": "none"}), "e").start_logging()
    run.log_table("long", {"row": list(range(2000))})
    run.complete()
    named = ("--url", url, "metrics", "e/1", "long")
    printed = bare(*named, width=80)
    assert printed.lines[1:-1] == [f"{row:>4}" for row in range(1980, 2000)]
    assert printed.lines[-1] == "the last 20 of 2,000 rows; --limit 0 shows all"
    assert len(bare(*named, "--limit", "0", width=80).lines) == 1 + 2000
    assert bare(*named, "--limit", "2").lines == [" row", "1998", "1999"]
    assert len(bare(*named).lines) == 1 + 2000
    (row,) = documents(bare(*named, "--json").out)
    assert len(row["value"]["row"]) == 2000


def test_of_a_wide_table_whole_columns_are_shown(bare: Call, tmp_path: Path) -> None:
    url = str(tmp_path / "store")
    run = Experiment(Workspace(url, {"durability": "none"}), "e").start_logging()
    run.log_table("wide", {f"a_long_column_{n}": [n] for n in range(10, 50)})
    run.complete()
    printed = bare("--url", url, "metrics", "e/1", "wide", width=80)
    assert printed.lines[0].split() == [f"a_long_column_{n}" for n in (10, 11, 12, 13)]
    assert printed.lines[1].split() == ["10", "11", "12", "13"]
    assert printed.lines[2:] == ["and 36 more columns: --csv shows all"]


def test_what_is_no_number_is_shown_as_what_it_is(bare: Call, tmp_path: Path) -> None:
    url = str(tmp_path / "store")
    with Experiment(Workspace(url), "e").start_logging(snapshot_directory=None) as run:
        run.log_confusion_matrix("confusion", schemas.confusion_matrix(["a", "b"], ["a", "a"]))
        run.log_accuracy_table("roc", schemas.accuracy_table([0, 1], [[0.9, 0.1], [0.2, 0.8]]))
        run.log_residuals("residuals", schemas.residuals([1.0, 2.0], [1.5, 2.5], bins=2))
        run.log_predictions("predictions", schemas.predictions([1.0, 2.0], [1.5, 2.5], bins=2))
        for step in (1, 2):
            run.log_text("answer", "forty-two\n\x1b[2J" * step**16, step=step)
            run.log_histogram("weights", counts=[1, step], edges=[0, 1, 2], step=step)
        run.log_image("dot", path=b"P1 1 2 0 0")

    def shown(name: str, *options: str, width: int | None = None) -> list[str]:
        printed = bare("--url", url, "metrics", "e/1", name, *options, width=width)
        assert printed.code == 0, printed.err
        return printed.lines

    assert shown("confusion") == ["true  as a  as b", "a        1     0", "b        1     0"]
    assert "plot e/1 confusion draws it" in " ".join(shown("confusion", width=200))
    assert shown("roc")[0].split() == ["class", "TP", "FP", "TN", "FN"]
    assert shown("residuals")[0].split() == ["from", "to", "counts"]
    assert shown("predictions")[0].split() == ["from", "to", "counts", "averages", "errors"]
    answers = shown("answer")
    assert answers[:4] == ["step 1:", "forty-two", "?[2J", "step 2:"]
    assert len(answers) > 60_000, "that of a blob is whole"
    assert shown("answer", "--limit", "1")[0] == "step 2:"
    assert [line.split()[:4] for line in shown("weights")[1:]] == [
        ["1", "2", "0", "2"],
        ["2", "3", "0", "2"],
    ]
    assert "an image, 1 x 2, 10 bytes" in shown("dot")[1]
    assert "images e/1 -o FOLDER" in " ".join(shown("dot", width=200))
    assert shown("dot", "--json")[0].count("media://") == 1, "programs get what run.open takes"


def test_metrics_of_descendants(cli: Call) -> None:
    rows = documents(cli("metrics", "sweep-4", "--recursive", "--json").out)
    assert [(row["run_id"], row["value"]) for row in rows] == [
        ("child-5", 0.5),
        ("child-5", 0.25),
        ("child-6", 0.75),
        ("child-6", 0.375),
    ]
    table = cli("metrics", "sweep-4", "accuracy", "-r", width=80)
    assert table.lines[0].split()[:3] == ["#", "run", "id"]
    assert [line.split()[0] for line in table.lines[1:]] == ["5", "5", "6", "6"]


def test_a_run_without_metrics(cli: Call) -> None:
    assert cli("metrics", "canceled-8", "--json") == (0, "", "")
    assert cli("metrics", "canceled-8", "--csv").out.startswith("run_id,name,kind,")
    assert cli("metrics", "canceled-8").code == 0
    assert "metrics" not in cli("show", "canceled-8").out


def test_children_as_a_tree(cli: Call) -> None:
    printed = cli("children", "sweep-4", width=100)
    assert printed.lines[0].startswith("digits/4  sweep  Completed")
    assert printed.lines[1].startswith("├── #5 child 5  Completed")
    assert printed.lines[1].endswith("accuracy max 0.5")
    assert printed.lines[2].endswith("accuracy max 0.75  best  and 1 below: --recursive")
    assert len(printed.lines) == 3


def test_descendants_as_a_tree(cli: Call) -> None:
    printed = cli("children", "sweep-4", "-r")
    assert printed.lines[3].startswith("    └── #7 grandchild")


def test_children_are_compared_as_asked(cli: Call) -> None:
    rows = documents(cli("children", "sweep-4", "--best", "min", "--json").out)
    assert [row["score"] for row in rows] == [
        {"metric": "accuracy", "goal": "min", "best": 0.25, "last": 0.25, "winner": True},
        {"metric": "accuracy", "goal": "min", "best": 0.375, "last": 0.375, "winner": False},
    ]
    rows = documents(cli("children", "sweep-4", "--metric", "accuracy", "-r", "--json").out)
    assert [row["number"] for row in rows] == [5, 6, 7]
    assert [bool(row["score"] and row["score"]["winner"]) for row in rows] == [False, True, False]


def test_children_as_csv(cli: Call) -> None:
    rows = list(csv.DictReader(io.StringIO(cli("children", "sweep-4", "--csv", "-r").out)))
    assert [(row["id"], row["best"]) for row in rows] == [
        ("child-5", "0.5"),
        ("child-6", "0.75"),
        ("grand-7", ""),
    ]


def test_a_run_without_children(cli: Call) -> None:
    assert "no children" in cli("children", "done-1").out
    assert cli("children", "done-1", "--json") == (0, "", "")


def test_history_tells_every_change(cli: Call) -> None:
    entries = documents(cli("history", "failed-2", "--json").out)
    assert [entry["version"] for entry in entries] == [1, 2, 3]
    assert [entry["ops"][0]["op"] for entry in entries] == ["create", "set_params", "set_status"]
    lines = cli("history", "failed-2").lines
    assert lines[2].endswith("params lr=0.5")
    assert lines[3].endswith(f"status Failed: {ERROR}")
    rows = list(csv.DictReader(io.StringIO(cli("history", "failed-2", "--csv").out)))
    assert [row["status"] for row in rows] == ["Running", "Running", "Failed"]


def test_history_shows_numbers_that_json_lacks(cli: Call) -> None:
    assert f"bad=NaN huge={2**70}" in cli("history", "done-1").out
