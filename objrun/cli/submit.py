"""`objrun submit`, `logs` and `cancel`: a script as a run, what it prints, its end."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer
from typer.core import TyperCommand

from objrun import clock
from objrun.cli.find import find_run
from objrun.cli.options import RunName, StorageOptions, Url, complete_experiment, open_workspace
from objrun.cli.output import new_console
from objrun.cli.style import harmless
from objrun.errors import FileNotInRunError
from objrun.format.log_keys import FOLDER
from objrun.format.states import TERMINAL
from objrun.protocol.heartbeat import LOST
from objrun.runs.following import STREAM, Follower

if TYPE_CHECKING:
    from objrun.run import Run

HELP: Final = {"-h", "--help"}

EVERY: Final = 2.0
"""Seconds between two looks for what a run has printed."""


class BehindDashes(TyperCommand):
    """A command whose last argument is a command line, which stands behind `--`."""

    def parse_args(self, ctx: Any, args: list[str]) -> Any:
        """Refuse options without `--`: some of them may be meant for the command line."""
        if "--" not in args and any(arg.startswith("-") for arg in args) and not {*args} & HELP:
            ctx.fail(
                "Write -- in front of the command, so that its options are its own: "
                "objrun submit digits --wait -- python train.py --lr 0.1"
            )
        return super().parse_args(ctx, args)


def submit(
    experiment: Annotated[
        str,
        typer.Argument(
            metavar="EXPERIMENT",
            help="The experiment of the run.",
            autocompletion=complete_experiment,
            show_default=False,
        ),
    ],
    command: Annotated[
        list[str],
        typer.Argument(
            metavar="-- COMMAND", help="The program and its arguments.", show_default=False
        ),
    ],
    source: Annotated[
        Path, typer.Option("--source", metavar="DIR", help="The folder that it needs.")
    ] = Path(),
    slots: Annotated[
        int | None,
        typer.Option("--slots", metavar="N", min=1, help="Wait while N run on this machine."),
    ] = None,
    limit: Annotated[
        float | None,
        typer.Option("--limit", metavar="SECONDS", help="Cancel it after so long, above 0."),
    ] = None,
    wait: Annotated[bool, typer.Option("--wait", help="Show what it prints meanwhile.")] = False,
    url: Url = None,
    option: StorageOptions = None,
) -> None:
    """Start a command as a run, in a process of its own, with a snapshot of a folder.

    It works in a copy of that. What it leaves in outputs and logs becomes files of the run; the
    copy is removed when it has completed and all in it is stored, else 30 days later.

    Exit codes with --wait: 0 completed, 1 failed or canceled.
    """
    from objrun.experiment import Experiment
    from objrun.submission.config import ScriptRunConfig
    from objrun.submission.targets import LocalTarget

    config = ScriptRunConfig(
        source,
        command=command,
        compute_target=LocalTarget(slots),
        max_run_duration_seconds=limit,
    )
    run = Experiment(open_workspace(url, option), experiment).submit(config)
    new_console().print(f"{run.id}  {experiment}/{run.number}", soft_wrap=True)
    if wait:
        try:
            _follow(run, STREAM)
        except KeyboardInterrupt:
            name = f"{experiment}/{run.number}"
            typer.echo(f"{name} goes on: objrun logs -f {name}, objrun cancel {name}", err=True)
            raise
        if run.status != "Completed":
            raise typer.Exit(1)


def cancel(run: RunName, url: Url = None, option: StorageOptions = None) -> None:
    """Cancel a run: the processes of one that was submitted end within seconds."""
    found = find_run(open_workspace(url, option), run)
    found.cancel()
    _tell(found)


def logs(
    run: RunName,
    follow: Annotated[
        bool, typer.Option("--follow", "-f", help="Go on until the run has ended.")
    ] = False,
    stream: Annotated[
        str | None, typer.Option("--stream", metavar="NAME", help="Another log of the run.")
    ] = None,
    url: Url = None,
    option: StorageOptions = None,
) -> None:
    """Print what a run has printed; Ctrl-C ends that, and not the run."""
    found = find_run(open_workspace(url, option), run)
    name = (stream or STREAM).removeprefix(FOLDER)
    there = [each for each in found.get_file_names() if each.startswith(FOLDER)]
    if f"{FOLDER}{name}" not in there:
        _tell_none(found, stream, there, follow=follow)
    if follow:
        _follow(found, name)
    else:
        _print(Follower(found.experiment.workspace.querying(), found.id, name).more())


def _tell_none(run: Run, asked: str | None, there: list[str], *, follow: bool) -> None:
    """Say on stderr that there is nothing to print; FileNotInRunError where it was asked for."""
    from objrun.runs.jobs import TARGET  # which brings pyarrow, and `--help` needs none

    status = run.get_status()
    if asked is not None and not follow:
        message = f"run {run.id} has no log {asked!r}: it has {', '.join(there) or 'none'}"
        raise FileNotInRunError(message)
    told = f"{run.experiment.name}/{run.number} is {status} and has printed nothing"
    if there:
        told += f"; there is {', '.join(there)}: --stream NAME"
    elif TARGET not in run.properties:
        told += " that is kept: `objrun submit` and Experiment.submit keep what a run prints"
    typer.echo(harmless(told if status in TERMINAL else f"{told} so far"), err=True)


def _follow(run: Run, stream: str) -> None:
    """Print what a run prints until it has ended."""
    log = Follower(run.experiment.workspace.querying(), run.id, stream)
    while True:
        is_over = run.get_status() in (*TERMINAL, LOST)
        _print(log.more())
        if is_over:
            break
        clock.sleep(EVERY)
    _tell(run)


def _tell(run: Run) -> None:
    """Say on stderr what became of a run, and why; nothing where it has completed."""
    error = run.state.error or {}
    reason = error.get("message") or error.get("code") or ""
    if run.status == LOST:
        reason = "it gives no sign of life any more"
    if run.status != "Completed":
        told = f"{run.experiment.name}/{run.number} {run.status}{reason and f': {reason}'}"
        typer.echo(harmless(told), err=True)


def _print(text: str) -> None:
    # A file is to hold the lines as they are, so nothing is wrapped.
    sys.stdout.write(text)
    sys.stdout.flush()
