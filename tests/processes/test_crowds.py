"""Many processes at one store at once: nothing is lost, nothing happens twice."""

from __future__ import annotations

import pytest

from tests.processes.programs import Place, perform

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


def crowd(place: Place, count: int, act: str, patience: float = 120.0) -> None:
    ended = perform(place, CROWD.replace("{act}", act), count, patience=patience)
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


def test_first_writers_make_one_store_and_one_experiment(place: Place) -> None:
    count = 24 if place.is_local else 10
    crowd(place, count, START)
    check_started(place, count)


@pytest.mark.slow
def test_a_hundred_first_writers_make_one_experiment(place: Place) -> None:
    crowd(place, 100, START, patience=300.0)
    check_started(place, 100)


def test_many_processes_log_into_one_run(mostly_local: Place) -> None:
    place = mostly_local
    perform(place, "start()")
    crowd(
        place,
        16,
        "run = begin(); [run.log('x', float(1000 * n + i), step=i) for i in range(500)]",
    )
    assert sorted(place.values()) == sorted(
        float(1000 * n + i) for n in range(16) for i in range(500)
    )
    assert [len(offsets) for offsets in place.writers().values()] == [500] * 16
    by_writer = place.run().metrics().collect().sort("offset").partition_by("writer")
    assert all(part["step"].to_list() == list(range(500)) for part in by_writer)


def test_two_processes_tag_one_run(mostly_local: Place) -> None:
    place = mostly_local
    perform(place, "start()")
    crowd(place, 2, "run = begin(); [run.tag(f'{n}.{i}', i) for i in range(50)]")
    wanted = {f"{n}.{i}": str(i) for n in range(2) for i in range(50)}
    assert place.run().get_tags() == wanted
    history = place.run().history()
    assert [entry["version"] for entry in history] == list(range(1, 102))
    set_in_order = [
        op["tags"] for entry in history for op in entry["ops"] if op["op"] == "set_tags"
    ]
    assert len(set_in_order) == 100
    for n in range(2):
        own = [key for tags in set_in_order for key in tags if key.startswith(f"{n}.")]
        assert own == [f"{n}.{i}" for i in range(50)]


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
