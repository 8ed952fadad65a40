"""`objrun metrics`: the logged values of a run, one a row."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from objrun.cards.texts import kind_text
from objrun.cli.find import find_run
from objrun.cli.layout import Column, print_table
from objrun.cli.options import Csv, Json, RunName, StorageOptions, Url, one_format, open_workspace
from objrun.cli.output import new_console, print_lines, print_text
from objrun.cli.program import program
from objrun.cli.run_table import SHORT_ID, title_of
from objrun.cli.style import one_line, short
from objrun.cli.values import OWN, print_own, told_of
from objrun.errors import ServiceException
from objrun.format.names import choices
from objrun.format.values import from_point

if TYPE_CHECKING:
    import polars as pl

    from objrun.run import Run

LAST: Final = 20
"""Values of a metric that a terminal shows where no limit is given: the last ones."""

FIELDS: Final = ("run_id", "name", "kind", "step", "time", "type", "value", "data")
"""Columns of CSV; `value` is a number, `data` text, JSON or the digits of a huge integer."""

_TIME: Final = "%Y-%m-%dT%H:%M:%S%.6fZ"
_PART: Final = 100_000


def metrics(
    run: RunName,
    name: Annotated[
        str | None,
        typer.Argument(metavar="NAME", help="Only this metric.", show_default=False),
    ] = None,
    recursive: Annotated[
        bool, typer.Option("--recursive", "-r", help="Also those of all its descendants.")
    ] = False,
    superseded: Annotated[
        bool,
        typer.Option("--superseded", help="What resuming from an earlier step took the place of."),
    ] = False,
    limit: Annotated[
        int | None,
        typer.Option(
            min=0,
            help=f"The last so many of each, 0 for all; without, {LAST} at a terminal, else all.",
            show_default=False,
        ),
    ] = None,
    as_json: Json = False,
    as_csv: Csv = False,
    url: Url = None,
    option: StorageOptions = None,
) -> None:
    """List the values of a run's metrics, in order of step where all have one, else as logged."""
    one_format(as_json=as_json, as_csv=as_csv)
    if superseded and recursive:
        raise typer.BadParameter("not with --recursive", param_hint="--superseded")
    console = new_console()
    found = find_run(open_workspace(url, option), run)
    points = _points(found, name, recursive=recursive, superseded=superseded)
    screen = console.is_terminal and not (as_json or as_csv)
    most = LAST if limit is None and screen else limit
    kept = points.group_by("run_id", "name", maintain_order=True).tail(most) if most else points
    if as_json:
        print_lines(_documents(kept))
    elif as_csv:
        _print_csv(kept)
    elif name is not None and not (recursive or superseded) and points["kind"][0] in OWN:
        print_own(console, found, points, most)
    else:
        print_table(console, _columns(found, kept, recursive=recursive, screen=screen))
        if kept.height < points.height:
            told = f"the last {most} of each; {points.height} in all: --limit 0 shows them"
            console.print(told, style="dim")
        if screen and "image" in kept["kind"]:
            console.print(f"{program()} images {run} -o FOLDER writes images", style="dim")


def _points(run: Run, name: str | None, *, recursive: bool, superseded: bool) -> pl.DataFrame:
    """Return the points asked for; ServiceException where a name was given and has none."""
    import polars as pl

    if superseded:
        points = run.superseded().collect()
        return points if name is None else points.filter(pl.col("name") == name)
    points = run.metrics(recursive=recursive).collect()
    if recursive:
        # Run by run as they were started; the frame has them by id.
        numbers = _read_rows(run).select("run_id", "number")
        points = points.join(numbers, on="run_id", how="left", maintain_order="left")
        points = points.sort("number", maintain_order=True, nulls_last=False).drop("number")
    if name is None:
        return points
    found = points.filter(pl.col("name") == name)
    if not found.height:
        there = choices(name, points["name"].unique(maintain_order=True))
        message = f"run {run.id} has no metric {name!r}: {there}"
        raise ServiceException(message)
    return found


def _read_rows(run: Run) -> pl.DataFrame:
    """Return the rows of all runs, as they were when the metrics of the descendants were read."""
    return run.experiment.workspace.known_runs(run.experiment.name).rows


def _documents(points: pl.DataFrame) -> Iterator[dict[str, Any]]:
    for row in points.iter_rows(named=True):
        value = from_point(row["type"], row["value"], row["data"])
        yield {**{key: row[key] for key in ("run_id", *FIELDS[1:5])}, "value": value}


def _print_csv(points: pl.DataFrame) -> None:
    for start in range(0, max(points.height, 1), _PART):
        part = points.select(FIELDS)[start : start + _PART]
        print_text(part.write_csv(include_header=not start, datetime_format=_TIME))


def _columns(run: Run, points: pl.DataFrame, *, recursive: bool, screen: bool) -> list[Column]:
    rows = points.select("run_id", "name", "step", "time", "kind", "type", "value", "data").rows()
    values = [from_point(*row[5:]) for row in rows]
    numbers = all(isinstance(v, int | float) for v in values)
    shown = [_shown(row[4], value) for row, value in zip(rows, values, strict=True)]
    return [
        *(_run_columns(run, [row[0] for row in rows], screen=screen) if recursive else []),
        Column("name", [one_line(row[1]) for row in rows], most=30),
        Column("step", [short(row[2]) for row in rows], right=True, least=12),
        Column("value", shown, right=numbers, most=60, least=12),
        Column("time (UTC)", [f"{row[3]:%Y-%m-%d %H:%M:%S}" for row in rows], least=10),
    ]


def _run_columns(run: Run, ids: list[str], *, screen: bool) -> list[Column]:
    import polars as pl

    from objrun.tables.run_rows import version_of

    rows = _read_rows(run).filter(pl.col("run_id").is_in({*ids}))
    versions = map(version_of, rows.iter_rows(named=True))
    states = {version.state.run_id: version.state for version in versions if version.state}
    states[run.id] = run.state
    shown = [states.get(run_id) for run_id in ids]
    return [
        Column("#", [str(s.number) if s else "" for s in shown], right=True, least=12),
        Column("run", [title_of(s) if s else "" for s in shown], most=24),
        Column("id", [run_id[:SHORT_ID] if screen else run_id for run_id in ids]),
    ]


def _shown(kind: str, value: Any) -> str:
    if isinstance(value, float):
        return short(value)
    if kind == "histogram":
        return f"{kind_text(kind)} of {short(sum(value['counts']))}"
    return one_line(told_of(kind, value) if isinstance(value, str) else str(value))
