"""`objrun history`: what was done to a run, when, version by version."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from objrun.cli.find import find_run
from objrun.cli.layout import Column, print_table
from objrun.cli.options import Csv, Json, RunName, StorageOptions, Url, one_format, open_workspace
from objrun.cli.output import new_console, print_rows
from objrun.cli.style import one_line, status_text

FIELDS = ("version", "time", "status", "ops")


def history(
    run: RunName,
    as_json: Json = False,
    as_csv: Csv = False,
    url: Url = None,
    option: StorageOptions = None,
) -> None:
    """Show what was done to a run, oldest first: every change stays in the store."""
    one_format(as_json=as_json, as_csv=as_csv)
    entries = find_run(open_workspace(url, option), run).history()
    if print_rows(FIELDS, entries, as_json=as_json, as_csv=as_csv):
        return
    done = ["; ".join(map(describe, entry["ops"])) for entry in entries]
    columns = [
        Column("version", [str(entry["version"]) for entry in entries], right=True),
        Column("time (UTC)", [f"{entry['time']:%Y-%m-%d %H:%M:%S.%f}"[:-3] for entry in entries]),
        Column("status", [status_text(entry["status"] or "") for entry in entries], least=9),
        Column("change", done, most=200, least=12),
    ]
    print_table(new_console(), columns)


def describe(op: Mapping[str, Any]) -> str:
    """Return one recorded operation as a short text.

    >>> describe({"op": "set_tags", "tags": {"model": "cnn", "best": None}})
    'tags model=cnn best'
    >>> describe({"op": "set_params", "params": {"lr": 0.1, "layers": 3}})
    'params lr=0.1 layers=3'
    >>> describe({"op": "set_status", "status": "Running", "time": "2026-01-01T00:00:00Z"})
    'status Running'
    >>> describe({"op": "resume", "attempt": 2, "from_step": 40})
    'resumed from step 40'
    >>> describe({"op": "of a later version"})
    'of a later version'
    """
    kind = str(op.get("op"))
    if kind in ("set_tags", "set_params", "add_properties"):
        what = kind.partition("_")[2]
        return f"{what} {_pairs(op.get(what) or {})}".rstrip()
    if kind == "remove_tags":
        return f"without tags {one_line(' '.join(map(str, op.get('keys') or ())))}"
    if kind in ("set_status", "resume"):
        return one_line(_status(op))
    if kind == "set_lifecycle":
        return f"lifecycle {op.get('lifecycle')}"
    if kind == "describe":
        return f"texts {_pairs({key: op[key] for key in op if key != 'op'})}"
    return one_line(kind)


def _status(op: Mapping[str, Any]) -> str:
    error = op.get("error") or {}
    told = f": {error.get('message') or error.get('code')}" if error else ""
    step = f" from step {op['from_step']}" if "from_step" in op else ""
    what = f"status {op.get('status')}" if op["op"] == "set_status" else "resumed"
    return f"{what}{step}{told}"


def _pairs(items: Mapping[str, Any]) -> str:
    pairs = (key if value is None else f"{key}={_value(value)}" for key, value in items.items())
    return one_line(" ".join(pairs))


def _value(value: Any) -> Any:
    """Show what JSON keeps as an object of one field, NaN for example, as its value."""
    return next(iter(value.values()), "") if isinstance(value, Mapping) else value
