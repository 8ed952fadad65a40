"""The golden cases as files."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from objrun.errors import NotAStoreError, UnsupportedFormatError

LAYOUT = Path(__file__).resolve().parents[2] / "layout"
STORES = sorted((LAYOUT / "golden" / "v1").iterdir())
INVALID = sorted((LAYOUT / "golden" / "invalid").iterdir())
REFUSED = [c for c in STORES if json.loads((c / "case.json").read_bytes())["refused"]]
READABLE = [case for case in STORES if case not in REFUSED]
REFUSALS = {"not_a_store": NotAStoreError, "unsupported_format": UnsupportedFormatError}

_KEYS = {
    "header": r"objrun\.json",
    "number": r"experiments/[^/]+/numbers/\d{5}/\d{8}\.json",
    "experiment": r"experiments/[^/]+/state/\d{8}\.json",
    "run": r"runs/[^/]+/state/\d{8}\.json",
    "checkpoint": r"experiments/[^/]+/checkpoints/\d{8}\.json",
    "environment": r"environments/[0-9a-f]{64}\.json",
    "file": r"runs/[^/]+/files/[^/]+\.\d{8}\.json",
    "model": r"models/state/[^/]+/\d{8}/\d{8}\.json",
    "property": r"runs/[^/]+/properties/[^/]+\.json",
}


def objects(case: Path) -> dict[str, bytes]:
    """Return the objects of a golden store by key."""
    store = case / "store"
    return {
        path.relative_to(store).as_posix(): path.read_bytes()
        for path in sorted(store.rglob("*"))
        if path.is_file()
    }


def expected(case: Path, what: str) -> Any:
    """Return one of the case's expected answers."""
    return json.loads((case / "expected" / f"{what}.json").read_bytes())


def key_of(key: str) -> str | None:
    """Return the kind of document that stands under a key."""
    return next((kind for kind, rule in _KEYS.items() if re.fullmatch(rule, key)), None)
