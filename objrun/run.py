"""A run: its identity, its life, its tags, parameters and properties, its children, its metrics."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

from objrun.display.plotting import RunPlots
from objrun.errors import RunNotFoundError, UnavailableError, UserErrorException
from objrun.format.names import check_run_id
from objrun.format.states import type_of
from objrun.protocol.blind import chain_on
from objrun.protocol.chain import Chain, follow
from objrun.protocol.live import run_scheme
from objrun.runs.finding import find_version
from objrun.runs.jobs import RunJobs
from objrun.runs.metrics import Address, RunMetrics
from objrun.runs.models import RunModels
from objrun.runs.outputs import Outputs, watch
from objrun.runs.source import RunSource
from objrun.runs.start import Start, children_tags
from objrun.values.conversion import to_text

if TYPE_CHECKING:
    import builtins
    from collections.abc import Callable, Iterable, Sequence

    import polars as pl

    from objrun.experiment import Experiment
    from objrun.format.checkpoints import Checkpoint
    from objrun.format.states import RunState, Version
    from objrun.query.filters import Filter
    from objrun.runs.lists import RunList
    from objrun.spool import Spool
    from objrun.workspace import Workspace

    Factory = Callable[..., "Run"]

T = TypeVar("T", bound="Run")

MAX_CHILDREN = 100
"""Children that one call of `create_children` makes at most."""


class Run(RunJobs, RunPlots, RunSource, RunModels):
    """One run of an experiment. `Experiment.start_logging()` makes one; `Run.get` finds one.

    `Run(experiment, run_id)` fetches a run of this experiment; RunNotFoundError if there is none.
    With a folder `outputs`, what is new there when this handle ends the run becomes files of it.
    As a context manager it completes at the end and fails on an exception, which propagates.

    >>> run.status
    'Running'
    """

    _factories: ClassVar[dict[str, Factory]] = {}

    def __init__(self, experiment: Experiment, run_id: str, outputs: str | None = None) -> None:
        """Fetch the last version of the run."""
        version = find_version(experiment.workspace, check_run_id(run_id))
        state = version.state
        if state is None or state.experiment != experiment.name:
            message = f"experiment {experiment.name!r} has no run {run_id!r}"
            raise RunNotFoundError(message)
        self._open(experiment, version)
        self.outputs = watch(outputs or False)

    @classmethod
    def of_version(
        cls, experiment: Experiment, version: Version[RunState], *, is_lost: bool = False
    ) -> Run:
        """Return the run that a version belongs to, made by the provider of its type if any.

        `is_lost`: it was seen to give no signs of life.
        """
        run = _opened(cls, experiment, version)
        run._lost = is_lost  # noqa: SLF001 - its own class
        return run._provided()  # noqa: SLF001 - its own class

    @classmethod
    def begun(
        cls,
        experiment: Experiment,
        version: Version[RunState],
        spool: Spool | None = None,
        outputs: Outputs | None = None,
    ) -> Run:
        """Return a run that this process begins, or goes on with, and so is to end.

        Where `spool` is given the run begins there. What is new in `outputs` at its end are files.
        """
        run = _opened(cls, experiment, version, spool)
        run.outputs = outputs
        run._begin()  # noqa: SLF001 - its own class
        return run._provided()  # noqa: SLF001 - its own class

    def _provided(self) -> Run:
        factory = self._factories.get(self.type) if self.type else None
        return factory(self._experiment, self) if factory else self

    def _open(
        self, experiment: Experiment, version: Version[RunState], spool: Spool | None = None
    ) -> None:
        state = version.state
        if state is None:
            raise TypeError
        self._experiment = experiment
        self._attempt = state.attempt
        address = Address(state.experiment, state.run_id, state.root_run_id)
        RunMetrics.__init__(
            self, self._questions, self._writable, self._find_refuge, self._home, address
        )
        scheme = run_scheme(state.experiment, state.run_id)
        self._spooled = spool is not None
        self._left = None
        self._lost = False
        self._seen = version.written
        if spool is None:
            self._chain = chain_on(experiment.workspace.store, scheme, version)
        else:
            store = spool.admit(state)
            # Its first version has another number there where it follows a tombstone at home.
            self._chain = Chain(store, scheme, follow(store, scheme, version))

    # -- who it is

    @property
    def id(self) -> str:
        """The id: given at start, else a random UUID."""
        return self._chain.state.run_id

    @property
    def number(self) -> int:
        """The number within the experiment, from 1: unique, and it never changes."""
        return self._chain.state.number

    @property
    def name(self) -> str | None:
        """The name given at start; of a child, `<name of the parent>><its own>`."""
        return self._chain.state.name

    @property
    def type(self) -> str | None:
        """The type: None for interactive runs."""
        return type_of(self._chain.state)

    @property
    def experiment(self) -> Experiment:
        """The experiment that this run belongs to."""
        return self._experiment

    @property
    def parent(self) -> Run | None:
        """The run that this is a child of, None at the top."""
        parent = self._chain.state.parent_run_id
        return Run(self._experiment, parent) if parent else None

    # -- finding runs

    @staticmethod
    def get(workspace: Workspace, run_id: str) -> Run:
        """Return the run with this id, of any experiment; RunNotFoundError if there is none.

        >>> Run.get(ws, run.id).number == run.number
        True
        """
        return find_run(Run, workspace, run_id)._provided()  # noqa: SLF001 - its own class

    @staticmethod
    def resume(workspace: Workspace, run_id: str, from_step: int | None = None) -> Run:
        """Go on with a run whose process ended, was preempted or got lost; it is Running again.

        Whatever the run was, its end and its error are forgotten, and what processes of before
        still say of its end is ignored, with a StatusWarning. With `from_step`, the first step that
        will be logged again, all that was logged from that step on is superseded, also what those
        processes may yet log: see `superseded()`. Points without a step stay.

        One process of a job passes `from_step`, before the others log; without it a run that is
        Running is only joined. Raises RunNotFoundError if there is none, UserErrorException for a
        step that is not an integer.

        >>> Run.resume(ws, run.id, from_step=100).status
        'Running'
        """
        from objrun.runs.resuming import resumed

        return resumed(workspace, run_id, from_step)

    @staticmethod
    def list(
        experiment: Experiment,
        type: str | None = None,
        tags: Filter = None,
        properties: Filter = None,
        status: str | None = None,
        include_children: bool = False,
        where: pl.Expr | None = None,
    ) -> RunList:
        """Return the runs of an experiment that pass all filters, newest first.

        `tags` and `properties`: a key that must be there, or a dict of key to value (None: the
        value is null). `where`: a polars expression over the columns of `Experiment.runs()`, also
        by name, such as `pl.col("metrics.loss.min") < 0.1`. Raises UserErrorException for filters
        of another type.

        >>> [r.number for r in Run.list(run.experiment, tags={"model": "cnn"})]
        [1]
        """
        import polars as pl

        from objrun.query.filters import run_filter
        from objrun.runs.lists import list_runs

        passes = run_filter(type=type, tags=tags, properties=properties, status=status)
        shown = pl.lit(value=True) if include_children else pl.col("parent_run_id").is_null()
        return list_runs(experiment, shown & passes, where)

    def get_children(
        self,
        recursive: bool = False,
        tags: Filter = None,
        properties: Filter = None,
        type: str | None = None,
        status: str | None = None,
        where: pl.Expr | None = None,
    ) -> RunList:
        """Return the children, or with `recursive` all descendants, that pass, newest first.

        >>> len(run.get_children())
        0
        """
        import polars as pl

        from objrun.query.filters import run_filter
        from objrun.runs.lists import list_descendants, list_runs

        passes = run_filter(type=type, tags=tags, properties=properties, status=status)
        if recursive:
            return list_descendants(self._experiment, self._chain.state, passes, where)
        return list_runs(self._experiment, (pl.col("parent_run_id") == self.id) & passes, where)

    def _descendants(self, run_type: str | None) -> tuple[builtins.list[str], Checkpoint | None]:
        from objrun.query.filters import run_filter
        from objrun.runs.lists import descendants_at

        rows, checkpoint = descendants_at(self._experiment, self._chain.state)
        return rows.filter(run_filter(type=run_type))["run_id"].to_list(), checkpoint

    @classmethod
    def add_type_provider(cls, runtype: str, run_factory: Factory) -> None:
        """Have runs of a type made by `run_factory(experiment, run)`; twice is a ValueError."""
        if runtype in cls._factories:
            message = f"run type {runtype!r} already has a provider"
            raise UserErrorException(message)
        cls._factories[runtype] = run_factory

    @staticmethod
    def get_context(allow_offline: bool = True, used_for_context_manager: bool = False) -> Any:
        """Return the run that this process was started for, else an offline run that prints.

        A launcher sets `OBJRUN_RUN_ID` and `OBJRUN_URL`. Raises RunEnvironmentException where
        they are not set and `allow_offline` is False. `used_for_context_manager` means nothing.

        >>> Run.get_context().id[:10]
        'OfflineRun'
        """
        from objrun.context import get_context

        return get_context(allow_offline=allow_offline)

    @staticmethod
    def get_submitted_run() -> Any:
        """Return the run that this process was started for; deprecated: use `get_context`."""
        from objrun.context import get_submitted_run

        return get_submitted_run()

    # -- children

    def child_run(
        self, name: str | None = None, run_id: str | None = None, outputs: str | None = None
    ) -> Run:
        """Start a child of this run and return it; `outputs` is a folder, by default none.

        >>> run.child_run("fold-1").parent.id == run.id
        True
        """
        own = to_text(name, "the name of a child")
        return self._experiment.start_run(
            Start(
                name=f"{self.name}>{own or ''}",
                run_id=run_id,
                display_name=own,
                parent=self._chain.state,
                outputs=watch(outputs or False),
            )
        )

    def create_children(
        self,
        count: int | None = None,
        tag_key: str | None = None,
        tag_values: Iterable[Any] | None = None,
    ) -> Sequence[Run]:
        """Start `count` children, or one for each of `tag_values` tagged with it; at most 100.

        With `count` each has the tag `azureml.batch_child_number`. They come in the order asked.

        >>> [child.tags for child in run.create_children(tag_key="fold", tag_values=[1, 2])]
        [{'fold': '1'}, {'fold': '2'}]
        """
        tags = children_tags(count, tag_key, tag_values, most=MAX_CHILDREN)
        starts = [Start(name=f"{self.name}>", tags=tag, parent=self._chain.state) for tag in tags]
        if not starts:
            return []
        from concurrent.futures import ThreadPoolExecutor

        with ThreadPoolExecutor(min(len(starts), self._chain.store.concurrency)) as pool:
            return [*pool.map(self._experiment.start_run, starts)]

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle as experiment and version; points that wait are stored by this handle alone.

        A run that went to the spool is pickled as it left its store. Raises UnavailableError for
        one that began there, which no other process could find.
        """
        head = self._left if self._spooled else self._chain.head
        if head is None:
            message = f"run {self.id} began in the spool: it can be pickled once it is in its store"
            raise UnavailableError(message)
        return _opened, (type(self), self._experiment, head)

    # -- how it looks

    def __repr__(self) -> str:
        """Name the experiment, id, type and status, as Azure ML does."""
        return (
            f"Run(Experiment: {self._experiment.name},\nId: {self.id},\nType: {self.type},\n"
            f"Status: {self.status})"
        )

    def _repr_html_(self) -> str:
        """Show a card in a notebook: status, parameters, metrics with their lines, tags."""
        from objrun.display.showing import run_html

        return run_html(self)


def find_run(cls: type[T], workspace: Workspace, run_id: str) -> T:
    """Return a run of any experiment as an object of a class; see `find_version`."""
    from objrun.experiment import Experiment

    version = find_version(workspace, check_run_id(run_id))
    if version.state is None:
        raise TypeError
    return _opened(cls, Experiment(workspace, version.state.experiment), version)


def _opened(
    cls: type[T], experiment: Experiment, version: Version[RunState], spool: Spool | None = None
) -> T:
    run = cls.__new__(cls)
    run._open(experiment, version, spool)  # noqa: SLF001 - the other constructor of the class
    return run
