"""`objrun delete`, `restore` and `gc`: into the trash, out of it, and for good."""

from __future__ import annotations

import re
import sys
from datetime import timedelta
from typing import TYPE_CHECKING, Annotated, Final

import typer
from rich.filesize import decimal

from objrun.cli.find import find_run
from objrun.cli.layout import Column, print_table
from objrun.cli.options import (
    OUTPUT,
    Csv,
    Json,
    StorageOptions,
    Url,
    complete_experiment,
    one_format,
    open_workspace,
)
from objrun.cli.output import new_console, print_rows
from objrun.cli.program import program
from objrun.cli.style import harmless
from objrun.errors import UserErrorException

if TYPE_CHECKING:
    from collections.abc import Sequence

    from objrun.protocol.purge import Freed
    from objrun.run import Run

SHOWN: Final = 40
"""Rows at a terminal; a pipe, JSON and CSV get all."""

FIELDS: Final = ("experiment", "run", "objects", "bytes", "model")

_UNITS: Final = {"m": 60, "h": 3600, "d": 86400, "w": 7 * 86400}

Named = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="RUN...",
        help="Ids, beginnings of one each, or EXPERIMENT/NUMBER.",
        show_default=False,
    ),
]
OfExperiment = Annotated[
    str | None,
    typer.Option(
        "--experiment",
        metavar="NAME",
        help="Not runs but this experiment, by name or id, with all its runs.",
        autocompletion=complete_experiment,
        show_default=False,
    ),
]


def delete(
    runs: Named = None,
    experiment: OfExperiment = None,
    yes: Annotated[
        bool, typer.Option("--yes", "-y", help="Do not ask; a script is never asked.")
    ] = False,
    url: Url = None,
    option: StorageOptions = None,
) -> None:
    """Put runs, with all below them, or an experiment into the trash.

    Lists leave them out. Nothing is removed before `objrun gc`; `objrun restore` brings them back.
    """
    from objrun.experiment import Experiment

    workspace = open_workspace(url, option)
    _check_choice(runs, experiment)
    found = [find_run(workspace, name) for name in runs or ()]
    named = [_title(run) for run in found] or [f"experiment {experiment} and all its runs"]
    asks = sys.stdin.isatty() and not yes
    if asks:
        typer.confirm(harmless(f"Delete {', '.join(named)}?"), abort=True)
    for run in found:
        run.delete()
    if experiment is not None:
        Experiment.delete(workspace, experiment, with_runs=True)
    again = " ".join(runs or ()) or f"--experiment {experiment}"
    _say(f"deleted {', '.join(named)}; bring back: {program()} restore {again}")


def restore(
    runs: Named = None,
    experiment: OfExperiment = None,
    url: Url = None,
    option: StorageOptions = None,
) -> None:
    """Take runs, with all below them, or an experiment out of the trash."""
    from objrun.experiment import Experiment

    workspace = open_workspace(url, option)
    _check_choice(runs, experiment)
    found = [find_run(workspace, name) for name in runs or ()]
    for run in found:
        run.restore()
    if experiment is not None:
        Experiment.restore(workspace, experiment)
    named = [_title(run) for run in found] or [f"experiment {experiment} and all its runs"]
    _say(f"restored {', '.join(named)}")


def gc(
    older_than: Annotated[
        str,
        typer.Option(
            metavar="AGE",
            help="Only what was deleted so long ago and not written to since: 30d, 12h, 2w.",
        ),
    ] = "30d",
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only say what would go.", rich_help_panel=OUTPUT)
    ] = False,
    as_json: Json = False,
    as_csv: Csv = False,
    url: Url = None,
    option: StorageOptions = None,
) -> None:
    """Empty the trash: remove for good what was deleted long ago, and say what that freed.

    With less than two days see that nobody uses what was deleted. What purged runs had in
    compacted tables is removed by the next vacuum.
    """
    one_format(as_json=as_json, as_csv=as_csv)
    age = parse_age(older_than)
    freed = open_workspace(url, option).gc(age, dry_run=dry_run)
    rows = (dict(zip(FIELDS, entry, strict=True)) for entry in freed)
    if not print_rows(FIELDS, rows, as_json=as_json, as_csv=as_csv):
        _print(freed, dry_run=dry_run)


def parse_age(text: str, option: str = "--older-than") -> timedelta:
    """Return a time such as 30d; typer.BadParameter for what is none.

    >>> parse_age("30d"), parse_age("0"), parse_age("90m")
    (datetime.timedelta(days=30), datetime.timedelta(0), datetime.timedelta(seconds=5400))
    """
    match = re.fullmatch(r"(\d{1,6})([mhdw])", "0m" if text == "0" else text.strip(), re.ASCII)
    if match is None:
        message = f"{text!r} is not a number and one of m, h, d, w, such as 30d"
        raise typer.BadParameter(message, param_hint=option)
    return timedelta(seconds=int(match[1]) * _UNITS[match[2]])


def _check_choice(runs: Sequence[str] | None, experiment: str | None) -> None:
    if bool(runs) == (experiment is not None):
        message = "name either runs or an --experiment"
        raise UserErrorException(message)


def _title(run: Run) -> str:
    below = len(run.get_children(recursive=True))
    more = f" and {below} run{'s' * (below > 1)} below it" if below else ""
    return f"{run.state.experiment}/{run.number}{more}"


def _what(entry: Freed) -> str:
    return f"model {entry.model}" if entry.model else entry.run or "the experiment"


def _say(text: str) -> None:
    new_console().print(text, soft_wrap=True)


def _print(freed: Sequence[Freed], *, dry_run: bool) -> None:
    console = new_console()
    objects, size = (sum(column) for column in zip((0, 0), *(e[2:4] for e in freed), strict=True))
    told = "would free" if dry_run else "freed"
    shown = freed[:SHOWN] if console.is_terminal else freed
    if shown:
        columns = [
            Column("experiment", [entry.experiment or "" for entry in shown], most=30, least=8),
            Column("run", [_what(entry) for entry in shown], least=8),
            Column("objects", [str(entry.objects) for entry in shown], right=True),
            Column("bytes", [str(entry.size) for entry in shown], right=True),
        ]
        print_table(console, columns)
    if len(shown) < len(freed):
        console.print(f"and {len(freed) - len(shown)} more: --csv shows all", style="dim")
    _say(f"{told} {objects} objects, {decimal(size)} ({size} bytes)")
