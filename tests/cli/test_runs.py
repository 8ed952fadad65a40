"""`objrun runs`: which runs, in which order, with which columns, in which format."""

from __future__ import annotations

import csv
import io
import json
from datetime import timedelta
from typing import TYPE_CHECKING

import polars as pl
import pytest

from objrun import Experiment, Workspace, clock
from objrun.cli.edge import execute
from objrun.cli.runs import Selection

if TYPE_CHECKING:
    from pathlib import Path

    from tests.cli.conftest import Call, Printed


def numbers(printed: Printed) -> list[int]:
    assert (printed.code, printed.err) == (0, "")
    return [json.loads(line)["number"] for line in printed.lines]


def test_runs_come_newest_first_and_without_children(cli: Call) -> None:
    assert numbers(cli("runs", "digits", "--json")) == [8, 4, 3, 2, 1]


def test_children_come_on_request(cli: Call) -> None:
    assert numbers(cli("runs", "digits", "--all", "--json")) == [8, 7, 6, 5, 4, 3, 2, 1]


def test_all_experiments_are_listed(cli: Call) -> None:
    printed = cli("runs", "--json")
    names = [json.loads(line)["experiment"] for line in printed.lines]
    assert names == ["other", *["digits"] * 5]


@pytest.mark.parametrize(
    ("options", "wanted"),
    [
        (["--status", "Failed"], [2]),
        (["--status", "failed", "--status", "CANCELED"], [8, 2]),
        (["--tag", "model"], [2, 1]),
        (["--tag", "model=cnn", "--tag", "best"], [1]),
        (["--tag", "best=1"], []),
        (["--limit", "2"], [8, 4]),
        (["--limit", "0"], [8, 4, 3, 2, 1]),
        (["--where", "status = 'Failed'"], [2]),
        (["--where", "metrics.loss.last < 0.1"], [3]),
        (["--where", '"metrics.loss.max" > 5 AND number < 5'], [1]),
        (["--where", "params.lr >= 0.1 and tags.model = 'tree'"], [2]),
        (["--where", "status = 'metrics.loss.last < 0.1'"], []),
        (["--where", "error_message LIKE 'CUDA%' OR tags.best IS NOT NULL"], [2]),
        (["--where", "number < 3 AND started > '2026-01-01'"], [2, 1]),
        (["--where", "started > timestamp '2026-01-01' AND number < 3"], [2, 1]),
        (["--where", "number < 3 AND started > now() - interval '1 day'"], [2, 1]),
        (["--where", "started BETWEEN '2026-01-01' AND '2026-01-02' OR number = 3"], [3]),
        (["--where", "created < '1999-12-31T23:59:59Z' OR started > current_timestamp"], []),
        (["--where", "ended IS NULL"], [3]),
        (["--where", "ended - started > interval '1 day' OR started::date = '2000-01-01'"], []),
        (["--all", "--where", "metrics.accuracy.max > 0.6"], [6]),
        (["--where", "number > 1", "--limit", "1", "--status", "Running"], [3]),
    ],
)
def test_runs_are_selected(cli: Call, options: list[str], wanted: list[int]) -> None:
    assert numbers(cli("runs", "digits", "--json", *options)) == wanted


def test_now_is_that_of_each_reading(place: Path) -> None:
    workspace = Workspace(place)
    soon = clock.now() + timedelta(milliseconds=50)
    where = f"number = 1 AND now() > timestamp '{soon:%Y-%m-%d %H:%M:%S.%f}'"
    selection = Selection("digits", pl.lit(value=True), where, columns=[], limit=None)
    while clock.now() <= soon:
        clock.sleep(0.01)
    assert selection.find(workspace, workspace.reading(), 0).total == 1


def test_json_is_exact(cli: Call) -> None:
    columns = "metrics.loss.last,metrics.loss.max,params.huge,params.layers"
    (line,) = cli("runs", "digits", "--json", "--tag", "best", "--columns", columns).lines
    run = json.loads(line)
    assert run["id"] == "done-1"
    assert run["tags"] == {"model": "cnn", "best": None}
    assert run["params"] == {
        "lr": 0.1,
        "layers": 3,
        "huge": {"int": str(2**70)},
        "bad": {"float": "NaN"},
    }
    assert run["metrics.loss.last"] == {"float": "NaN"}
    assert run["metrics.loss.max"] == 9.0
    assert (run["params.huge"], run["params.layers"]) == ({"int": str(2**70)}, 3)
    assert run["started"].endswith("Z")
    assert run["error"] is None


def test_json_tells_the_error_and_the_family(cli: Call) -> None:
    runs = {r["number"]: r for r in map(json.loads, cli("runs", "digits", "--all", "--json").lines)}
    assert runs[2]["error"] == {
        "code": "OOM",
        "message": "CUDA out of memory: tried to allocate 2 GB",
    }
    assert (runs[7]["parent"], runs[7]["root"]) == ("child-6", "sweep-4")
    assert runs[3]["duration"] is None


def test_csv_has_all_that_a_pattern_names(cli: Call) -> None:
    printed = cli("runs", "digits", "--csv", "--columns", "params.*,metrics.l*.max,tags.model")
    rows = list(csv.DictReader(io.StringIO(printed.out)))
    assert [row["number"] for row in rows] == ["8", "4", "3", "2", "1"]
    assert {name for name in rows[0] if "." in name} == {
        "params.lr",
        "params.layers",
        "params.huge",
        "params.bad",
        "metrics.loss.max",
        "tags.model",
    }
    assert rows[4]["params.huge"] == str(2**70)
    assert rows[4]["params.bad"] == "NaN"
    assert (rows[4]["metrics.loss.max"], rows[0]["metrics.loss.max"]) == ("9.0", "")
    assert json.loads(rows[4]["tags"]) == {"model": "cnn", "best": None}


@pytest.mark.parametrize("pattern", ["metrics.*", "metrics.*.last"])
def test_all_metrics_are_those_with_their_last_values(cli: Call, pattern: str) -> None:
    printed = cli("runs", "digits", "--all", "--csv", "--columns", pattern)
    titles = printed.lines[0].split(",")[11:]
    assert set(titles) == {f"metrics.{m}.last" for m in ("loss", "accuracy", "top", "count")}


def test_a_pipe_gets_everything_in_full(cli: Call) -> None:
    printed = cli("runs", "digits")
    titles = printed.lines[0].split()
    assert titles[:6] == ["#", "name", "id", "status", "started", "took"]
    assert {"params.lr", "metrics.loss.last"} <= set(titles)
    assert [line.split()[0] for line in printed.lines[1:]] == ["8", "4", "3", "2", "1"]
    assert "…" not in printed.out
    assert all(line == line.rstrip() for line in printed.lines)


def test_a_very_long_text_cuts_nothing_in_a_pipe(bare: Call, tmp_path: Path) -> None:
    url = str(tmp_path / "store")
    with Experiment(Workspace(url), "e").start_logging() as run:
        run.log("a name of a metric", "x" * 200_000)
    printed = bare("--url", url, "metrics", "e/1")
    assert printed.lines[1].startswith("a name of a metric  ")
    assert "x" * 200_000 in printed.lines[1]


@pytest.mark.parametrize("width", [None, 160])
def test_a_table_has_a_line_for_each_run(bare: Call, tmp_path: Path, width: int | None) -> None:
    """Whatever metrics and parameters are called, and hold."""
    url = str(tmp_path / "store")
    with Experiment(Workspace(url), "e").start_logging() as run:
        run.log("two\nlines", 1.0)
        run.log_params({"also\ntwo": "a\nb"})
    printed = bare("--url", url, "runs", "e", width=width)
    assert len(printed.lines) == 2, printed.out
    assert "two lines" in printed.lines[0]
    assert "a b" in printed.lines[1]


@pytest.mark.parametrize("width", [60, 80, 120, 200])
def test_a_table_fits_the_terminal(cli: Call, width: int) -> None:
    printed = cli("runs", width=width)
    assert printed.code == 0
    assert max(map(len, printed.lines)) <= width
    assert {"Failed", "Running", "Canceled"} <= set(printed.out.split())


def test_a_wide_terminal_shows_parameters_and_metrics(cli: Call) -> None:
    titles = cli("runs", "digits", width=160).lines[0].split()
    assert {"tags", "lr", "loss"} <= set(titles)
    assert titles.index("lr") < titles.index("loss")


def test_parameters_that_differ_are_shown_first(bare: Call, tmp_path: Path) -> None:
    experiment = Experiment(Workspace(tmp_path / "store", {"durability": "none"}), "e")
    for lr in (0.1, 0.2):
        experiment.start_logging().log_params({"epochs": 9, "lr": lr})
    titles = bare("runs", "--url", str(tmp_path / "store"), width=80).lines[0].split()
    assert titles[-2:] == ["lr", "epochs"]


def test_named_columns_are_shown_also_where_room_is_short(cli: Call) -> None:
    columns = "params.lr,metrics.loss.min,metrics.loss.max,tags.model,params.layers"
    printed = cli("runs", "digits", "--columns", columns, width=80)
    assert "loss min  loss max" in printed.lines[0]
    assert "started" not in printed.lines[0]


def test_a_column_that_no_run_has_is_told(cli: Call) -> None:
    printed = cli("runs", "digits", "--columns", "metrics.los.max,params.lr")
    told = "none of these runs has metrics.los.max; perhaps metrics.loss.max"
    assert (printed.code, printed.err) == (0, f"warning: {told}\n")


def test_more_columns_than_can_be_read_are_counted(bare: Call, tmp_path: Path) -> None:
    url = str(tmp_path / "store")
    run = Experiment(Workspace(url, {"durability": "none"}), "e").start_logging()
    run.log_params({f"a_long_name_{n}": n for n in range(10, 50)})
    run.log("val/loss", 1.0)
    run.flush()
    printed = bare("runs", "--url", url, "--columns", "params.*", width=80)
    titles = printed.lines[0].split()
    assert titles[:4] == ["#", "name", "id", "status"]
    assert all(title.startswith("a_long") for title in titles[4:])
    assert printed.lines[2:] == [f"and {44 - len(titles)} more columns: --csv shows all"]
    told = bare("runs", "--url", url, "--where", "metrics.val.loss.last > 0").err
    assert "perhaps metrics.val/loss.last, in a condition in double quotes" in told


def test_statuses_are_coloured_at_a_terminal_only(
    place: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    arguments = ["--url", str(place), "runs", "digits", "--status", "Failed"]
    execute(arguments)
    assert "\x1b" not in capfd.readouterr().out
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("TERM", "xterm")
    execute(arguments)
    assert "\x1b[31mFailed" in capfd.readouterr().out


def test_a_terminal_shows_a_screenful_and_says_so(bare: Call, tmp_path: Path) -> None:
    experiment = Experiment(Workspace(tmp_path / "store", {"durability": "none"}), "many")
    for number in range(45):
        experiment.start_logging(display_name="[bold]日本語[/bold] " + "long " * 30 + str(number))
    url = str(tmp_path / "store")
    printed = bare("runs", "--url", url, width=80)
    assert len(printed.lines) == 1 + 40 + 1
    assert printed.lines[-1] == "40 of 45 runs; --limit 0 shows all"
    assert "[bold]日本語" in printed.out
    assert len(bare("runs", "--url", url, "--limit", "0", width=80).lines) == 1 + 45
    assert len(bare("runs", "--url", url).lines) == 1 + 45


def test_a_store_without_runs(bare: Call, tmp_path: Path) -> None:
    url = str(tmp_path / "store")
    Workspace.create(url, {"durability": "none"})
    assert bare("runs", "--url", url, "--json") == (0, "", "")
    assert "no such runs" in bare("runs", "--url", url, width=80).out
    assert bare("runs", "--url", url).lines[0].split()[0] == "#"


def test_names_that_no_run_has_are_told(cli: Call) -> None:
    printed = cli("runs", "--where", "metrics.los.last < 1 AND params.lr > 0", "--json")
    assert printed == (0, "", "warning: no run has metrics.los.last; perhaps metrics.loss.last\n")


def test_options_of_the_store_come_before_or_after(bare: Call, place: Path) -> None:
    before = bare("--url", str(place), "--option", "durability=none", "--json", "runs")
    after = bare("runs", "--json", "--option", 'durability="none"', "--url", str(place))
    assert before == after
    assert len(before.lines) == 6
    assert bare("--url", "/nowhere", "runs", "--json", "--url", str(place)) == after


def test_the_environment_names_the_store(
    bare: Call, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OBJRUN_URL", str(place))
    assert len(bare("runs", "--json").lines) == 6
    assert bare("runs", "--url", "/nowhere").code == 3
