"""`objrun verify`: is everything in a store as it should be, and if not, can it be mended?"""

from __future__ import annotations

import os
import sys
from contextlib import contextmanager
from itertools import groupby
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer
from rich.text import Text

from objrun.cli.console import HarmlessConsole
from objrun.cli.options import Experiments, Json, StorageOptions, Url, open_workspace
from objrun.cli.output import new_console, print_lines
from objrun.cli.program import program
from objrun.cli.style import harmless
from objrun.errors import ExperimentNotFoundError
from objrun.format import keys
from objrun.format.names import check_experiment
from objrun.protocol.settle import insist

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from rich.console import Console

    from objrun.storage import Store
    from objrun.tables.verify.findings import Checked, Finding

SHOWN: Final = 10
"""Findings of one kind and object that are shown at a terminal; a pipe and JSON get all."""

COLOURS: Final = {"error": "red", "warning": "yellow"}


def verify(
    experiments: Experiments = None,
    deep: Annotated[
        bool,
        typer.Option("--deep", help="Also make all summaries again, and compare tables of runs."),
    ] = False,
    repair: Annotated[
        bool, typer.Option("--repair", help="Mend what can be mended, then verify again.")
    ] = False,
    yes: Annotated[
        bool, typer.Option("--yes", "-y", help="Do not ask; a script is never asked.")
    ] = False,
    as_json: Json = False,
    url: Url = None,
    option: StorageOptions = None,
) -> None:
    """Check that a store is sound, and say what is wrong, where, and what a repair would do.

    Reads every document, every table and all points that are not in tables; writes nothing without
    --repair. Safe while the store is in use. Exit code 0: sound, but for warnings. 1: errors.
    """
    workspace = open_workspace(url, option)
    store = workspace.reading()
    names = _existing(store, experiments)
    findings, checked = _look(store, names, deep=deep)
    mended = [finding for finding in findings if finding.mend] if repair else []
    if mended and (yes or not sys.stdin.isatty() or _may(mended)):
        _mend(workspace.writing(), mended)
        findings, checked = _look(store, names, deep=deep)
    if as_json:
        print_lines(document(finding) for finding in findings)
    else:
        _print(findings, checked)
    if any(finding.severity == "error" for finding in findings):
        raise typer.Exit(1)


def _look(
    store: Store, names: Sequence[str] | None, *, deep: bool
) -> tuple[list[Finding], Checked]:
    from objrun.tables.verify.findings import Checked
    from objrun.tables.verify.store import verify as look

    last = Checked()
    with _progress() as show:

        def tell(checked: Checked) -> None:
            nonlocal last
            last = checked
            show(checked)

        return [*look(store, names, deep=deep, tell=tell)], last


def _existing(store: Store, names: Sequence[str] | None) -> Sequence[str] | None:
    """Return the names of experiments of which anything is there; None for all."""
    if not names:
        return None
    there = insist(lambda: store.folders(keys.EXPERIMENTS))
    for name in names:
        if keys.encode_name(check_experiment(name)) not in there:
            message = f"there is no experiment {name!r} in {store.url}"
            raise ExperimentNotFoundError(message)
    return names


def _may(mended: Sequence[Finding]) -> bool:
    """Say what would be done and ask."""
    _print_findings(
        HarmlessConsole(stderr=True, highlight=False, markup=False, emoji=False), mended
    )
    return typer.confirm(f"Repair {_count(len(mended), 'finding')}?", err=True)


def _mend(store: Store, mended: Sequence[Finding]) -> None:
    from objrun.tables.verify.findings import repair

    done = set()
    for finding, error in repair(store, mended):
        if finding.mend not in done:
            done.add(finding.mend)
            told = f"not mended: {error.message}" if error else f"mended: {finding.repair}"
            sys.stderr.write(harmless(f"{finding.key}: {told}\n"))


def document(finding: Finding) -> dict[str, Any]:
    """Return what `--json` prints of a finding.

    >>> from objrun.tables.verify.findings import Finding
    >>> document(Finding("gap", "experiments/e/shards/r/", "rows 3 to 5 are missing"))["severity"]
    'warning'
    """
    names = ("severity", "code", "key", "message", "repair")
    return {name: getattr(finding, name) for name in names}


def _print(findings: Sequence[Finding], checked: Checked) -> None:
    console = new_console()
    if findings:
        _print_findings(console, findings)
        console.print()
    told = [
        _count(number, severity)
        for severity in COLOURS
        if (number := sum(finding.severity == severity for finding in findings))
    ]
    done = (
        f"checked {_count(checked.objects, 'object')}, {_count(checked.runs, 'run')}, "
        f"{_count(checked.points, 'point')}: "
    )
    console.print(f"{done}{' and '.join(told) or 'no errors'}", soft_wrap=True)
    if any(finding.mend for finding in findings):
        console.print(f"what can be mended is, by {program()} verify --repair", style="dim")


def _print_findings(console: Console, findings: Sequence[Finding]) -> None:
    """Print findings by what is wrong with which object; at a terminal a few of each."""
    most = SHOWN if console.is_terminal else len(findings)
    for (severity, code, key), same in groupby(findings, lambda f: (f.severity, f.code, f.key)):
        group = [*same]
        told = Text.assemble((severity, COLOURS[severity]), f" {code}  ", (key, "bold"))
        console.print(told, soft_wrap=True)
        for finding in group[:most]:
            console.print(f"  {finding.message}", soft_wrap=True)
        if len(group) > most:
            console.print(f"  and {len(group) - most} more: --json shows all", style="dim")
        if group[0].repair:
            console.print(f"  repair: {group[0].repair}", soft_wrap=True)


@contextmanager
def _progress() -> Iterator[Callable[[Checked], None]]:
    """Show a bar of the objects on stderr, at a terminal."""
    if not sys.stderr.isatty() or os.environ.get("TERM") == "dumb":
        yield lambda _checked: None
        return
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

    columns = (TextColumn("verify"), BarColumn(), MofNCompleteColumn(), TextColumn("objects"))
    with Progress(*columns, console=HarmlessConsole(stderr=True), transient=True) as bar:
        task = bar.add_task("verify", total=None)
        yield lambda checked: bar.update(task, completed=checked.objects, total=checked.known)


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"
