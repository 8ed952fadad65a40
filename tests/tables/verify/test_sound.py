"""A sound store has no findings, and is read once."""

from __future__ import annotations

import os
from collections import Counter
from pathlib import Path

import pytest

from objrun import Experiment, clock
from objrun.format import keys
from objrun.storage import CountingStore, LatencyStore, LocalStore
from objrun.tables.verify.findings import CODES, Checked
from objrun.tables.verify.store import verify
from tests.tables.verify.stores import NAME, STAGES, all_points, all_runs, fresh, objects_of, told


@pytest.mark.parametrize("stage", STAGES)
@pytest.mark.parametrize("deep", [False, True])
def test_a_sound_store_has_no_findings(stage: str, deep: bool) -> None:
    made = fresh(stage)
    before = made.objects
    last = Checked()

    def tell(checked: Checked) -> None:
        nonlocal last
        last = checked

    assert [*verify(made.store, deep=deep, tell=tell)] == []
    assert [*verify(made.store, [NAME], deep=deep)] == []
    assert made.objects == before
    runs, points = (frame(made).height for frame in (all_runs, all_points))
    assert (last.objects, last.known) == (len(before), len(before))
    assert (last.runs, last.points) == (runs, points)


@pytest.mark.parametrize("stage", STAGES)
def test_it_asks_for_each_object_once_and_for_many_at_once(stage: str) -> None:
    made = fresh(stage)
    store = CountingStore(LatencyStore(made.store, 0))
    assert [*verify(store)] == []
    read = Counter(asked.key for asked in store.log if asked.verb == "get")
    assert set(read.values()) == {1}
    assert {*store.counts} == {"get", "list", "folders"}
    # Of the top, of runs, of what is shared and of models; of each experiment all it has, and its
    # checkpoints.
    assert store.counts["folders"] == 2
    assert store.counts["list"] == 5 + 2 * len(made.store.folders(keys.EXPERIMENTS))


def test_what_is_live_is_not_read_where_tables_have_it() -> None:
    made = fresh("compacted")
    key = next(info.key for info in made.store.list(keys.shards(NAME)))
    made.damage(key)
    assert made.find() == []


def test_only_what_is_asked_for_is_looked_at() -> None:
    made = fresh("vacuumed")
    Experiment(made.workspace, "other").start_logging(run_id="o").complete()
    made.damage("runs/o/state/00000002.json")
    assert [*verify(made.store, [NAME])] == []
    assert told([*verify(made.store, ["other"])]) == [("damaged", "runs/o/state/00000002.json")]


def test_a_marker_is_of_a_dead_writer_after_an_hour(tmp_path: Path) -> None:
    for key, data in objects_of("live").items():
        (tmp_path / key).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / key).write_bytes(data)
    store = LocalStore(str(tmp_path), durable=False)
    dead = [keys.marker(NAME, "r1", 5), keys.marker(NAME, "never-made", 1)]
    for key in dead:
        store.put(key, b"")
    assert [*verify(store)] == []
    an_hour_ago = clock.now().timestamp() - 3601
    for key in dead:
        os.utime(tmp_path / key, (an_hour_ago, an_hour_ago))
    assert sorted(told([*verify(store)])) == sorted(("dead_marker", key) for key in dead)


def test_every_code_is_in_the_documents() -> None:
    page = (Path(__file__).parents[3] / "docs" / "how-to.md").read_text(encoding="utf-8")
    assert [code for code in CODES if f"| `{code}` |" not in page] == []
