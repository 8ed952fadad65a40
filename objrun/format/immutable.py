"""Which objects never change, so that what was read of them may be kept. SPEC section 3."""

from __future__ import annotations

from objrun.format.keys import parse_segment, parse_table, parse_version
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
    match key.split("/"):
        case ["runs", _, "state", name] | ["experiments", _, "state" | "checkpoints", name]:
            return parse_version(name) is not None
        case ["runs", _, "properties" | "files", name]:
            return name.endswith(".json")
        case ["experiments", _, "shards", _, _]:
            return parse_segment(key) is not None
        case ["experiments", _, "tables", name]:
            return parse_table(name) is not None
        case ["snapshots" | "environments", _]:
            return digest_of(key) is not None
    return False
