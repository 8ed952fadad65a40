"""Is a document what its kind promises? All that is wrong with it, each with its place."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

from objrun.errors import UserErrorException
from objrun.schemas.accuracy import accuracy_problems
from objrun.schemas.confusion import confusion_problems
from objrun.schemas.regression import prediction_problems, residual_problems
from objrun.schemas.shapes import to_json

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

KINDS: Final[dict[str, Callable[[dict[str, Any]], Iterator[str]]]] = {
    "accuracy_table": accuracy_problems,
    "confusion_matrix": confusion_problems,
    "predictions": prediction_problems,
    "residuals": residual_problems,
}
"""The kinds of documents, and what tells what is wrong with the data of one."""

VERSIONS: Final = ("v1", "1.0.0", "1.0.1")
"""What Microsoft's documents and programs call one and the same; it may be left out."""

_SHOWN = 50


def check(value: Any, kind: str) -> dict[str, Any]:
    """Return the document as JSON knows it: arrays as lists; fields nobody knows survive.

    `value`: a dict, or its JSON text. `kind`: "confusion_matrix", "accuracy_table", "residuals" or
    "predictions". Raises UserErrorException that names all problems and their places.

    >>> check({"schema_type": "residuals", "data": {"bin_edges": [0, 1], "bin_counts": [2, 3]}},
    ...       "residuals")
    Traceback (most recent call last):
        ...
    objrun.errors.UserErrorException: not a valid residuals document:
      data.bin_counts: must have 1 items, not 2
    """
    document = read(value)
    if not isinstance(document, dict):
        message = f"a {kind} is a dict, or its JSON text, not {type(value).__name__}"
        raise UserErrorException(message)
    found = problems(document, kind)
    if found:
        shown = found[:_SHOWN]
        if len(found) > _SHOWN:
            shown.append(f"and {len(found) - _SHOWN} more")
        lines = "".join(f"\n  {problem}" for problem in shown)
        raise UserErrorException(f"not a valid {kind} document:{lines}")
    return document


def read(value: Any) -> Any:
    """Return a document, or the JSON text of one, as plain dicts, lists and numbers.

    Raises UserErrorException for a text that is no JSON.
    """
    if isinstance(value, str | bytes):
        try:
            return json.loads(value)
        except ValueError as error:
            raise UserErrorException(f"{value[:60]!r} is not valid JSON: {error}") from None
    return to_json(value)


def problems(document: Any, kind: str) -> list[str]:
    """Return all that is wrong with a document, one sentence each; nothing if it is fine.

    >>> problems({"schema_type": "confusion_matrix", "data": {"class_labels": ["a"],
    ...           "matrix": [["1"]]}}, "confusion_matrix")
    ['data.matrix[0][0]: must be a number, not str']
    """
    if not isinstance(document, dict):
        return [f"must be a dict, not {type(document).__name__}"]
    found = []
    if document.get("schema_type") != kind:
        found.append(f"schema_type: must be {kind!r}, not {document.get('schema_type')!r}")
    version = document.get("schema_version", VERSIONS[0])
    if version not in VERSIONS:
        found.append(f"schema_version: must be one of {', '.join(VERSIONS)}, not {version!r}")
    data = document.get("data")
    if isinstance(data, dict):
        return [*found, *KINDS[kind](data)]
    return [*found, f"data: must be a dict, not {type(data).__name__}"]
