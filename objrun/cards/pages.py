"""Cards of a run, of a list of runs, of an experiment and of a workspace, made of plain values."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from objrun.cards.markup import Markup, badge, card, chips, element, table, text
from objrun.cards.sparkline import sparkline
from objrun.cards.texts import duration_text, moment_text

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from objrun.cards.model import RunRow, RunView

METRICS: Final = 30
"""Metrics that the card of a run shows."""

COLUMNS: Final = 5
"""Parameters, and metrics, that a table of runs has columns for."""


def run_card(run: RunView) -> str:
    """Return the card of one run: status, times, parameters, metrics with their lines, tags."""
    row = run.row
    pieces = [
        element("h3", f"{row.experiment} / {row.number}  {row.title}", most=100),
        _line(badge(row.status), _times(row)),
        _line(element("span", f"id {row.run_id}", "muted", most=140)),
        element("div", run.error, "error", most=600) if run.error else "",
        _line(chips(row.tags)) if row.tags else "",
        _line(element("span", run.description, most=300)) if run.description else "",
    ]
    if row.params:
        pieces += [element("h4", "params"), chips(row.params, most=60)]
    if run.metrics:
        pieces += [element("h4", "metrics"), _metrics(run)]
    if run.others:
        pieces += [element("h4", "other metrics"), chips(run.others, most=60)]
    if run.pictures:
        pieces.append(_pictures(run.pictures))
    if run.note:
        pieces.append(_line(element("span", run.note, "muted", most=300)))
    if run.log:
        pieces += [element("h4", run.log_name), Markup(f"<pre>{_lines(run.log)}</pre>")]
    return card(*pieces)


def _line(*pieces: str) -> str:
    return f"<div>{''.join(pieces)}</div>"


def _lines(log: str) -> str:
    return "\n".join(text(line, 400) for line in log.splitlines())


def _times(row: RunRow) -> Markup:
    took = duration_text(row.seconds)
    how = "after" if row.ended else "for"
    started = f"started {moment_text(row.started)} UTC" if row.started else "never started"
    told = [f"{how} {took}"] if took else []
    if row.started or row.ended:
        told.append(started)
    return element("span", " · ".join(told), "muted")


def _pictures(pictures: Mapping[str, str]) -> Markup:
    shown = (
        f'<figure><img src="{text(source, len(source))}" alt=""/>'
        f"{element('figcaption', name, 'muted', 24)}</figure>"
        for name, source in pictures.items()
    )
    return Markup(f'<div class="pictures">{"".join(shown)}</div>')


def _metrics(run: RunView) -> Markup:
    rows = [
        (m.name, m.last, Markup(sparkline(m.values)), m.low, m.high, m.count)
        for m in run.metrics[:METRICS]
    ]
    shown = table(("", "last", "", "min", "max", "points"), rows)
    left = len(run.metrics) - METRICS
    more = _line(element("span", f"and {left} more metrics", "muted")) if left > 0 else ""
    return Markup(shown + more)


def runs_table(rows: Sequence[RunRow], total: int, note: str = "") -> str:
    """Return a table of the first runs, how many there are of all, and a note.

    Parameters that differ have a column, and metrics that most runs have.
    """
    if not rows:
        return _line(element("span", "no runs", "muted"))
    params = _columns([row.params for row in rows], differing=True)
    metrics = _columns([row.metrics for row in rows])
    several = len({row.experiment for row in rows}) > 1
    titles = [
        *(["experiment"] if several else []),
        "#",
        "id",
        "name",
        "status",
        "started (UTC)",
        "took",
    ]
    body = [
        (
            *([row.experiment] if several else []),
            row.number,
            Markup(f'<span title="{text(row.run_id, 300)}">{text(row.run_id[:8])}</span>'),
            row.title,
            badge(row.status),
            moment_text(row.started),
            duration_text(row.seconds),
            *(row.params.get(name) for name in params),
            *(row.metrics.get(name) for name in metrics),
            chips(row.tags, most=4),
        )
        for row in rows
    ]
    notes = [f"{len(rows)} of {total:,} runs"] if total > len(rows) else []
    told = "; ".join([*notes, *([note] if note else [])])
    foot = _line(element("span", told, "muted", most=300)) if told else ""
    return table([*titles, *params, *metrics, "tags"], body) + foot


def _columns(dicts: Sequence[Mapping[str, Any]], *, differing: bool = False) -> list[str]:
    """Return the keys worth a column, most often there first; `differing`: only those that differ.

    Where nothing differs, or there is but one dict, all are as good.
    """
    values: dict[str, list[Any]] = {}
    for items in dicts:
        for key, value in items.items():
            values.setdefault(key, []).append(value)

    chosen = [
        key
        for key, there in values.items()
        if len({*map(str, there)}) > 1 or len(there) < len(dicts) or not differing
    ]
    return sorted(chosen or values, key=lambda key: -len(values[key]))[:COLUMNS]


def counts_line(counts: Mapping[str, int]) -> str:
    """Return how many runs have which status, a badge each."""
    return _line(*(badge(status, f"{count:,} {status}") for status, count in counts.items()))
