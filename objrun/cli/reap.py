"""`objrun reap`: runs whose process is gone are marked as failed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Final

import typer

from objrun.cli.layout import Column, print_table
from objrun.cli.options import (
    OUTPUT,
    Csv,
    Experiments,
    Json,
    StorageOptions,
    Url,
    one_format,
    open_workspace,
)
from objrun.cli.output import new_console, print_rows
from objrun.cli.run_table import SHORT_ID
from objrun.cli.trash import parse_age

if TYPE_CHECKING:
    from collections.abc import Sequence

    from objrun.upkeep.reaping import Reaped

FIELDS: Final = ("experiment", "run", "number", "status", "last_seen")


def reap(
    experiments: Experiments = None,
    older_than: Annotated[
        str,
        typer.Option(
            metavar="AGE",
            help="Only runs that gave no sign of life for so long, 15m at least: 1h, 1d.",
        ),
    ] = "1h",
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only say which.", rich_help_panel=OUTPUT)
    ] = False,
    as_json: Json = False,
    as_csv: Csv = False,
    url: Url = None,
    option: StorageOptions = None,
) -> None:
    """Mark runs as failed whose process is gone, and say which; safe at any time, as from cron.

    A process that has a run open says so every five minutes; ages are by the store's clock.
    """
    one_format(as_json=as_json, as_csv=as_csv)
    age = parse_age(older_than)
    workspace = open_workspace(url, option)
    lost = workspace.reap(experiments or None, older_than=age, dry_run=dry_run)
    rows = (dict(zip(FIELDS, run, strict=True)) for run in lost)
    if not print_rows(FIELDS, rows, as_json=as_json, as_csv=as_csv):
        _print(lost, dry_run=dry_run)


def _print(lost: Sequence[Reaped], *, dry_run: bool) -> None:
    console = new_console()
    if lost:
        ids = [run.run[:SHORT_ID] if console.is_terminal else run.run for run in lost]
        columns = [
            Column("experiment", [run.experiment for run in lost], most=30, least=8),
            Column("#", [str(run.number) for run in lost], right=True),
            Column("id", ids, least=SHORT_ID),
            Column("was", [run.status for run in lost], least=8),
            Column("last seen (UTC)", [f"{run.last_seen:%Y-%m-%d %H:%M:%S}" for run in lost]),
        ]
        print_table(console, columns)
    told = "would fail" if dry_run else "failed"
    runs = "1 lost run" if len(lost) == 1 else f"{len(lost)} lost runs"
    console.print(f"{told} {runs}", soft_wrap=True)
