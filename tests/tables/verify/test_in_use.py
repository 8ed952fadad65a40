"""A store in use has no findings: nothing that is well looks wrong while it changes."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

from objrun.tables.verify.store import verify
from tests.tables.verify.stores import Made, fill, squeeze


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
            for turn in range(8):
                found = [*verify(made.store, deep=turn % 2 == 0)]
                # A purge that goes on just now is one that has not come to its end.
                assert {finding.code for finding in found} <= {"unfinished_purge"}, found
        finally:
            ended.set()
        for job in jobs:
            job.result()
    squeeze(made)
    assert made.find() == []
