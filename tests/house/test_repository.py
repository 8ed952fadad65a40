"""The repository: what lies where, how long the package's code may be, and what is never said."""

from __future__ import annotations

import ast
import re
import tomllib

import pytest

import objrun
from tests.house.tree import ROOT, below, files, parsed

TOP = {
    ".ci",
    ".gitignore",
    "CHANGELOG.md",
    "CONTRIBUTING.md",
    "LICENSE",
    "Makefile",
    "README.md",
    "benchmarks",
    "conftest.py",
    "docs",
    "layout",
    "objrun",
    "pyproject.toml",
    "tests",
    "tools",
}
MODULE_LINES = 400
FUNCTION_LINES = 60

# Written so that this file does not say them itself.
NEVER = {
    "a path of one machine": r"/(?:root|home/\w|Users/\w|work/(?:main|shared|[.]))",
    "a package registry": r"pypi[.](?:org|python)|npmjs[.]|python[h]osted|index[-]url",
    "an issue by its number": r"\b[Ii]ssues? #?\d|\(#\d+\)",
}


def test_the_top_level_is_that_of_the_architecture() -> None:
    assert {path.parts[0] for path in files()} == TOP


@pytest.mark.parametrize("what", NEVER)
def test_the_repository_never_says(what: str) -> None:
    pattern = re.compile(NEVER[what].encode())
    said = [
        f"{path}, line {number}: {line.decode(errors='replace').strip()}"
        for path in files()
        if b"\0" not in (data := (ROOT / path).read_bytes())
        for number, line in enumerate(data.splitlines(), start=1)
        if pattern.search(line)
    ]
    assert not said, f"{what}:\n" + "\n".join(said)


def test_no_module_is_long() -> None:
    lengths = {
        path: len((ROOT / path).read_bytes().splitlines()) for path in below("objrun", ".py")
    }
    assert lengths
    assert not {str(path): lines for path, lines in lengths.items() if lines > MODULE_LINES}


def test_no_function_is_long() -> None:
    lengths = {
        f"{path}, line {node.lineno}: {node.name}": (node.end_lineno or 0) - node.lineno + 1
        for path in below("objrun", ".py")
        for node in ast.walk(parsed(path))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    }
    assert lengths
    assert not {name: lines for name, lines in lengths.items() if lines > FUNCTION_LINES}


def test_the_version_is_the_same_everywhere() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert objrun.__version__ == project["version"]
    changes = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    assert f"## [{objrun.__version__}]" in changes


def test_the_package_says_that_it_is_typed() -> None:
    assert (ROOT / "objrun" / "py.typed").exists()
