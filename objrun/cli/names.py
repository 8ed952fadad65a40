"""Columns of runs by name: those that a pattern names, and those that were perhaps meant."""

from __future__ import annotations

import difflib
import fnmatch
import re
from collections.abc import Iterable, Sequence
from typing import Final

PARTS: Final = ("params", "tags", "properties")
"""What columns by name are of, beside `metrics`."""

_MOST: Final = 3


def expanded(asked: Iterable[str], there: Iterable[str]) -> list[str]:
    """Return the columns asked for, each once, where `*` stands for all that are `there`.

    >>> there = ["params.lr", "metrics.loss.last", "metrics.val.loss.last"]
    >>> expanded(["metrics.*.max", "status"], there)
    ['metrics.loss.max', 'metrics.val.loss.max', 'status']
    >>> expanded(["metrics.*"], there), expanded(["metrics.v*"], there)
    (['metrics.loss.last', 'metrics.val.loss.last'], ['metrics.val.loss.last'])
    """
    there = list(there)
    names: list[str] = []
    for name in asked:
        part, _, rest = name.partition(".")
        if "*" not in rest or part not in (*PARTS, "metrics"):
            names.append(name)
            continue
        # `metrics.*.max`: the pattern is of the name, the end is what is wanted of it.
        pattern, end = _without_end(rest, ".last") if part == "metrics" else (rest, "")
        for known in there:
            bare = known.removeprefix(f"{part}.").removesuffix(".last" if end else "")
            if known.startswith(f"{part}.") and fnmatch.fnmatchcase(bare, pattern):
                names.append(f"{part}.{bare}{end}")
    return list(dict.fromkeys(names))


def _without_end(name: str, default: str = "") -> tuple[str, str]:
    """Return the name of a metric, and `.max` or what else a column's name asks of it."""
    from objrun.query.metrics import SUMMARY

    found = re.fullmatch(rf"(.+)(\.(?:{'|'.join(SUMMARY)}))", name, re.DOTALL)
    return (found[1], found[2]) if found else (name, default)


def is_column(name: str) -> bool:
    """Return whether runs can have a column of this name, or columns that this pattern names.

    >>> is_column("status"), is_column("params.lr"), is_column("metrics.*")
    (True, True, True)
    >>> is_column("metrics.loss"), is_column("loss.*")
    (False, False)
    """
    from objrun.query.runs import SCHEMA

    part, _, rest = name.partition(".")
    return (
        name in SCHEMA
        or (part in PARTS and bool(rest))
        or (part == "metrics" and ("*" in rest or bool(_without_end(rest)[1])))
    )


def near(name: str, there: Sequence[str]) -> list[str]:
    """Return the columns that were perhaps meant, best first; metrics are `there` with `.last`.

    >>> there = ["params.lr", "metrics.accuracy.last", "run_id", "root_run_id", "status"]
    >>> near("accuracy", there), near("lr", there), near("id", there), near("nothing", there)
    (['metrics.accuracy.last'], ['params.lr'], ['run_id', 'root_run_id'], [])
    >>> near("metrics.acuracy.max", there), near("stats", there)
    (['metrics.accuracy.max'], ['status'])
    >>> near("metrics.lr.max", there)
    ['params.lr']
    """
    key, end = _key(name)
    known: dict[str, list[str]] = {}
    for column in there:
        bare, last = _key(column)
        meant = column.removesuffix(last) + end if last and end else column
        known.setdefault(bare, []).append(meant)
    close = difflib.get_close_matches(key, known, _MOST, 0.7)
    inside = [bare for bare in known if key in re.split(r"[\W_]+", bare)]
    found = [column for bare in [*close, *inside] for column in known[bare]]
    # What is called exactly so comes first, a column of the same part before all.
    found.sort(key=lambda c: (_key(c)[0] != key, c.partition(".")[0] != name.partition(".")[0]))
    return [column for column in dict.fromkeys(found) if column != name][:_MOST]


def _key(column: str) -> tuple[str, str]:
    """Return the last piece of a column's name, and what is asked of it where it is a metric."""
    part, dot, rest = column.partition(".")
    if part == "metrics" and rest:
        return _without_end(rest)
    return (rest, "") if dot and part in PARTS else (column, "")
