"""What cards and the widget show of runs: plain values, read once."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from objrun.cards.sparkline import thinned

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime


@dataclass(frozen=True)
class RunRow:
    """A run in a table; `seconds` is how long it took, or has taken so far."""

    experiment: str
    number: int
    run_id: str
    title: str
    status: str
    started: datetime | None
    ended: datetime | None
    seconds: float | None
    tags: Mapping[str, str | None]
    params: Mapping[str, Any]
    metrics: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Series:
    """A metric of one run: all its numbers, in reading order, and their steps if all have one."""

    name: str
    values: Sequence[float]
    steps: Sequence[int] | None = None

    @property
    def count(self) -> int:
        """How many points it has."""
        return len(self.values)

    @property
    def last(self) -> float:
        """The last value."""
        return self.values[-1]

    @property
    def low(self) -> float | None:
        """The least finite value."""
        return min(filter(math.isfinite, self.values), default=None)

    @property
    def high(self) -> float | None:
        """The greatest finite value."""
        return max(filter(math.isfinite, self.values), default=None)


@dataclass(frozen=True)
class RunView:
    """All that the card of one run shows.

    `others`: what the metrics without numbers are, by name; `pictures`: images as data URIs.
    """

    row: RunRow
    metrics: Sequence[Series] = ()
    description: str = ""
    error: str = ""
    note: str = ""
    log: str = ""
    log_name: str = ""
    others: Mapping[str, str] = field(default_factory=dict)
    pictures: Mapping[str, str] = field(default_factory=dict)

    def state(self, slices: int = 240) -> dict[str, Any]:
        """Return it as JSON for a browser: of each metric about twice `slices` points.

        What is not finite is a text there: NaN, Infinity or -Infinity.
        """
        row = self.row
        return {
            "experiment": row.experiment,
            "number": row.number,
            "id": row.run_id,
            "title": row.title,
            "status": row.status,
            "started": row.started.timestamp() if row.started else None,
            "ended": row.ended.timestamp() if row.ended else None,
            "seconds": row.seconds,
            "tags": dict(row.tags),
            "params": {key: _json(value) for key, value in row.params.items()},
            "description": self.description,
            "error": self.error,
            "note": self.note,
            "log": self.log,
            "log_name": self.log_name,
            "others": dict(self.others),
            "metrics": [_curve(series, slices) for series in self.metrics],
        }


def _curve(series: Series, slices: int) -> dict[str, Any]:
    kept = thinned(series.values, slices)
    return {
        "name": series.name,
        "count": series.count,
        "last": _json(series.last),
        "steps": [series.steps[i] if series.steps else i for i in kept],
        "values": [_json(series.values[i]) for i in kept],
    }


def _json(value: Any) -> Any:
    if isinstance(value, float) and not math.isfinite(value):
        return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
    return value if isinstance(value, bool | int | float) or value is None else str(value)
