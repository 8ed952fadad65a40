"""`Run.plot` and `Experiment.plot`: which picture a metric becomes, and what they cost."""

from __future__ import annotations

import math
import sys
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from objrun import Experiment, Workspace, schemas
from objrun.errors import MissingExtraError, ServiceException, UserErrorException
from objrun.storage.wrappers import CountingStore

if TYPE_CHECKING:
    from pathlib import Path

    from objrun.run import Run


@pytest.fixture
def run(tmp_path: Path) -> Run:
    run = Experiment(Workspace(str(tmp_path / "store")), "e").start_logging()
    for step, value in enumerate([3.0, 2.0, 1.0]):
        run.log("loss", value, step=step * 10)
    return run


def drawn(figure: Any) -> list[Any]:
    lines = figure.axes[0].lines
    return [line.get_xydata().tolist() for line in lines if line.get_label() != "_mark"]


def test_numbers_are_a_line_over_steps(run: Run) -> None:
    figure: Any = run.plot("loss")
    assert drawn(figure) == [[[0, 3], [10, 2], [20, 1]]]
    assert (figure.axes[0].get_title("left"), figure.axes[0].get_xlabel()) == ("loss", "step")


def test_without_steps_numbers_are_a_line_over_their_index(run: Run) -> None:
    run.log("plain", 5)
    run.log("plain", 6)
    run.log_list("folds", [1, 2])
    run.log_list("folds", [True, "no number", 4])
    assert drawn(run.plot("plain")) == [[[0, 5], [1, 6]]]
    assert drawn(run.plot("folds")) == [[[0, 1], [1, 2], [2, 1], [3, 4]]]


@pytest.mark.parametrize("over", ["time", "relative"])
def test_numbers_are_a_line_over_time(run: Run, over: Any) -> None:
    (line,) = drawn(run.plot("loss", over=over))
    assert [y for _, y in line] == [3, 2, 1]
    assert line == sorted(line)
    with pytest.raises(UserErrorException, match="over"):
        run.plot("loss", over="epoch")  # type: ignore[arg-type]  # what is refused


def test_one_number_is_a_bar(run: Run) -> None:
    run.log("accuracy", 0.9)
    figure: Any = run.plot("accuracy")
    assert [patch.get_width() for patch in figure.axes[0].patches] == [0.9]


def test_two_columns_of_numbers_are_a_line_and_others_a_table(run: Run) -> None:
    run.log_table("sine", {"x": [0, 1], "y": [0.0, 0.84]})
    run.log_row("speed", batch=32, model="cnn")
    figure: Any = run.plot("sine")
    assert drawn(figure) == [[[0, 0], [1, 0.84]]]
    assert (figure.axes[0].get_xlabel(), figure.axes[0].get_ylabel()) == ("x", "y")
    table: Any = run.plot("speed")
    assert [t.get_text() for t in table.axes[0].texts] == ["batch", "32", "model", "cnn"]


def test_without_a_name_all_metrics_with_numbers_have_a_panel(run: Run) -> None:
    run.log("text", "words")
    run.log("nan", math.nan)
    run.log_row("speed", batch=32)
    figure: Any = run.plot(smoothing=0.5)
    assert [axes.get_title("left") for axes in figure.axes] == ["loss", "nan"]
    assert figure.get_suptitle() == "e / 1"


def test_what_cannot_be_drawn_is_told(run: Run) -> None:
    run.log("text", "words")
    with pytest.raises(UserErrorException, match="'text' holds texts"):
        run.plot("text")
    with pytest.raises(ServiceException, match="no metric 'nothing'"):
        run.plot("nothing")
    with pytest.raises(UserErrorException, match="smoothing"):
        run.plot("loss", smoothing=1)


def test_runs_are_overlaid_and_named(run: Run) -> None:
    other = run.experiment.start_logging(display_name="second")
    other.log("loss", 1.0, step=0)
    other.log("loss", 4.0, step=1)
    other.log_params({"lr": 0.1})
    run.experiment.start_logging().log("other", 1)
    run.flush()
    other.flush()
    figure: Any = run.experiment.plot("loss")
    assert drawn(figure) == [[[0, 3], [10, 2], [20, 1]], [[0, 1], [1, 4]]]
    names = figure.axes[0].get_legend().get_texts()
    assert [text.get_text() for text in names] == ["1 e_1", "2 second"]
    assert drawn(run.experiment.plot("loss", [other])) == [[[0, 1], [1, 4]]]
    assert drawn(run.experiment.plot("loss", [other.id])) == [[[0, 1], [1, 4]]]
    coloured: Any = run.experiment.plot("loss", by="params.lr")
    names = coloured.axes[0].get_legend().get_texts()
    assert [text.get_text() for text in names] == ["None", "0.1"]
    with pytest.raises(ServiceException, match="no metric 'nothing'"):
        run.experiment.plot("nothing")
    with pytest.raises(UserErrorException, match="there is no column 'lr'"):
        run.experiment.plot("loss", by="lr")


def test_a_picture_of_many_runs_costs_few_requests(run: Run) -> None:
    for _ in range(20):
        with run.experiment.start_logging() as other:
            other.log("loss", 1.0)
    run.flush()
    workspace = Workspace(run.experiment.workspace.url)
    counts = CountingStore(workspace.store)
    workspace.go_through(lambda _: counts)
    Experiment(workspace, "e").plot("loss")
    read = sum(counts.counts.values())
    # A segment and a version of each run that no table has yet, and a few lists.
    assert read <= 2 * 21 + 12


def test_without_matplotlib_the_extra_is_named(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name.startswith(("matplotlib", "objrun.plots"))]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'objrun\[plot\]'"):
        run.plot("loss")


def test_documents_images_and_histograms_are_drawn_as_what_they_are(run: Run) -> None:
    truth, said = [0, 1, 1, 0], [0, 1, 0, 0]
    run.log_confusion_matrix("matrix", schemas.confusion_matrix(truth, said))
    run.log_accuracy_table("table", schemas.accuracy_table(truth, [0.1, 0.9, 0.4, 0.2]))
    run.log_residuals("residuals", schemas.residuals(truth, said, bins=2))
    run.log_predictions("predictions", schemas.predictions(truth, said, bins=2))
    run.log_image("image", plot=np.eye(4), step=3)
    for step in (0, 5):
        run.log_histogram("weights", [0.0, 0.5, 1.0], step=step)
    run.log_text("words", "hello")
    matrix: Any = run.plot("matrix")
    assert [text.get_text() for text in matrix.axes[0].texts] == ["2", "0", "1", "1"]
    curves: Any = run.plot("table")
    assert [axes.get_ylabel() for axes in curves.axes] == ["true positive rate", "precision"]
    residuals: Any = run.plot("residuals")
    assert [patch.get_height() for patch in residuals.axes[0].patches[:2]] == [1, 3]
    predictions: Any = run.plot("predictions")
    assert predictions.axes[0].containers[0].lines[0].get_ydata().tolist() == [0, 0.5]
    image: Any = run.plot("image")
    assert image.axes[0].get_title() == "step 3"
    assert image.axes[0].images[0].get_array().shape == (4, 4)
    weights: Any = run.plot("weights")
    assert weights.axes[0].get_ylabel() == "value"
    with pytest.raises(UserErrorException, match="kind text"):
        run.plot("words")
