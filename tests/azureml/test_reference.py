"""docs/azureml.md beside the names of the reference, the classes of objrun, and the tests it names.

`reference.json` has the names. A row of the document is

    | `Run.log` | same | what there is to say | [test_x](../tests/azureml/test_metrics.py) |

and says `same`, `better` or `different`.
"""

from __future__ import annotations

import ast
import inspect
import json
import re
from functools import cache
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest

from objrun import Experiment, Model, Run, ScriptRunConfig, Workspace
from objrun.offline import OfflineRun
from tests.house.tree import ROOT

if TYPE_CHECKING:
    from collections.abc import Iterator

REFERENCE: dict[str, dict[str, str]] = json.loads(
    (ROOT / "tests/azureml/reference.json").read_text(encoding="utf-8")
)["classes"]
ROW = re.compile(
    r"^\| `(?P<name>\w+\.\w+)` \| (?P<verdict>\w+) \|(?P<remark>.*)\|(?P<tests>.*)\|$", re.MULTILINE
)
SHOWN = re.compile(r"\[(?P<test>[\w.]+)\]\(\.\./(?P<path>tests/[\w/]+\.py)\)")
CLASSES: dict[str, type] = {
    "Run": Run,
    "OfflineRun": OfflineRun,
    "Experiment": Experiment,
    "Workspace": Workspace,
    "ScriptRunConfig": ScriptRunConfig,
    "Model": Model,
}


class Row(NamedTuple):
    """What the document says of one name."""

    name: str
    verdict: str
    remark: str
    tests: list[tuple[str, str]]


def rows() -> list[Row]:
    text = (ROOT / "docs/azureml.md").read_text(encoding="utf-8")
    return [
        Row(
            found["name"],
            found["verdict"],
            found["remark"].strip(),
            [(shown["path"], shown["test"]) for shown in SHOWN.finditer(found["tests"])],
        )
        for found in ROW.finditer(text)
    ]


ROWS = {row.name: row for row in rows()}
AVAILABLE = [name for name, row in ROWS.items() if row.verdict in ("same", "better")]


def attributes(cls: type) -> set[str]:
    """Names of a class, also those that only its methods assign."""
    found = {*dir(cls)}
    for base in cls.__mro__[:-1]:
        found |= {*inspect.get_annotations(base)} | {
            node.attr
            for node in ast.walk(ast.parse(inspect.getsource(base)))
            if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store)
        }
    return found


def parameters(signature: str) -> list[inspect.Parameter]:
    made: dict[str, Any] = {}
    exec(f"def wanted{signature}: ...", made)  # noqa: S102 - of the reference in this folder
    return [*inspect.signature(made["wanted"]).parameters.values()]


def refused(theirs: list[inspect.Parameter], ours: list[inspect.Parameter]) -> Iterator[str]:
    """What objrun does not take, or takes otherwise."""
    own = {parameter.name: parameter for parameter in ours}
    positional = [p.name for p in ours if p.kind is inspect.Parameter.POSITIONAL_OR_KEYWORD]
    for place, parameter in enumerate(theirs):
        found = own.pop(parameter.name, None)
        if found is None or found.kind is not parameter.kind:
            yield f"{parameter} is not taken"
            continue
        if parameter.kind is not inspect.Parameter.VAR_KEYWORD:
            if parameter.name in positional and positional[place] != parameter.name:
                yield f"{parameter} is not at place {place}"
            if parameter.default not in (found.default, parameter.empty):
                yield f"{parameter} is by default {found.default!r}"
    for added in own.values():
        is_optional = added.kind in (added.VAR_KEYWORD, added.VAR_POSITIONAL)
        if added.default is added.empty and not is_optional:
            yield f"{added} must be given"


@cache
def functions(path: str) -> dict[str, str]:
    """The tests of a file by name: their source, with what they are parametrized by."""
    text = (ROOT / path).read_text(encoding="utf-8")
    found = {}
    for node in ast.parse(text).body:
        owner = f"{node.name}." if isinstance(node, ast.ClassDef) else ""
        for member in node.body if isinstance(node, ast.ClassDef) else [node]:
            if isinstance(member, ast.FunctionDef) and member.name.startswith("test_"):
                first = min([member.lineno, *(each.lineno for each in member.decorator_list)])
                lines = text.splitlines()[first - 1 : member.end_lineno]
                found[owner + member.name] = "\n".join(lines)
    return found


def test_every_name_has_a_row_and_no_row_is_of_another() -> None:
    wanted = [f"{cls}.{name}" for cls, names in REFERENCE.items() for name in names]
    told = [row.name for row in rows()]
    assert sorted(told) == sorted(wanted)


def test_the_verdicts_are_known_and_explained() -> None:
    assert {row.verdict for row in ROWS.values()} <= {"same", "better", "different"}
    assert not [name for name, row in ROWS.items() if row.verdict != "same" and not row.remark]


@pytest.mark.parametrize("name", AVAILABLE)
def test_what_is_said_to_be_there_takes_what_azure_ml_takes(name: str) -> None:
    cls, _, member = name.partition(".")
    wanted = REFERENCE[cls][member]
    assert member in attributes(CLASSES[cls])
    if wanted.startswith("("):
        ours = inspect.signature(getattr(CLASSES[cls], member)).parameters.values()
        problems = [*refused(parameters(wanted), [*ours])]
        # Another default is all right where it is told.
        assert not [
            problem
            for problem in problems
            if "by default" not in problem or f"`{problem.split('=')[0]}`" not in ROWS[name].remark
        ]
    elif wanted == "settable":
        assert getattr(CLASSES[cls], member).fset


@pytest.mark.parametrize("name", ROWS)
def test_every_row_is_shown_by_tests_that_there_are(name: str) -> None:
    member = name.partition(".")[2]
    shown = [functions(path).get(test, "") for path, test in ROWS[name].tests]
    assert shown
    assert all(shown), "there is no such test"
    used = ROWS[name].name.partition(".")[0] if member == "__init__" else member
    assert any(re.search(rf"\b{used}\b", source) for source in shown), f"none uses {used}"


def test_what_a_document_could_get_wrong_is_found() -> None:
    theirs = parameters("(self, name, value, step=None)")
    assert [*refused(theirs, parameters("(self, name, value, step=None, own=1)"))] == []
    assert [*refused(theirs, parameters("(self, value, name, step=None)"))]
    assert [*refused(theirs, parameters("(self, name, value)"))]
    assert [*refused(theirs, parameters("(self, name, value, step=1)"))]
    assert [*refused(theirs, parameters("(self, name, value, step=None, *, own)"))]
    assert ROW.search("| `Run.log` | same | text | [test_x](../tests/api/test_x.py) |")
