"""The options of `objrun runs`."""

from __future__ import annotations

from typing import Annotated, Final

import typer

from objrun.cli.options import OUTPUT, complete_experiment
from objrun.format.states import STATUSES

SCREENFUL: Final = 40
"""Runs shown at a terminal where no limit is given."""

_SELECTION: Final = "Which runs"


def complete_status(incomplete: str) -> list[str]:
    """Return the statuses that begin so, for a shell."""
    return [name for name in STATUSES if name.startswith(incomplete)]


InExperiment = Annotated[
    str | None,
    typer.Argument(
        metavar="EXPERIMENT",
        help="Only of this experiment.",
        autocompletion=complete_experiment,
        show_default=False,
    ),
]
Where = Annotated[
    str | None,
    typer.Option(
        "--where",
        metavar="CONDITION",
        help="Only runs for which this is true: a condition of SQL over columns of runs, tags.KEY, "
        "params.KEY, properties.KEY and metrics.NAME.last (min, max, mean, count, ...).",
        rich_help_panel=_SELECTION,
        show_default=False,
    ),
]
Statuses = Annotated[
    list[str] | None,
    typer.Option(
        "--status",
        metavar="STATUS",
        help="Only runs in this status; can be repeated.",
        autocompletion=complete_status,
        rich_help_panel=_SELECTION,
        show_default=False,
    ),
]
Tags = Annotated[
    list[str] | None,
    typer.Option(
        "--tag",
        metavar="KEY[=VALUE]",
        help="Only runs with this tag; can be repeated.",
        rich_help_panel=_SELECTION,
        show_default=False,
    ),
]
Children = Annotated[bool, typer.Option("--all", help="Children too.", rich_help_panel=_SELECTION)]
Limit = Annotated[
    int | None,
    typer.Option(
        "--limit",
        min=0,
        help=f"At most so many runs, 0 for all; without, {SCREENFUL} at a terminal, else all.",
        rich_help_panel=_SELECTION,
        show_default=False,
    ),
]
Columns = Annotated[
    str | None,
    typer.Option(
        "--columns",
        metavar="NAME,...",
        help="Further columns: params.lr, metrics.acc.max, tags.KEY; * as in params.* stands for "
        "all, metrics.* for the last values. Without, a table has those that most runs have.",
        rich_help_panel=OUTPUT,
        show_default=False,
    ),
]
Watched = Annotated[
    bool,
    typer.Option("--watch", help="Draw the table again every 2 seconds.", rich_help_panel=OUTPUT),
]
