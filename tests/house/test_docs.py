"""The documents: their examples run, their links lead somewhere, public names are explained.

A document is run as one program in an empty folder. Every block ```` ```python ```` is part of it,
in order and with one namespace; of every block ```` ```console ```` the lines `$ objrun ...` are
run as commands and must succeed. A block that cannot run says so after its language, as in
```` ```python not run: needs a bucket ````. What `>>>` shows is compared by doctest instead.
"""

from __future__ import annotations

import inspect
import os
import re
import subprocess
import sys
from typing import TYPE_CHECKING
from urllib.parse import unquote

import pytest

import objrun
from tests.house.tree import ROOT, below

if TYPE_CHECKING:
    from pathlib import Path

DOCUMENTS = [path for path in below("", ".md") if path.parts[0] in {"README.md", "docs"}]
FENCE = re.compile(r"^(?P<indent> *)```(?P<language>.*)$")
LINK = re.compile(r"(?<!!)\[[^\]]*\]\((?P<target>[^)\s]+)\)")
ELSEWHERE = ("http://", "https://", "mailto:", "#")

COMMAND = """import shlex as _x; from objrun.cli import execute as _e; \
assert _e(_x.split({!r}, comments=True)) == 0"""


def program(text: str) -> str:
    r"""Turn a document into a Python program, each statement on the line where the document has it.

    >>> program("Look:\n```python\nprint(1)\n```\nthat is all")
    '\n\nprint(1)\n\n'
    """
    lines: list[str] = []
    language: str | None = None
    indent = 0
    for line in text.splitlines():
        fence = FENCE.match(line)
        if fence:
            language = fence["language"].strip() if language is None else None
            indent = len(fence["indent"])
            lines.append("")
        elif language == "python":
            lines.append(line[indent:])
        elif language == "console" and line.strip().startswith("$ objrun"):
            lines.append(COMMAND.format(line.strip().removeprefix("$ objrun")))
        else:
            lines.append("")
    return "\n".join(lines)


def execute(text: str, tmp_path: Path) -> subprocess.CompletedProcess[str]:
    """Run a document in an empty folder."""
    script = tmp_path / "document.py"
    script.write_text(program(text), encoding="utf-8")
    folder = tmp_path / "empty"
    folder.mkdir()
    return subprocess.run(
        [sys.executable, str(script)],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT), "XDG_STATE_HOME": str(tmp_path / "state")},
        check=False,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
        timeout=170,
    )


@pytest.mark.parametrize("document", DOCUMENTS, ids=str)
def test_the_examples_run(document: Path, tmp_path: Path) -> None:
    done = execute((ROOT / document).read_text(encoding="utf-8"), tmp_path)
    assert done.returncode == 0, f"{document} (lines as in the document):\n{done.stdout}"


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("Look:\n```python\nx = 1\n```\n\n```python\nassert x == 2\n```", "line 7"),
        ("```console\n$ objrun no-such-command\n```", "no-such-command"),
    ],
    ids=["python", "console"],
)
def test_a_wrong_example_is_found(text: str, told: str, tmp_path: Path) -> None:
    done = execute(text, tmp_path)
    assert done.returncode != 0
    assert told in done.stdout


def test_a_block_may_say_that_it_cannot_run(tmp_path: Path) -> None:
    done = execute("```python not run: needs a bucket\nassert False\n```", tmp_path)
    assert done.returncode == 0


@pytest.mark.parametrize("document", below("", ".md"), ids=str)
def test_links_lead_to_files(document: Path) -> None:
    text = (ROOT / document).read_text(encoding="utf-8")
    targets = [found["target"] for found in LINK.finditer(text)]
    missing = [
        target
        for target in targets
        if not target.startswith(ELSEWHERE)
        and not (ROOT / document.parent / unquote(target.partition("#")[0])).exists()
    ]
    assert not missing


def unexplained(owner: type) -> list[str]:
    """The public methods and properties of a class that have no docstring."""
    return [
        f"{owner.__name__}.{name}"
        for name, value in inspect.getmembers_static(owner)
        if not name.startswith("_")
        and (callable(value) or isinstance(value, property | classmethod | staticmethod))
        and not inspect.getdoc(getattr(owner, name))
    ]


@pytest.mark.parametrize("name", sorted({*objrun.__all__} - {"__version__"}))
def test_public_names_are_explained(name: str) -> None:
    value = getattr(objrun, name)
    assert inspect.getdoc(value)
    if inspect.isclass(value):
        assert unexplained(value) == []
