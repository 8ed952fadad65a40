"""What is wrong with a document is told whole, each problem with its place."""

from __future__ import annotations

import copy
import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from objrun import schemas
from objrun.errors import UserErrorException

# The examples that the vendor's reference and articles give.
TABLE = {
    "schema_type": "accuracy_table",
    "schema_version": "v1",
    "data": {
        "probability_tables": [[[3, 5, 0, 0], [2, 1, 4, 1], [0, 0, 5, 3]]] * 2,
        "percentile_tables": [[[3, 5, 0, 0], [0, 0, 5, 3]]] * 2,
        "class_labels": ["0", "1"],
        "probability_thresholds": [0.0, 0.5, 1.0],
        "percentile_thresholds": [0.01, 0.98],
    },
}
MATRIX = {
    "schema_type": "confusion_matrix",
    "schema_version": "v1",
    "data": {
        "class_labels": ["0", "1", "2", "3"],
        "matrix": [[3, 0, 1, 0], [0, 1, 0, 1], [0, 0, 1, 0], [0, 0, 0, 1]],
    },
}
RESIDUALS = {
    "schema_type": "residuals",
    "schema_version": "v1",
    "data": {"bin_edges": [50, 100, 200, 300, 350], "bin_counts": [0.88, 20, 30, 50.99]},
}
PREDICTIONS = {
    "schema_type": "predictions",
    "schema_version": "v1",
    "data": {
        "bin_averages": [0.25, 0.75],
        "bin_errors": [0.013, 0.042],
        "bin_counts": [56, 34],
        "bin_edges": [0.0, 0.5, 1.0],
    },
}
DOCUMENTS = [TABLE, MATRIX, RESIDUALS, PREDICTIONS]
KINDS = [str(document["schema_type"]) for document in DOCUMENTS]


def broken(document: dict[str, Any], *path: Any, to: Any) -> dict[str, Any]:
    """Return the document with one value replaced, or gone where `to` is an ellipsis."""
    found = changed = copy.deepcopy(document)
    for key in path[:-1]:
        found = found[key]
    if to is ...:
        del found[path[-1]]
    else:
        found[path[-1]] = to
    return changed


@pytest.mark.parametrize("document", DOCUMENTS, ids=KINDS)
def test_a_document_passes_as_dict_as_text_and_with_unknown_fields(document: Any) -> None:
    kind = document["schema_type"]
    assert schemas.check(document, kind) == document
    assert schemas.check(json.dumps(document), kind) == document
    more = document | {"parameters": {"C": 1}, "data": document["data"] | {"note": "kept"}}
    assert schemas.check(more, kind) == more
    assert schemas.check(broken(document, "schema_version", to=...), kind)
    assert schemas.check(broken(document, "schema_version", to="1.0.0"), kind)


def test_arrays_become_lists() -> None:
    matrix = np.array([[1, 2], [3, 4]])
    data = {"class_labels": np.array(["a", "b"]), "matrix": (matrix[0], matrix[1])}
    document = schemas.check({"schema_type": "confusion_matrix", "data": data}, "confusion_matrix")
    assert document["data"] == {"class_labels": ["a", "b"], "matrix": [[1, 2], [3, 4]]}
    assert json.dumps(document)


@pytest.mark.parametrize(
    ("document", "path", "to", "problem"),
    [
        (MATRIX, ("schema_type",), "x", "schema_type: must be 'confusion_matrix', not 'x'"),
        (
            MATRIX,
            ("schema_version",),
            "v2",
            "schema_version: must be one of v1, 1.0.0, 1.0.1, not 'v2'",
        ),
        (MATRIX, ("data",), [], "data: must be a dict, not list"),
        (MATRIX, ("data", "matrix"), ..., "data.matrix: is missing"),
        (MATRIX, ("data", "matrix", 2), [1], "data.matrix[2]: must have 4 items, not 1"),
        (MATRIX, ("data", "matrix", 2, 1), "1", "data.matrix[2][1]: must be a number, not str"),
        (MATRIX, ("data", "matrix", 2, 1), True, "data.matrix[2][1]: must be a number, not bool"),
        (MATRIX, ("data", "matrix", 2, 1), -1, "data.matrix[2][1]: must be at least 0, not -1"),
        (
            MATRIX,
            ("data", "matrix", 0, 3),
            float("nan"),
            "data.matrix[0][3]: must be a number, not nan",
        ),
        (
            MATRIX,
            ("data", "class_labels", 3),
            "1",
            "data.class_labels[3]: is '1', as data.class_labels[1] is",
        ),
        (
            MATRIX,
            ("data", "class_labels", 0),
            None,
            "data.class_labels[0]: must be a text, not NoneType",
        ),
        (
            TABLE,
            ("data", "probability_tables", 1),
            [[3, 5, 0, 0]],
            "data.probability_tables[1]: must have 3 items, not 1",
        ),
        (
            TABLE,
            ("data", "percentile_tables", 1, 0),
            [3, 5, 0],
            "data.percentile_tables[1][0]: must have 4 items, not 3",
        ),
        (
            TABLE,
            ("data", "percentile_tables", 1, 1),
            [0, 0, 5, 4],
            "data.percentile_tables[1][1]: TP + FP + TN + FN is 9, elsewhere 8",
        ),
        (
            TABLE,
            ("data", "probability_tables", 1, 2),
            [0, 1, 5, 2],
            "data.probability_tables[1][2]: TP + FN is 2, in rows above 3",
        ),
        (
            TABLE,
            ("data", "probability_tables", 0, 1),
            [2.5, 1, 4, 0.5],
            "data.probability_tables[0][1]: must be four whole counts, not [2.5, 1, 4, 0.5]",
        ),
        (
            RESIDUALS,
            ("data", "bin_edges"),
            [100, 200, 300],
            "data.bin_counts: must have 2 items, not 4",
        ),
        (
            RESIDUALS,
            ("data", "bin_edges", 1),
            50,
            "data.bin_edges[1]: must be above 50, not 50",
        ),
        (RESIDUALS, ("data", "mean"), "0", "data.mean: must be a number, not str"),
        (
            PREDICTIONS,
            ("data", "bin_averages", 1),
            None,
            "data.bin_averages[1]: must be a number, not NoneType",
        ),
        (
            PREDICTIONS,
            ("data", "bin_errors", 1),
            -1.5,
            "data.bin_errors[1]: must be at least 0, not -1.5",
        ),
        (
            PREDICTIONS,
            ("data", "bin_edges"),
            [0.5],
            "data.bin_edges: must have at least 2 items, not 1",
        ),
    ],
)
def test_a_problem_is_located(document: Any, path: Any, to: Any, problem: str) -> None:
    kind = document["schema_type"]
    assert problem in schemas.problems(broken(document, *path, to=to), kind)


def test_there_may_be_fewer_thresholds_than_rows() -> None:
    """As in what the vendor's own article logs."""
    document = broken(TABLE, "data", "probability_thresholds", to=[0.52])
    assert not schemas.problems(document, "accuracy_table")


def test_all_problems_are_told_at_once() -> None:
    data = {"class_labels": ["a", "a"], "matrix": [[1, "x"], [-1]]}
    with pytest.raises(UserErrorException) as caught:
        schemas.check({"schema_type": "residuals", "data": data}, "confusion_matrix")
    assert caught.value.message.splitlines() == [
        "not a valid confusion_matrix document:",
        "  schema_type: must be 'confusion_matrix', not 'residuals'",
        "  data.class_labels[1]: is 'a', as data.class_labels[0] is",
        "  data.matrix[0][1]: must be a number, not str",
        "  data.matrix[1]: must have 2 items, not 1",
        "  data.matrix[1][0]: must be at least 0, not -1",
    ]


def test_a_flood_of_problems_is_counted() -> None:
    data = {"bin_edges": list(range(101)), "bin_counts": ["x"] * 100}
    with pytest.raises(UserErrorException, match="and 50 more"):
        schemas.check({"schema_type": "residuals", "data": data}, "residuals")


@pytest.mark.parametrize("value", ["{", b"\xff", None, 1, [1], [[1]]], ids=repr)
def test_what_is_no_document_is_refused(value: Any) -> None:
    with pytest.raises(UserErrorException):
        schemas.check(value, "residuals")


def test_the_bins_without_samples_may_be_none() -> None:
    empty = {"bin_averages": [None], "bin_errors": [None], "bin_counts": [0], "bin_edges": [0, 1]}
    assert schemas.problems({"schema_type": "predictions", "data": empty}, "predictions") == []


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=4),
    max_leaves=12,
)


@given(st.sampled_from(DOCUMENTS), st.data())
def test_no_json_makes_a_check_stumble(document: dict[str, Any], data: st.DataObject) -> None:
    name = data.draw(st.sampled_from(sorted(document["data"])))
    changed = broken(document, "data", name, to=data.draw(JSON))
    found = schemas.problems(changed, document["schema_type"])
    assert all(problem.startswith("data.") for problem in found)
