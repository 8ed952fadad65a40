"""`objrun plot`: a picture of a metric, of one run or of all runs of an experiment."""

from __future__ import annotations

from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from objrun.cli.find import find_experiment, find_run
from objrun.cli.options import StorageOptions, Url, open_workspace
from objrun.cli.output import new_console
from objrun.errors import RunNotFoundError
from objrun.format.names import choices

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from objrun.workspace import Workspace


class OverAxis(StrEnum):
    """What the x axis can be."""

    step = "step"
    time = "time"
    relative = "relative"


def plot(
    what: Annotated[
        str,
        typer.Argument(
            metavar="RUN|EXPERIMENT",
            help="EXPERIMENT/NUMBER or an id: that run; EXPERIMENT: all its runs, overlaid.",
            show_default=False,
        ),
    ],
    metric: Annotated[
        str | None,
        typer.Argument(
            metavar="METRIC",
            help="What to draw; of a run by default all its numbers, a panel each.",
            show_default=False,
        ),
    ] = None,
    output: Annotated[
        Path,
        typer.Option(
            "--output",
            "-o",
            metavar="FILE",
            help="The file: .png, .svg or .pdf; it is overwritten.",
        ),
    ] = Path("plot.png"),
    smoothing: Annotated[
        float,
        typer.Option(min=0, max=0.9999, help="The weight of a moving average, as in TensorBoard."),
    ] = 0,
    over: Annotated[
        OverAxis, typer.Option(metavar="|".join(OverAxis), help="The x axis.")
    ] = OverAxis.step,
    by: Annotated[
        str | None,
        typer.Option(
            metavar="COLUMN",
            help="Colour runs by a column such as params.lr or tags.model.",
            show_default=False,
        ),
    ] = None,
    url: Url = None,
    option: StorageOptions = None,
) -> None:
    """Draw metrics into a picture, with matplotlib."""
    if output.suffix.lower() not in (".png", ".svg", ".pdf"):
        raise typer.BadParameter("ends with .png, .svg or .pdf", param_hint="--output")
    if not output.parent.is_dir():
        raise typer.BadParameter(f"there is no folder {output.parent}", param_hint="--output")
    drawn = partial(_drawn, smoothing=smoothing, over=over.value)
    figure = drawn(open_workspace(url, option), what, metric, by)
    figure.savefig(output)
    new_console().print(str(output), markup=False, highlight=False)


def _drawn(
    workspace: Workspace, what: str, metric: str | None, by: str | None, **style: Any
) -> Figure:
    """Return the picture of a metric of a run, or of all runs of an experiment."""
    names = [] if "/" in what else workspace.experiment_names()
    if what in names:
        experiment = find_experiment(workspace, what)
        if metric is None:
            there = ", ".join(experiment.numeric_metrics()) or "none yet"
            message = f"is needed for an experiment; {what} has {there}"
            raise typer.BadParameter(message, param_hint="METRIC")
        return experiment.plot(metric, by=by, **style)
    try:
        run = find_run(workspace, what)
    except RunNotFoundError as error:
        message = f"{error.message}, and no experiment of that name: {choices(what, names)}"
        raise RunNotFoundError(message if names else error.message) from None
    if by is not None:
        raise typer.BadParameter("is for all runs of an experiment", param_hint="--by")
    return run.plot(metric, **style)
