"""A worker that may only create logs all that anybody can log."""

from __future__ import annotations

import io
import logging
from typing import TYPE_CHECKING, Any

import pytest

from objrun import Experiment, Run, Workspace
from objrun.errors import (
    CreateOnlyError,
    PropertyConflictError,
    RunExistsError,
    StatusWarning,
)
from objrun.format.keys import DRAWN
from objrun.protocol import settle
from objrun.protocol.files import PART
from objrun.storage.wrappers import CountingStore, Fault, FaultyStore
from tests.permissions.conftest import options_of
from tests.processes.programs import Place, perform
from tests.protocol.faults import DOWN

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from objrun.testing.servers import Server
    from tests.permissions.conftest import Open


def log_everything(ws: Workspace) -> list[str]:
    """Log in all ways; return the ids of the runs."""
    experiment = Experiment(ws, "e")
    with experiment.start_logging("first", tags={"a": 1}, properties={"p": 1}) as run:
        run.log("loss", 0.5, step=1)
        run.log("any", None)
        run.log("any", "text")
        run.log("any", 2**70)
        run.flush()
        run.log("loss", 0.25, step=2)
        run.log_list("list", [1, 2.5])
        run.log_row("row", x=1, y="a")
        run.log_table("table", {"x": [1, 2]})
        run.log_metrics({"m": 1.0, "n": 2}, step=3)
        run.log_batch("batch", [0.1, 0.2], steps=[1, 2])
        run.flush()
        run.tag("b", "2")
        run.set_tags({"c": 3})
        run.remove_tags(["a"])
        run.add_properties({"q": "2"})
        run.add_properties({"q": "2", "r": "3"})
        run.log_params({"lr": 0.1, "n": 3})
        run.upload_file("notes.txt", io.BytesIO(b"fine"))
        run.display_name = "shown"
        run.description = "described"
        children = [run.child_run("child"), *run.create_children(tag_key="fold", tag_values=[1])]
        for child in children:
            child.log("x", 1.0)
        children[0].complete()
        children[1].cancel()
    failed = experiment.start_logging(run_id=f"failed-{run.id}")
    failed.log("x", 1.0)
    failed.fail("broken", "Code")
    return [run.id, *(child.id for child in children), failed.id]


def told(ws: Workspace, run_id: str) -> dict[str, Any]:
    """What a reader is told of a run, but for what differs from run to run."""
    run = Run.get(ws, run_id)
    state = run.state
    own = [name for name in run.properties if name.startswith("objrun.")]
    name = (state.name or "").replace(run_id, "ID")
    shown = (state.display_name or "").replace(str(run.number), "N")
    return {
        "names": (name, shown, state.description, state.type),
        "status": (state.status, state.error, state.parent_run_id is None),
        "tags": state.tags,
        "params": state.params,
        "properties": {key: state.properties[key] for key in run.properties if key not in own},
        "metrics": run.get_metrics(),
        "files": {name: run.open(name).read() for name in run.get_file_names()},
        "history": [[op["op"] for op in entry["ops"]] for entry in run.history()],
    }


def test_a_reader_sees_what_anybody_would_have_written(opened: Open) -> None:
    worker = opened("worker")
    blind = log_everything(worker)
    assert worker.is_blind
    full = log_everything(opened("maintainer"))
    reader = opened("reader")
    for mine, other in zip(blind, full, strict=True):
        assert told(reader, mine) == told(reader, other)
    numbers = [reader.get_run(run_id).number for run_id in blind]
    assert min(numbers) >= DRAWN
    assert len({*numbers}) == len(numbers)
    listed = reader.runs().collect()
    assert {*listed["run_id"]} == {*blind, *full}
    assert sorted(reader.get_run(run_id).number for run_id in full) == [1, 2, 3, 4]


def test_one_line_says_that_it_is_blind(opened: Open, caplog: pytest.LogCaptureFixture) -> None:
    ws = opened("worker")
    with caplog.at_level(logging.WARNING):
        Experiment(ws, "e").start_logging().complete()
        Experiment(ws, "e").start_logging().complete()
    assert len([each for each in caplog.records if "blind" in each.getMessage()]) == 1


def test_what_reads_is_refused_by_name(
    guarded: Server, opened: Open, place: str, tmp_path: Path
) -> None:
    opened("maintainer")
    ws = Workspace(place, {**options_of(guarded, "worker"), "spool": tmp_path / "spools"})
    (tmp_path / "a file").write_bytes(bytes(PART + 1))
    run = Experiment(ws, "e").start_logging()
    run.log("x", 1.0)
    acts: list[Callable[[], object]] = [
        run.get_metrics, run.get_tags, run.get_params, run.get_status, run.history, run.delete,
        lambda: Run.get(ws, run.id), lambda: ws.experiments, ws.compact, ws.vacuum, ws.gc,
        lambda: Run.resume(ws, run.id), lambda: Experiment(ws, "e").get_runs(),
        lambda: Experiment(ws, "e").tag("a", 1), lambda: ws.store_id, ws.runs, ws.stats,
        run.wait_for_completion,
    ]  # fmt: skip
    acts.append(lambda: run.upload_file("name", tmp_path / "a file"))
    for act in acts:
        with pytest.raises(CreateOnlyError, match=r"takes the permission to .* only create"):
            act()
    run.complete()
    assert opened("reader").get_run(run.id).get_metrics() == {"x": 1.0}
    assert not (tmp_path / "spools").exists(), "that is no failure of the store"


def test_what_is_there_already_cannot_be_compared(opened: Open) -> None:
    experiment = Experiment(opened("worker"), "e")
    run = experiment.start_logging(run_id="mine")
    with pytest.raises(RunExistsError):
        experiment.start_logging(run_id="mine")
    opened("maintainer").get_run("mine").add_properties({"taken": "1"})
    with pytest.raises(PropertyConflictError, match=r"'taken'.*'free' was added"):
        run.add_properties({"free": "1", "taken": "1"})
    found = opened("reader").get_run("mine").properties
    assert (found["free"], found["taken"]) == ("1", "1")


def test_it_only_ever_creates(opened: Open) -> None:
    ws = opened("worker")
    counting = CountingStore(ws.store)
    ws.go_through(lambda _: counting)
    log_everything(ws)
    assert counting.counts["get"] == 1, "the header, which is refused"
    assert {*counting.counts} == {"get", "put_if_absent"}


def test_the_first_end_stays(opened: Open) -> None:
    run = Experiment(opened("worker"), "e").start_logging()
    run.fail("broken")
    with pytest.warns(StatusWarning):
        run.complete()
    assert (run.status, opened("reader").get_run(run.id).status) == ("Failed", "Failed")


def test_others_change_its_run_meanwhile(opened: Open) -> None:
    run = Experiment(opened("worker"), "e").start_logging()
    other = opened("worker-that-reads").get_run(run.id)
    for number in range(3):
        run.tag(f"mine-{number}", 1)
        other.tag(f"other-{number}", 1)
    run.complete()
    found = opened("reader").get_run(run.id)
    assert len(found.tags) == 6
    assert found.status == "Completed"


PROCESSES = """
    from tests.processes import workers
    run = Experiment(workspace(), "e").start_logging()
    context = multiprocessing.get_context("{method}")
    children = [
        context.Process(target=workers.log_and_tag, args=(run, f"child-{{n}}")) for n in range(4)
    ]
    for process in children:
        process.start()
    workers.log_and_tag(run, "parent")
    for process in children:
        process.join()
    assert [process.exitcode for process in children] == [0] * 4
    run.complete()
    say(run.id)
"""


@pytest.mark.parametrize("method", ["fork", pytest.param("spawn", marks=pytest.mark.slow)])
def test_processes_share_a_run(guarded: Server, opened: Open, place: str, method: str) -> None:
    ended = perform(Place(place, options_of(guarded, "worker")), PROCESSES.format(method=method))
    assert ended.code == 0, ended.err
    assert opened("reader").get_run(ended.out[-1]).status == "Completed"
    found = opened("reader").get_run(ended.out[-1])
    names = {"parent", *(f"child-{n}" for n in range(4))}
    assert {*found.tags} == names
    assert found.get_metrics() == {name: [float(n) for n in range(50)] for name in names}


def test_many_start_runs_at_once(guarded: Server, opened: Open, place: str) -> None:
    source = """
        from concurrent.futures import ThreadPoolExecutor
        ws = workspace()
        def work(n):
            with Experiment(ws, "new").start_logging() as run:
                run.log("x", float(n))
        with ThreadPoolExecutor(16) as pool:
            list(pool.map(work, range(16)))
    """
    ended = perform(Place(place, options_of(guarded, "worker")), source)
    assert ended.code == 0, ended.err
    rows = opened("reader").runs(["metrics.x.last"]).collect()
    assert sorted(rows["metrics.x.last"].to_list()) == [float(n) for n in range(16)]
    assert rows["number"].n_unique() == 16


def test_what_it_has_spooled_is_sent_by_somebody_who_may_read(
    guarded: Server,
    opened: Open,
    place: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    down: list[Fault] = []
    monkeypatch.setattr(settle, "PATIENCE", 0.1)
    maintainer = opened("maintainer")
    ws = Workspace(place, {**options_of(guarded, "worker"), "spool": tmp_path})
    ws.go_through(lambda store: FaultyStore(store, lambda *_: down[0] if down else None))
    run = Experiment(ws, "e").start_logging()
    run.tag("before", 1)
    down.append(DOWN)
    run.tag("meanwhile", 1)
    run.log("x", 1.0)
    run.complete()
    down.clear()
    assert ws.spool is not None
    ws.spool.flush(20)
    assert "objrun sync" in caplog.text
    assert "is back" in caplog.text
    later = Experiment(ws, "e").start_logging()
    assert maintainer.get_run(later.id).status == "Running"
    assert {*maintainer.get_run(run.id).tags} == {"before"}
    Workspace(ws.spool.folder).copy_to(maintainer)
    found = maintainer.get_run(run.id)
    assert {*found.tags} == {"before", "meanwhile"}
    assert (found.status, found.get_metrics()) == ("Completed", {"x": 1.0})


def test_the_first_of_all_makes_the_store(guarded: Server, place: str) -> None:
    ws = Workspace(place, options_of(guarded, "worker"))
    Experiment(ws, "e").start_logging().complete()
    reader = Workspace.get(place, options_of(guarded, "reader"))
    assert reader.runs().collect().height == 1
