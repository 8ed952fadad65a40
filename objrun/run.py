"""A run: its identity, its life, its tags, parameters and properties, its children, its metrics."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from objrun import life
from objrun.annotations import RunAnnotations
from objrun.conversion import to_text
from objrun.errors import RunNotFoundError, UserErrorException
from objrun.format.names import check_run_id
from objrun.format.states import TERMINAL, type_of
from objrun.metrics import RunMetrics
from objrun.protocol.chain import Chain, last_version, load
from objrun.protocol.live import run_scheme

if TYPE_CHECKING:
    import builtins
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from types import TracebackType

    import polars as pl

    from objrun.experiment import Experiment
    from objrun.format.states import RunState, Version
    from objrun.query.filters import Filter
    from objrun.run_list import RunList
    from objrun.workspace import Workspace

    Factory = Callable[..., "Run"]

MAX_CHILDREN = 100
"""Children that one call of `create_children` makes at most."""


class Run(RunMetrics, RunAnnotations):
    """One run of an experiment. `Experiment.start_logging()` makes one; `Run.get` finds one.

    `Run(experiment, run_id)` fetches a run of this experiment; RunNotFoundError if there is none.
    As a context manager it completes at the end and fails on an exception, which propagates.

    >>> run.status
    'Running'
    """

    _factories: ClassVar[dict[str, Factory]] = {}

    def __init__(self, experiment: Experiment, run_id: str) -> None:
        """Fetch the last version of the run."""
        version = find_version(experiment.workspace, check_run_id(run_id))
        state = version.state
        if state is None or state.experiment != experiment.name:
            message = f"experiment {experiment.name!r} has no run {run_id!r}"
            raise RunNotFoundError(message)
        self._open(experiment, version)

    @classmethod
    def of_version(cls, experiment: Experiment, version: Version[RunState]) -> Run:
        """Return the run that a version belongs to, made by the provider of its type if any."""
        run = _opened(cls, experiment, version)
        run_type = run.type
        factory = cls._factories.get(run_type) if run_type else None
        return factory(experiment, run) if factory else run

    def _open(self, experiment: Experiment, version: Version[RunState]) -> None:
        state = version.state
        if state is None:
            raise TypeError
        store = experiment.workspace.reading()
        RunMetrics.__init__(self, store, state.experiment, state.run_id)
        scheme = run_scheme(state.experiment, state.run_id)
        self._experiment = experiment
        self._chain = Chain(store, scheme, version)

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
        from objrun.experiment import Experiment

        version = find_version(workspace, check_run_id(run_id))
        if version.state is None:
            raise TypeError
        return Run.of_version(Experiment(workspace, version.state.experiment), version)

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
        from objrun.query.filters import run_filter
        from objrun.run_list import list_runs

        passes = run_filter(type=type, tags=tags, properties=properties, status=status)

        def shown(state: RunState) -> bool:
            return (include_children or state.parent_run_id is None) and passes(state)

        return list_runs(experiment, shown, where)

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
        from objrun.query.filters import run_filter
        from objrun.run_list import descendants, list_runs

        passes = run_filter(type=type, tags=tags, properties=properties, status=status)
        below = descendants(self._experiment, self._chain.state) if recursive else set()

        def shown(state: RunState) -> bool:
            child = state.parent_run_id == self.id or state.run_id in below
            return child and passes(state)

        return list_runs(self._experiment, shown, where)

    def _descendants(self, run_type: str | None) -> builtins.list[str]:
        return [child.id for child in self.get_children(recursive=True, type=run_type)]

    @classmethod
    def add_type_provider(cls, runtype: str, run_factory: Factory) -> None:
        """Have runs of a type made by `run_factory(experiment, run)`; twice is a ValueError."""
        if runtype in cls._factories:
            message = f"run type {runtype!r} already has a provider"
            raise UserErrorException(message)
        cls._factories[runtype] = run_factory

    @staticmethod
    def get_context(allow_offline: bool = True) -> Any:
        """Return the run that this process was started for, else an offline run that prints.

        A launcher sets `OBJRUN_RUN_ID` and `OBJRUN_URL`. Raises RunEnvironmentException where
        they are not set and `allow_offline` is False.

        >>> Run.get_context().id[:10]
        'OfflineRun'
        """
        from objrun.context import get_context

        return get_context(allow_offline=allow_offline)

    @staticmethod
    def get_submitted_run() -> Any:
        """Return the run that this process was started for; use `get_context` in new code."""
        from objrun.context import get_context

        return get_context(allow_offline=False)

    # -- children

    def child_run(
        self, name: str | None = None, run_id: str | None = None, outputs: str | None = None
    ) -> Run:
        """Start a child of this run and return it. `outputs` is accepted; files are not captured.

        >>> run.child_run("fold-1").parent.id == run.id
        True
        """
        own = to_text(name, "the name of a child")
        return self._experiment.start_run(
            life.Start(
                name=f"{self.name}>{own or ''}",
                run_id=run_id,
                display_name=own,
                parent=self._chain.state,
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
        tags = life.children_tags(count, tag_key, tag_values, most=MAX_CHILDREN)
        starts = [
            life.Start(name=f"{self.name}>", tags=tag, parent=self._chain.state) for tag in tags
        ]
        if not starts:
            return []
        from concurrent.futures import ThreadPoolExecutor

        with ThreadPoolExecutor(min(len(starts), self._store.concurrency)) as pool:
            return [*pool.map(self._experiment.start_run, starts)]

    # -- its life

    @property
    def state(self) -> RunState:
        """All that this handle knows last of the run's chain, as one frozen value."""
        return self._chain.state

    @property
    def status(self) -> str:
        """The status that this handle knows last."""
        return self._chain.state.status

    def get_status(self) -> str:
        """Return the status, read again unless the run has ended."""
        return self._fresh().status

    def get_detailed_status(self) -> dict[str, Any]:
        """Return `{"status": ..., "details": None}`, read again unless the run has ended."""
        return {"status": self.get_status(), "details": None}

    def get_details(self) -> dict[str, Any]:
        """Return all about the run as Azure ML's dict: runId, status, startTimeUtc, error, ...

        >>> run.get_details()["status"]
        'Running'
        """
        return life.details(self._fresh())

    def start(self) -> None:
        """Set the status to Running; nothing happens, with a warning, if the run has ended."""
        life.move(self._chain, "Running")

    def complete(self) -> None:
        """Make all metrics durable, then set the status to Completed. The first end stays."""
        self._end("Completed")

    def fail(
        self,
        error_details: str | BaseException | None = None,
        error_code: str | None = None,
        _set_status: bool = True,
    ) -> None:
        """Make all metrics durable, then set the status to Failed and keep the error.

        `error_details` is a text or an exception, else TypeError.
        """
        error = life.error_of(error_details, error_code)
        if _set_status:
            self._end("Failed", error)
        else:
            self.flush()

    def cancel(self) -> None:
        """Set the status to Canceled, then make all metrics durable."""
        life.move(self._chain, "Canceled")
        self._close()

    def _fresh(self) -> RunState:
        state = self._chain.state
        return state if state.status in TERMINAL else self._chain.refresh()

    def _end(self, status: str, error: Mapping[str, Any] | None = None) -> None:
        self._close()
        life.move(self._chain, status, error)

    def _close(self) -> None:
        if self._writer is not None:
            self._writer.close()

    def wait_for_completion(
        self,
        show_output: bool = False,
        wait_post_processing: bool = False,
        raise_on_error: bool = True,
    ) -> dict[str, Any]:
        """Return `get_details()` when the run has ended; a failed one raises, if `raise_on_error`.

        Looks after half a second, then ever more rarely, at least every 15 seconds. Raises
        ActivityFailedException, and ExperimentExecutionException on Ctrl-C.
        """
        ends = TERMINAL if wait_post_processing else (*TERMINAL, "CancelRequested", "Finalizing")
        life.wait(self._chain, ends, show_output=show_output, raise_on_error=raise_on_error)
        return life.details(self._chain.state)

    def __enter__(self) -> Run:  # noqa: PYI034 - Self would need typing at run time
        """Return the run itself."""
        return self

    def __exit__(
        self,
        kind: builtins.type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Complete, or fail if the block raised; `sys.exit()` and `sys.exit(0)` complete."""
        if error is None or (isinstance(error, SystemExit) and error.code in (None, 0)):
            self._finish("Completed", None)
        else:
            self._finish("Failed", life.error_of(error, None))

    def _finish(self, status: str, error: Mapping[str, Any] | None) -> None:
        """End as the block did, quietly where the run was ended inside the block."""
        self._close()
        if self._chain.state.status not in TERMINAL:
            life.move(self._chain, status, error)

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle as experiment and version; points that wait are stored by this handle alone."""
        return _opened, (type(self), self._experiment, self._chain.head)

    # -- how it looks

    def __repr__(self) -> str:
        """Name the experiment, id, type and status, as Azure ML does."""
        return (
            f"Run(Experiment: {self._experiment.name},\nId: {self.id},\nType: {self.type},\n"
            f"Status: {self.status})"
        )

    def _repr_html_(self) -> str:
        """Show a one-row table in a notebook."""
        from objrun.run_list import html_table

        return html_table([self._chain.state])


def find_version(workspace: Workspace, run_id: str) -> Version[RunState]:
    """Return the last version of a run, known by nothing but its id: one LIST and one GET.

    Raises RunNotFoundError if there is no such run.
    """
    store = workspace.reading()
    scheme = run_scheme("", run_id)
    number = last_version(store, scheme)
    if not number:
        message = f"there is no run {run_id!r} in {workspace.url}"
        raise RunNotFoundError(message)
    return load(store, scheme, number)


def _opened(cls: type[Run], experiment: Experiment, version: Version[RunState]) -> Run:
    run = cls.__new__(cls)
    run._open(experiment, version)  # noqa: SLF001 - the other constructor of the class
    return run
