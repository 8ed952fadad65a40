"""A short soak; `make soak` has the long one."""

from __future__ import annotations

import pytest

from tests.soak.places import Figures, on_local, on_s3


def check(figures: Figures) -> None:
    assert figures.lost == []
    assert figures.told.points
    assert figures.told.tags
    assert figures.told.deleted
    assert figures.told.done["compacted"]
    assert figures.ends["SIGKILL"]


def test_everything_at_once_in_a_folder() -> None:
    check(on_local(15.0, seed=1))


@pytest.mark.slow
def test_everything_at_once_on_s3_in_any_weather() -> None:
    figures = on_s3(60.0, seed=1)
    check(figures)
    assert figures.outages
