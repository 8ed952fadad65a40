"""An experiment is purged while a compaction of it has begun and has yet to commit."""

from __future__ import annotations

from datetime import timedelta

import pytest

from objrun import Experiment, Workspace, clock
from objrun.tables.compaction import compact
from tests.api.places import another, store_of
from tests.protocol.turns import Program


@pytest.mark.parametrize("checkpoints", [0, 1])
@pytest.mark.parametrize("requests", range(16))
def test_the_next_experiment_of_that_name_is_whole(requests: int, checkpoints: int) -> None:
    ws = Workspace(f"memory://{clock.random_hex(8)}")
    for number in range(checkpoints + 1):
        with Experiment(ws, "digits").start_logging(run_id=f"old-{number}") as run:
            run.log("x", number)
        if number < checkpoints:
            compact(store_of(ws), "digits")
    Experiment.delete(ws, "digits", with_runs=True)
    compaction = Program(lambda store: compact(store, "digits"))
    thread = compaction.start(store_of(ws))
    for _ in range(requests):
        compaction.step()
    assert [*another(ws).gc(older_than=timedelta(0))]
    while not compaction.done:
        compaction.step()
    thread.join()

    with Experiment(another(ws), "digits").start_logging(run_id="new") as run:
        run.log("x", 1)
    for _ in range(2):
        assert another(ws).runs().collect()["run_id"].to_list() == ["new"]
        assert another(ws).get_run("new").get_metrics() == {"x": 1}
        compact(store_of(ws), "digits")
    # What a compaction brought back of purged runs goes with the next purge.
    [*another(ws).gc(older_than=timedelta(0))]
    names = {info.key.split("/")[1] for info in store_of(ws).list("runs/")}
    assert names == {"new", *(f"old-{number}" for number in range(checkpoints + 1))}
    assert [info.key for info in store_of(ws).list("experiments/digits/shards/old-0/")] == []
