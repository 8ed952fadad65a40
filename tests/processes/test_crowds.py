"""Many processes at one store at once: nothing is lost, nothing happens twice."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import polars as pl
import pytest

from objrun import Model
from tests.processes.programs import Place, perform

if TYPE_CHECKING:
    from pathlib import Path

CROWD = """
    # All imports are made once; then everybody is forked and starts at the same moment.
    from objrun.storage import connect
    import pyarrow.parquet
    if url.startswith("s3"):
        import objrun.storage.s3
    count = int(arguments[0])
    ready, go = os.pipe()

    def act(n):
        {act}

    children = []
    for n in range(count):
        pid = os.fork()
        if pid == 0:
            os.close(go)
            os.read(ready, 1)
            act(n)
            sys.exit(0)
        children.append(pid)
    os.close(go)
    codes = [os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) for pid in children]
    assert codes == [0] * count, codes
"""


def crowd(place: Place, count: int, act: str) -> None:
    ended = perform(place, CROWD.replace("{act}", act), count, patience=170.0)
    assert ended.code == 0, ended.err


def check_started(place: Place, count: int) -> None:
    workspace = place.workspace()
    assert list(workspace.experiments) == ["crowd"]
    frame = workspace.runs().collect()
    assert frame.height == count
    assert frame["number"].n_unique() == frame["run_id"].n_unique() == count
    assert set(frame["status"]) == {"Completed"}
    versions = [info.key for info in workspace.reading().list("experiments/crowd/state/")]
    assert len(versions) == 1


START = "Experiment(workspace(), 'crowd').start_logging().complete()"


def test_first_writers_make_one_store_and_one_experiment(empty_place: Place) -> None:
    count = 24 if empty_place.is_local else 10
    crowd(empty_place, count, START)
    check_started(empty_place, count)


@pytest.mark.slow
def test_a_hundred_first_writers_make_one_experiment(empty_place: Place) -> None:
    crowd(empty_place, 100, START)
    check_started(empty_place, 100)


TEN_AT_ONCE = f"""
        threads = [threading.Thread(target=lambda: {START}) for _ in range(10)]
        [thread.start() for thread in threads]
        [thread.join() for thread in threads]"""


@pytest.mark.slow
def test_a_thousand_runs_start_at_once(tmp_path: Path) -> None:
    place = Place(str(tmp_path / "store"), {"durability": "none"})
    crowd(place, 100, TEN_AT_ONCE)
    check_started(place, 1000)


RANKS, STEPS = 64, 50

RANK = f"""
        run = begin()
        run.log("rank", n)
        for step in range({STEPS}):
            run.log("loss", float({STEPS} * n + step), step=step)"""


def test_64_ranks_log_into_one_run(mostly_local: Place) -> None:
    """Each rank's curve, and least, mean and greatest over the ranks at each step."""
    place = mostly_local
    perform(place, "start()")
    crowd(place, RANKS, RANK)
    assert sorted(place.values("loss")) == [float(value) for value in range(RANKS * STEPS)]
    assert list(place.writers().values()) == [list(range(1 + STEPS))] * RANKS
    points = place.run().metrics().collect()
    rank = points.filter(pl.col("name") == "rank").select("writer", rank=pl.col("value").cast(int))
    losses = points.filter(pl.col("name") == "loss").join(rank, on="writer", how="left")
    for (number,), curve in losses.group_by("rank"):
        first = float(STEPS * cast("int", number))
        assert curve["step"].to_list() == list(range(STEPS))
        assert curve["value"].to_list() == [first + step for step in range(STEPS)]
    over = losses.group_by("step", maintain_order=True).agg(
        least=pl.min("value"), mean=pl.mean("value"), greatest=pl.max("value")
    )
    last = float(STEPS * (RANKS - 1))
    assert over.rows() == [(s, float(s), s + last / 2, s + last) for s in range(STEPS)]


TAGGERS, EACH = 32, 2


def test_32_processes_tag_one_run(mostly_local: Place) -> None:
    place = mostly_local
    perform(place, "start()")
    crowd(place, TAGGERS, f"run = begin(); [run.tag(f'{{n}}.{{i}}', i) for i in range({EACH})]")
    wanted = {f"{n}.{i}": str(i) for n in range(TAGGERS) for i in range(EACH)}
    assert place.run().get_tags() == wanted
    history = place.run().history()
    assert [entry["version"] for entry in history] == list(range(1, TAGGERS * EACH + 2))
    set_in_order = [
        key
        for entry in history
        for op in entry["ops"]
        if op["op"] == "set_tags"
        for key in op["tags"]
    ]
    assert sorted(set_in_order) == sorted(wanted)
    for n in range(TAGGERS):
        own = [key for key in set_in_order if key.startswith(f"{n}.")]
        assert own == [f"{n}.{i}" for i in range(EACH)]


def test_only_one_of_many_ends_counts(mostly_local: Place) -> None:
    place = mostly_local
    perform(place, "start()")
    crowd(
        place,
        8,
        "run = begin(); import warnings; warnings.simplefilter('ignore');"
        " run.complete() if n % 2 else run.fail(f'by {n}')",
    )
    history = place.run().history()
    ends = [op for entry in history for op in entry["ops"] if op["op"] == "set_status"]
    assert len(ends) == 1
    assert place.run().status == ends[0]["status"]


REGISTER = """
        import tempfile
        from objrun import Model
        with tempfile.TemporaryDirectory() as folder:
            open(f"{folder}/w{n}", "w").write(str(n))
            Model.register(workspace(), f"{folder}/w{n}", "digits", tags={"n": n})"""


def test_registrations_count_up_without_a_hole(mostly_local: Place) -> None:
    """As many versions as processes, each with the file of the one whose it is."""
    count = 20 if mostly_local.is_local else 8
    crowd(mostly_local, count, REGISTER)
    models = Model.list(mostly_local.workspace(), "digits")
    assert [model.version for model in models] == [*range(count, 0, -1)]
    assert {model.tags["n"] for model in models} == {*map(str, range(count))}
    for model in models:
        assert [*model.files] == [f"w{model.tags['n']}"]
