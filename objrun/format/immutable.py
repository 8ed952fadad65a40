"""Which objects never change, so that what was read of them may be kept. SPEC section 3."""

from __future__ import annotations

from objrun.format.keys import parse_segment, parse_table, parse_version
from objrun.format.media import parse_pack
from objrun.format.model_keys import parse_model_state
from objrun.format.shared import digest_of


def is_immutable(key: str) -> bool:
    """Return whether an object never changes and its key is never used again in this store.

    That is so of all but markers, the header, which tells one store from the next at its place,
    and claims of numbers, which are freed when an experiment is purged. (Chains go on behind their
    tombstones, checkpoints behind the last; ids of runs, writers and tables are not used twice.)
    The bytes of files and logs do not change, either, but are too large to keep.

    >>> is_immutable("runs/r1/state/00000001.json"), is_immutable("objrun.json")
    (True, False)
    """
    found: object = None
    match key.split("/"):
        case ["runs", _, "state", name] | ["experiments", _, "state" | "checkpoints", name]:
            found = parse_version(name)
        case ["runs", _, "properties" | "files", name]:
            found = name.endswith(".json") or None
        case ["models", "state", _, _, _]:
            found = parse_model_state(key)
        case ["experiments", _, "shards", _, _]:
            found = parse_segment(key)
        case ["runs", _, "media", _]:
            found = parse_pack(key)
        case ["experiments", _, "tables", name]:
            found = parse_table(name)
        case ["snapshots" | "environments", _]:
            found = digest_of(key)
    return found is not None
