"""`objrun files`, `download` and `upload`: the files of a run."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.filesize import decimal

from objrun.cli.find import find_run
from objrun.cli.layout import Column, print_table
from objrun.cli.options import Csv, Json, RunName, StorageOptions, Url, one_format, open_workspace
from objrun.cli.output import new_console, print_rows
from objrun.cli.style import one_line
from objrun.format import file_keys
from objrun.protocol.settle import insist
from objrun.runs.artifacts import places_of

if TYPE_CHECKING:
    from objrun.run import Run
    from objrun.storage import ObjectInfo

FIELDS = ("name", "size", "modified", "key")


def files(
    run: RunName,
    as_json: Json = False,
    as_csv: Csv = False,
    url: Url = None,
    option: StorageOptions = None,
) -> None:
    """List the files of a run, its logs among them: their sizes, and when they were stored."""
    one_format(as_json=as_json, as_csv=as_csv)
    rows = _rows(find_run(open_workspace(url, option), run))
    if not print_rows(FIELDS, rows, as_json=as_json, as_csv=as_csv):
        columns = [
            Column("name", [one_line(row["name"]) for row in rows], least=12),
            Column("size", [decimal(row["size"]) for row in rows], right=True),
            Column("stored (UTC)", [f"{row['modified']:%Y-%m-%d %H:%M:%S}" for row in rows]),
        ]
        print_table(new_console(), columns)


def download(
    run: RunName,
    names: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="NAME", help="Files, or folders of files; else all.", show_default=False
        ),
    ] = None,
    to: Annotated[
        Path, typer.Option("--to", metavar="FOLDER", help="Where they go, below their names.")
    ] = Path(),
    url: Url = None,
    option: StorageOptions = None,
) -> None:
    """Write files of a run into a folder, checked against what was stored."""
    found = find_run(open_workspace(url, option), run)
    console = new_console()
    for name in names or [""]:
        found.download_files(name, to)
        console.print(f"{one_line(name or 'all files')}: in {to}", soft_wrap=True)


def upload(
    run: RunName,
    paths: Annotated[
        list[Path],
        typer.Argument(metavar="PATH", help="Files, or folders with all below.", exists=True),
    ],
    into: Annotated[
        str,
        typer.Option(
            "--into",
            metavar="FOLDER",
            help="The folder of the run they go to; without, the top one.",
            show_default=False,
        ),
    ] = "",
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace files of other content.")
    ] = False,
    url: Url = None,
    option: StorageOptions = None,
) -> None:
    """Store files with a run; what it has already is not sent again."""
    found = find_run(open_workspace(url, option), run)
    console = new_console()
    for path in paths:
        name = "/".join(filter(None, (into.strip("/"), path.resolve().name)))
        store = found.upload_folder if path.is_dir() else found.upload_file
        done = store(name, path, overwrite=overwrite)
        for artifact in done.artifacts.values():
            told = f"{one_line(artifact.name)}: {decimal(artifact.size)}, SHA-256 {artifact.sha256}"
            console.print(told, soft_wrap=True)


def _rows(run: Run) -> list[dict[str, Any]]:
    store = run.experiment.workspace.querying()
    # The bytes of a file may be those of an older one, whose time they then have.
    entries = insist(lambda: store.list(file_keys.run_files(run.id)))
    times = {info.key: info.modified for info in entries}

    def row(name: str, info: ObjectInfo) -> dict[str, Any]:
        parsed = file_keys.parse_artifact(info.key)
        entry = file_keys.run_file(run.id, name, parsed.version) if parsed else ""
        modified = times.get(entry, info.modified)
        return {"name": name, "size": info.size, "modified": modified, "key": info.key}

    return [row(name, info) for name, info in places_of(store, run.id).items()]
