"""`objrun compact`, `vacuum` and `stats`: keep a store small and quick, and see that it is."""

from __future__ import annotations

import os
import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.filesize import decimal

from objrun.cli.layout import Column, print_table
from objrun.cli.options import (
    OUTPUT,
    Experiments,
    Json,
    StorageOptions,
    Url,
    open_workspace,
)
from objrun.cli.output import new_console, print_document, print_lines
from objrun.cli.program import program
from objrun.cli.trash import parse_age
from objrun.errors import CorruptObjectWarning
from objrun.upkeep.tidying import MUCH

if TYPE_CHECKING:
    from concurrent.futures import Executor

    from objrun.tables.compaction import Compacted
    from objrun.tables.stats import ExperimentStats, Stats
    from objrun.tables.vacuum import Needless

DryRun = Annotated[
    bool, typer.Option("--dry-run", help="Only say what would go.", rich_help_panel=OUTPUT)
]


def compact(
    experiments: Experiments = None,
    whole: Annotated[
        bool, typer.Option("--whole", help="Merge each table into one level, however large.")
    ] = False,
    workers: Annotated[
        int, typer.Option("--workers", min=1, metavar="N", help="Processes that share the work.")
    ] = 1,
    dask: Annotated[
        str | None,
        typer.Option(
            "--dask",
            metavar="ADDRESS",
            help="A Dask scheduler whose workers do the work; needs the extra dask.",
            show_default=False,
        ),
    ] = None,
    vacuumed: Annotated[
        bool,
        typer.Option("--vacuum/--no-vacuum", help="Then remove what the tables made needless."),
    ] = True,
    as_json: Json = False,
    url: Url = None,
    option: StorageOptions = None,
) -> None:
    """Put what is live into tables, so that questions about many runs stay quick.

    Safe at any time and on several machines at once: from cron, or by hand after a sweep.
    """
    workspace = open_workspace(url, option)
    with _progress("points", quiet=as_json) as progress, _executor(workers, dask) as executor:
        made = workspace.compact(
            experiments or None,
            executor=executor,
            workers=None if dask else workers,
            whole=whole,
            progress=progress,
        )
    removed: dict[str, Needless] = {}
    if vacuumed:
        with _progress("experiments", quiet=as_json) as told:
            removed = workspace.vacuum(experiments or None, progress=told)
    for one in made.values():
        for error in one.damaged:
            warnings.warn(f"{error.message}: left as it is", CorruptObjectWarning, stacklevel=2)
    _warn(removed)
    if as_json:
        print_lines(_documents(made, removed))
        return
    console = new_console()
    if made:
        print_table(console, _compacted(made))
    gone = sum(len(one.removed) for one in removed.values())
    size = sum(one.size for one in removed.values())
    points = sum(one.points for one in made.values())
    done = f"compacted {_count(points, 'point')} of {_count(len(made), 'experiment')}"
    first = done if made else "nothing is live"
    console.print(f"{first}; removed {_count(gone, 'object')}, {decimal(size)}", soft_wrap=True)


def vacuum(
    experiments: Experiments = None,
    retention: Annotated[
        str,
        typer.Option(metavar="AGE", help="Tables stay so long after newer ones: 1h, 30m, 1d, 0."),
    ] = "1h",
    dry_run: DryRun = False,
    as_json: Json = False,
    url: Url = None,
    option: StorageOptions = None,
) -> None:
    """Remove objects that compacted tables have made needless, and say what that freed.

    The tables that stand for them are checked first. Of an experiment where one is damaged nothing
    is removed; the exit code is 1 then.
    """
    age = parse_age(retention, "--retention")
    found = open_workspace(url, option).vacuum(experiments or None, retention=age, dry_run=dry_run)
    _warn(found)
    if as_json:
        print_lines({"experiment": name, **_needless(one)} for name, one in found.items())
    else:
        _print_removed(found, "would free" if dry_run else "freed")
    if any(one.damaged for one in found.values()):
        raise typer.Exit(1)


def _print_removed(found: dict[str, Needless], done: str) -> None:
    console = new_console()
    if found:
        print_table(console, _removed(found))
    objects = sum(len(one.removed) for one in found.values())
    size = sum(one.size for one in found.values())
    console.print(
        f"{done} {_count(objects, 'object')}, {decimal(size)} ({size} bytes)", soft_wrap=True
    )


def _warn(found: dict[str, Needless]) -> None:
    for name, one in found.items():
        for error in one.damaged:
            told = f"{error.message}: nothing of {name!r} is removed before `{program()} verify "
            warnings.warn(f"{told}--repair` has mended it", CorruptObjectWarning, stacklevel=3)


def stats(
    exact: Annotated[
        bool, typer.Option("--all", help="List every object, however many there are.")
    ] = False,
    as_json: Json = False,
    url: Url = None,
    option: StorageOptions = None,
) -> None:
    """Show what a store holds, what questions must read one by one, and about what it costs.

    Of more than 1,000 runs in tables the small objects of each are estimated by those of 64.
    """
    workspace = open_workspace(url, option)
    with _progress("objects", quiet=as_json) as told:
        told("listing", 0, 0)
        found = workspace.stats(exact=exact)
    if as_json:
        print_document(_stats_document(found))
        return
    console = new_console()
    names = sorted(found.experiments)
    if names:
        print_table(console, _stats_columns({name: found.experiments[name] for name in names}))
    for line in _stats_lines(found):
        console.print(line, soft_wrap=True)


@contextmanager
def _executor(workers: int, dask: str | None) -> Iterator[Executor | None]:
    if dask is not None:
        try:
            from dask.distributed import Client
        except ImportError:
            message = "needs Dask: pip install 'objrun[dask]'"
            raise typer.BadParameter(message, param_hint="--dask") from None
        with Client(dask) as client:
            yield client.get_executor()
    elif workers > 1:
        from concurrent.futures import ProcessPoolExecutor
        from multiprocessing import get_context

        # A fork would take the threads' locks of this process with it.
        with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as executor:
            yield executor
    else:
        yield None


@contextmanager
def _progress(noun: str, *, quiet: bool) -> Iterator[Callable[[str, int, int], None]]:
    """Show a bar for each name on stderr, at a terminal; one of 0 in all only says it goes on."""
    if quiet or not sys.stderr.isatty() or os.environ.get("TERM") == "dumb":
        yield lambda _name, _done, _all: None
        return
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

    from objrun.cli.console import HarmlessConsole

    columns = (TextColumn("{task.description}", markup=False), BarColumn(), MofNCompleteColumn())
    console = HarmlessConsole(stderr=True)
    with Progress(*columns, TextColumn(noun), console=console, transient=True) as bar:
        tasks: dict[str, Any] = {}

        def told(name: str, done: int, whole: int) -> None:
            if name not in tasks:
                tasks[name] = bar.add_task(name, total=whole or None)
            bar.update(tasks[name], completed=done, total=whole or None)

        yield told


def _compacted(made: dict[str, Compacted]) -> list[Column]:
    return [
        Column("experiment", [*made], most=40, least=8),
        Column("checkpoint", [str(one.checkpoint.number) for one in made.values()], right=True),
        Column("runs", [f"{one.runs:,}" for one in made.values()], right=True),
        Column("points", [f"{one.points:,}" for one in made.values()], right=True),
        Column("segments", [f"{one.segments:,}" for one in made.values()], right=True),
        Column("levels", [_levels(one) for one in made.values()], right=True),
    ]


def _levels(one: Compacted) -> str:
    return str(len({file.level for file in one.checkpoint.of_kind("metrics")}))


def _removed(found: dict[str, Needless]) -> list[Column]:
    kinds = ("segments", "markers", "checkpoints", "tables")
    return [
        Column("experiment", [*found], most=40, least=8),
        *(
            Column(kind, [f"{len(getattr(one, kind)):,}" for one in found.values()], right=True)
            for kind in kinds
        ),
        Column("size", [decimal(one.size) for one in found.values()], right=True),
    ]


def _needless(one: Needless) -> dict[str, Any]:
    kinds = ("segments", "markers", "checkpoints", "tables")
    counts = {kind: len(getattr(one, kind)) for kind in kinds}
    return counts | {"bytes": one.size, "damaged": [error.key for error in one.damaged]}


def _documents(
    made: dict[str, Compacted], removed: dict[str, Needless]
) -> Iterator[dict[str, Any]]:
    for name in sorted({*made, *removed}):
        one, gone = made.get(name), removed.get(name)
        yield {
            "experiment": name,
            "checkpoint": one.checkpoint.number if one else None,
            "runs": one.runs if one else 0,
            "points": one.points if one else 0,
            "segments": one.segments if one else 0,
            "removed": len(gone.removed) if gone else 0,
            "removed_bytes": gone.size if gone else 0,
        }


def _stats_columns(experiments: dict[str, ExperimentStats]) -> list[Column]:
    each = experiments.values()
    return [
        Column("experiment", [*experiments], most=40, least=8),
        Column("runs", [f"{one.runs:,}" for one in each], right=True),
        Column("points", [f"{one.points:,}" for one in each], right=True),
        Column("table size", [decimal(one.tables.size) for one in each], right=True),
        Column("live runs", [f"{one.live.runs:,}" for one in each], right=True),
        Column("live segments", [f"{one.live.segments.objects:,}" for one in each], right=True),
        Column("live size", [decimal(one.live.segments.size) for one in each], right=True),
    ]


def _stats_lines(found: Stats) -> Iterator[str]:
    total = found.total
    about = f" (estimated by {found.sampled} runs: --all counts)" if found.sampled else ""
    yield f"{'about ' * bool(about)}{_count(total.objects, 'object')}, {decimal(total.size)}{about}"
    yield (
        f"about ${found.storage_bill:,.2f} a month to keep, ${found.request_bill:,.2f} for the "
        f"{_count(found.new, 'PUT')} of the last 30 days (S3 list prices); a run that logs all the "
        "time adds $0.22 a month"
    )
    due = [
        name
        for name, one in sorted(found.experiments.items())
        if one.live.runs >= MUCH or one.live.segments.objects >= MUCH
    ]
    if due:
        more = f" and {len(due) - 3} more" if len(due) > 3 else ""
        yield f"worth compacting: {program()} compact {' '.join(due[:3])}{more}"


def _stats_document(found: Stats) -> dict[str, Any]:
    return {
        "objects": found.total.objects,
        "bytes": found.total.size,
        "new_objects": found.new,
        "sampled_runs": found.sampled,
        "storage_usd_a_month": found.storage_bill,
        "requests_usd_a_month": found.request_bill,
        "experiments": {
            name: {
                "checkpoint": one.checkpoint,
                "runs": one.runs,
                "points": one.points,
                "table_bytes": one.tables.size,
                "live_runs": one.live.runs,
                "live_markers": one.live.markers,
                "live_segments": one.live.segments.objects,
                "live_bytes": one.live.segments.size,
            }
            for name, one in sorted(found.experiments.items())
        },
    }


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"
