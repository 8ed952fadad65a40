"""Frames and series of pandas: what was logged is what is read."""

from __future__ import annotations

from math import isnan, nan
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pytest

from objrun.errors import UserErrorException

if TYPE_CHECKING:
    from objrun import Run

FRAME = pd.DataFrame(
    {
        "whole": [1, 2],
        "float": [0.5, nan],
        "text": ["a", None],
        "flag": [True, False],
        "category": pd.Categorical(["x", "y"]),
        "maybe": pd.array([1, None], dtype="Int64"),
        "maybe float": pd.array([None, 2.5], dtype="Float64"),
        "took": pd.to_timedelta([1.5, 86400], unit="s"),
        "day": pd.to_datetime(["2026-01-30", "2026-01-31"]),
    },
    index=[7, 8],
)
STORED: dict[str, list[Any]] = {
    "whole": [1, 2],
    "float": [0.5, nan],
    "text": ["a", None],
    "flag": [True, False],
    "category": ["x", "y"],
    "maybe": [1, None],
    "maybe float": [None, 2.5],
    "took": ["PT1.5S", "P1D"],
    "day": ["2026-01-30 00:00:00.000000", "2026-01-31 00:00:00.000000"],
}


@pytest.mark.parametrize("times", [1, 1000])
def test_a_frame_reads_back(run: Run, times: int) -> None:
    run.log_table("t", pd.concat([FRAME] * times))
    table = run.get_metrics()["t"]
    assert repr(table) == repr({name: column * times for name, column in STORED.items()})


@pytest.mark.parametrize("times", [1, 1000])
def test_a_dict_of_series_reads_back(run: Run, times: int) -> None:
    some = ["whole", "float", "text", "flag", "maybe", "maybe float"]
    frame = pd.concat([FRAME] * times)
    run.log_table("t", {name: frame[name] for name in some})
    assert repr(run.get_metrics()["t"]) == repr({name: STORED[name] * times for name in some})


def test_series_are_lists(run: Run) -> None:
    for name in ("whole", "float", "text", "maybe"):
        run.log_list(name, FRAME[name])
    run.log_histogram("h", FRAME["float"], bins=1)
    metrics = run.get_metrics()
    assert metrics["whole"] == [1, 2]
    assert metrics["float"][0] == 0.5
    assert isnan(metrics["float"][1])
    assert (metrics["text"], metrics["maybe"]) == (["a", None], [1, None])
    assert metrics["h"]["counts"] == [1]


def test_a_cell_is_a_number(run: Run) -> None:
    run.log("loss", FRAME["float"].iloc[0])
    run.log_row("row", **FRAME[["whole", "float"]].iloc[0].to_dict())
    assert run.get_metrics() == {"loss": 0.5, "row": {"whole": 1.0, "float": 0.5}}


@pytest.mark.parametrize(
    ("table", "words"),
    [
        (FRAME["whole"], "not Series"),
        (pd.DataFrame({"mixed": [1, "a"]}), "column mixed"),
        (pd.DataFrame({"lists": [[1], [2]]}), "list<"),
        (pd.DataFrame([[1, 2]], columns=["a", "a"]), "'a'"),
        (pd.DataFrame({"complex": np.array([1j])}), "complex"),
    ],
)
def test_what_is_no_table_is_refused(run: Run, table: Any, words: str) -> None:
    with pytest.raises(UserErrorException, match=words):
        run.log_table("t", table)
    assert run.get_metrics() == {}
