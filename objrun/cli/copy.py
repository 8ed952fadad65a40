"""`objrun copy` and `objrun sync`: from one store into another, what is not there yet."""

from __future__ import annotations

import warnings
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.filesize import decimal

from objrun.cli.find import find_run
from objrun.cli.options import OUTPUT, Json, open_workspace
from objrun.cli.output import new_console, print_lines
from objrun.errors import ObjrunWarning

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from rich.console import Console

    from objrun.protocol.copy.work import Copied
    from objrun.workspace import Workspace

_NAMED = 5

Source = Annotated[
    str, typer.Argument(metavar="SRC", help="The store to copy from.", show_default=False)
]
Target = Annotated[
    str,
    typer.Argument(
        metavar="DST", help="The store to copy into, or a place for one.", show_default=False
    ),
]
Spool = Annotated[
    str,
    typer.Argument(
        metavar="SPOOL", help="The store that is written, usually a folder.", show_default=False
    ),
]
SourceOptions = Annotated[
    list[str] | None,
    typer.Option(
        "--src-option",
        metavar="KEY=VALUE",
        help="A storage option of the store to copy from; can be repeated.",
        rich_help_panel="Stores",
        show_default=False,
    ),
]
TargetOptions = Annotated[
    list[str] | None,
    typer.Option(
        "--dst-option",
        metavar="KEY=VALUE",
        help="A storage option of the store to copy into; can be repeated.",
        rich_help_panel="Stores",
        show_default=False,
    ),
]
DryRun = Annotated[
    bool,
    typer.Option("--dry-run", help="Only say what would be copied.", rich_help_panel=OUTPUT),
]


def copy(
    src: Source,
    dst: Target,
    experiment: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME", help="Only this experiment; can be repeated."),
    ] = None,
    run: Annotated[
        list[str] | None,
        typer.Option(metavar="RUN", help="Only this run and all below it; can be repeated."),
    ] = None,
    dry_run: DryRun = False,
    as_json: Json = False,
    src_option: SourceOptions = None,
    dst_option: TargetOptions = None,
) -> None:
    """Copy a store, or some experiments and runs, into another one: what is not there yet.

    Ids, times and bytes stay as they are, and both stores may be in use meanwhile. A copy that was
    interrupted is gone on with by the same command. Models come along with the whole store, and not
    with chosen experiments or runs.
    """
    from objrun.upkeep.copying import choose

    source, target = open_workspace(src, src_option), open_workspace(dst, dst_option)
    runs = [find_run(source, name).id for name in run or ()]
    chosen = choose(source, experiment or (), runs)
    _perform(source, target, chosen, dry_run=dry_run, as_json=as_json)


def sync(
    spool: Spool,
    dst: Target,
    dry_run: DryRun = False,
    as_json: Json = False,
    src_option: SourceOptions = None,
    dst_option: TargetOptions = None,
) -> None:
    """Bring all that was logged into a folder to another store; again and again, also meanwhile.

    It ends with exit code 0 when everything that was in SPOOL as it began is in DST. What is there
    already costs only listings.
    """
    source, target = open_workspace(spool, src_option), open_workspace(dst, dst_option)
    _perform(source, target, None, dry_run=dry_run, as_json=as_json)


def _perform(
    source: Workspace, target: Workspace, chosen: Any, *, dry_run: bool, as_json: bool
) -> None:
    from objrun.upkeep.copying import copy_workspace

    console = new_console()
    if dry_run:
        copied = copy_workspace(source, target, chosen)
    else:
        with _progress(console) as tell:
            copied = copy_workspace(source, target, chosen, tell)
    if as_json:
        print_lines([document(copied)])
    else:
        console.print(sentence(copied, target.url, dry_run=dry_run), soft_wrap=True)
    _warn(copied)
    copied.check()


def document(copied: Copied) -> dict[str, Any]:
    """Return what `--json` prints.

    >>> from objrun.protocol.copy.work import Copied
    >>> document(Copied(objects=3, size=99, runs=1, all_runs=2))["bytes"]
    99
    """
    return {
        "objects": copied.objects,
        "bytes": copied.size,
        "runs": copied.runs,
        "all_runs": copied.all_runs,
        "points_from_tables": copied.points,
        "numbers_taken": [taken._asdict() for taken in copied.taken],
        "purged": copied.purged,
        "conflicts": copied.conflicts,
        "models_left": copied.models,
    }


def sentence(copied: Copied, place: str, *, dry_run: bool = False) -> str:
    """Return what was done in one line.

    >>> from objrun.protocol.copy.work import Copied
    >>> sentence(Copied(objects=3, size=1200, runs=1, all_runs=2), "s3://b")
    'copied 3 objects (1.2 kB) of 1 run to s3://b; 2 runs in all'
    >>> sentence(Copied(all_runs=1), "s3://b")
    'nothing to copy to s3://b; 1 run in all'
    """
    runs = f"{_count(copied.all_runs, 'run')} in all"
    if not copied.objects and not copied.points:
        return f"nothing to copy to {place}; {runs}"
    what = f"{_count(copied.objects, 'object')} ({decimal(copied.size)})"
    if dry_run and copied.points:
        what += f" and segments of {_count(copied.points, 'point')}"
    did = "would copy" if dry_run else "copied"
    return f"{did} {what} of {_count(copied.runs, 'run')} to {place}; {runs}"


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"


def _warn(copied: Copied) -> None:
    """Warn of what people may look for in vain."""
    if copied.taken:
        named = [f"{taken.run} ({taken.experiment}/{taken.number})" for taken in copied.taken]
        _tell("run", "must be found by id there, since another run has the number", named)
    if copied.purged:
        _tell("run", "purged there before, and not copied", copied.purged)
    if copied.models:
        _tell("model", "of these runs not copied, as only whole stores take models", copied.models)


def _tell(what: str, told: str, named: list[str]) -> None:
    more = ", ..." if len(named) > _NAMED else ""
    message = f"{_count(len(named), what)} {told}: {', '.join(named[:_NAMED])}{more}"
    warnings.warn(message, ObjrunWarning, stacklevel=1)


@contextmanager
def _progress(console: Console) -> Iterator[Callable[[Copied], None]]:
    """Draw a bar of the runs at a terminal; elsewhere nothing."""
    if not console.is_terminal:
        yield lambda _copied: None
        return
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

    columns = (BarColumn(), MofNCompleteColumn(), TextColumn("runs  {task.fields[moved]}"))
    with Progress(*columns, console=console, transient=True) as progress:
        task = progress.add_task("", total=None, moved="")

        def tell(copied: Copied) -> None:
            moved = f"{_count(copied.objects, 'object')}, {decimal(copied.size)}"
            total = copied.all_runs or None
            progress.update(task, completed=copied.seen, total=total, moved=moved)

        yield tell
