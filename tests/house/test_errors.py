"""The tree drawn in the docstring of objrun.errors is the tree there is."""

from __future__ import annotations

import inspect
import re

from objrun import errors

DRAWN = re.compile(
    r"^    (?P<branch>[│├└─ ]*)(?P<name>[A-Z]\w+) {2,}(?P<promise>\S.*)$", re.MULTILINE
)
INDENT = 4


def drawn_tree() -> dict[str, str]:
    """The parent of each class in the drawing; that of the root is "Exception"."""
    parents: dict[str, str] = {}
    path = ["Exception"]
    for line in DRAWN.finditer(errors.__doc__ or ""):
        depth = len(line["branch"]) // INDENT
        parents[line["name"]] = path[depth]
        path[depth + 1 :] = [line["name"]]
    return parents


def classes(base: type) -> list[type]:
    """The classes of the module that derive from a class, or are it."""
    found = [value for value in vars(errors).values() if inspect.isclass(value)]
    return [each for each in found if issubclass(each, base) and each.__module__ == errors.__name__]


def test_the_drawing_is_the_tree() -> None:
    real = {each.__name__: each.__bases__[0].__name__ for each in classes(Exception)}
    warnings = {each.__name__ for each in classes(Warning)}
    assert drawn_tree() == {name: base for name, base in real.items() if name not in warnings}


def test_every_error_is_an_objrun_error() -> None:
    outside = set(classes(Exception)) - set(classes(errors.ObjrunError)) - set(classes(Warning))
    assert not outside


def test_every_warning_is_an_objrun_warning() -> None:
    assert set(classes(Warning)) == set(classes(errors.ObjrunWarning))


def test_an_error_says_its_message() -> None:
    for each in classes(errors.ObjrunError):
        if "__init__" not in vars(each):
            error = each("what went wrong")
            assert (str(error), error.message) == ("what went wrong", "what went wrong")
