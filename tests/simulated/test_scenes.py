"""Every scene, in the orders of its short plan; `make simulate` tries more."""

from __future__ import annotations

import pytest

from objrun.testing.sim import sample
from tests.simulated.plans import PLANS, tried
from tests.simulated.scenes import SCENES


@pytest.mark.parametrize("name", PLANS)
def test_no_promise_is_broken(name: str) -> None:
    explored = tried(name)
    assert explored.orders > 10
    assert explored.steps > explored.orders


@pytest.mark.slow
@pytest.mark.parametrize("name", PLANS)
def test_no_promise_is_broken_in_very_many_orders(name: str) -> None:
    assert tried(name, long=True).orders > 100


def test_a_vacuum_that_burns_what_is_being_purged() -> None:
    """It found a marker without its version, and then not even the version before."""
    assert sample(SCENES["paused-beside-a-purge"], seeds=[29]).orders == 1


def test_each_scene_has_a_plan() -> None:
    assert PLANS.keys() == SCENES.keys()
