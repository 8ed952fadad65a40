"""The commands of `objrun` and the options before their names."""

from __future__ import annotations

from typing import Annotated, Any, Final

import typer
from typer.core import TyperGroup

import objrun
from objrun.cli.children import children
from objrun.cli.copy import copy, sync
from objrun.cli.demo import demo
from objrun.cli.files import download, files, upload
from objrun.cli.history import history
from objrun.cli.images import images
from objrun.cli.metrics import metrics
from objrun.cli.models import models
from objrun.cli.options import Csv, Json, StorageOptions, Url
from objrun.cli.plot import plot
from objrun.cli.reap import reap
from objrun.cli.runs import runs
from objrun.cli.show import show
from objrun.cli.source import env, snapshot
from objrun.cli.submit import BehindDashes, cancel, logs, submit
from objrun.cli.trash import delete, gc, restore
from objrun.cli.upkeep import compact, stats, vacuum
from objrun.cli.verify import verify

HELP: Final = """\
Read experiments straight from a bucket or a folder: no server.

[bold]Examples[/bold]

  objrun demo                        train a model, log it, read it back
  objrun runs                        the newest runs
  objrun --url s3://team/runs show digits/3
"""

EPILOG: Final = """\
Exit codes: 0 done, 1 an error of the store, 2 wrong use, 3 not found, 130 interrupted.
"""

EXAMPLES: Final[dict[Any, tuple[str, ...]]] = {
    demo: (
        "objrun demo",
        "objrun demo --url s3://bucket/demo --children 8",
    ),
    runs: (
        "objrun runs digits --where \"status = 'Failed' OR metrics.loss.last > 2\"",
        "objrun runs --where \"started > now() - interval '1 day'\"",
        "objrun runs --columns params.lr,metrics.accuracy.max --limit 10",
        "objrun runs --all --columns 'params.*,metrics.*.last' --csv > runs.csv",
        "objrun runs --watch",
    ),
    show: ("objrun show digits/3", "objrun show 1f6c --json | jq .params"),
    metrics: (
        "objrun metrics digits/3",
        "objrun metrics digits/3 loss --csv > loss.csv",
        "objrun metrics digits/1 accuracy --recursive",
    ),
    children: ("objrun children digits/1", "objrun children digits/1 --metric loss --recursive"),
    plot: (
        "objrun plot digits/3 -o run.png",
        "objrun plot digits/3 loss --smoothing 0.9",
        "objrun plot digits loss --by params.lr -o digits.svg",
    ),
    history: ("objrun history digits/3", "objrun history digits/3 --json"),
    files: ("objrun files digits/3", "objrun files digits/3 --json | jq .size"),
    download: (
        "objrun download digits/3",
        "objrun download digits/3 outputs/model.pt --to here",
    ),
    images: ("objrun images digits/3", "objrun images digits/3 confusion -o pictures"),
    upload: (
        "objrun upload digits/3 model.pt --into outputs",
        "objrun upload digits/3 plots --overwrite",
    ),
    logs: ("objrun logs digits/3", "objrun logs digits/3 -f", "objrun logs 1f6c --stream own.txt"),
    cancel: ("objrun cancel digits/3",),
    submit: (
        "objrun submit digits -- python train.py --lr 0.1",
        "objrun submit digits --source src --slots 2 --wait -- python train.py",
    ),
    models: (
        "objrun models",
        "objrun models digits --json",
        "objrun models digits:3 --to here",
        "objrun models digits --register outputs/model.pt --run digits/3",
    ),
    env: ("objrun env digits/3", "objrun env digits/3 --pip > requirements.txt"),
    snapshot: (
        "objrun snapshot digits/3",
        "objrun snapshot digits/3 -o source",
        "objrun snapshot digits/3 --diff | git apply",
    ),
    delete: ("objrun delete digits/3 digits/7", "objrun delete --experiment digits --yes"),
    restore: ("objrun restore digits/3", "objrun restore --experiment digits"),
    compact: ("objrun compact", "objrun compact digits --workers 4"),
    vacuum: ("objrun vacuum --dry-run", "objrun vacuum digits --retention 1d"),
    stats: ("objrun stats", "objrun stats --json | jq .bytes"),
    verify: ("objrun verify", "objrun verify digits --deep --json", "objrun verify --repair"),
    reap: ("objrun reap --dry-run", "objrun reap digits --older-than 1d --json"),
    gc: ("objrun gc --dry-run", "objrun gc --older-than 7d --json"),
    copy: (
        "objrun copy s3://team/runs ./runs --experiment digits",
        "objrun copy ./runs s3://team/runs --run digits/3 --dry-run",
    ),
    sync: (
        "objrun sync ./objrun s3://team/runs",
        "objrun sync ./objrun s3://team/runs --dst-option endpoint_url=http://127.0.0.1:9000",
    ),
}

OTHERWISE: Final = {
    "backup": "copy",
    "compare": "runs",
    "check": "verify",
    "clean": "vacuum",
    "cp": "copy",
    "describe": "show",
    "du": "stats",
    "empty": "gc",
    "artifacts": "files",
    "environment": "env",
    "chart": "plot",
    "experiments": "runs",
    "fsck": "verify",
    "get": "show",
    "info": "show",
    "list": "runs",
    "log": "logs",
    "run": "submit",
    "tail": "logs -f",
    "ls": "runs",
    "ps": "runs",
    "purge": "gc",
    "push": "sync",
    "remove": "delete",
    "repair": "verify --repair",
    "rm": "delete",
    "register": "models NAME --register PATH",
    "source": "snapshot",
    "tree": "children",
    "undelete": "restore",
    "watch": "runs --watch",
}
"""What other tools call a command, and what it is called here."""


class Commands(TyperGroup):
    """The commands; one that there is not is told what it is called here."""

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """Return the command of a name."""
        found = super().get_command(ctx, cmd_name)
        if found is None and not ctx.resilient_parsing and cmd_name in OTHERWISE:
            ctx.fail(f"No such command {cmd_name!r}; it is `objrun {OTHERWISE[cmd_name]}`.")
        return found


app = typer.Typer(
    name="objrun",
    cls=Commands,
    help=HELP,
    epilog=EPILOG,
    no_args_is_help=True,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _print_version(asked: bool) -> None:
    if asked:
        typer.echo(f"objrun {objrun.__version__}")
        raise typer.Exit


Version = Annotated[
    bool,
    typer.Option("--version", help="Print the version.", callback=_print_version, is_eager=True),
]


@app.callback()
def before_the_name(
    context: typer.Context,
    url: Url = None,
    option: StorageOptions = None,
    as_json: Json = False,
    as_csv: Csv = False,
    version: Version = False,  # noqa: ARG001 - its callback prints and exits
) -> None:
    """Hand options that stand before the command's name to the command, whose own ones win."""
    common: dict[str, Any] = {"url": url, "option": option}
    tables = {**common, "as_json": as_json, "as_csv": as_csv}
    listing = ("runs", "metrics", "children", "history", "files", "models", "gc", "reap", "images")
    given = dict.fromkeys(listing, tables)
    given |= {"show": {**common, "as_json": as_json}, "demo": common}
    plain = ("delete", "restore", "download", "upload", "plot", "submit", "logs", "cancel")
    given |= dict.fromkeys(plain, common)
    given |= {name: {"as_json": as_json} for name in ("copy", "sync")}
    given |= {
        name: {**common, "as_json": as_json} for name in ("compact", "vacuum", "stats", "verify")
    }
    given |= {name: {**common, "as_json": as_json} for name in ("env", "snapshot")}
    context.default_map = given
    printed = given.get(context.invoked_subcommand or "", tables)
    if (as_csv and "as_csv" not in printed) or (as_json and "as_json" not in printed):
        message = f"{context.invoked_subcommand} does not print {'CSV' if as_csv else 'JSON'}"
        raise typer.BadParameter(message)
    if (url or option) and "url" not in printed:
        message = f"{context.invoked_subcommand} takes its two stores, and options, after its name"
        raise typer.BadParameter(message)


def _register() -> None:
    for command, examples in EXAMPLES.items():
        lines = "\n\n".join(f"  $ {example}" for example in examples)
        kind = BehindDashes if command is submit else None
        app.command(epilog=f"[bold]Examples[/bold]\n\n{lines}", cls=kind)(command)


_register()
