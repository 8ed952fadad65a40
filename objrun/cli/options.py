"""Options that every command has, before or after its name, and the workspace they name."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from objrun.workspace import Workspace

STORE = "Store"
OUTPUT = "Output"

Url = Annotated[
    str | None,
    typer.Option(
        "--url",
        metavar="URL",
        help="The store: a folder, s3://, gs://, abfs://, ...; else OBJRUN_URL, else ./objrun.",
        rich_help_panel=STORE,
        show_default=False,
    ),
]
StorageOptions = Annotated[
    list[str] | None,
    typer.Option(
        "--option",
        metavar="KEY=VALUE",
        help="A storage option, its value as JSON or text; can be repeated.",
        rich_help_panel=STORE,
        show_default=False,
    ),
]
Json = Annotated[
    bool,
    typer.Option(
        "--json", help="Print JSON with exact values, one line each.", rich_help_panel=OUTPUT
    ),
]
Csv = Annotated[
    bool, typer.Option("--csv", help="Print CSV with exact values.", rich_help_panel=OUTPUT)
]


def complete_experiment(incomplete: str) -> list[str]:
    """Return the experiments that begin so, for a shell; none where the store cannot be read."""
    from objrun.errors import ObjrunError
    from objrun.workspace import Workspace

    try:
        names = Workspace().experiment_names()
    except ObjrunError:
        return []
    return [name for name in names if name.startswith(incomplete)]


Experiments = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="EXPERIMENT",
        help="Only these; else all.",
        autocompletion=complete_experiment,
        show_default=False,
    ),
]
RunName = Annotated[
    str,
    typer.Argument(
        metavar="RUN",
        help="An id, the beginning of one, or EXPERIMENT/NUMBER.",
        show_default=False,
    ),
]


def open_workspace(url: str | None, options: list[str] | None) -> Workspace:
    """Return the workspace that the options name; nothing is sent."""
    from objrun.workspace import Workspace

    return Workspace(url, storage_options(options))


def storage_options(options: list[str] | None) -> dict[str, Any]:
    r"""Return `--option` values as a dict; typer.BadParameter where one has no `=`.

    >>> storage_options(["anon=true", "key=abc", "config={\"retries\": 3}"])
    {'anon': True, 'key': 'abc', 'config': {'retries': 3}}
    """
    found: dict[str, Any] = {}
    for option in options or []:
        key, equals, text = option.partition("=")
        if not equals or not key:
            message = f"{option!r} is not KEY=VALUE"
            raise typer.BadParameter(message, param_hint="--option")
        try:
            found[key] = json.loads(text)
        except ValueError:
            found[key] = text
    return found


def one_format(*, as_json: bool, as_csv: bool) -> None:
    """Refuse `--json` together with `--csv`."""
    if as_json and as_csv:
        message = "choose one of --json and --csv"
        raise typer.BadParameter(message)
