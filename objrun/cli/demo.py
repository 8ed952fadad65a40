"""`objrun demo`: the whole of objrun on real input, in less than half a minute."""

from __future__ import annotations

import math
import os
import shlex
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer
from rich.live import Live
from rich.table import Table
from rich.text import Text

from objrun import clock
from objrun.cli.children import goal_of
from objrun.cli.curves import check_extra, print_curves
from objrun.cli.layout import Column, print_table
from objrun.cli.options import StorageOptions, Url, open_workspace
from objrun.cli.output import new_console
from objrun.cli.program import program
from objrun.cli.run_table import Query, find_runs, run_columns, title_of
from objrun.cli.show import metric_rows
from objrun.cli.sparkline import sparkline
from objrun.cli.style import short
from objrun.demo.grid import EPOCHS, EXPERIMENT

if TYPE_CHECKING:
    import polars as pl
    from rich.console import Console

    from objrun.demo.sweep import Progress
    from objrun.run import Run

PLACE: Final = "./demo-store"
"""Where the demo's store is, where neither `--url` nor OBJRUN_URL says."""

_BAR: Final = 24


def demo(
    children: Annotated[
        int, typer.Option(min=1, max=32, help="Models to train, each in its own process.")
    ] = 4,
    epochs: Annotated[int, typer.Option(min=1, help="Passes of each over the data.")] = EPOCHS,
    url: Url = None,
    option: StorageOptions = None,
) -> None:
    """Train models in several processes, log them into one store, and read them back.

    Without --url and OBJRUN_URL the store is ./demo-store.
    """
    check_extra()
    from objrun.demo.sweep import sweep

    place = url or os.environ.get("OBJRUN_URL") or PLACE
    console = new_console()
    workspace = open_workspace(place, option)
    workspace.writing()
    console.print(
        f"{children} models of handwritten digits, each in a process of its own", style="bold"
    )
    console.print(f"store: {workspace.url}", style="dim", soft_wrap=True)
    if console.is_terminal:
        with Live(console=console, auto_refresh=False, transient=True) as live:
            parent = sweep(
                workspace,
                children=children,
                epochs=epochs,
                follow=lambda seen: live.update(_bars(seen, epochs), refresh=True),
            )
    else:
        parent = sweep(workspace, children=children, epochs=epochs)
    named = "" if place == os.environ.get("OBJRUN_URL") else f" --url {shlex.quote(place)}"
    _print_runs(console, parent, named)
    points = parent.metrics(recursive=True).collect()
    _print_metrics(console, parent, points, named)
    _print_best(console, parent)
    _print_next(console, parent, named)


def _bars(seen: list[Progress], epochs: int) -> Table:
    """Return a bar a child, as the store tells it."""
    grid = Table.grid(padding=(0, 2))
    for child in seen:
        done = min(child.epochs, epochs) * _BAR // epochs
        bar = Text("━" * done, style="green").append("━" * (_BAR - done), style="dim")
        accuracy = f"accuracy {child.accuracy:.3f}" if child.accuracy is not None else ""
        told = f"{child.epochs}/{epochs}"
        grid.add_row(f"  #{child.number}", child.name, bar, told, accuracy)
    if not seen:
        grid.add_row(Text("  starting ...", style="dim"))
    return grid


def _family(parent: Run) -> list[Run]:
    return [parent, *sorted(parent.get_children(), key=lambda run: run.number)]


def _print_runs(console: Console, parent: Run, named: str) -> None:
    import polars as pl

    workspace = parent.experiment.workspace
    query = Query(
        [parent.experiment.name],
        pl.col("root_run_id") == parent.id,
        columns=["params.model", "params.hidden", "params.lr", "metrics.accuracy.max"],
    )
    listing = find_runs(workspace.reading(), workspace.known_runs, query)
    _title(console, "runs", f"runs {EXPERIMENT} --all{named}")
    print_table(console, run_columns(listing, clock.now(), terminal=console.is_terminal))


def _print_metrics(console: Console, parent: Run, points: pl.DataFrame, named: str) -> None:
    """Print a line a run and metric, and the curves of the accuracy."""
    family = {run.id: run for run in _family(parent)}
    parts = {part["run_id"][0]: part for part in points.partition_by("run_id")}
    rows: list[dict[str, Any]] = [
        {**row, "run": run, "points": parts[run_id]}
        for run_id, run in family.items()
        if run_id in parts
        for row in metric_rows(parts[run_id])
        if row["values"] and run is not parent
    ]
    plain = console.options.ascii_only

    def cells(key: str) -> list[str]:
        return [short(row[key], 4) for row in rows]

    _title(console, "metrics", f"metrics {EXPERIMENT}/{parent.number} --recursive{named}")
    columns = [
        Column("#", [str(row["run"].number) for row in rows], right=True, least=6),
        Column("run", [title_of(row["run"].state) for row in rows]),
        Column("metric", cells("name")),
        Column("count", cells("count"), right=True, least=5),
        Column("last", cells("last"), right=True, least=7),
        Column("best", [_best(row) for row in rows], right=True, least=7),
        Column("", [Text(sparkline(row["values"], 20, plain=plain), "cyan") for row in rows]),
    ]
    print_table(console, columns)
    console.print()
    accuracy = [row for row in rows if row["name"] == "accuracy"]
    curves = [(title_of(row["run"].state), *_curve(row)) for row in accuracy]
    print_curves(console, "accuracy by epoch", curves)


def _best(row: dict[str, Any]) -> str:
    return short(row[goal_of(row["name"])], 4)


def _curve(row: dict[str, Any]) -> tuple[list[int], list[float]]:
    part = row["points"]
    part = part.filter(part["name"] == row["name"])
    return part["step"].to_list(), part["value"].to_list()


def _print_best(console: Console, parent: Run) -> None:
    winner = parent.tags.get("best_child")
    for run in _family(parent):
        if run.id == winner:
            found = parent.get_metrics("best_accuracy")["best_accuracy"]
            console.print()
            name = title_of(run.state)
            told = Text.assemble(("best child", "bold"), f"  #{run.number} {name}, accuracy ")
            console.print(told.append(f"{found:.4f}", style="bold green"))


def _print_next(console: Console, parent: Run, named: str) -> None:
    top = f"{EXPERIMENT}/{parent.number}"
    winner = next(
        (run for run in _family(parent) if run.id == parent.tags.get("best_child")), parent
    )
    child = f"{EXPERIMENT}/{winner.number}"
    # The condition holds for the best child at least.
    worth = math.floor(parent.get_metrics("best_accuracy")["best_accuracy"] * 100) / 100
    _title(console, "try next", "")
    for command in (
        f"runs --all{named} --where 'metrics.accuracy.max >= {worth:g}'",
        f"show {child}{named}",
        f"metrics {child} confusion{named}",
        f"children {top}{named}",
        f"history {child}{named}",
    ):
        console.print(f"  {program()} {command}", soft_wrap=True)


def _title(console: Console, title: str, command: str) -> None:
    console.print()
    told = (f"   {program()} {command}" if command else "", "dim")
    console.print(Text.assemble((title, "bold"), told), soft_wrap=True)
