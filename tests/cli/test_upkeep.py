"""`objrun compact`, `vacuum` and `stats`: what they do, what they print, and how they end."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from objrun import Experiment, Workspace
from objrun.format import keys
from objrun.storage import CountingStore
from objrun.tables import stats

if TYPE_CHECKING:
    from pathlib import Path

    from tests.cli.conftest import Call

FAST = {"durability": "none"}


@pytest.fixture
def url(tmp_path: Path) -> str:
    """A folder with two experiments, of three runs and of one."""
    workspace = Workspace(tmp_path / "store", FAST)
    for name, count in (("digits", 3), ("other", 1)):
        for step in range(count):
            with Experiment(workspace, name).start_logging() as run:
                run.log("loss", 1 / (step + 1), step=step)
    return str(tmp_path / "store")


def test_compacting_says_what_it_did_and_changes_no_answer(bare: Call, url: str) -> None:
    before = bare("runs", "--url", url, "--csv", "--columns", "metrics.loss.last").out
    done = bare("compact", "--url", url)
    assert done.code == 0
    *table, summary = done.lines
    assert [line.split() for line in table] == [
        ["experiment", "checkpoint", "runs", "points", "segments", "levels"],
        ["digits", "1", "3", "3", "3", "1"],
        ["other", "1", "1", "1", "1", "1"],
    ]
    assert summary.startswith("compacted 4 points of 2 experiments; removed 12 objects, ")
    assert bare("runs", "--url", url, "--csv", "--columns", "metrics.loss.last").out == before
    again = bare("compact", "--url", url)
    assert (again.code, again.lines) == (0, ["nothing is live; removed 0 objects, 0 bytes"])


def test_only_some_experiments_and_json(bare: Call, url: str) -> None:
    done = bare("compact", "other", "--no-vacuum", "--json", "--url", url)
    assert [json.loads(line) for line in done.lines] == [
        {
            "experiment": "other", "checkpoint": 1, "runs": 1, "points": 1, "segments": 1,
            "removed": 0, "removed_bytes": 0,
        }
    ]  # fmt: skip


def test_processes_share_the_work(bare: Call, url: str) -> None:
    assert bare("compact", "--workers", "2", "--url", url).code == 0
    assert bare("compact", "--whole", "--url", url).lines[-1].startswith("compacted 0 points of 2")


def test_a_dry_run_of_a_vacuum_says_exactly_what_goes(bare: Call, url: str) -> None:
    bare("compact", "--no-vacuum", "--url", url)
    store = Workspace(url).reading()
    before = store.list("")
    told = bare("vacuum", "--dry-run", "--retention", "0", "--url", url, "--json").lines
    assert store.list("") == before
    done = bare("vacuum", "--retention", "0", "--url", url, "--json").lines
    assert done == told
    freed = sum(info.size for info in before) - sum(info.size for info in store.list(""))
    assert sum(json.loads(line)["bytes"] for line in told) == freed > 0
    last = bare("vacuum", "--retention", "0", "--url", url)
    assert last.lines == ["freed 0 objects, 0 bytes (0 bytes)"]


def test_a_vacuum_refuses_what_only_a_damaged_table_would_stand_for(bare: Call, url: str) -> None:
    bare("compact", "--no-vacuum", "--url", url)
    store = Workspace(url).writing()
    (key,) = [i.key for i in store.list(keys.tables("digits")) if "metrics" in i.key]
    store.put(key, store.get(key)[:-1])
    before = store.list("")
    for arguments in (["vacuum"], ["vacuum", "--dry-run"], ["compact"]):
        printed = bare(*arguments, "digits", "--url", url)
        assert printed.code == (0 if arguments == ["compact"] else 1)
        assert key in printed.err
        assert "nothing of 'digits' is removed before" in printed.err
        assert "verify --repair" in printed.err
        assert store.list("") == before
    assert json.loads(bare("vacuum", "--url", url, "--json").lines[0])["damaged"] == [key]
    bare("verify", "--repair", "--url", url)
    assert bare("vacuum", "digits", "--url", url).code == 0


def test_stats_count_what_is_there(bare: Call, url: str) -> None:
    bare("compact", "digits", "--url", url)
    told = json.loads(bare("stats", "--json", "--url", url).out)
    listed = Workspace(url).reading().list("")
    assert (told["objects"], told["bytes"]) == (len(listed), sum(i.size for i in listed))
    digits, other = told["experiments"]["digits"], told["experiments"]["other"]
    assert (digits["runs"], digits["points"], digits["live_runs"]) == (3, 3, 0)
    assert (other["checkpoint"], other["live_runs"], other["live_segments"]) == (0, 1, 1)
    assert "worth compacting" not in bare("stats", "--url", url).out


def test_stats_of_many_runs_are_estimated(
    bare: Call, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    bare("compact", "--url", url)
    with Experiment(Workspace(url), "digits").start_logging() as run:
        run.log("loss", 1.0)
    exact = json.loads(bare("stats", "--json", "--all", "--url", url).out)
    assert exact == json.loads(bare("stats", "--json", "--url", url).out)
    assert exact["sampled_runs"] == 0
    monkeypatch.setattr(stats, "FEW", 2)
    monkeypatch.setattr(stats, "SAMPLE", 2)
    about = json.loads(bare("stats", "--json", "--url", url).out)
    assert (about["sampled_runs"], about["experiments"]) == (2, exact["experiments"])
    # All but the header.
    assert about["objects"] == about["new_objects"] == exact["objects"] - 1
    assert about["bytes"] == pytest.approx(exact["bytes"], rel=0.05)
    assert json.loads(bare("stats", "--json", "--all", "--url", url).out) == exact
    line = bare("stats", "--url", url).lines[-2]
    assert line.startswith(f"about {about['objects']} objects, ")
    assert line.endswith("(estimated by 2 runs: --all counts)")


def test_what_is_listed_of_many_runs_does_not_grow_with_them(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    Workspace(url).compact()
    monkeypatch.setattr(stats, "FEW", 2)
    monkeypatch.setattr(stats, "SAMPLE", 2)
    store = CountingStore(Workspace(url).reading())
    stats.stats_of(store)
    listed = [asked.key for asked in store.log if asked.verb == "list"]
    assert sum(key.startswith("runs/") for key in listed) == 2
    assert not any(key in ("", "runs/") or "/numbers/" in key for key in listed)


def test_stats_say_what_is_worth_compacting(
    bare: Call, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("objrun.cli.upkeep.MUCH", 3)
    assert bare("stats", "--url", url).lines[-1].endswith("compact digits")


@pytest.mark.parametrize(
    ("arguments", "code", "told"),
    [
        (["compact", "nope"], 3, "there is no experiment 'nope'"),
        (["vacuum", "nope"], 3, "there is no experiment 'nope'"),
        (["compact", "--workers", "0"], 2, "--workers"),
        (["vacuum", "--retention", "soon"], 2, "--retention"),
    ],
)
def test_wrong_use(bare: Call, url: str, arguments: list[str], code: int, told: str) -> None:
    printed = bare(*arguments, "--url", url)
    assert printed.code == code
    assert told in printed.err


def test_a_place_without_a_store(bare: Call, tmp_path: Path) -> None:
    for command in ("compact", "vacuum", "stats"):
        assert bare(command, "--url", str(tmp_path / "none")).code == 3
    assert not (tmp_path / "none").exists()
