"""`objrun children`: the runs below a run, as a tree with the best value of a metric."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer
from rich.text import Text
from rich.tree import Tree

from objrun import clock
from objrun.cli.find import find_run, shown_state
from objrun.cli.options import Csv, Json, RunName, StorageOptions, Url, one_format, open_workspace
from objrun.cli.output import new_console, print_csv, print_lines
from objrun.cli.run_table import RUN_FIELDS, run_document, seconds_of, title_of
from objrun.cli.style import short, span, status_text
from objrun.errors import ServiceException
from objrun.format.names import choices

if TYPE_CHECKING:
    from rich.console import Console

    from objrun.format.states import RunState
    from objrun.run import Run

_SMALL_IS_GOOD: Final = re.compile(
    r"loss|err|mse|mae|mape|perplexity|divergence|latency|time|seconds|cost", re.IGNORECASE
)

FIELDS: Final = (*RUN_FIELDS[:-1], "metric", "best", "last", "tags")


@dataclass(frozen=True)
class Scores:
    """A metric of some runs: best and last value by run id; `best` is its `min` or `max`."""

    metric: str
    goal: str
    best: Mapping[str, float | None]
    last: Mapping[str, float | None]

    @property
    def winner(self) -> str | None:
        """The run with the best value; None where no run has one.

        >>> Scores("loss", "min", {"a": 2.0, "b": 1.0, "c": float("nan")}, {}).winner
        'b'
        """
        known = {run: v for run, v in self.best.items() if v is not None and not math.isnan(v)}
        choose = min if self.goal == "min" else max
        return choose(known, key=known.__getitem__) if known else None


def goal_of(metric: str) -> str:
    """Return whether the best of a metric is its "min" or its "max", judged by the name.

    >>> goal_of("val/loss"), goal_of("accuracy")
    ('min', 'max')
    """
    return "min" if _SMALL_IS_GOOD.search(metric) else "max"


def children(
    run: RunName,
    recursive: Annotated[
        bool, typer.Option("--recursive", "-r", help="All descendants, not only children.")
    ] = False,
    metric: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="The metric to compare by; without, the one that most of the runs have.",
            show_default=False,
        ),
    ] = None,
    best: Annotated[
        str | None,
        typer.Option(
            metavar="min|max",
            help="Which value of it is best; without, its name decides: losses and errors are "
            "best when small.",
            show_default=False,
        ),
    ] = None,
    as_json: Json = False,
    as_csv: Csv = False,
    url: Url = None,
    option: StorageOptions = None,
) -> None:
    """Show the children of a run as a tree, each with its status and its best value."""
    one_format(as_json=as_json, as_csv=as_csv)
    if best not in (None, "min", "max"):
        message = "is min or max"
        raise typer.BadParameter(message, param_hint="--best")
    found = find_run(open_workspace(url, option), run)
    family = Family.of(found, depth=None if recursive else 1)
    shown = list(family.states.values())
    scores = _scores(found, {*family.states}, metric, best)
    if as_json:
        print_lines(_documents(shown, scores))
    elif as_csv:
        print_csv(FIELDS, _csv_rows(shown, scores))
    else:
        print_tree(new_console(), shown_state(found), family, scores)


@dataclass(frozen=True)
class Family:
    """The runs below a run: those that are shown, parents first, and how many are not.

    `hidden` counts the runs below one that is shown and whose own are not.
    """

    states: Mapping[str, RunState]
    hidden: Mapping[str, int]

    @classmethod
    def of(cls, top: Run, depth: int | None) -> Family:
        """Return the runs below `top`, siblings from the oldest on, shown down to `depth`."""
        from objrun.query import runs
        from objrun.runs.lists import descendant_rows

        rows = descendant_rows(top.experiment, top.state).sort("number")
        below: dict[str, list[int]] = {}
        for place, parent in enumerate(rows["parent_run_id"]):
            below.setdefault(parent, []).append(place)
        ids = rows["run_id"].to_list()

        def walk(run_id: str, depth: int | None) -> Iterator[tuple[int, int]]:
            waiting = [(place, 1) for place in reversed(below.get(run_id, []))]
            while waiting:
                place, level = waiting.pop()
                yield place, level
                if depth is None or level < depth:
                    more = reversed(below.get(ids[place], []))
                    waiting += [(child, level + 1) for child in more]

        shown = [*walk(top.id, depth)]
        states = map(runs.shown_state, rows[[place for place, _ in shown]].iter_rows(named=True))
        cut = [ids[place] for place, level in shown if level == depth]
        return cls(
            {state.run_id: state for state in states},
            {run_id: sum(1 for _ in walk(run_id, None)) for run_id in cut},
        )


def _scores(run: Run, ids: set[str], metric: str | None, goal: str | None) -> Scores | None:
    """Return the values to compare by; None where no run has a metric of numbers."""
    import polars as pl

    from objrun.query.metrics import summary_frame

    points = run.metrics(recursive=True).filter(pl.col("run_id").is_in(ids)).collect()
    rows = summary_frame(points)
    names = Counter(rows["name"].to_list())
    if metric is not None and metric not in names:
        told = f"the family of run {run.id} has no metric {metric!r} of numbers"
        message = f"{told}: {choices(metric, names)}"
        raise ServiceException(message)
    if not names:
        return None
    chosen = metric if metric is not None else names.most_common(1)[0][0]
    wanted = goal or goal_of(chosen)
    of_it = rows.filter(pl.col("name") == chosen)
    return Scores(
        chosen,
        wanted,
        dict(of_it.select("run_id", wanted).rows()),
        dict(of_it.select("run_id", "last").rows()),
    )


def print_tree(
    console: Console,
    top: RunState,
    family: Family,
    scores: Scores | None,
) -> None:
    """Print the runs below `top`; of those that are not shown only their number."""
    head = Text.assemble((f"{top.experiment}/{top.number}", "bold"), "  ", _line(top, scores))
    tree = Tree(head, guide_style="dim")
    branches = {top.run_id: tree}
    shown = family.states.values()
    room = max((len(title_of(state)) for state in shown), default=0)
    for state in shown:
        line = Text.assemble((f"#{state.number}", "bold"), " ", _line(state, scores, room))
        if below := family.hidden.get(state.run_id):
            line.append(f"  and {below} below: --recursive", style="dim")
        line.no_wrap, line.overflow = True, "ellipsis"
        branches[state.run_id] = branches[state.parent_run_id or ""].add(line)
    with console.capture() as captured:
        console.print(tree)
    console.file.write("".join(f"{line.rstrip()}\n" for line in captured.get().splitlines()))
    if not shown:
        console.print("no children", style="dim")


def _line(state: RunState, scores: Scores | None, room: int = 0) -> Text:
    line = Text(f"{title_of(state):<{min(room, 32)}}  ")
    line.append_text(status_text(state.status))
    line.append(f"  {span(seconds_of(state, clock.now()))}", style="dim")
    if scores and state.run_id in scores.best:
        best = state.run_id == scores.winner
        told = f"{scores.metric} {scores.goal} {short(scores.best[state.run_id])}"
        line.append(f"  {told}", style="bold green" if best else "")
        line.append("  best" if best else "", style="bold green")
    return line


def _documents(states: Sequence[RunState], scores: Scores | None) -> Iterator[dict[str, Any]]:
    for state in states:
        yield {**run_document(state), "score": _score(state, scores)}


def _score(state: RunState, scores: Scores | None) -> dict[str, Any] | None:
    if scores is None or state.run_id not in scores.best:
        return None
    return {
        "metric": scores.metric,
        "goal": scores.goal,
        "best": scores.best[state.run_id],
        "last": scores.last[state.run_id],
        "winner": state.run_id == scores.winner,
    }


def _csv_rows(states: Sequence[RunState], scores: Scores | None) -> Iterator[list[Any]]:
    for state in states:
        known = {**run_document(state), "name": state.display_name or state.name}
        known |= _score(state, scores) or {}
        yield [known.get(field) for field in FIELDS]
