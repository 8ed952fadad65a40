"""What a picture shows, asked of its artists; each is also rendered, with warnings as errors."""

from __future__ import annotations

import io
import math
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from matplotlib.colors import to_hex
from sklearn import metrics

from objrun import plots, schemas
from objrun.errors import UserErrorException
from objrun.plots import Curve
from objrun.plots.classification import area, average_precision

if TYPE_CHECKING:
    from matplotlib.figure import Figure

HOSTILE = ["$\\frac{", "_hidden", "x" * 300, "two\nlines\x07", "", "<b>&amp;", "\u202egnp"]


def rendered(figure: Figure) -> Figure:
    figure.savefig(io.BytesIO(), format="png", dpi=30)
    return figure


def main(figure: Figure) -> Any:
    return rendered(figure).axes[0]


def drawn(axes: Any) -> list[Any]:
    """The lines that are curves, not marks at the edge."""
    return [line for line in axes.lines if line.get_label() != "_mark"]


def legend(axes: Any) -> list[str]:
    found = axes.get_legend()
    return [text.get_text() for text in found.get_texts()] if found else []


def test_one_curve_has_its_points_and_no_legend() -> None:
    axes = main(plots.lines([Curve.of("loss", [3, 1, 2], [10, 20, 30])], title="loss"))
    assert [line.get_xydata().tolist() for line in drawn(axes)] == [[[10, 3], [20, 1], [30, 2]]]
    assert (axes.get_title("left"), axes.get_xlabel(), legend(axes)) == ("loss", "step", [])


def test_a_smoothed_curve_stands_before_what_was_logged() -> None:
    raw, smoothed = drawn(main(plots.lines([Curve.of("", [1, 1, 4])], smoothing=0.5)))
    assert raw.get_ydata().tolist() == [1, 1, 4]
    assert smoothed.get_ydata() == pytest.approx([1, 1, 19 / 7])
    assert raw.get_alpha() < smoothed.get_alpha()
    assert raw.get_zorder() < smoothed.get_zorder()


def test_a_single_spike_of_many_points_is_drawn() -> None:
    y = np.zeros(300_000)
    y[123_456] = 7
    (line,) = drawn(main(plots.lines([Curve.of("", y)])))
    assert len(line.get_ydata()) < 5_000
    assert line.get_xydata()[line.get_ydata() == 7].tolist() == [[123_456, 7]]


def test_what_is_not_finite_is_a_gap_with_a_mark_and_a_count() -> None:
    y = [1, math.nan, 2, math.inf, 3, -math.inf, -math.inf]
    axes = main(plots.lines([Curve.of("", y)]))
    (line,) = drawn(axes)
    assert np.isnan(line.get_ydata()).tolist() == [not math.isfinite(value) for value in y]
    marks = {m.get_marker(): m.get_xdata().tolist() for m in axes.lines if m is not line}
    assert marks == {"x": [1], "^": [3], "v": [5, 6]}
    assert axes.get_title("right") == "✕ NaN: 1   ▲ ∞: 1   ▼ -∞: 2"


@pytest.mark.parametrize(
    ("curves", "said"),
    [
        ([], "no points"),
        ([Curve.of("", [])], "no points"),
        ([Curve.of("", [math.nan, math.inf])], "no finite value"),
    ],
)
def test_nothing_to_draw_is_said(curves: list[Curve], said: str) -> None:
    assert [text.get_text() for text in main(plots.lines(curves)).texts] == [said]


def test_a_lone_point_has_a_mark_and_whole_steps_around() -> None:
    axes = main(plots.lines([Curve.of("", [5.0], [7])]))
    assert [line.get_marker() for line in drawn(axes)] == ["o"]
    assert axes.get_xlim() == (6, 8)


@pytest.mark.parametrize("values", [[3.0] * 9, [-1.7e308, 1.7e308], [5e-324, 0.0], [1e300] * 2])
def test_any_numbers_can_be_drawn(values: list[float]) -> None:
    assert len(drawn(main(plots.lines([Curve.of("", values)], smoothing=0.9)))) == 2


def test_a_few_runs_have_a_legend_and_each_its_colour() -> None:
    axes = main(plots.lines([Curve.of(name, [1, 2]) for name in "abc"]))
    assert legend(axes) == ["a", "b", "c"]
    assert len({to_hex(line.get_color()) for line in drawn(axes)}) == 3


def test_many_runs_have_colours_from_first_to_last() -> None:
    axes = main(plots.lines([Curve.of(f"#{i}", [1, 2]) for i in range(50)]))
    assert legend(axes) == ["#0", "#25", "#49"]
    assert axes.get_legend().get_title().get_text() == "50 runs, such as"
    assert len({to_hex(line.get_color()) for line in drawn(axes)}) == 50


def test_a_parameter_colours_by_scale_or_by_class() -> None:
    rates = plots.lines([Curve.of("", [1, 2], by=10.0**-i) for i in range(4)], by="params.lr")
    assert [axes.get_ylabel() for axes in rendered(rates).axes] == ["", "params.lr"]
    named = [Curve.of("", [1, 2], by=by) for by in ("adam", "sgd", "adam", None)]
    axes = main(plots.lines(named, by="params.opt"))
    assert legend(axes) == ["adam", "sgd", "None"]
    colours = [line.get_color() for line in drawn(axes)]
    assert colours[0] == colours[2] != colours[1]


@pytest.mark.parametrize(
    ("axis", "x", "label"),
    [
        ("time", [1.7e9, 1.7e9 + 60], "time (UTC)"),
        ("relative", [0, 30], "seconds since the first point"),
        ("relative", [0, 600], "minutes since the first point"),
        ("relative", [0, 7200], "hours since the first point"),
        ("relative", [0, 1e6], "days since the first point"),
    ],
)
def test_x_is_told(axis: Any, x: list[float], label: str) -> None:
    assert main(plots.lines([Curve.of("", [1, 2], x, axis)])).get_xlabel() == label


def test_names_are_shown_as_they_are_in_one_line() -> None:
    axes = main(plots.lines([Curve.of(name, [1, 2]) for name in HOSTILE], title=HOSTILE[0]))
    assert legend(axes)[:2] == ["$\\frac{", " _hidden"]
    assert len(legend(axes)) == len(HOSTILE)
    assert all(len(name) <= 36 and name.isprintable() for name in legend(axes))
    rendered(plots.bar(dict.fromkeys(HOSTILE, 1.0), title=HOSTILE[0]))
    rendered(plots.table(dict.fromkeys(HOSTILE, HOSTILE)))
    rendered(plots.grid([(name, [Curve.of("", [1])]) for name in HOSTILE[:3]], title=HOSTILE[0]))
    rendered(plots.confusion(schemas.confusion_matrix(HOSTILE, HOSTILE)))


def test_a_grid_has_a_panel_each_and_tells_what_it_leaves_out() -> None:
    panels = [(f"m{i}", [Curve.of("", [1, i])]) for i in range(40)]
    figure: Any = plots.grid(panels, title="run")
    shown = [axes for axes in figure.axes if axes.get_visible()]
    assert [axes.get_title("left") for axes in shown] == [f"m{i}" for i in range(36)]
    assert figure.get_suptitle() == "run  (and 4 more)"
    assert main(plots.grid([])).texts[0].get_text() == "no metric with numbers"


def test_axes_that_are_given_are_drawn_on() -> None:
    picture = plots.new_picture()
    left, right = picture.subplots(1, 2)
    assert plots.lines([Curve.of("", [1, 2])], ax=left) is picture
    assert plots.bar({"a": 1}, ax=right) is picture
    assert picture._repr_png_().startswith(b"\x89PNG")


def test_a_confusion_matrix_has_counts_and_shares_of_the_truth() -> None:
    document = schemas.confusion_matrix(["a", "a", "a", "b"], ["a", "a", "b", "b"])
    axes = main(plots.confusion(document))
    assert [text.get_text() for text in axes.texts] == ["2", "1", "0", "1"]
    assert axes.images[0].get_array().tolist() == [[2 / 3, 1 / 3], [0, 1]]
    assert [tick.get_text() for tick in axes.get_yticklabels()] == ["a", "b"]
    assert axes.get_title("right") == "accuracy 0.750"


def test_a_large_confusion_matrix_has_colours_alone() -> None:
    labels = list(range(100))
    axes = main(plots.confusion(schemas.confusion_matrix(labels, labels)))
    assert not axes.texts
    assert len(axes.get_xticklabels()) == 50


def test_roc_and_precision_recall_agree_with_sklearn() -> None:
    random = np.random.default_rng(2)
    truth = random.integers(0, 2, 400)
    scores = np.linspace(0, 1, 101)[
        random.integers(0, 60, 400) + truth * random.integers(0, 40, 400)
    ]
    document = schemas.accuracy_table(truth, scores, points=101)
    axes = main(plots.roc(document))
    curve = axes.lines[2]
    auc = metrics.roc_auc_score(truth, scores)
    assert area(curve.get_xdata(), curve.get_ydata()) == pytest.approx(auc)
    assert legend(axes)[1] == f"1  {auc:.3g}"
    curve = main(plots.precision_recall(document)).lines[1]
    average = average_precision(curve.get_xdata(), curve.get_ydata())
    assert average == pytest.approx(metrics.average_precision_score(truth, scores))


def test_more_than_two_classes_have_a_micro_average() -> None:
    random = np.random.default_rng(3)
    scores, truth = random.dirichlet([1, 1, 1], 300), random.integers(0, 3, 300)
    axes = main(plots.roc(schemas.accuracy_table(truth, scores, points=2_000)))
    micro = metrics.roc_auc_score(np.eye(3)[truth], scores, average="micro")
    assert area(axes.lines[-1].get_xdata(), axes.lines[-1].get_ydata()) == pytest.approx(
        micro, abs=1e-3
    )
    assert legend(axes)[-1].startswith("micro average")
    many = random.dirichlet([1] * 20, 300)
    table = schemas.accuracy_table(truth, many, labels=range(20))
    assert legend(main(plots.precision_recall(table)))[0] == "20 classes"


def test_residuals_and_predictions_are_drawn_with_what_is_known() -> None:
    axes = main(plots.residual_histogram(schemas.residuals([1, 2, 3], [1, 3, 5], bins=2)))
    assert [patch.get_height() for patch in axes.patches[:2]] == [1, 2]
    assert axes.get_title("right") == "mean 1   std 0.8165   n 3"
    axes = main(plots.predicted_vs_true(schemas.predictions([0, 0, 9], [1, 3, 8], bins=3)))
    line = axes.containers[0].lines[0]
    assert line.get_xydata().tolist() == [[1.5, 2], [7.5, 8]]
    assert legend(axes) == ["mean ± std", "ideal"]


def test_a_bar_has_its_number() -> None:
    axes = main(plots.bar({"a": 0.5, "b": math.nan, "c": -2}))
    assert [patch.get_width() for patch in axes.patches] == [0.5, 0, -2]
    assert [text.get_text() for text in axes.texts] == ["0.5", "NaN", "-2"]


def test_a_long_table_says_what_is_left_out() -> None:
    axes = main(plots.table({f"c{i}": list(range(100)) for i in range(9)}))
    assert axes.get_title("right") == "25 of 100 rows, 8 of 9 columns"
    assert len(axes.texts) == 8 * 26
    assert main(plots.table({})).texts[0].get_text() == "no columns"


def test_histograms_of_other_edges_keep_their_shares() -> None:
    edges, counts = [[0, 1, 2], [0, 2, 4]], [[1, 3], [2, 2]]
    axes = main(plots.histograms([0, 10], edges, counts))
    shares = axes.collections[0].get_array()
    assert np.ma.filled(shares, 0).sum(axis=0) == pytest.approx([1, 1])
    bars = main(plots.histograms([0], edges[:1], counts[:1])).patches
    assert [bar.get_height() for bar in bars] == [1, 3]
    with pytest.raises(UserErrorException, match="one more edge"):
        plots.histograms([0], [[1, 2]], [[1, 2]])
    assert main(plots.histograms([], [], [])).texts[0].get_text() == "no histograms"


def test_a_lone_image_is_large_and_its_greys_are_those_logged() -> None:
    figure: Any = plots.images([("", np.full((40, 80), 200, np.uint8))])
    assert figure.axes[0].images[0].get_clim() == (0, 255)
    width, height = figure.get_size_inches()
    assert width >= 5
    assert 1.5 < width / height < 2


def test_the_last_value_of_a_panel_stands_beside_it() -> None:
    figure: Any = plots.grid([("loss", [Curve.of("loss", [1.0, 0.5, 2.0])])])
    rendered(figure)
    (label,) = figure.axes[0].texts
    assert label.get_text() == "2"
    box = figure.axes[0].get_window_extent()
    assert label.get_window_extent().x0 >= box.x1
    assert label.get_window_extent().x1 <= figure.bbox.x1


def test_images_are_side_by_side_up_to_a_number() -> None:
    figure: Any = plots.images([(f"step {i}", np.eye(4)) for i in range(70)], title="t")
    rendered(plots.images([("a", np.eye(4)), ("b", np.zeros((2, 2, 3)))]))
    assert len(figure.axes) == 64
    assert figure.get_suptitle() == "t  (64 of 70)"
    assert main(plots.images([])).texts[0].get_text() == "no images"


@pytest.mark.parametrize("draw", [plots.confusion, plots.roc, plots.residual_histogram])
def test_another_document_is_refused(draw: Any) -> None:
    with pytest.raises(UserErrorException, match="schema_type"):
        draw({"schema_type": "x", "data": {}})


def test_pyplot_is_left_alone() -> None:
    program = (
        "import sys; from objrun import plots; from objrun.plots import Curve;"
        "plots.lines([Curve.of('', [1, 2])]).savefig('/dev/null', format='png');"
        "print('matplotlib.pyplot' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert done.stdout == "False\n"
