"""The layers: what each part of the package may import, and when.

Every import of the package is read from its syntax tree. The standard library is not examined.
"""

from __future__ import annotations

import ast
import subprocess
import sys
from typing import TYPE_CHECKING, NamedTuple

import pytest

from tests.house.tree import modules

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


class Part(NamedTuple):
    """What one part may import: parts of objrun, packages at once, either inside a function."""

    below: str
    packages: str = ""
    in_functions: str = ""


# What is named nowhere here is the part `api`: workspace, experiment, run, and the packages that
# these are made of. `objrun` is the package's own face.
PARTS = {
    # L0
    "errors": Part(""),
    "clock": Part(""),
    "logs": Part(""),
    # Pure, of L0 too: a document is checked before it is anything of the format.
    "schemas": Part("errors", "", "numpy"),
    # What notebooks show, as HTML of plain values.
    "cards": Part("errors"),
    # Pictures of values; whoever is asked for one loads them.
    "plots": Part("errors schemas cards", "matplotlib numpy polars"),
    # L1: siblings that never meet
    "format": Part("errors clock", "orjson pyarrow"),
    "storage": Part("errors clock logs", "", "storage fsspec"),
    # L2
    "protocol": Part("errors clock logs format storage", "orjson pyarrow"),
    # L3
    "tables": Part("errors clock logs format storage protocol", "orjson polars pyarrow"),
    "query": Part("errors clock cards format storage protocol tables", "orjson polars pyarrow"),
    # What the API is made of, and knows nothing of workspaces and runs.
    "secret": Part("errors clock", "", "keyring"),
    "values": Part(
        "errors clock schemas format protocol secret",
        "pyarrow",
        "PIL matplotlib numpy pandas polars",
    ),
    "snapshots": Part("errors clock logs format storage protocol secret", "", "pathspec"),
    "provenance": Part("errors clock logs format storage secret snapshots", "", "psutil"),
    # L4: a worker imports these, and pays for polars only when it asks a question
    "api": Part(
        "errors clock logs schemas cards secret values snapshots provenance format storage "
        "protocol",
        "orjson pyarrow",
        "IPython PIL anywidget api runs.lists plots query tables dask matplotlib numpy "
        "pandas polars psutil pynvml rich traitlets",
    ),
    # Of L4 too, for those who ask: loaded by the first list of runs.
    "runs.lists": Part("errors clock format storage protocol tables query api"),
    "objrun": Part("errors", "", "api"),
    # L5
    "cli": Part(
        "errors clock cards format storage protocol query api objrun demo",
        "click numpy polars rich typer",
        "cli dask numpy plotext polars sklearn tables query api runs.lists",
    ),
    "__main__": Part("cli"),
    "demo": Part(
        "errors clock format storage protocol query api objrun",
        "",
        "numpy polars query sklearn api",
    ),
    "ui": Part("errors clock format storage protocol query api objrun"),
    "integrations": Part("errors clock format storage protocol query api objrun"),
    # Shipped for the tests of others' stores; nothing of the package imports it.
    "testing": Part(
        "errors clock format storage protocol query",
        "hypothesis jsonschema moto numpy orjson polars pyarrow pytest werkzeug",
    ),
}

CLOUDS = {
    "objrun.storage.azure": "adlfs aiohttp azure fsspec",
    "objrun.storage.gcs": "aiohttp fsspec gcsfs google",
    "objrun.storage.generic": "fsspec",
    "objrun.storage.remote": "fsspec",
    "objrun.storage.s3": "aiohttp botocore fsspec s3fs",
}
"""Modules that a remote URL loads, and the clients each may import."""

WORKER = (
    *("polars", "pandas", "matplotlib", "fsspec", "s3fs", "typer", "rich"),
    *("objrun.query", "objrun.tables"),
)
"""What a worker that logs to a local store must not have imported."""


class Import(NamedTuple):
    """One import: who, what, and when ("start", "function" or "types")."""

    importer: str
    target: str
    when: str
    line: int

    def __str__(self) -> str:
        return f"{self.importer}, line {self.line}: {self.target} ({self.when})"


def imports_below(node: ast.AST, importer: str, when: str) -> Iterator[Import]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.Import):
            for alias in child.names:
                yield Import(importer, alias.name, when, child.lineno)
        elif isinstance(child, ast.ImportFrom):
            for alias in child.names:
                yield Import(importer, f"{child.module}.{alias.name}", when, child.lineno)
        elif isinstance(child, ast.If) and "TYPE_CHECKING" in ast.unparse(child.test):
            yield from imports_below(ast.Module(child.body, []), importer, "types")
            yield from imports_below(ast.Module(child.orelse, []), importer, when)
        elif isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef):
            yield from imports_below(child, importer, "function")
        else:
            yield from imports_below(child, importer, when)


def all_imports() -> list[Import]:
    return [
        found
        for name, syntax in modules().items()
        for found in imports_below(syntax, name, "start")
        if found.target.split(".")[0] not in sys.stdlib_module_names
    ]


def part_of(name: str) -> str:
    """`objrun.storage.local` is in `storage`, `objrun.run.Run` in `api`, `objrun.Run` in none."""
    _, piece, below = f"{name}..".split(".")[:3]
    for part in (f"{piece}.{below}", piece):
        if part in PARTS:
            return part
    return "api" if piece.islower() and not piece.startswith("_") else "objrun"


def allowed(found: Import) -> bool:
    part = part_of(found.importer)
    rule = PARTS[part]
    if not found.target.startswith("objrun"):
        package = found.target.split(".")[0]
        at_start = f"{rule.packages} {CLOUDS.get(found.importer, '')}".split()
        return (
            found.when == "types"
            or package in at_start
            or (found.when == "function" and package in rule.in_functions.split())
        )
    target = part_of(found.target)
    if target in rule.below.split():
        return True
    if found.when == "start":
        remote = any(found.target.startswith(module) for module in CLOUDS)
        return target == part and (not remote or found.importer in CLOUDS)
    return target in rule.in_functions.split() or (found.when == "types" and target == part)


@pytest.mark.parametrize(
    "found",
    [
        Import("objrun.format.keys", "objrun.storage.together", "start", 1),
        Import("objrun.format.keys", "objrun.storage.Store", "types", 1),
        Import("objrun.storage.local", "objrun.run.Run", "function", 1),
        Import("objrun.storage.together", "objrun.storage.remote.RemoteStore", "start", 1),
        Import("objrun.storage.local", "fsspec", "start", 1),
        Import("objrun.run", "objrun.query.metrics", "start", 1),
        Import("objrun.run", "polars", "start", 1),
        Import("objrun.run", "objrun.cli.main", "function", 1),
        Import("objrun.query.runs", "objrun.Run", "start", 1),
        Import("objrun.workspace", "objrun.testing.suite", "function", 1),
    ],
    ids=str,
)
def test_the_table_forbids(found: Import) -> None:
    assert not allowed(found)


def test_imports_only_point_down() -> None:
    wrong = [str(found) for found in all_imports() if not allowed(found)]
    assert not wrong, "not in the table of tests/house/test_layers.py:\n" + "\n".join(wrong)


def test_no_module_imports_itself_through_others() -> None:
    known = modules()
    needs: dict[str, set[str]] = {name: set() for name in known}
    for found in all_imports():
        if found.when == "start":
            parent = found.target.rpartition(".")[0]
            needs[found.importer] |= {found.target, parent} & known.keys() - {found.importer}
    while free := [name for name, wanted in needs.items() if not wanted]:
        for name in free:
            del needs[name]
        for wanted in needs.values():
            wanted.difference_update(free)
    assert not needs, f"these import each other in a circle, or lead to one: {sorted(needs)}"


def test_the_commit_loop_knows_nothing_of_runs() -> None:
    generic = {"objrun.format.states.Version", "objrun.format.keys.parse_version"}
    targets = {found.target for found in all_imports() if found.importer == "objrun.protocol.chain"}
    assert targets
    assert {target for target in targets if part_of(target) == "format"} <= generic


def test_only_storage_knows_fsspec() -> None:
    clients = {"boto3", *" ".join(CLOUDS.values()).split()}
    wrong = [
        str(found)
        for found in all_imports()
        if found.target.split(".")[0] in clients and part_of(found.importer) != "storage"
    ]
    assert not wrong


LOG = """
from objrun import Workspace, Experiment
run = Experiment(Workspace({url!r}), "e").start_logging()
run.log("x", 1.0)
run.log("text", "hello")
run.log_row("row", a=1, b=2.0)
run.log_table("table", {{"a": [1, 2]}})
run.log_params({{"lr": 0.1}})
run.tag("a", 1)
run.complete()
"""


@pytest.mark.parametrize(
    ("program", "unwanted"),
    [("import objrun", (*WORKER, "pyarrow", "orjson")), (LOG, WORKER)],
    ids=["import objrun", "log to a local store"],
)
def test_a_worker_is_light(program: str, unwanted: tuple[str, ...], tmp_path: Path) -> None:
    tell = f"import sys; print([name for name in {unwanted} if name in sys.modules])"
    done = subprocess.run(
        [sys.executable, "-c", program.format(url=str(tmp_path / "store")) + "\n" + tell],
        check=False,
        capture_output=True,
        text=True,
    )
    assert (done.stdout, done.stderr) == ("[]\n", "")
