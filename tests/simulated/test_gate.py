"""No rule of the protocol can be broken without a scene that notices."""

from __future__ import annotations

import pytest

from tests.simulated.gate import caught
from tests.simulated.mutations import MUTATIONS


@pytest.mark.parametrize("name", MUTATIONS)
def test_it_is_noticed(name: str) -> None:
    mutation = MUTATIONS[name]
    found = caught(mutation)
    assert found is not None, f"{mutation.rule}: broken, and no scene fails"
    assert found.scene == mutation.scenes[0], f"{found.scene} notices: name it first"
