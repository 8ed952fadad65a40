"""`objrun plot`: a picture of a metric, of one run or of all runs of an experiment."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from objrun.cli.find import find_experiment, find_run
from objrun.cli.options import StorageOptions, Url, open_workspace
from objrun.cli.output import new_console


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
        typer.Option("--output", "-o", help="The file: .png, .svg or .pdf; it is overwritten."),
    ] = Path("plot.png"),
    smoothing: Annotated[
        float,
        typer.Option(min=0, max=0.9999, help="The weight of a moving average, as in TensorBoard."),
    ] = 0,
    over: Annotated[OverAxis, typer.Option(help="The x axis.")] = OverAxis.step,
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
    workspace = open_workspace(url, option)
    if "/" not in what and what in workspace.experiment_names():
        if metric is None:
            raise typer.BadParameter("is needed for an experiment", param_hint="METRIC")
        experiment = find_experiment(workspace, what)
        figure = experiment.plot(metric, by=by, smoothing=smoothing, over=over.value)
    elif by is not None:
        raise typer.BadParameter("is for all runs of an experiment", param_hint="--by")
    else:
        figure = find_run(workspace, what).plot(metric, smoothing=smoothing, over=over.value)
    figure.savefig(output)
    new_console().print(str(output), markup=False, highlight=False)
