"""What can be asked of an experiment as a whole: frames of its runs and points, trees, the best."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from objrun.errors import RunNotFoundError, UserErrorException
from objrun.format.keys import experiment_folder
from objrun.format.names import check_key

if TYPE_CHECKING:
    from collections.abc import Sequence

    import polars as pl

    from objrun.experiment import Experiment
    from objrun.run import Run
    from objrun.workspace import Workspace


class Questions:
    """The part of `Experiment` that answers with frames."""

    workspace: Workspace
    name: str

    @property
    def portal_url(self) -> str:
        """Where the experiment is in its store; there is no portal."""
        return f"{self.workspace.url}/{experiment_folder(self.name)}".rstrip("/")

    def get_portal_url(self) -> str:
        """Return where the experiment is in its store; there is no portal."""
        return self.portal_url

    def runs(self, columns: Sequence[str] | str = ()) -> pl.LazyFrame:
        """Return all runs, children too, as a LazyFrame, newest first.

        Columns: `objrun.query.runs.SCHEMA`, and by name those asked for: `tags.<key>`,
        `params.<key>`, `properties.<key>`, `metrics.<name>.<last|min|max|mean|count|...>`.

        >>> from objrun import Experiment
        >>> Experiment(ws, "digits").runs(["tags.model"]).collect()["tags.model"].to_list()
        ['cnn']
        """
        from objrun.query.listing import all_runs

        known = {self.name: self.workspace.known_runs(self.name)}
        return all_runs(self.workspace.querying(), known, columns).lazy()

    def metrics(self) -> pl.LazyFrame:
        """Return the points of all runs as a LazyFrame, each metric in reading order.

        Columns: `objrun.query.metrics.SCHEMA`. Of compacted tables only what filters on `run_id`
        and `name` ask for is read, when the frame is collected: within an hour, since they may be
        removed after that. A damaged object is left out with a warning.

        >>> from objrun import Experiment
        >>> run.flush()
        >>> Experiment(ws, "digits").metrics().collect()["name"].to_list()
        ['accuracy']
        """
        from objrun.query.scan import scan_points

        return scan_points(self.workspace.querying(), self.name)

    def run_tree(self, columns: Sequence[str] | str = ()) -> pl.LazyFrame:
        """Return all runs as `runs` does, each followed by all below it, with a column `depth`.

        Runs at the top have depth 0; siblings come in order of their number.

        >>> from objrun import Experiment
        >>> child = run.child_run("fold")
        >>> Experiment(ws, "digits").run_tree().collect()["depth"].to_list()
        [0, 1]
        """
        from objrun.query.tree import in_tree_order

        return in_tree_order(self.runs(columns).collect()).lazy()

    def best(
        self,
        metric: str,
        mode: Literal["min", "max"] = "min",
        *,
        statistic: str | None = None,
        where: pl.Expr | None = None,
    ) -> Run:
        """Return the run that reached the least, or with `mode="max"` the greatest, value.

        `statistic` says what of each run's metric is compared (`last`, `mean`, ...), by default the
        least or greatest value it ever had. NaN is never the best; of equal runs the first started
        is. `where`: as in `Run.list`. Children count. Raises RunNotFoundError if no run has such a
        value.

        >>> from objrun import Experiment
        >>> run.flush()
        >>> Experiment(ws, "digits").best("accuracy", "max").number
        1
        """
        from objrun.query.listing import best_row, read_runs_frame
        from objrun.query.metrics import SUMMARY
        from objrun.runs.lists import RunList

        if mode not in ("min", "max"):
            message = f"mode is 'min' or 'max', not {mode!r}"
            raise UserErrorException(message)
        if statistic is not None and statistic not in SUMMARY:
            message = f"statistic {statistic!r} is none of {', '.join(SUMMARY)}"
            raise UserErrorException(message)
        store = self.workspace.querying()
        rows = read_runs_frame(store, {self.name: self.workspace.known_runs(self.name)})
        column = f"metrics.{check_key(metric, 'metric')}.{statistic or mode}"
        found = best_row(store, rows, column, where, greatest=mode == "max")
        if not len(found):
            message = f"no run of experiment {self.name!r} has a number {metric!r} to compare"
            raise RunNotFoundError(message)
        return RunList(self._experiment(), rows, found)[0]

    def _experiment(self) -> Experiment:
        """Return the experiment itself; `Experiment` is it."""
        raise NotImplementedError
