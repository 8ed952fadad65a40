"""Documents made of truth and predictions say what scikit-learn says of them."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics

from objrun import schemas
from objrun.errors import UserErrorException

NAMES = st.sampled_from(["a", "b", "c", "d"])
PAIRS = st.lists(st.tuples(NAMES, NAMES), min_size=1, max_size=60)
ORDERS = st.permutations(["a", "b", "c", "d"]).flatmap(
    lambda names: st.integers(1, 4).map(lambda count: names[:count])
)
SHARES = st.floats(0, 1)
NUMBERS = st.floats(-1e6, 1e6)

# sklearn warns of matrices of one class.
one_class_is_fine = pytest.mark.filterwarnings("ignore:A single label")


@one_class_is_fine
@given(PAIRS)
def test_a_confusion_matrix_is_that_of_sklearn(pairs: list[tuple[str, str]]) -> None:
    truth, predicted = zip(*pairs, strict=True)
    document = schemas.confusion_matrix(truth, predicted)
    assert document["data"]["class_labels"] == sorted({*truth, *predicted})
    assert document["data"]["matrix"] == metrics.confusion_matrix(truth, predicted).tolist()
    assert schemas.check(document, "confusion_matrix") == document


@one_class_is_fine
@given(PAIRS, ORDERS)
def test_labels_order_and_choose_as_in_sklearn(pairs: Any, labels: list[str]) -> None:
    truth, predicted = zip(*pairs, strict=True)
    if not {*truth} & {*labels}:
        with pytest.raises(UserErrorException, match="none of them"):
            schemas.confusion_matrix(truth, predicted, labels)
        return
    document = schemas.confusion_matrix(truth, predicted, labels)
    expected = metrics.confusion_matrix(truth, predicted, labels=labels)
    assert document["data"] == {"class_labels": labels, "matrix": expected.tolist()}


@settings(max_examples=20)
@given(st.lists(st.tuples(st.booleans(), SHARES), min_size=2, max_size=60), st.integers(2, 40))
def test_each_row_of_a_binary_table_is_a_confusion_matrix(pairs: Any, points: int) -> None:
    truth, scores = (np.array(side) for side in zip(*pairs, strict=True))
    document = schemas.accuracy_table(truth, scores, labels=[False, True], points=points)
    data = schemas.check(document, "accuracy_table")["data"]
    for kind in ("probability", "percentile"):
        thresholds = data[f"{kind}_thresholds"]
        assert len(thresholds) == points
        for row, threshold in zip(data[f"{kind}_tables"][1], thresholds, strict=True):
            matrix = metrics.confusion_matrix(truth, scores >= threshold, labels=[False, True])
            (tn, fp), (fn, tp) = matrix.tolist()
            assert row == [tp, fp, tn, fn]


@settings(max_examples=20)
@given(
    st.lists(st.tuples(st.integers(0, 2), SHARES, SHARES, SHARES), min_size=1, max_size=40),
    st.integers(2, 20),
)
def test_each_class_stands_against_all_others(rows: Any, points: int) -> None:
    truth = np.array([row[0] for row in rows])
    scores = np.array([row[1:] for row in rows])
    data = schemas.accuracy_table(truth, scores, labels=[0, 1, 2], points=points)["data"]
    for index in range(3):
        for row, threshold in zip(
            data["percentile_tables"][index], data["percentile_thresholds"], strict=True
        ):
            said = scores[:, index] >= threshold
            matrix = metrics.confusion_matrix(truth == index, said, labels=[False, True])
            (tn, fp), (fn, tp) = matrix.tolist()
            assert row == [tp, fp, tn, fn]


def test_roc_and_precision_recall_points_are_those_of_sklearn() -> None:
    random = np.random.default_rng(4)
    truth = random.integers(0, 2, 500)
    # Scores on the grid of thresholds: then sklearn's curves have just the points of the table.
    scores = np.linspace(0, 1, 101)[
        random.integers(0, 50, 500) + truth * random.integers(0, 50, 500)
    ]
    document = schemas.accuracy_table(truth, scores, points=101)
    table = np.array(document["data"]["probability_tables"][1], dtype=float)
    tp, fp, tn, fn = table[np.lexsort((table[:, 0], table[:, 1]))].T
    false_positive, true_positive, _ = metrics.roc_curve(truth, scores, drop_intermediate=False)
    assert {*zip(false_positive, true_positive, strict=True)} == {
        *zip(fp / (fp + tn), tp / (tp + fn), strict=True)
    }
    area = metrics.auc(np.r_[0, fp / (fp + tn)], np.r_[0, tp / (tp + fn)])
    assert area == pytest.approx(metrics.roc_auc_score(truth, scores))
    precision, recall, _ = metrics.precision_recall_curve(truth, scores)
    said = tp + fp > 0
    tp, fp, fn = tp[said], fp[said], fn[said]
    ours = {*zip(tp / (tp + fp), tp / (tp + fn), strict=True)}
    assert {*zip(precision[:-1], recall[:-1], strict=True)} <= ours


@given(st.lists(st.tuples(NUMBERS, NUMBERS), min_size=1, max_size=60), st.integers(1, 20))
def test_residuals_are_counted_averaged_and_all_there(pairs: Any, bins: int) -> None:
    truth, predicted = (np.array(side) for side in zip(*pairs, strict=True))
    document = schemas.residuals(truth, predicted, bins)
    data = schemas.check(document, "residuals")["data"]
    assert sum(data["bin_counts"]) == data["res_count"] == len(pairs)
    error = metrics.mean_squared_error(truth, predicted)
    assert data["mean"] ** 2 + data["stddev"] ** 2 == pytest.approx(error, rel=1e-6, abs=1e-6)
    residual = predicted - truth
    assert data["bin_edges"][0] <= residual.min() <= residual.max() <= data["bin_edges"][-1]


@given(st.lists(st.tuples(NUMBERS, NUMBERS), min_size=1, max_size=60), st.integers(1, 20))
def test_predictions_are_averaged_where_the_truth_is(pairs: Any, bins: int) -> None:
    truth, predicted = (np.array(side) for side in zip(*pairs, strict=True))
    data = schemas.check(schemas.predictions(truth, predicted, bins), "predictions")["data"]
    assert sum(data["bin_counts"]) == len(pairs)
    assert data["bin_counts"] == np.histogram(truth, data["bin_edges"])[0].tolist()
    edges = list(pairwise(data["bin_edges"]))
    for index, (low, high) in enumerate(edges):
        last = index == len(edges) - 1
        inside = predicted[(truth >= low) & ((truth < high) | (last & (truth == high)))]
        if inside.size:
            assert data["bin_averages"][index] == pytest.approx(inside.mean())
            assert data["bin_errors"][index] == pytest.approx(inside.std(), abs=1e-9)
        else:
            assert data["bin_averages"][index] is None
            assert data["bin_errors"][index] is None


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: schemas.confusion_matrix([], []), "y_true: is empty"),
        (lambda: schemas.confusion_matrix([1], [1, 2]), "have 1 and 2 samples"),
        (lambda: schemas.confusion_matrix([[1, 2]], [1]), "of shape"),
        (lambda: schemas.confusion_matrix(["a"], [1]), "texts and numbers"),
        (lambda: schemas.confusion_matrix([1], [1], labels=[1, 1]), "twice"),
        (lambda: schemas.accuracy_table([0, 1, 2], [0.1, 0.2, 0.3]), r"\(samples, 3\)"),
        (lambda: schemas.accuracy_table([0, 1], [0.1, 1.2]), "from 0 to 1"),
        (lambda: schemas.accuracy_table([0, 1], [0.1, float("nan")]), r"y_prob\[1\]: is nan"),
        (lambda: schemas.accuracy_table([0, 1], [0.1, 0.2], labels=[0, 2]), "1 is not one"),
        (lambda: schemas.accuracy_table([0, 1], [0.1, 0.2], points=1), "points"),
        (lambda: schemas.accuracy_table([0, 1], [0.1]), "have 2 and 1 samples"),
        (lambda: schemas.residuals([1, float("inf")], [1, 2]), r"y_true\[1\]: is inf"),
        (lambda: schemas.residuals(["a"], [1]), "y_true: must hold numbers"),
        (lambda: schemas.residuals([1, 2], [1, 2], bins=0), "bins"),
        (lambda: schemas.predictions([1, 2], [1, 2], bins=[1]), "bins"),
        (lambda: schemas.predictions([1, 2], [1, 2], bins=[2, 1]), "bins"),
    ],
)
def test_what_fits_no_document_is_refused(make: Any, message: str) -> None:
    with pytest.raises(UserErrorException, match=message):
        make()
