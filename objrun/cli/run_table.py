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
from objrun.cli.style import age, one_line, short, span, status_text, tag_text
from objrun.errors import ObjrunWarning, UserErrorException

if TYPE_CHECKING:
    import polars as pl

    from objrun.format.states import RunState
    from objrun.query.listing import Known
    from objrun.storage import Store

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
    """Which runs are asked for: `passes` is over the columns of the table of runs.

    `columns` None: choose them; may hold `*` as in `params.*`.
    """

    experiments: Sequence[str]
    passes: pl.Expr
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


def find_runs(store: Store, known: Callable[[str], Known], query: Query) -> Listing:
    """Return the runs that a query asks for. Metrics are read only where a column needs them."""
    from objrun.query.listing import read_runs_frame, summaries_of, where_true
    from objrun.query.runs import rows_at, runs_frame, shown_state

    rows = read_runs_frame(store, {name: known(name) for name in query.experiments})
    rows = rows.filter(query.passes)
    where = query.where
    roots = [] if where is None else where.meta.root_names()
    _check_names(store, rows, [*roots, *(query.columns or ())])
    found = where_true(store, rows, where)
    if where is not None and not len(found):
        _tell_unknown(store, rows, roots)
    kept = rows_at(rows, found.head(query.limit) if query.limit else found)
    states = [shown_state(row) for row in kept.iter_rows(named=True)]
    asked = query.columns
    needs_metrics = asked is None or any(map(_is_metric, asked))
    summaries = summaries_of(store, kept if needs_metrics else kept.clear())
    there = _names(kept, summaries)
    names = _common(there, states) if asked is None else expanded(asked, there)
    full = runs_frame(kept, names, summaries)
    cells = {name: _cells(name, states, full) for name in names}
    for name in cells if asked and states else ():
        if "." in name and all(cell is None for cell in cells[name]):
            _warn(f"none of these runs has {name}", _meant(store, rows, name))
    return Listing(states, cells, asked is None, len(found))


def _check_names(store: Store, rows: pl.DataFrame, names: Sequence[str]) -> None:
    """Raise UserErrorException for a name that no column can have and that is like another one."""
    for name in names:
        if not is_column(name) and (meant := _meant(store, rows, name)):
            message = f"there is no column {name!r}; perhaps {meant}"
            raise UserErrorException(message)


def _meant(store: Store, rows: pl.DataFrame, name: str) -> str:
    from objrun.query.listing import summaries_of
    from objrun.query.runs import SCHEMA

    meant = near(name, [*SCHEMA, *_names(rows, summaries_of(store, rows))])
    plain = all(re.fullmatch(r"[\w.]+", column) for column in meant)
    return " or ".join(meant) + ("" if plain else ", in a condition in double quotes")


def _tell_unknown(store: Store, rows: pl.DataFrame, names: Sequence[str]) -> None:
    """Warn of columns that no run has, where a condition was true for none: perhaps a typing error.

    That other runs will have them is why they are no error.
    """
    from objrun.query.listing import frame_of

    frame = frame_of(store, rows, names)
    for name in dict.fromkeys(names):
        if "." in name and frame[name].null_count() == frame.height > 0:
            _warn(f"no run has {name}", _meant(store, rows, name))


def _warn(told: str, meant: str) -> None:
    warnings.warn(told + (f"; perhaps {meant}" if meant else ""), ObjrunWarning, stacklevel=3)


def _names(rows: pl.DataFrame, summaries: pl.DataFrame) -> dict[str, int]:
    """Return every column by name that there is, with the number of runs that have it."""
    from objrun.query.named import keys_of

    found = Counter(f"metrics.{name}.last" for name in summaries["name"])
    for part in PARTS:
        found.update({f"{part}.{key}": count for key, count in keys_of(rows, part).items()})
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
    titles = {name: one_line(_short(name) if terminal else name) for name in names}
    twice = {title for title, count in Counter(titles.values()).items() if count > 1}
    columns = []
    for name in names:
        values = listing.columns[name]
        right = all(v is None or isinstance(v, int | float) for v in values)
        shown = [Text(short(v, 4), style="bold" if _is_metric(name) else "") for v in values]
        columns.append(
            Column(
                one_line(name) if titles[name] in twice else titles[name],
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
