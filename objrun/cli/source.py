"""`objrun env` and `objrun snapshot`: what a run was started with, and its source."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer
from rich.filesize import decimal

from objrun.cli.find import find_run
from objrun.cli.layout import Column, print_table
from objrun.cli.options import OUTPUT, Json, RunName, StorageOptions, Url, open_workspace
from objrun.cli.output import new_console, print_document, print_lines, print_text
from objrun.cli.style import one_line
from objrun.errors import UserErrorException
from objrun.format.archives import Entry, read_directory

if TYPE_CHECKING:
    from objrun.run import Run

NAMES: Final = {"cpus": "processors", "gpus": "GPUs", "cuda": "CUDA"}
"""What people read instead of the name of a field."""


def env(
    run: RunName,
    pip: Annotated[
        bool,
        typer.Option("--pip", help="Print packages as pip takes them.", rich_help_panel=OUTPUT),
    ] = False,
    as_json: Json = False,
    url: Url = None,
    option: StorageOptions = None,
) -> None:
    """Show what a run was started with: Python, machine, command line, packages."""
    if pip and as_json:
        message = "choose one of --json and --pip"
        raise typer.BadParameter(message)
    found = find_run(open_workspace(url, option), run).get_environment()
    packages: dict[str, Any] = found.get("packages", {})
    if as_json:
        print_document(found)
        return
    if not pip:
        console = new_console()
        shown = {name: value for name, value in sorted(found.items()) if name != "packages"}
        for name, value in shown.items():
            console.print(
                f"{NAMES.get(name, name)}: {one_line(_text(name, value))}", soft_wrap=True
            )
    print_text("".join(f"{one_line(k)}=={one_line(str(v))}\n" for k, v in sorted(packages.items())))


def snapshot(
    run: RunName,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            metavar="FOLDER",
            help="Unpack the files into this folder, new or empty.",
            show_default=False,
        ),
    ] = None,
    diff: Annotated[
        bool,
        typer.Option("--diff", help="Print what was not committed when it started, for git apply."),
    ] = False,
    as_json: Json = False,
    url: Url = None,
    option: StorageOptions = None,
) -> None:
    """List the files of a run's snapshot, or unpack them."""
    found = find_run(open_workspace(url, option), run)
    if diff:
        _print_diff(found)
    elif output is not None:
        place = found.unpack_snapshot(output)
        new_console().print(f"{found.get_snapshot_id()}: in {place}", soft_wrap=True)
    else:
        _list(found, as_json=as_json)


def _print_diff(run: Run) -> None:
    text = run.git_diff()
    if text is None:
        message = f"of run {run.id} nothing is recorded that was not committed"
        raise UserErrorException(message)
    print_text(text)


def _list(run: Run, *, as_json: bool) -> None:
    entries = _entries(run)
    if as_json:
        print_lines({"name": entry.name, "size": entry.size} for entry in entries)
        return
    columns = [
        Column("name", [one_line(entry.name) for entry in entries], least=12),
        Column("size", [decimal(entry.size) for entry in entries], right=True),
    ]
    print_table(new_console(), columns)


def _entries(run: Run) -> list[Entry]:
    with tempfile.TemporaryDirectory(prefix="objrun-") as folder:
        place = run.restore_snapshot(path=folder)
        with Path(place).open("rb") as file:

            def part(start: int, length: int) -> bytes:
                file.seek(start)
                return file.read(length)

            return [*read_directory(place, Path(place).stat().st_size, part)]


def _text(name: str, value: Any) -> str:
    if name == "memory":
        return decimal(value)
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)
