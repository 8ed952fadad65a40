"""Threads that share one workspace ask at once, while others log, compact and vacuum."""

from __future__ import annotations

import threading
from datetime import timedelta
from typing import TYPE_CHECKING

from objrun import Experiment, Run, Workspace, clock

if TYPE_CHECKING:
    from collections.abc import Callable

RUNS = 25


def test_answers_are_whole_whoever_else_asks() -> None:
    """What one thread learns of newer tables must not make another miss older points."""
    url = f"memory://{clock.random_hex(8)}"
    writing = Workspace(url)
    top = Experiment(writing, "digits").start_logging(run_id="top")
    shared = Experiment(Workspace(url), "digits")
    done = 0
    ended = threading.Event()
    errors: list[BaseException] = []

    def columns() -> None:
        least = done
        frame = shared.runs(["metrics.loss.last"]).collect()
        assert frame["metrics.loss.last"].count() >= least

    def tree() -> None:
        least = done
        assert len(Run(shared, "top").get_metrics(recursive=True)) >= least

    def repeated(ask: Callable[[], None]) -> None:
        try:
            while not ended.is_set():
                ask()
        except BaseException as error:  # noqa: BLE001 - told to the test
            errors.append(error)

    threads = [threading.Thread(target=repeated, args=(ask,)) for ask in (columns, tree) * 2]
    for thread in threads:
        thread.start()
    for number in range(RUNS):
        child = top.child_run(run_id=f"child-{number}")
        child.log("loss", 1.0)
        child.complete()
        done += 1
        if number % 3 == 0:
            writing.compact()
            writing.vacuum(retention=timedelta(0))
    ended.set()
    for thread in threads:
        thread.join()
    assert errors == []
