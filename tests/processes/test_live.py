"""One process logs, another looks: what it sees only grows, and is never an error."""

from __future__ import annotations

import time

from tests.processes.programs import PATIENCE, Place, launch

LOGGING = """
    run = start()
    say("started")
    for i in range(2000):
        run.log("x", float(i), step=i)
        if i % 50 == 0:
            run.flush()
            say(i)
        if i % 200 == 0:
            run.tag("at", i)
    run.complete()
"""


def test_another_process_sees_a_run_grow(place: Place) -> None:
    program = launch(place, LOGGING)
    program.heard("started")
    seen: list[int] = []
    tagged: list[int] = []
    statuses: list[str] = []
    workspace, handle = place.workspace(), place.run()
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline and "Completed" not in statuses:
        row = workspace.runs(["metrics.x.count", "metrics.x.last", "tags.at"]).collect()
        statuses.append(row["status"][0])
        count, last = row["metrics.x.count"][0] or 0, row["metrics.x.last"][0]
        assert not count or last == count - 1
        tagged.append(int(row["tags.at"][0] or 0))
        values = handle.get_metrics("x").get("x", [])
        values = values if isinstance(values, list) else [values]
        assert values == list(range(len(values)))
        seen += [count, len(values)]
    ended = program.ended()
    assert ended.code == 0, ended.err
    assert (seen, tagged) == (sorted(seen), sorted(tagged))
    assert place.values() == list(range(2000))
    assert statuses[-1] == "Completed"
    assert set(statuses[:-1]) <= {"Running"}
    assert handle.get_status() == "Completed"


def test_another_process_waits_for_the_end(place: Place) -> None:
    source = """
        with start() as run:
            run.log("x", 1.0)
            say("started")
            time.sleep(1)
    """
    program = launch(place, source)
    program.heard("started")
    details = place.run().wait_for_completion()
    assert details["status"] == "Completed"
    assert place.values() == [1.0]
    assert program.ended().code == 0
