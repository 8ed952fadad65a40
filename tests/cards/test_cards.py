"""Cards of HTML: what they tell, that any text stands in them as text, and how large they get."""

from __future__ import annotations

import math
import xml.etree.ElementTree as ET
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from objrun.cards.model import RunRow, RunView, Series
from objrun.cards.pages import run_card, runs_table
from objrun.cards.sparkline import HEIGHT, sparkline, thinned

AT = datetime(2025, 1, 2, 3, 4, 5, tzinfo=UTC)
HOSTILE = "</style><script>alert('\"&')</script>\u202e\x00]]>"


TEXTS = dict.fromkeys(("description", "error", "note", "log", "log_name"), HOSTILE)


def row(number: int = 1, **changes: object) -> RunRow:
    known = {
        "experiment": "digits",
        "number": number,
        "run_id": f"id-{number}",
        "title": "wide",
        "status": "Running",
        "started": AT,
        "ended": None,
        "seconds": 75.0,
        "tags": {"model": "cnn"},
        "params": {"lr": 0.1},
    }
    return RunRow(**{**known, **changes})  # type: ignore[arg-type]  # as the fields are


def parsed(html: str) -> ET.Element:
    """Read it as XML, which only what is escaped and closed can be."""
    return ET.fromstring(f"<div>{html}</div>")  # noqa: S314 - our own


def words(html: str) -> str:
    return " ".join("".join(parsed(html).itertext()).split())


def test_the_card_of_a_run_tells_all() -> None:
    view = RunView(
        row(),
        [Series("loss", [2.0, math.nan, 1.0], [0, 1, 2])],
        description="about",
        error="OOM: no memory",
        note="not all could be read",
        others={"confusion": "a confusion matrix"},
        pictures={"digit": "data:image/gif;base64,R0lGODlh"},
    )
    told = words(run_card(view))
    for part in ("digits / 1 wide", "Running", "1m 15s", "2025-01-02 03:04 UTC", "id id-1"):
        assert part in told
    for part in ("model=cnn", "lr=0.1", "loss", "about", "OOM: no memory", "not all could"):
        assert part in told
    for part in ("confusion=a confusion matrix", "digit"):
        assert part in told
    (image,) = parsed(run_card(view)).iter("img")
    assert image.get("src") == "data:image/gif;base64,R0lGODlh"


def test_a_run_that_never_started_says_so() -> None:
    assert "started" not in words(run_card(RunView(row(started=None, seconds=None))))
    ended = row(started=None, ended=AT, seconds=None, status="Failed")
    assert "Failednever startedid" in words(run_card(RunView(ended)))


def test_hostile_texts_stand_as_text() -> None:
    items = {HOSTILE: HOSTILE}
    view = RunView(
        row(title=HOSTILE, run_id=HOSTILE, status=HOSTILE, tags=items, params=items),
        [Series(HOSTILE, [1.0, 2.0])],
        **TEXTS,
        others=items,
        pictures=items,
    )
    several = [row(i, title=HOSTILE, params={HOSTILE: i}, tags=items) for i in range(3)]
    for html in (run_card(view), runs_table(several, 9, HOSTILE)):
        assert not [*parsed(html).iter("script")]
        assert "alert(" in words(html)


@given(st.text(min_size=1, max_size=80))
def test_any_text_stands_as_text(text: str) -> None:
    def elements(name: str) -> int:
        shown = row(title=name, tags={name: name}, params={name: name})
        return len([*parsed(run_card(RunView(shown, error=name))).iter()])

    assert elements(text) == elements("x")


def test_a_table_has_what_differs_and_how_many_there_are() -> None:
    rows = [row(i, params={"lr": i / 10, "same": 1}, metrics={"loss": 1.0 * i}) for i in range(3)]
    titles = [title.text for title in parsed(runs_table(rows, 1_000)).iter("th")]
    assert titles[-3:] == ["lr", "loss", "tags"]
    assert "3 of 1,000 runs" in words(runs_table(rows, 1_000))
    assert words(runs_table([], 0)) == "no runs"
    assert "experiment" in words(runs_table([row(), row(experiment="other")], 2))


def test_a_card_stays_small() -> None:
    long = "x" * 10_000
    series = [Series(f"{long}{i}", [float(n) for n in range(1_000)]) for i in range(200)]
    items = {f"{i}{long}": long for i in range(500)}
    shown = row(title=long, tags=items, params=items)
    view = RunView(shown, series, long, long, long, long, long, others=items)
    assert len(run_card(view)) < 200_000
    assert "and 170 more metrics" in words(run_card(view))
    rows = [row(i, tags=items, params={f"{i}{k}": v for k, v in items.items()}) for i in range(25)]
    assert len(runs_table(rows, 10**6)) < 100_000


@given(st.lists(st.floats(), max_size=300), st.integers(1, 20))
def test_thinning_hides_no_extreme(values: list[float], slices: int) -> None:
    kept = thinned(values, slices)
    assert kept == sorted({*kept})
    assert len(kept) <= max(2 * slices, 3 * slices + 2)
    finite = [value for value in values if math.isfinite(value)]
    shown = [values[place] for place in kept if math.isfinite(values[place])]
    if finite:
        assert (min(shown), max(shown)) == (min(finite), max(finite))
    assert any(not math.isfinite(values[place]) for place in kept) == (len(finite) < len(values))


@given(st.lists(st.floats(), min_size=2, max_size=300))
def test_a_sparkline_stays_in_its_box(values: list[float]) -> None:
    svg = ET.fromstring(sparkline(values))  # noqa: S314 - our own
    path = svg.find("path")
    assert path is not None
    points = path.get("d", "").replace("M", "L").split("L")[1:]
    heights = [float(point.split()[1]) for point in points]
    assert all(0 <= height <= HEIGHT for height in heights)


def test_a_gap_and_its_mark() -> None:
    svg = sparkline([1.0, 2.0, math.nan, 1.0, math.inf, 2.0])
    assert (svg.count("M"), svg.count("<circle")) == (3, 2)


@pytest.mark.parametrize(("value", "text"), [(math.nan, "NaN"), (-math.inf, "-Infinity"), (1, 1)])
def test_the_state_for_a_browser_is_json(value: float, text: object) -> None:
    state = RunView(row(params={"x": value, "other": [1]}), [Series("m", [value, 2.0])]).state()
    assert state["params"] == {"x": text, "other": "[1]"}
    assert state["metrics"] == [
        {"name": "m", "count": 2, "last": 2.0, "steps": [0, 1], "values": [text, 2.0]}
    ]
    assert state["started"] == AT.timestamp()
