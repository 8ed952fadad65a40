"""Which runs are listed, and with which columns; how they look as a table, as JSON and as CSV."""

from __future__ import annotations

import re
import warnings
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

from rich.text import Text

from objrun.cli.layout import Column
from objrun.cli.names import PARTS, expanded, is_column, near
from objrun.cli.remember import SegmentsOf
from objrun.cli.style import age, one_line, short, span, status_text, tag_text
from objrun.errors import ObjrunWarning, UserErrorException

if TYPE_CHECKING:
    import polars as pl

    from objrun.format.states import RunState, Version
    from objrun.storage import Store

    Known = Callable[[str], dict[str, Version[RunState]]]

AUTO: Final = 12
"""Columns that are chosen at most where none are asked for."""

SHORT_ID: Final = 8
"""Characters of an id at a terminal; every command takes them for the whole id."""

RUN_FIELDS: Final = (
    "experiment",
    "number",
    "id",
    "name",
    "type",
    "status",
    "started",
    "ended",
    "duration",
    "parent",
    "tags",
)
"""Columns of CSV in front of those asked for; `duration` in seconds."""


@dataclass(frozen=True)
class Query:
    """Which runs are asked for. `columns` None: choose them; may hold `*` as in `params.*`."""

    experiments: Sequence[str]
    passes: Callable[[RunState], bool]
    where: pl.Expr | None = None
    columns: Sequence[str] | None = None
    limit: int | None = None


@dataclass(frozen=True)
class Listing:
    """The runs found, newest first, and columns by name; `total` counts them before the limit."""

    states: Sequence[RunState]
    columns: Mapping[str, Sequence[Any]]
    chosen: bool
    total: int


def find_runs(store: Store, known: Known, query: Query) -> Listing:
    """Return the runs that a query asks for. Metrics are read only where a column needs them."""
    from objrun.query.listing import filtered, live_runs
    from objrun.query.runs import runs_frame, with_columns

    versions = [
        version
        for name in query.experiments
        for version in live_runs(store, name, known(name), query.passes)
    ]
    where = query.where
    roots = [] if where is None else where.meta.root_names()
    _check_names(store, versions, [*roots, *(query.columns or ())])
    frame = runs_frame(versions) if where is None else filtered(store, versions, where)
    if where is not None and not frame.height:
        _tell_unknown(store, versions, roots)
    kept = frame.head(query.limit) if query.limit else frame
    of_id = {version.state.run_id: version for version in versions if version.state}
    shown = [of_id[run_id] for run_id in kept["run_id"]]
    states = [version.state for version in shown if version.state]
    asked = query.columns
    needs_metrics = asked is None or any(map(_is_metric, asked))
    summaries = _summaries(store, states if needs_metrics else [])
    there = _names(states, summaries["name"].to_list())
    names = _common(there, states) if asked is None else expanded(asked, there)
    full = with_columns(runs_frame(shown), names, shown, summaries)
    cells = {name: _cells(name, states, full) for name in names}
    return Listing(states, cells, asked is None, frame.height)


def _check_names(store: Store, versions: Sequence[Version[RunState]], names: Sequence[str]) -> None:
    """Raise UserErrorException for a name that no column can have and that is like another one."""
    for name in names:
        if not is_column(name) and (meant := _meant(store, versions, name)):
            message = f"there is no column {name!r}; perhaps {meant}"
            raise UserErrorException(message)


def _meant(store: Store, versions: Sequence[Version[RunState]], name: str) -> str:
    from objrun.query.runs import SCHEMA

    states = [version.state for version in versions if version.state]
    there = _names(states, _summaries(store, states)["name"].to_list())
    meant = near(name, [*SCHEMA, *there])
    plain = all(re.fullmatch(r"[\w.]+", column) for column in meant)
    return " or ".join(meant) + ("" if plain else ", in a condition in double quotes")


def _tell_unknown(
    store: Store, versions: Sequence[Version[RunState]], names: Sequence[str]
) -> None:
    """Warn of columns that no run has, where a condition was true for none: perhaps a typing error.

    That other runs will have them is why they are no error.
    """
    from objrun.query.listing import frame_of

    frame = frame_of(store, versions, names)
    for name in dict.fromkeys(names):
        if "." in name and frame[name].null_count() == frame.height > 0:
            meant = _meant(store, versions, name)
            told = f"no run has {name}" + (f"; perhaps {meant}" if meant else "")
            warnings.warn(told, ObjrunWarning, stacklevel=2)


def _summaries(store: Store, states: Sequence[RunState]) -> pl.DataFrame:
    from objrun.protocol.live import read_shards
    from objrun.query.metrics import leave_out, metrics_frame, summary_frame

    wanted = {state.run_id for state in states}
    experiments = sorted({state.experiment for state in states})
    some = SegmentsOf(store, wanted)
    shards = (shard for name in experiments for shard in read_shards(some, name))
    return summary_frame(metrics_frame(shards, leave_out))


def _names(states: Sequence[RunState], metrics: Iterable[str]) -> dict[str, int]:
    """Return every column by name that there is, with the number of runs that have it."""
    found = Counter(f"metrics.{name}.last" for name in metrics)
    for part in PARTS:
        found.update(f"{part}.{key}" for state in states for key in getattr(state, part))
    return dict(found)


def _common(there: Mapping[str, int], states: Sequence[RunState]) -> list[str]:
    """Return the columns that most runs have, a metric and a parameter by turns.

    Parameters that are the same in all runs tell nothing apart and come last.
    """
    values: dict[str, set[str]] = {}
    for state in states:
        for key, value in state.params.items():
            values.setdefault(f"params.{key}", set()).add(repr(value))

    def most(part: str) -> list[str]:
        names = [name for name in there if name.startswith(part)]
        names.sort(key=lambda name: (len(values.get(name, ())) == 1, -there[name]))
        return names[: AUTO // 2]

    metrics, params = most("metrics."), most("params.")
    both = [name for pair in zip(metrics, params, strict=False) for name in pair]
    return both + metrics[len(params) :] + params[len(metrics) :]


def _cells(name: str, states: Sequence[RunState], frame: pl.DataFrame) -> list[Any]:
    """Return a column; what stands in the states comes from there, where types are exact."""
    part, _, key = name.partition(".")
    if part in PARTS and key:
        return [getattr(state, part).get(key) for state in states]
    return frame[name].to_list()


def seconds_of(state: RunState, now: datetime | None = None) -> float | None:
    """Return how long a run took, or has taken up to `now`."""
    end = state.ended or now
    return (end - state.started).total_seconds() if state.started and end else None


def title_of(state: RunState) -> str:
    """Return the name that people read."""
    return one_line(state.display_name or state.name or "")


def run_document(state: RunState) -> dict[str, Any]:
    """Return all that is known of a run, for JSON; times stay datetimes."""
    return {
        "experiment": state.experiment,
        "number": state.number,
        "id": state.run_id,
        "name": state.name,
        "display_name": state.display_name,
        "description": state.description,
        "type": state.type,
        "status": state.status,
        "parent": state.parent_run_id,
        "root": state.root_run_id,
        "created": state.created,
        "started": state.started,
        "ended": state.ended,
        "duration": seconds_of(state),
        "error": dict(state.error) if state.error else None,
        "tags": dict(state.tags),
        "params": dict(state.params),
        "properties": dict(state.properties),
    }


def run_documents(listing: Listing) -> Iterable[dict[str, Any]]:
    """Yield a document a run, with the columns that were asked for."""
    columns = {} if listing.chosen else listing.columns
    for i, state in enumerate(listing.states):
        yield {**run_document(state), **{name: cells[i] for name, cells in columns.items()}}


def run_rows(listing: Listing) -> Iterable[list[Any]]:
    """Yield a row a run: RUN_FIELDS, then the columns of the listing."""
    for i, state in enumerate(listing.states):
        known = {**run_document(state), "name": state.display_name or state.name}
        yield [*(known[field] for field in RUN_FIELDS), *(c[i] for c in listing.columns.values())]


def run_columns(listing: Listing, now: datetime, *, terminal: bool) -> list[Column]:
    """Return the columns of a table of runs."""
    states = listing.states
    named = {state.experiment for state in states}
    where = [Column("experiment", [s.experiment for s in states], most=20, least=8)]
    # Whoever names columns wants those first.
    late = 1 if listing.chosen else AUTO
    ids = [s.run_id[:SHORT_ID] if terminal else s.run_id for s in states]
    return [
        *(where if len(named) > 1 else []),
        Column("#", [str(s.number) for s in states], right=True, least=12),
        Column("name", [title_of(s) for s in states], most=28, least=8),
        Column("id", ids, least=SHORT_ID),
        Column("status", [status_text(s.status) for s in states], least=9, most=15),
        Column(
            "started",
            [age(s.started or s.created, now) for s in states],
            rank=late,
        ),
        Column("took", [span(seconds_of(s, now)) for s in states], right=True, rank=late + 1),
        *(_tags(states) if listing.chosen else []),
        *_by_name(listing, terminal=terminal),
    ]


def _tags(states: Sequence[RunState]) -> list[Column]:
    cells = [tag_text(state.tags) for state in states]
    return [Column("tags", cells, most=14, rank=3)] if any(cells) else []


def _by_name(listing: Listing, *, terminal: bool) -> list[Column]:
    """Return the columns by name: parameters before metrics where they were chosen."""
    ranks = {name: rank for rank, name in enumerate(listing.columns, start=4)}
    names = sorted(ranks, key=_is_metric) if listing.chosen else list(ranks)
    titles = {name: _short(name) if terminal else name for name in names}
    twice = {title for title, count in Counter(titles.values()).items() if count > 1}
    columns = []
    for name in names:
        values = listing.columns[name]
        right = all(v is None or isinstance(v, int | float) for v in values)
        shown = [Text(short(v, 4), style="bold" if _is_metric(name) else "") for v in values]
        columns.append(
            Column(
                name if titles[name] in twice else titles[name],
                shown,
                right=right,
                least=10 if right else 6,
                most=16,
                rank=ranks[name] if listing.chosen and terminal else 0,
            )
        )
    return columns


def _is_metric(name: str) -> bool:
    return name.startswith("metrics.")


def _short(name: str) -> str:
    """Return the title of a column at a terminal.

    >>> _short("params.lr"), _short("metrics.loss.last"), _short("metrics.loss.min")
    ('lr', 'loss', 'loss min')
    """
    part, _, rest = name.partition(".")
    if part != "metrics":
        return rest or name
    metric, _, what = rest.rpartition(".")
    return metric if what == "last" else f"{metric} {what}"
