"""The mutation gate: which scene notices that a rule is broken."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import pytest

from objrun.errors import ObjrunError
from objrun.testing.sim import SimulationError
from tests.simulated.plans import PLANS, tried
from tests.simulated.scenes import SCENES

if TYPE_CHECKING:
    from tests.simulated.mutations import Mutation


class Caught(NamedTuple):
    """The scene that has noticed a mutation, and how it said so."""

    scene: str
    told: str
    trace: str


def caught(mutation: Mutation) -> Caught | None:
    """Try the scenes, first those that are named with the mutation; None if none notices."""
    for other in SCENES.values():
        # What scenes begin with is made by the product as it is.
        other.start()
    for scene in dict.fromkeys((*mutation.scenes, *PLANS)):
        with pytest.MonkeyPatch.context() as patch:
            mutation.patch(patch)
            try:
                tried(scene)
            except SimulationError as error:
                if not isinstance(error.__cause__, AssertionError | ObjrunError):
                    # The mutation itself is wrong: it no longer fits what it patches.
                    raise
                return Caught(scene, str(error).splitlines()[0], error.trace)
    return None
