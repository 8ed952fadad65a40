"""Histograms as they are logged: counts of bins, and the edges of these."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

from objrun.errors import UserErrorException
from objrun.values.conversion import to_list


def histogram(where: str, values: Any, counts: Any, edges: Any, bins: Any) -> dict[str, list[Any]]:
    """Return `counts` and `edges`, of values or as given; UserErrorException naming `where`.

    >>> histogram("metric 'h'", [1.0, 2.0, float("nan")], None, None, [1, 1.5, 2])
    {'counts': [1, 1], 'edges': [1.0, 1.5, 2.0]}
    """
    if (values is None) != (counts is not None and edges is not None):
        message = f"{where}: either values are given, or counts and edges"
        raise UserErrorException(message)
    if values is not None:
        counts, edges = _counted(where, values, bins)
    counts, edges = to_list(counts, f"{where}, counts"), to_list(edges, f"{where}, edges")
    numbers = all(isinstance(x, int | float) and not isinstance(x, bool) for x in counts + edges)
    rising = numbers and all(a < b for a, b in pairwise(edges))
    if not rising or len(edges) != len(counts) + 1 or any(count < 0 for count in counts):
        message = (
            f"{where}: n counts and n + 1 edges that rise are wanted, not {counts} and {edges}"
        )
        raise UserErrorException(message[:400])
    return {"counts": counts, "edges": edges}


def _counted(where: str, values: Any, bins: Any) -> tuple[Any, Any]:
    import numpy as np

    detached = values.detach().cpu() if hasattr(values, "detach") else values
    try:
        array = np.asarray(detached, dtype=np.float64).ravel()
        return np.histogram(array[np.isfinite(array)], bins)
    except (TypeError, ValueError) as error:
        message = f"{where}: {error}"
        raise UserErrorException(message) from None
