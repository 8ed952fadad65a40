"""A store in use has no findings: nothing that is well looks wrong while it changes."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from itertools import repeat
from typing import TYPE_CHECKING

import pytest

from objrun import Experiment
from objrun.format import keys
from objrun.tables.verify.store import verify
from tests.api.places import on
from tests.protocol.turns import Program, take_turns
from tests.tables.small import Interrupted
from tests.tables.verify.stores import NAME, Made, fill, fresh, squeeze

if TYPE_CHECKING:
    from collections.abc import Iterable

    from objrun import Workspace
    from objrun.tables.verify.findings import Finding

MANY = 300
"""More requests than a program makes: it runs to its end."""


def start(own: Workspace) -> None:
    """Start a run and end it, with a property, a tag and a child."""
    run = Experiment(own, NAME).start_logging(run_id="new")
    run.add_properties({"data": "v1"})
    run.child_run("child", run_id="new-child").complete()
    run.tag("t", "x")
    run.complete()


def tidy(own: Workspace) -> None:
    own.compact(whole=True)
    own.vacuum(retention=timedelta(0))


def purge(own: Workspace) -> None:
    own.get_run("r1").delete()
    own.gc(timedelta(0))


ACTS = {"start": start, "tidy": tidy, "purge": purge}


def is_well(found: Iterable[Finding]) -> bool:
    """Whether nothing is wrong; a purge that goes on just now has not come to its end."""
    return {finding.code for finding in found} <= {"unfinished_purge"}


@pytest.mark.parametrize("act", ACTS)
def test_whatever_is_half_done_looks_well(act: str) -> None:
    for requests in range(1, 45, 2 if act == "start" else 4):
        made = fresh("vacuumed")
        acting = on(made.workspace, ACTS[act])
        looking = Program(lambda store: [*verify(store, deep=True)])
        take_turns(made.store, [acting, looking], [*repeat(0, requests), *repeat(1, MANY)])
        assert is_well(looking.result), (requests, looking.result)
        assert acting.result is None


@pytest.mark.parametrize("act", ACTS)
def test_what_changes_while_it_looks_is_well(act: str) -> None:
    for requests in range(0, 75, 5):
        made = fresh("vacuumed")
        acting = on(made.workspace, ACTS[act])
        looking = Program(lambda store: [*verify(store, deep=True)])
        take_turns(made.store, [looking, acting], [*repeat(0, requests), *repeat(1, MANY)])
        assert not isinstance(looking.result, Exception), (requests, looking.result)
        assert is_well(looking.result), (requests, looking.result)


def test_rows_that_were_listed_before_those_in_front_of_them_are_no_gap() -> None:
    """A LIST is no snapshot."""
    made = fresh("live")
    (first, *_) = [info.key for info in made.store.list(keys.shards(NAME, "r1"))]
    data = made.store.get(first)
    segment = keys.parse_segment(first)
    assert segment is not None
    made.store.put(keys.segment(NAME, "r1", segment.writer, segment.stop, 2 * segment.stop), data)
    made.store.delete([first])
    late = Interrupted(
        made.store, lambda verb, key: verb == "list" and "/checkpoints/" in key, lambda: None
    )
    late.act = lambda: made.store.put(first, data)
    assert [*verify(late)] == []
    assert late.times == 1


def test_a_store_in_use_has_no_findings() -> None:
    """Writers, compactions, vacuums and purges beside it: nothing that is well looks wrong."""
    made = Made()
    fill(made, 0, 1)
    ended = threading.Event()

    def write(name: int) -> None:
        place = 0
        while not ended.is_set():
            place += 1
            fill(made, 1000 * name + place, 1000 * name + place + 1)
            if place % 3 == 0:
                made.workspace.get_run(f"r{1000 * name + place}").delete()

    def keep() -> None:
        while not ended.is_set():
            squeeze(made)
            made.workspace.gc(timedelta(0))

    with ThreadPoolExecutor(3) as pool:
        jobs = [pool.submit(write, 1), pool.submit(write, 2), pool.submit(keep)]
        try:
            for turn in range(4):
                found = [*verify(made.store, deep=turn % 2 == 0)]
                assert is_well(found), found
        finally:
            ended.set()
        for job in jobs:
            job.result()
    squeeze(made)
    assert made.find() == []
