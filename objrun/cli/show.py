"""`objrun show`: one run, with all that is noted of it and a line for each metric."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer
from rich.table import Table
from rich.text import Text

from objrun import clock
from objrun.cards.texts import kind_text
from objrun.cli.find import find_run, shown_state
from objrun.cli.layout import GAP, Column, print_table
from objrun.cli.options import OUTPUT, Json, RunName, StorageOptions, Url, open_workspace
from objrun.cli.output import new_console, print_document
from objrun.cli.run_table import run_document, seconds_of, title_of
from objrun.cli.sparkline import sparkline
from objrun.cli.style import moment, one_line, short, span, status_text, tag_text

if TYPE_CHECKING:
    import polars as pl
    from rich.console import Console

    from objrun.format.states import RunState
    from objrun.run import Run

NARROW: Final = 10
WIDE: Final = 40
"""Characters of a sparkline: as many as there is room for, between these."""

SHOWN: Final = 40
"""Rows of properties and of metrics at a terminal; JSON has all."""


_RECORDED: Final = ("objrun.", "azureml.git.", "mlflow.source.git.", "ContentSnapshotId")
"""What the names of properties begin with that objrun records by itself."""


def show(
    run: RunName,
    everything: Annotated[
        bool,
        typer.Option(
            "--all", help="Also the properties that objrun records.", rich_help_panel=OUTPUT
        ),
    ] = False,
    as_json: Json = False,
    url: Url = None,
    option: StorageOptions = None,
) -> None:
    """Show one run: what is noted of it, and its metrics.

    One run is no table, so there is no --csv; `objrun metrics RUN --csv` prints its values.
    """
    found = find_run(open_workspace(url, option), run)
    if as_json:
        print_document(_document(found))
        return
    console = new_console()
    state = shown_state(found)
    _print_identity(console, state)
    own = {
        key: value
        for key, value in state.properties.items()
        if everything or not key.startswith(_RECORDED)
    }
    for title, items in (("params", dict(state.params)), ("properties", own)):
        if items:
            _print_items(console, title, items)
    # After all else: a damaged segment is an error, and the rest has been shown by then.
    _print_metrics(console, found.metrics().collect())


def _document(run: Run) -> dict[str, Any]:
    from objrun.query.metrics import SUMMARY, summary_frame

    points = run.metrics().collect()
    rows = {row["name"]: row for row in summary_frame(points).iter_rows(named=True)}
    kinds = dict(points.group_by("name", maintain_order=True).first().select("name", "kind").rows())
    counts = dict(points.group_by("name").len().rows())
    metrics = {
        name: {
            "kind": kind,
            "count": counts[name],
            **({key: rows[name][key] for key in SUMMARY[1:]} if name in rows else {}),
        }
        for name, kind in kinds.items()
    }
    return {**run_document(shown_state(run)), "metrics": metrics}


def _print_identity(console: Console, state: RunState) -> None:
    now = clock.now()
    title = Text.assemble((f"{state.experiment}/{state.number}", "bold"), "  ", title_of(state))
    console.print(title)
    took = span(seconds_of(state, now if state.ended is None else None))
    parent = state.parent_run_id
    error = state.error or {}
    deleted = "; deleted, `objrun restore` brings it back" if state.lifecycle == "deleted" else ""
    told = Text.assemble(
        status_text(state.status),
        f" {'for' if state.ended is None else 'after'} {took}" if took else "",
        (deleted, "dim"),
    )
    items: dict[str, str | Text] = {
        "status": told,
        "id": state.run_id,
        "type": state.type or "",
        "parent": parent or "",
        "started": moment(state.started, now),
        "ended": moment(state.ended, now),
        "description": one_line(state.description or ""),
        "tags": tag_text(state.tags),
        **_recorded(state.properties),
    }
    if error:
        code = f"{error.get('code')}: " if error.get("code") else ""
        items["error"] = Text(f"{code}{error.get('message') or ''}", style="red")
    _print_grid(console, {name: value for name, value in items.items() if value})


def _recorded(properties: Mapping[str, str | None]) -> dict[str, str]:
    """Return what objrun has recorded of a run, as people read it."""

    def told(*names: str) -> list[str]:
        return [value for name in names if (value := properties.get(name))]

    commit = (properties.get("azureml.git.commit") or "")[:12]
    branch, place = told("azureml.git.branch"), told("azureml.git.repository_uri")
    changed = ["with changes"] if told("azureml.git.dirty") else []
    source = [commit, *(f"of {each}" for each in branch), *changed, *place] if commit else []
    python = [f"Python {each}" for each in told("objrun.python")]
    snapshot = [each[:12] for each in told("ContentSnapshotId")]
    facts = {
        "command": told("objrun.command"),
        "source": source,
        "snapshot": snapshot,
        "target": told("objrun.target"),
        "machine": [", ".join([*told("objrun.host"), *python, *told("objrun.platform")])],
    }
    return {name: one_line(" ".join(values)) for name, values in facts.items()}


def _print_items(console: Console, title: str, items: Mapping[str, Any]) -> None:
    console.print()
    console.print(title, style="bold")
    most = SHOWN if console.is_terminal else len(items)
    rows = {name: _shown(value) for name, value in list(items.items())[:most]}
    _print_grid(console, rows)
    if len(items) > most:
        console.print(f"  and {len(items) - most} more: --json shows all", style="dim")


def _shown(value: Any) -> str:
    # A parameter is what somebody chose: it is shown exactly.
    return repr(value) if isinstance(value, float) else short(value)


def _print_grid(console: Console, items: Mapping[str, str | Text]) -> None:
    grid = Table.grid(padding=(0, GAP))
    names = [one_line(name) for name in items]
    grid.add_column(style="dim", no_wrap=True, max_width=max(console.width // 3, 8))
    grid.add_column(overflow="fold")
    for name, value in zip(names, items.values(), strict=True):
        grid.add_row(Text(f"  {name}"), value if isinstance(value, Text) else Text(value))
    with console.capture() as captured:
        console.print(grid)
    console.file.write("".join(f"{line.rstrip()}\n" for line in captured.get().splitlines()))


def _print_metrics(console: Console, points: pl.DataFrame) -> None:
    if not points.height:
        return
    console.print()
    console.print("metrics", style="bold")
    rows = metric_rows(points)
    most = SHOWN if console.is_terminal else len(rows)
    columns = _columns(rows[:most])
    used = sum(min(c.natural, c.most) + GAP for c in columns)
    width = max(NARROW, min(WIDE, console.width - used))
    plain = console.options.ascii_only
    lines = [sparkline(row["values"], width, plain=plain) for row in rows[:most]]
    if any(lines):
        columns.append(Column("", [Text(line, style="cyan") for line in lines], most=WIDE))
    print_table(console, columns)
    if len(rows) > most:
        console.print(f"and {len(rows) - most} more: --json shows all", style="dim")


def metric_rows(points: pl.DataFrame) -> list[dict[str, Any]]:
    """Return a dict a metric, in order: name, kind, count, last, min, max, nan_count, values.

    `values` are the numbers of a metric in reading order; lists, rows and tables have none.
    """
    from objrun.query.metrics import summary_frame

    summaries = {row["name"]: row for row in summary_frame(points).iter_rows(named=True)}
    rows = []
    for part in points.partition_by("name", maintain_order=True):
        name, kind = part["name"][0], part["kind"][0]
        row: dict[str, Any] = {"name": name, "kind": kind, "count": part.height, "values": []}
        if name in summaries:
            row |= {k: summaries[name][k] for k in ("last", "min", "max", "nan_count")}
            row["values"] = part["value"].drop_nulls().to_list()
        else:
            row["last"] = part["data"][-1] if kind == "scalar" else kind_text(kind, part.height)
        rows.append(row)
    return rows


def _columns(rows: list[dict[str, Any]]) -> list[Column]:
    def cells(key: str) -> list[str]:
        return [short(row.get(key)) for row in rows]

    names = [f"  {one_line(row['name'])}" for row in rows]
    columns = [
        Column("  name", names, most=30, least=12),
        Column("count", cells("count"), right=True, least=5),
        Column("last", cells("last"), right=True, most=16, least=8),
        Column("min", cells("min"), right=True, least=8),
        Column("max", cells("max"), right=True, least=8),
    ]
    if any(row.get("nan_count") for row in rows):
        columns.append(Column("NaN", cells("nan_count"), right=True, least=3))
    return columns
