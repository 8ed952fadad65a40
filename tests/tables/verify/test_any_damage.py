"""Any object of a store is lost, cut or flipped: it is told, and no repair loses more."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from objrun.errors import ObjrunError
from objrun.format import keys
from objrun.format.checkpoints import decode_checkpoint
from objrun.format.documents import (
    decode_experiment,
    decode_file,
    decode_header,
    decode_number,
    decode_property,
    decode_run,
)
from objrun.format.shared import decode_environment
from tests.tables.verify.stores import Made, fresh, mend, objects_of

if TYPE_CHECKING:
    import random
    from collections.abc import Callable


def objects(stage: str) -> list[str]:
    return sorted(objects_of(stage))


def is_harmless(stage: str, key: str, made: Made) -> bool:
    """Whether nobody can know, or need know, that an object is gone or another.

    Probes, markers with a body or of versions that others tell of, what tables cover, the end of
    a chain or of a writer of which nothing else tells, and values that were changed into others.
    """
    now = made.objects
    if key not in now:
        if "/feed/" in key or "/shards/" in key or key == "objrun.probe":
            return True
        is_chain = "/state/" in key
        if "/files/" in key or "/artifacts/" in key:
            return True
        return "/properties/" in key or (is_chain and stage != "vacuumed") or "/checkpoints/" in key
    return (
        key.startswith("objrun.probe")
        or "/feed/" in key
        or "/shards/" in key
        or _decodes(key, now[key])
    )


def _decodes(key: str, data: bytes) -> bool:

    decoders: dict[str, Callable[[str, bytes], object]] = {
        "objrun.json": decode_header,
        "environments/": decode_environment,
        "/numbers/": decode_number,
        "/properties/": decode_property,
        "/files/": decode_file,
        "/checkpoints/": decode_checkpoint,
        "runs/": decode_run,
        "experiments/": decode_experiment,
    }
    decode = next(function for piece, function in decoders.items() if piece in key)
    try:
        decode(key, data)
    except ObjrunError:
        return False
    return True


DAMAGES = given(st.sampled_from(["live", "vacuumed", "tailed"]), st.randoms(use_true_random=False))


@settings(max_examples=20, deadline=None)
@DAMAGES
def test_any_damage_of_one_object_is_told_and_no_repair_loses_more(
    stage: str, chance: random.Random
) -> None:
    check(stage, chance)


@pytest.mark.slow
@settings(max_examples=500, deadline=None)
@DAMAGES
def test_much_damage(stage: str, chance: random.Random) -> None:
    check(stage, chance)


def check(stage: str, chance: random.Random) -> None:
    """Damage an object, look, mend, look."""
    made = fresh(stage)
    key = chance.choice(objects(stage))
    data = made.store.get(key)
    how = chance.choice(["delete", "truncate", "flip"])
    if how == "delete":
        made.store.delete([key])
    elif how == "truncate":
        made.store.put(key, data[: chance.randrange(max(len(data), 1))])
    elif data:
        flipped = bytearray(data)
        flipped[chance.randrange(len(data))] ^= 1 << chance.randrange(8)
        made.store.put(key, bytes(flipped))
    if made.store.list("") and made.objects == objects_of(stage):
        return
    findings = made.find()
    assert findings or is_harmless(stage, key, made), (how, key)
    if key == keys.HEADER:
        return
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        mend(made)
        again = made.find()
        assert not [f for f in again if f.repair is not None], again
