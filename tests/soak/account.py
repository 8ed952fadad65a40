"""Is everything there that was acknowledged, once, and nothing that nobody tried?"""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from objrun.tables.verify.store import verify

if TYPE_CHECKING:
    from pathlib import Path

    from objrun import Workspace


@dataclass
class Told:
    """What the processes wrote down."""

    tried: set[str] = field(default_factory=set)
    runs: set[str] = field(default_factory=set)
    ended: set[str] = field(default_factory=set)
    tags: dict[tuple[str, str], str] = field(default_factory=dict)
    tried_tags: dict[tuple[str, str], str] = field(default_factory=dict)
    points: Counter[tuple[str, str]] = field(default_factory=Counter)
    doomed: set[str] = field(default_factory=set)
    deleted: set[str] = field(default_factory=set)
    wrong: list[str] = field(default_factory=list)
    done: Counter[str] = field(default_factory=Counter)
    """How often, or how many: purged, compacted, vacuumed, read."""

    def hear(self, what: str, *about: Any) -> None:
        """Take in one line."""
        sets = {
            "try run": self.tried,
            "run": self.runs,
            "end": self.ended,
            "try doomed": self.doomed,
            "deleted": self.deleted,
        }
        if what in sets:
            sets[what].add(about[0])
        elif what in {"tag", "try tag"}:
            (self.tags if what == "tag" else self.tried_tags)[about[0], about[1]] = about[2]
        elif what == "points":
            self.points[about[0], about[1]] = max(self.points[about[0], about[1]], about[2])
        elif what == "wrong":
            self.wrong.append(about[0])
        else:
            self.done[what] += 1
            self.done[f"{what} in all"] += about[0]


def told_in(folder: Path) -> Told:
    """Read the journals."""
    told = Told()
    for journal in sorted((folder / "journal").iterdir()):
        for line in journal.read_text().splitlines():
            told.hear(*json.loads(line))
    return told


def losses(workspace: Workspace, told: Told, *, has_spools: bool) -> list[str]:
    """Return all that is not as it was told; empty is what is hoped for.

    Runs that began in a spool may have a number that another run got meanwhile.
    """
    found = list(told.wrong)
    frame = workspace.runs().collect()
    there = set(frame["run_id"])
    found += [f"run {run_id} is lost" for run_id in told.runs - there]
    found += [f"run {run_id} is nobody's" for run_id in there - told.tried - told.doomed]
    found += [f"run {run_id} was purged" for run_id in there & told.deleted]
    if frame["run_id"].n_unique() < frame.height:
        found.append("ids of runs are not unique")
    if frame["number"].n_unique() < frame.height and not has_spools:
        found.append("numbers of runs are not unique")
    completed = set(frame.filter(status="Completed")["run_id"])
    found += [f"run {run_id} was completed" for run_id in told.ended - completed]
    found += _tags(frame.select("run_id", "tags").iter_rows(), told)
    found += _points(workspace, told, there)
    return found + [
        f"verify: {each.severity} {each.key}: {each.message}"
        for each in verify(workspace.reading(), None, deep=True, tell=lambda _: None)
        if not (each.code == "number_taken" and has_spools)
    ]


def _tags(rows: Any, told: Told) -> list[str]:
    there = {(run_id, tag["key"]): tag["value"] for run_id, tags in rows for tag in tags}
    lost = [f"tag {key} is lost" for key, value in told.tags.items() if there.get(key) != value]
    tried = {**told.tried_tags, **told.tags}
    return lost + [
        f"tag {key} is {value}"
        for key, value in there.items()
        if key[1] != "n" and tried.get(key) != value
    ]


def _points(workspace: Workspace, told: Told, there: set[str]) -> list[str]:
    import polars as pl

    points = workspace.metrics().collect()
    found: list[str] = []
    if points.select("run_id", "writer", "offset").is_duplicated().any():
        found.append("points are there twice")
    counts = points.group_by("run_id", "name").agg(
        count=pl.len(), distinct=pl.n_unique("value"), last=pl.max("value")
    )
    stored: dict[tuple[str, str], int] = {}
    for run_id, name, count, distinct, last in counts.iter_rows():
        stored[run_id, name] = count
        if run_id not in there:
            found.append(f"points of {run_id}, which is not there")
        if name != "y" and not count == distinct == last + 1:
            found.append(f"points {name} of {run_id}: {count}, {distinct} values to {last}")
    return found + [
        f"points {name} of {run_id}: {stored.get((run_id, name), 0)} of {count}"
        for (run_id, name), count in told.points.items()
        if stored.get((run_id, name), 0) < count
    ]
