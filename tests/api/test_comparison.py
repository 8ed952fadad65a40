"""`compare`: what is different among runs, and their metrics side by side."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from objrun import Experiment, Workspace, compare
from objrun.errors import UserErrorException

if TYPE_CHECKING:
    from pathlib import Path

    from objrun.run import Run


@pytest.fixture
def runs(tmp_path: Path) -> list[Run]:
    experiment = Experiment(Workspace(str(tmp_path / "store")), "e")
    found = [experiment.start_logging(display_name=name) for name in ("a", "b", "<c>")]
    for number, run in enumerate(found):
        run.log_params({"lr": number / 10, "seed": 7} | ({"extra": "x"} if number else {}))
        run.log("loss", 2.0, step=0)
        run.log("loss", 1.0 + number, step=1)
    found[2].log("only", 5)
    found[0].log_params({"mixed": 1})
    found[1].log_params({"mixed": "one"})
    return found


def test_what_differs_has_a_column(runs: list[Run]) -> None:
    found = compare(runs)
    assert found.same == {"seed": 7}
    frame = found.frame
    assert frame["number"].to_list() == [1, 2, 3]
    assert frame["params.lr"].to_list() == [0, 0.1, 0.2]
    assert frame["params.extra"].to_list() == [None, "x", "x"]
    assert frame["params.mixed"].to_list() == ["1", "one", None]
    assert frame["metrics.loss.last"].to_list() == [1, 2, 3]
    assert frame["metrics.only.last"].to_list() == [None, None, 5]
    assert "params.seed" not in frame.columns
    assert repr(found) == repr(frame)


def test_a_notebook_shows_a_table(runs: list[Run]) -> None:
    html = compare(runs)._repr_html_()
    assert "&lt;c&gt;" in html
    assert "seed=7" in html


def test_metrics_are_drawn_each_run_in_its_colour(runs: list[Run]) -> None:
    figure: Any = compare(runs).plot()
    loss, only = (axes for axes in figure.axes if axes.get_visible())
    assert [axes.get_title("left") for axes in (loss, only)] == ["loss", "only"]
    assert [text.get_text() for text in loss.get_legend().get_texts()] == ["1 a", "2 b", "3 <c>"]
    assert only.get_legend() is None
    assert only.lines[2].get_xydata().tolist() == [[0, 5]]
    assert only.lines[2].get_color() == loss.lines[2].get_color()


def test_runs_of_several_experiments_are_compared(runs: list[Run]) -> None:
    other = Experiment(runs[0].experiment.workspace, "other").start_logging()
    other.log("loss", 9)
    frame = compare([other, runs[0]]).frame
    assert frame["experiment"].to_list() == ["other", "e"]
    assert frame["metrics.loss.last"].to_list() == [9, 1]


def test_without_runs_there_is_nothing_to_compare() -> None:
    with pytest.raises(UserErrorException, match="nothing to compare"):
        compare([])
