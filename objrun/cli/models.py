"""`objrun models`: registered models, listed, shown, downloaded, registered."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer
from rich.filesize import decimal

from objrun.cli.find import find_run
from objrun.cli.layout import Column, print_table
from objrun.cli.options import (
    OUTPUT,
    Csv,
    Json,
    StorageOptions,
    Url,
    one_format,
    open_workspace,
)
from objrun.cli.output import new_console, print_rows
from objrun.cli.style import one_line
from objrun.errors import UserErrorException

if TYPE_CHECKING:
    from collections.abc import Sequence

    from objrun.model import Model
    from objrun.workspace import Workspace

FIELDS: Final = (
    "name",
    "version",
    "created",
    "run_id",
    "experiment",
    "tags",
    "properties",
    "files",
)


def models(
    name: Annotated[
        str | None,
        typer.Argument(
            metavar="NAME[:VERSION]",
            help="A model: all its versions, or that one; else the latest of each.",
            show_default=False,
        ),
    ] = None,
    to: Annotated[
        Path | None,
        typer.Option(
            "--to", metavar="FOLDER", help="Download the files into it.", show_default=False
        ),
    ] = None,
    register: Annotated[
        str | None,
        typer.Option(
            "--register",
            metavar="PATH",
            help="Register this file or folder as the next version of NAME.",
            show_default=False,
        ),
    ] = None,
    run: Annotated[
        str | None,
        typer.Option(
            "--run", metavar="RUN", help="PATH is one of this run's files.", show_default=False
        ),
    ] = None,
    files: Annotated[
        bool, typer.Option("--files", help="List the files of each.", rich_help_panel=OUTPUT)
    ] = False,
    as_json: Json = False,
    as_csv: Csv = False,
    url: Url = None,
    option: StorageOptions = None,
) -> None:
    """List registered models; download the files of one, or register the next version of one."""
    one_format(as_json=as_json, as_csv=as_csv)
    if name is None and (to or register):
        message = "--to and --register need the name of a model"
        raise UserErrorException(message)
    workspace = open_workspace(url, option)
    if register is not None:
        found: Sequence[Model] = [_register(workspace, str(name), register, run)]
    else:
        found = _find(workspace, name, is_one=to is not None)
    if to is not None:
        path = found[0].download(to, exist_ok=True)
        new_console().print(f"{found[0].id}: in {path}", soft_wrap=True)
    elif not print_rows(FIELDS, map(_row, found), as_json=as_json, as_csv=as_csv):
        (_print_files if files else _print)(found)


def _find(workspace: Workspace, name: str | None, *, is_one: bool) -> Sequence[Model]:
    from objrun.model import Model

    if name is None:
        return [*workspace.models.values()]
    if is_one or ":" in name:
        return [Model(workspace, id=name) if ":" in name else Model(workspace, name)]
    found = Model.list(workspace, name)
    return found or [Model(workspace, name)]  # raises that there is none


def _register(workspace: Workspace, name: str, path: str, run: str | None) -> Model:
    from objrun.model import Model

    if run is None:
        return Model.register(workspace, path, name)
    return find_run(workspace, run).register_model(name, path)


def _row(model: Model) -> dict[str, Any]:
    files = {name: file.size for name, file in model.files.items()}
    values = (
        *(model.name, model.version, model.created_time, model.run_id, model.experiment_name),
        *(model.tags, model.properties, files),
    )
    return dict(zip(FIELDS, values, strict=True))


def _print(found: Sequence[Model]) -> None:
    tags = (", ".join(f"{k}={v}" for k, v in model.tags.items()) for model in found)
    sizes = (sum(file.size for file in model.files.values()) for model in found)
    columns = [
        Column("model", [model.name for model in found], least=8),
        Column("version", [str(model.version) for model in found], right=True),
        Column("registered (UTC)", [f"{m.created_time:%Y-%m-%d %H:%M:%S}" for m in found]),
        Column("size", [decimal(size) for size in sizes], right=True),
        Column("experiment", [one_line(m.experiment_name or "") for m in found], rank=2),
        Column("tags", [one_line(text) for text in tags], least=8, rank=1),
    ]
    print_table(new_console(), columns)


def _print_files(found: Sequence[Model]) -> None:
    rows = [(model, file) for model in found for file in model.files.values()]
    columns = [
        Column("model", [model.id for model, _ in rows], least=8),
        Column("file", [one_line(file.name) for _, file in rows], least=12),
        Column("size", [decimal(file.size) for _, file in rows], right=True),
        Column("SHA-256", [file.sha256 for _, file in rows], most=64, rank=1),
    ]
    print_table(new_console(), columns)
