"""Requests first: what each act costs, counted and not timed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from objrun import Experiment, Workspace
from objrun.storage import CountingStore, MemoryStore

Note = Callable[..., None]


def counted(name: str) -> tuple[Workspace, CountingStore]:
    """Return a fresh handle of a store in memory, as a new process would have, and its counter."""
    workspace = Workspace(f"memory://{name}")
    store = CountingStore(MemoryStore(name))
    workspace._store = store  # noqa: SLF001 - the counter goes between
    return workspace, store


def shown(counts: Any) -> str:
    return ", ".join(f"{count} {verb}" for verb, count in sorted(counts.items()))


def test_requests(note: Note) -> None:
    first, store = counted("bench-requests")
    run = Experiment(first, "e").start_logging()
    run.complete()
    note("first run of a new store", shown(store.counts), "-")

    workspace, store = counted("bench-requests")
    experiment = Experiment(workspace, "e")
    run = experiment.start_logging(tags={"a": "b"})
    run.log_params({"lr": 0.1})
    run.complete()
    note(
        "a run from a new process: start, params, complete",
        shown(store.counts),
        "8 PUT, 3 GET/LIST",
    )

    store.reset()
    run = experiment.start_logging()
    for step in range(100):
        run.log("loss", 0.5, step=step)
    run.flush()
    run.complete()
    note("the next run of it, with one flush", shown(store.counts), "8 PUT")

    store.reset()
    run = experiment.start_logging()
    run.log("loss", 0.5)
    run.flush()
    store.reset()
    run.log("loss", 0.4)
    run.flush()
    note("a further flush", shown(store.counts), "1 PUT, 1 DELETE")

    reader, store = counted("bench-requests")
    experiment = Experiment(reader, "e")
    runs = len(experiment.get_runs())
    note(f"list {runs} live runs", shown(store.counts), "2 LIST, 1 GET a run")
    store.reset()
    experiment.get_runs()
    note("list them again", shown(store.counts), "2 LIST")
    found = experiment.get_runs()[0]
    store.reset()
    found.get_metrics()
    note("metrics of one run", shown(store.counts), "2 LIST, 1 GET a segment")
    store.reset()
    note("idle reader", shown(store.counts) or "0", "0")
