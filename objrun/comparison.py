"""Runs side by side: what was different, and what came of it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from objrun.errors import UserErrorException

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    import polars as pl
    from matplotlib.figure import Figure

    from objrun.cards.model import RunRow
    from objrun.run import Run


@dataclass(frozen=True, repr=False)
class Comparison:
    """Runs in the order given, with what they logged last; a notebook shows it as a table.

    `frame` has a row for each run; `same` holds the parameters that all of them share.
    """

    runs: Sequence[Run]
    rows: Sequence[RunRow]

    @property
    def same(self) -> Mapping[str, Any]:
        """The parameters that all runs have with the same value."""
        first = self.rows[0].params
        others = self.rows[1:]
        return {
            key: value
            for key, value in first.items()
            if all(key in row.params and str(row.params[key]) == str(value) for row in others)
        }

    @property
    def frame(self) -> pl.DataFrame:
        """A row for each run: who it is, parameters that differ, last values of metrics.

        Columns: experiment, number, run_id, name, status, seconds, `params.<key>` (as text where
        types differ) and `metrics.<name>.last`; null where a run has none.
        """
        import polars as pl

        same = self.same
        keys = dict.fromkeys(key for row in self.rows for key in row.params if key not in same)
        metrics = dict.fromkeys(name for row in self.rows for name in row.metrics)
        columns: dict[str, list[Any]] = {
            "experiment": [row.experiment for row in self.rows],
            "number": [row.number for row in self.rows],
            "run_id": [row.run_id for row in self.rows],
            "name": [row.title for row in self.rows],
            "status": [row.status for row in self.rows],
            "seconds": [row.seconds for row in self.rows],
        }
        columns |= {
            f"params.{key}": _alike([row.params.get(key) for row in self.rows]) for key in keys
        }
        columns |= {
            f"metrics.{name}.last": [row.metrics.get(name) for row in self.rows] for name in metrics
        }
        return pl.DataFrame(columns, strict=False)

    def plot(self, *, smoothing: float = 0, over: Any = "step") -> Figure:
        """Draw the metrics with numbers that the runs have, a panel each, all runs in each.

        Arguments and errors are as in `Run.plot`; one reading of its points for each run.
        """
        from objrun import plots
        from objrun.display.plotting import CURVES, curve, load_plots

        load_plots()
        panels: dict[str, dict[int, plots.Curve]] = {}
        labels = [f"{row.number} {row.title}".strip() for row in self.rows]
        for place, (run, label) in enumerate(zip(self.runs, labels, strict=True)):
            for part in run.metrics().collect().partition_by("name", maintain_order=True):
                if {*part["kind"]} <= {*CURVES}:
                    line = curve(part, label, over)
                    if len(line.y):
                        panels.setdefault(part["name"][0], {})[place] = line
        # A run without a metric has its place there all the same: places are colours.
        drawn = [
            (name, [lines.get(i, plots.Curve.of(label, [])) for i, label in enumerate(labels)])
            for name, lines in panels.items()
        ]
        return plots.grid(drawn, smoothing=smoothing)

    def _repr_html_(self) -> str:
        """Show a table in a notebook."""
        from objrun.cards.markup import card, chips, element
        from objrun.cards.pages import runs_table

        same = self.same
        shared = element("h4", "the same in all") + chips(same) if same else ""
        return card(runs_table(self.rows, len(self.rows)), shared)

    def __repr__(self) -> str:
        """Show the frame."""
        return repr(self.frame)


def compare(runs: Iterable[Run]) -> Comparison:
    """Compare runs, also of several experiments of one workspace.

    Raises UserErrorException without runs. One reading of the summaries of each experiment.

    >>> from objrun import Experiment, compare
    >>> other = Experiment(ws, "digits").start_logging()
    >>> other.log_params({"lr": 0.2, "layers": 3})
    >>> found = compare([run, other])
    >>> found.frame["params.lr"].to_list(), found.same
    ([0.1, 0.2], {'layers': 3})
    """
    from objrun.display.showing import last_values, row_of

    chosen = [*runs]
    if not chosen:
        raise UserErrorException("runs: there is nothing to compare")
    for run in chosen:
        run.flush()
    states = [replace(run.state, status=run.status) for run in chosen]
    last, _ = last_values(chosen[0].experiment.workspace, states, None)
    return Comparison(chosen, [row_of(state, last.get(state.run_id, {})) for state in states])


def _alike(values: list[Any]) -> list[Any]:
    """Return values of one type: as texts where they are of several."""
    kinds = {type(value) for value in values if value is not None}
    if len(kinds) <= 1 or kinds == {int, float}:
        return values
    return [None if value is None else str(value) for value in values]
