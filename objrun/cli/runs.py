"""`objrun runs`: the runs of a store or of an experiment, newest first."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import typer
from rich.console import Group
from rich.text import Text

from objrun import clock
from objrun.cli.find import find_experiment
from objrun.cli.layout import make_table, print_table, readable
from objrun.cli.options import Csv, Json, StorageOptions, Url, one_format, open_workspace
from objrun.cli.output import new_console, print_csv, print_lines
from objrun.cli.remember import RememberingStore
from objrun.cli.run_options import (
    SCREENFUL,
    Children,
    Columns,
    InExperiment,
    Limit,
    Statuses,
    Tags,
    Watched,
    Where,
)
from objrun.cli.run_table import (
    RUN_FIELDS,
    Listing,
    Query,
    find_runs,
    run_columns,
    run_documents,
    run_rows,
)
from objrun.cli.watch import watch
from objrun.cli.where import parse_where
from objrun.format.states import STATUSES

if TYPE_CHECKING:
    import polars as pl
    from rich.console import Console, RenderableType

    from objrun.storage import Store
    from objrun.workspace import Workspace


def runs(  # noqa: PLR0913, PLR0917 - a command has as many parameters as options
    experiment: InExperiment = None,
    where: Where = None,
    status: Statuses = None,
    tag: Tags = None,
    children: Children = False,
    limit: Limit = None,
    columns: Columns = None,
    watched: Watched = False,
    as_json: Json = False,
    as_csv: Csv = False,
    url: Url = None,
    option: StorageOptions = None,
) -> None:
    """List runs, newest first."""
    one_format(as_json=as_json, as_csv=as_csv)
    machine = as_json or as_csv
    console = new_console()
    asked = [name.strip() for name in columns.split(",") if name.strip()] if columns else None
    if where is not None:
        parse_where(where)  # refused here, before anything is read
    selection = Selection(
        experiment=experiment,
        passes=passes(status or [], tag or [], children=children),
        where=where,
        columns=[] if machine and asked is None else asked,
        limit=limit,
    )
    workspace = open_workspace(url, option)
    if watched:
        _watch(console, workspace, selection, machine=machine)
        return
    screenful = SCREENFUL if console.is_terminal and not machine else 0
    listing = selection.find(workspace, workspace.querying(), screenful)
    if as_json:
        print_lines(run_documents(listing))
    elif as_csv:
        print_csv([*RUN_FIELDS, *listing.columns], run_rows(listing))
    else:
        _print(console, workspace, listing)


@dataclass(frozen=True)
class Selection:
    """Which runs the options ask for; `limit` None: as many as the screen has room for.

    `where` stays text, because its `now()` is that of each reading.
    """

    experiment: str | None
    passes: pl.Expr
    where: str | None
    columns: Sequence[str] | None
    limit: int | None

    def find(self, workspace: Workspace, store: Store, screenful: int) -> Listing:
        """Return the runs, read from `store`; `screenful` 0 means all."""
        if self.experiment is None:
            names = workspace.experiment_names()
        else:
            names = [find_experiment(workspace, self.experiment).name]
        limit = screenful if self.limit is None else self.limit
        where = parse_where(self.where) if self.where is not None else None
        query = Query(names, self.passes, where, self.columns, limit or None)
        return find_runs(store, workspace.known_runs, query)


def passes(statuses: Sequence[str], tags: Sequence[str], *, children: bool) -> pl.Expr:
    """Return whether a run has one of the statuses (in any case) and all of the tags.

    Raises typer.BadParameter for a status that there is none of.
    """
    known = {name.lower(): name for name in STATUSES}
    wanted = {known.get(name.lower(), "") for name in statuses}
    if "" in wanted:
        message = f"{', '.join(statuses)}: a status is one of {', '.join(STATUSES)}"
        raise typer.BadParameter(message, param_hint="--status")
    import polars as pl

    from objrun.query.filters import has_pairs

    conditions = [pl.lit(value=True)] if children else [pl.col("parent_run_id").is_null()]
    if wanted:
        conditions.append(pl.col("status").is_in(wanted))
    for tag in tags:
        key, equals, value = tag.partition("=")
        conditions.append(has_pairs("tags", {key: value} if equals else key))
    return pl.all_horizontal(conditions)


def _print(console: Console, workspace: Workspace, listing: Listing) -> None:
    terminal = console.is_terminal
    columns = run_columns(listing, clock.now(), terminal=terminal)
    always = len(columns) - len(listing.columns)
    shown = readable(columns, always, console.width) if terminal else columns
    if listing.states or not terminal:
        print_table(console, shown)
    if not terminal:
        return
    if listing.states and len(shown) < len(columns):
        told = f"and {len(columns) - len(shown)} more columns: --csv shows all"
        console.print(told, style="dim")
    for note in _notes(workspace, listing):
        console.print(note, style="dim")


def _notes(workspace: Workspace, listing: Listing) -> list[str]:
    """Return what a person should know who sees this table."""
    if not listing.states:
        return [f"no such runs in {workspace.url}"]
    if listing.total > len(listing.states):
        return [f"{len(listing.states)} of {listing.total} runs; --limit 0 shows all"]
    return []


def _watch(console: Console, workspace: Workspace, selection: Selection, *, machine: bool) -> None:
    if machine or not console.is_terminal:
        message = "needs a terminal, and neither --json nor --csv"
        raise typer.BadParameter(message, param_hint="--watch")
    stores: list[RememberingStore] = []

    def draw(rows: int) -> RenderableType:
        # The store may not be there yet: whoever watches may come before whoever logs.
        if not stores:
            stores.append(RememberingStore(workspace.querying()))
        listing = selection.find(workspace, stores[0], max(rows - 2, 1))
        table = run_columns(listing, clock.now(), terminal=True)
        notes = [Text(note, style="dim") for note in _notes(workspace, listing)]
        return Group(make_table(table, console.width), *notes) if listing.states else Group(*notes)

    watch(console, f"{workspace.url}, every 2 seconds; Ctrl-C ends", draw)
