"""What spawned processes do: functions that they import by name."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from objrun import Experiment, Run, Workspace

if TYPE_CHECKING:
    from multiprocessing import Queue


def log_points(url: str, options: dict[str, Any], run_id: str, name: str) -> None:
    """Log 50 points to a run found by its id."""
    run = Run.get(Workspace(url, options), run_id)
    for number in range(50):
        run.log(name, float(number))


def log_with(run: Run, name: str) -> None:
    """Log 50 points with a handle that came from the parent."""
    for number in range(50):
        run.log(name, float(number))


def log_and_tag(run: Run, name: str) -> None:
    """Log 50 points with a handle that came from the parent, and tag the run."""
    log_with(run, name)
    run.tag(name, "was here")
    run.flush()


def fetch_items(run: Run, wanted: Queue[Any], found: Queue[Any]) -> None:
    """Answer indices until None comes, logging each: a worker of a data loader."""
    while (index := wanted.get()) is not None:
        run.log("fetched", float(index))
        found.put(index)


def start_runs(url: str, options: dict[str, Any], experiment: str, count: int) -> None:
    """Start runs in an experiment, and complete them."""
    for _ in range(count):
        Experiment(Workspace(url, options), experiment).start_logging().complete()
