"""Logs on their way: copies, the spool, verify, and the purge take them along."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from objrun import Experiment, Workspace
from objrun.protocol.log_writer import LogWriter
from objrun.runs import jobs
from objrun.tables.verify.store import verify
from tests.submission.conftest import log_of

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

    from objrun import Run


def printing(run: Run, lines: int = 25) -> LogWriter:
    """A run that has printed so many lines, one a flush."""
    log = LogWriter(run.id, "std_log.txt")
    for number in range(lines):
        log.add(b"%d\n" % number)
        run.keep_log(log)
    return log


def text(lines: int) -> bytes:
    return b"".join(b"%d\n" % number for number in range(lines))


def test_a_copy_has_the_log_also_of_a_run_that_still_prints(
    local_ws: Workspace, tmp_path: Path
) -> None:
    run = Experiment(local_ws, "digits").start_logging()
    log = printing(run, 25)
    target = Workspace(tmp_path / "copy", {"durability": "none"})
    local_ws.copy_to(target)
    assert log_of(target.get_run(run.id)) == text(25)
    for number in range(25, 40):
        log.add(b"%d\n" % number)
        run.keep_log(log)
    local_ws.copy_to(target)
    assert log_of(target.get_run(run.id)) == text(40)
    assert local_ws.copy_to(target).objects == 0


def test_a_log_goes_on_in_the_spool_and_comes_home(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(jobs, "PATIENCE", 0.1)
    store = tmp_path / "store"
    ws = Workspace(store, {"durability": "none", "spool": str(tmp_path / "spool")})
    run = Experiment(ws, "digits").start_logging()
    log = printing(run, 25)
    away = store.rename(tmp_path / "away")
    store.touch()  # so nothing can be stored there
    for number in range(25, 40):
        log.add(b"%d\n" % number)
        run.keep_log(log)
    assert not log.waiting
    assert ws.spool
    store.unlink()
    away.rename(store)
    ws.spool.flush(30.0)
    assert log_of(Workspace(store).get_run(run.id)) == text(40)


def test_verify_knows_logs_and_a_purge_leaves_nothing_of_them(local_ws: Workspace) -> None:
    run = Experiment(local_ws, "digits").start_logging()
    printing(run)
    run.complete()
    assert [*verify(local_ws.store)] == []
    [*chunks] = local_ws.store.list(f"runs/{run.id}/logs/")
    local_ws.store.put(chunks[0].key, b"cut")
    assert [(found.code, found.key) for found in verify(local_ws.store)] == [
        ("wrong_file", chunks[0].key)
    ]
    run.delete()
    (freed,) = local_ws.gc(timedelta(0))
    assert freed.run == run.id
    left = {info.key for info in local_ws.store.list(f"runs/{run.id}/")}
    assert not [key for key in left if "/logs/" in key]
