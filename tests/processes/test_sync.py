"""Copies between real places while real processes write, copy, and are killed."""

from __future__ import annotations

import json
import signal
from typing import TYPE_CHECKING

from objrun import Experiment, Workspace
from objrun.format import keys
from objrun.storage import connect
from tests.processes.programs import Place, launch, perform

if TYPE_CHECKING:
    from pathlib import Path

WRITER = """
    pause = 0.03 if len(arguments) > 1 else 0
    for number in range(1000 if pause else 6):
        if pause and os.path.exists(arguments[1]):
            break
        run = start(f"run-{arguments[0]}-{number}")
        run.add_properties({"kind": "spooled"})
        child = run.child_run("child", run_id=f"child-{arguments[0]}-{number}")
        for step in range(40):
            run.log("x", float(step), step=step)
            child.log("x", float(step), step=step)
            if step % 10 == 0:
                run.flush()
                child.flush()
                run.tag("step", step)
            time.sleep(pause)
        child.complete()
        run.complete()
    say("done")
"""

COPIER = """
    target = Workspace(arguments[0], json.loads(arguments[1]))
    say("go")
    workspace().copy_to(target)
    say("done")
"""


def contents(place: Place) -> dict[str, bytes]:
    store = connect(place.url, **place.options)
    listed = [info.key for info in store.list("")]
    return {key: store.get(key) for key in listed if not key.startswith(keys.PROBE)}


def spool_at(tmp_path: Path) -> Place:
    return Place(str(tmp_path / "spool"), {"durability": "none"})


def test_a_spool_is_brought_over_while_two_processes_write_it(place: Place, tmp_path: Path) -> None:
    spool = spool_at(tmp_path)
    Workspace.create(spool.url, spool.options)
    stop = tmp_path / "stop"
    writers = [launch(spool, WRITER, name, stop) for name in "ab"]
    source, target = spool.workspace(), place.workspace()
    for _ in range(3):
        source.copy_to(target)
        for run in Experiment(target, "processes").get_runs():
            values = run.get_metrics("x").get("x", [])
            known = values if isinstance(values, list) else [values]
            assert known == [float(step) for step in range(len(known))]
            if run.get_status() == "Completed":
                assert len(known) == 40
    assert [writer.process.poll() for writer in writers] == [None, None]
    stop.touch()
    assert [(ended := writer.ended()).code or ended.err for writer in writers] == ["", ""]
    source.copy_to(target)
    assert contents(place) == contents(spool)
    assert source.copy_to(target).objects == 0


def test_a_copy_that_is_killed_is_gone_on_with(mostly_local: Place, tmp_path: Path) -> None:
    spool = spool_at(tmp_path)
    assert perform(spool, WRITER, "a").code == 0
    expected = contents(spool)
    kills = 0
    target = mostly_local.workspace()
    for pause in (0.0, 0.05, 0.2):
        copier = launch(spool, COPIER, mostly_local.url, _text(mostly_local))
        copier.heard("go")
        signal.sigtimedwait([], pause)
        copier.send(signal.SIGKILL)
        kills += copier.ended().code == -signal.SIGKILL
        found = contents(mostly_local)
        assert found.items() <= expected.items()
    assert kills
    spool.workspace().copy_to(target)
    assert contents(mostly_local) == expected


def test_copies_at_once_do_not_disturb_each_other(mostly_local: Place, tmp_path: Path) -> None:
    spool = spool_at(tmp_path)
    assert perform(spool, WRITER, "a").code == 0
    copiers = [launch(spool, COPIER, mostly_local.url, _text(mostly_local)) for _ in range(3)]
    assert [copier.ended().err for copier in copiers] == ["", "", ""]
    assert contents(mostly_local) == contents(spool)


def _text(place: Place) -> str:
    return json.dumps(place.options)
