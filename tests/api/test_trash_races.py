"""Purges of an experiment at once, beside who restores it and who makes it anew: in any order."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from objrun import Experiment, Workspace, clock
from objrun.errors import ExperimentNotFoundError, RunNotFoundError, UserErrorException
from tests.api.places import another, contents, on, store_of
from tests.protocol.turns import take_turns

MONTH = timedelta(days=30)


def deleted() -> Workspace:
    """Return a store with an experiment of two runs that was deleted long ago."""
    ws = Workspace(f"memory://{clock.random_hex(8)}")
    now = clock.now
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(clock, "now", lambda: now() - timedelta(days=40))
        experiment = Experiment(ws, "digits")
        for number in range(2):
            with experiment.start_logging(run_id=f"old-{number}") as run:
                run.log("x", number)
        Experiment.delete(ws, "digits", with_runs=True)
    return ws


def purged(ws: Workspace, run_id: str) -> bool:
    try:
        another(ws).get_run(run_id)
    except RunNotFoundError:
        return True
    return False


def started(own: Workspace) -> Any:
    run = Experiment(own, "digits").start_logging()
    return run.id, run.number


@settings(max_examples=60)
@given(st.lists(st.integers(0, 2), max_size=90))
def test_two_purges_and_a_creator(turns: list[int]) -> None:
    """A run that was started is there, with a number of its own; of the old ones nothing is."""
    ws = deleted()
    gcs = [on(ws, lambda own: own.gc(MONTH)) for _ in range(2)]
    creating = on(ws, started)
    take_turns(store_of(ws), [*gcs, creating], turns)
    assert not [gc.result for gc in gcs if isinstance(gc.result, Exception)]
    told = creating.result
    if isinstance(told, Exception):
        assert isinstance(told, UserErrorException)
        told = started(another(ws))
    assert isinstance(told, tuple)
    run_id, number = told
    assert number == 3
    another(ws).gc(MONTH)
    fresh = another(ws)
    assert list(fresh.experiments) == ["digits"]
    assert [run.id for run in Experiment(fresh, "digits").get_runs()] == [run_id]
    assert started(fresh)[1] == 4
    left = {key for key in contents(ws) if "old-" in key}
    assert left == {"runs/old-0/state/00000004.json", "runs/old-1/state/00000004.json"}


@settings(max_examples=60)
@given(st.lists(st.integers(0, 1), max_size=60))
def test_a_purge_and_a_restore(turns: list[int]) -> None:
    """An experiment that was restored stays, with every run that was not purged before."""
    ws = deleted()
    restoring = on(ws, lambda own: Experiment.restore(own, "digits"))
    purging = on(ws, lambda own: own.gc(MONTH))
    take_turns(store_of(ws), [purging, restoring], turns)
    assert not isinstance(purging.result, Exception), purging.result
    shown = {run.id for run in Experiment(another(ws), "digits").get_runs()}
    if isinstance(restoring.result, ExperimentNotFoundError):
        assert shown == set()
        assert list(another(ws).experiments) == []
        assert started(another(ws))[1] == 3
        return
    assert list(another(ws).experiments) == ["digits"]
    assert restoring.result is None or isinstance(restoring.result, RunNotFoundError)
    assert shown == {run for run in ("old-0", "old-1") if not purged(ws, run)}
    assert started(another(ws))[1] == 3
