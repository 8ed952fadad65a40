"""The parent of the demo: start a process a child, follow them through the store, sum up."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING, Any, Final

from objrun import clock
from objrun.demo.grid import EPOCHS, EXPERIMENT
from objrun.errors import ObjrunError
from objrun.experiment import Experiment

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from objrun.run import Run
    from objrun.workspace import Workspace

EVERY: Final = 0.5
"""Seconds from one look into the store to the next."""

_TOLD: Final = 500


class ChildFailedError(ObjrunError):
    """A process of the demo has failed; the message has the last line it said."""


@dataclass(frozen=True)
class Progress:
    """What the store tells of a child: its name, status and epochs done, and its last accuracy."""

    number: int
    name: str
    status: str
    epochs: int
    accuracy: float | None


def sweep(
    workspace: Workspace,
    *,
    children: int,
    epochs: int = EPOCHS,
    follow: Callable[[list[Progress]], None] = lambda _: None,
) -> Run:
    """Train `children` models at once, each in its own process, and return the parent run.

    `follow` is called about twice a second. Raises ChildFailedError where a process fails; the
    parent run then fails too. On Ctrl-C all processes end, and the parent is canceled.
    """
    experiment = Experiment(workspace, EXPERIMENT)
    parent = experiment.start_logging(display_name="sweep", tags={"kind": "sweep"})
    parent.log_params({"children": children, "epochs": epochs})
    started = [_start(workspace, parent, child, epochs) for child in range(children)]
    try:
        while any(child.process.poll() is None for child in started):
            follow(progress(parent))
            clock.sleep(EVERY)
        follow(progress(parent))
        _check(started)
    except KeyboardInterrupt:
        parent.cancel()
        raise
    except ObjrunError as error:
        parent.fail(error)
        raise
    finally:
        _end(started)
    _sum_up(parent)
    parent.complete()
    return parent


@dataclass(frozen=True)
class _Child:
    process: subprocess.Popen[bytes]
    said: IO[bytes]


def _start(workspace: Workspace, parent: Run, child: int, epochs: int) -> _Child:
    arguments = ("--url", workspace.url, "--parent", parent.id, "--child", str(child))
    # A file, not a pipe: nobody reads until the end, and a full pipe would stop the child.
    said = tempfile.TemporaryFile()  # noqa: SIM115 - closed by _end
    process = subprocess.Popen(  # noqa: S603 - this Python, our own module
        [sys.executable, "-m", "objrun.demo.train", *arguments, "--epochs", str(epochs)],
        env={
            **os.environ,
            "OBJRUN_STORAGE_OPTIONS": json.dumps(workspace.storage_options),
            # As many processes as models: each with one thread of linear algebra.
            "OMP_NUM_THREADS": "1",
            "OPENBLAS_NUM_THREADS": "1",
        },
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=said,
    )
    return _Child(process, said)


def _check(children: list[_Child]) -> None:
    for number, child in enumerate(children):
        code = child.process.wait()
        if code:
            child.said.seek(0)
            said = child.said.read().decode(errors="replace").split("\n")
            last = next((line for line in reversed(said) if line.strip()), "it said nothing")
            message = f"child {number} ended with code {code}: {last[:_TOLD]}"
            raise ChildFailedError(message)


def _end(children: list[_Child]) -> None:
    for child in children:
        if child.process.poll() is None:
            child.process.terminate()
    for child in children:
        child.process.wait()
        child.said.close()


def progress(parent: Run) -> list[Progress]:
    """Return how far each child has come, as any other reader of the store sees it."""
    import polars as pl

    from objrun.query.metrics import summary_frame

    children = sorted(parent.get_children(), key=lambda run: run.number)
    points = parent.metrics(recursive=True).filter(pl.col("name") == "accuracy").collect()
    known: Mapping[str, dict[str, Any]] = {
        row["run_id"]: row for row in summary_frame(points).iter_rows(named=True)
    }
    return [
        Progress(
            number=run.number,
            name=run.display_name or "",
            status=run.status,
            epochs=known[run.id]["count"] if run.id in known else 0,
            accuracy=known[run.id]["last"] if run.id in known else None,
        )
        for run in children
    ]


def _sum_up(parent: Run) -> None:
    """Log the best accuracy of all children to the parent, and tag it with the best child."""
    best = {
        run_id: max(values["accuracy"])
        for run_id, values in parent.get_metrics(recursive=True).items()
        if isinstance(values.get("accuracy"), list)
    }
    if best:
        winner = max(best, key=best.__getitem__)
        parent.log("best_accuracy", best[winner])
        parent.set_tags({"best_child": winner})
