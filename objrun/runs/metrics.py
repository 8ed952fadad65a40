"""The metrics of a run: logging them, which never waits for the store, and reading them back."""

from __future__ import annotations

import struct
import warnings
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from objrun.clock import monotonic, nanoseconds, sleep
from objrun.errors import MetricDroppedWarning
from objrun.format.names import check_key
from objrun.format.values import dumps, to_point
from objrun.protocol.columns import RECORD, Cell
from objrun.protocol.heartbeat import Heartbeat
from objrun.protocol.limits import MANY_BYTES, MAX_BRAKE, MAX_WAITING_BYTES
from objrun.protocol.packs import Content
from objrun.protocol.writer import Writer
from objrun.values.conversion import (
    check_pair,
    to_items,
    to_list,
    to_logged_scalar,
    to_row,
    to_step,
)

if TYPE_CHECKING:
    from array import array
    from collections.abc import Callable, Mapping

    import polars as pl
    import pyarrow as pa

    from objrun.format.checkpoints import Checkpoint
    from objrun.protocol.post import Refuge
    from objrun.storage import Put, Store
    from objrun.tables.chunks import Chunk
    from objrun.tables.cuts import Cuts
    from objrun.tables.points import Points
    from objrun.tables.reading import Rows

MANY: Final = 65_536
"""Points of a batch from which on it is flushed without waiting."""

_LOOK: Final = 0.02
_pack = RECORD.pack
_FAMILY: Final = {"list": "scalar"}


class Address(NamedTuple):
    """Where the metrics of a run are: in its experiment, and in tables below its root run."""

    experiment: str
    run: str
    root: str


class RunMetrics:
    """What a run can log and tell of its metrics; `Run` adds everything else."""

    def __init__(
        self,
        querying: Callable[[], Store],
        writing: Callable[[], Store],
        refuge: Refuge,
        home: Callable[[], Put | None],
        address: Address,
    ) -> None:
        """Read metrics from the store that `querying` opens, log them to that of `writing`.

        `refuge` tells where to go on logging when that fails, `home` where the run can say now that
        it is alive.
        """
        self._querying = querying
        self._writing = writing
        self._refuge = refuge
        self._address = address
        self._heartbeat = Heartbeat(home, address.experiment, address.run)
        self._made: dict[str, Writer] = {}
        self._writer: Writer | None = None
        self._stepped: dict[str, array[int]] = {}
        self._plain: dict[str, array[int]] = {}
        self._families: dict[str, str] = {}

    def log(
        self, name: str, value: Any = ..., description: str = "", step: int | None = None
    ) -> None:
        """Log one value of a metric and return at once; a background thread stores it.

        `value` is None, bool, int, float, str, or a numpy scalar, array or tensor of one element;
        other objects are kept as their `repr`. `step` is any 64-bit integer, or None.
        `description` is accepted for Azure ML's sake and not kept. Raises UserErrorException for
        many values at once (use `log_list`) and for a step that is not an integer.

        >>> run.log("loss", 0.25, step=1)
        """
        # The one hot path of objrun: a second call would cost as much as all that is done here.
        if value.__class__ is float and (step is None or step.__class__ is int):
            try:
                if step is None:
                    self._plain[name].frombytes(_pack(value, 0, nanoseconds()))
                else:
                    self._stepped[name].frombytes(_pack(value, step, nanoseconds()))
            except (KeyError, TypeError, struct.error):
                self._log_any(name, value, step)
        else:
            self._log_any(name, value, step)

    def _log_any(self, name: str, value: Any, step: Any) -> None:
        """Log what the hot path does not know: a new name, another type, a faulty call."""
        check_pair(name, value)
        check_key(name, "metric")
        # float64 of numpy is a float: what most programs log.
        known = isinstance(value, float)
        scalar = float(value) if known else to_logged_scalar(value, f"metric {name!r}")
        number = to_step(step)
        if type(scalar) is float:
            self._append(name, "scalar", scalar, number)
        else:
            point = to_point(scalar)
            self._append(name, "scalar", Cell("scalar", *point), number)

    def log_list(self, name: str, value: Any, description: str = "") -> None:
        """Log a list of values under one name; it reads back as a list, also with one item.

        >>> run.log_list("folds", [0.91, 0.93])
        """
        items = to_list(value, f"metric {check_key(name, 'metric')!r}")
        if not items:
            self._drop(name, "an empty list")
            return
        self._append(name, "list", Cell("list", "json", None, dumps(items)), None)

    def log_row(self, name: str, description: str = "", **kwargs: Any) -> None:
        """Log one row: a value for each column. Several rows of a name make a table.

        >>> run.log_row("speed", batch=32, images_per_s=810.5)
        """
        row = to_row(kwargs, f"metric {check_key(name, 'metric')!r}")
        if not row:
            self._drop(name, "a row without columns")
            return
        self._append(name, "row", Cell("row", "json", None, dumps(row)), None)

    def log_metrics(self, metrics: Mapping[str, Any], step: int | None = None) -> None:
        """Log several metrics at one step; a faulty one is refused before any is logged.

        >>> run.log_metrics({"loss": 0.25, "accuracy": 0.9}, step=2)
        """
        number = to_step(step)
        for name, value in to_items(metrics, "metric").items():
            to_logged_scalar(value, f"metric {check_key(name, 'metric')!r}")
        for name, value in metrics.items():
            self.log(name, value, step=number)

    def log_batch(self, name: str, values: Any, steps: Any = None, times: Any = None) -> None:
        """Log many numbers of one metric without a Python loop.

        `values`: a numpy or Arrow array, or a sequence, of numbers (stored as float64).
        `steps`: integers, as many; default none. `times`: numpy datetime64, Arrow timestamps (UTC
        if they name no zone) or seconds since the epoch, as many; default now.

        >>> run.log_batch("signal", [0.1, 0.2, 0.3], steps=[0, 1, 2])
        """
        from objrun.values.batches import batch_table

        table = batch_table(check_key(name, "metric"), values, steps, times)
        if not table.num_rows:
            self._drop(name, "an empty batch")
            return
        self._append(name, "scalar", table, None)
        if table.num_rows >= MANY and self._writer is not None:
            self._writer.hurry()

    def flush(self, timeout_seconds: float = 300) -> None:
        """Return when everything logged so far is durable.

        Raises FlushTimeoutError after `timeout_seconds`, an error of the store that waiting does
        not mend, or PointsLostError if points had to be dropped.
        """
        if self._writer is not None:
            self._writer.flush(timeout_seconds)

    def _append(self, name: str, kind: str, value: Any, step: int | None) -> None:
        family = _FAMILY.get(kind, kind)
        first = self._families.setdefault(name, family)
        if first != family:
            self._drop(name, f"a {kind}: {name!r} already is a {first}")
            return
        writer = self._start_writer()
        if not isinstance(value, float) and not writer.admits(*_size(value)):
            return
        if isinstance(value, Content):
            value = Cell(kind, "blob", None, writer.packs.add(name, value).reference())
        writer.buffer.add(name, value, step, nanoseconds())
        if writer.started():
            # A forked child, or a rank: whoever logs to the run knows that it is alive.
            self._heartbeat.begin()
        if writer.packs.size() >= MANY_BYTES:
            _relieve(writer)

    def _start_writer(self) -> Writer:
        if self._writer is None:
            # setdefault is indivisible: two threads that log first get the same writer.
            self._writer = self._made.setdefault(
                "writer", Writer(self._writing, *self._address[:2], self._refuge)
            )
            self._stepped = self._writer.buffer.stepped
            self._plain = self._writer.buffer.plain
        return self._writer

    def _drop(self, name: str, what: str) -> None:
        message = f"metric {name!r}: {what} is not kept"
        warnings.warn(message, MetricDroppedWarning, stacklevel=3)

    def metrics(self, recursive: bool = False) -> pl.LazyFrame:
        """Return the points of this run, and of all its descendants, as a LazyFrame.

        Columns and types: `objrun.query.metrics.SCHEMA`; metric by metric in reading order. Points
        logged through this handle are flushed first. Raises CorruptObjectError, naming it, where a
        segment is damaged.

        >>> run.metrics().collect().columns[:5]
        ['run_id', 'name', 'kind', 'step', 'time']
        """
        from objrun.query.reading_order import in_reading_order

        points = self._tree_points(None) if recursive else self._own_points()
        return in_reading_order(points.chunk).frame.lazy()

    def get_metrics(
        self,
        name: str | None = None,
        recursive: bool = False,
        run_type: str | None = None,
        populate: bool = False,
    ) -> dict[str, Any]:
        """Return {metric: value}, or with `recursive` {run id: {metric: value}}.

        A scalar logged once is the value, several times a list: in order of step if all points
        have one, else as logged. Lists and tables read back as lists. With `name` only that metric;
        with `recursive` this run and all its descendants (those of `run_type`) that have metrics.
        An image or a document of one of the schemas gives a reference that `open` and
        `download_file` take; with `populate` an object with its bytes, `data`.
        Points logged through this handle are seen. A StepWarning names metrics of which only some
        points have a step.

        >>> run.get_metrics("accuracy")
        {'accuracy': 0.9}
        """
        from objrun.query.values import metric_values

        if name not in (None, ""):
            check_key(name, "metric")
        store = self._querying()
        if recursive:
            return metric_values(self._tree_points(run_type, name), store, populate=populate)
        values = metric_values(self._own_points(name), store, populate=populate)
        return values.get(self._address.run, {})

    def superseded(self) -> pl.LazyFrame:
        """Return the points that do not count since `Run.resume` went back behind them.

        Columns, order and errors as of `metrics()`. Empty for a run that was never rewound.

        >>> run.superseded().collect().height
        0
        """
        from objrun.query.reading_order import in_reading_order
        from objrun.tables.cuts import superseded

        return in_reading_order(self._own_points(which=superseded).chunk).frame.lazy()

    def _own_points(
        self, name: str | None = None, which: Callable[[Chunk, Cuts], Chunk] | None = None
    ) -> Points:
        """Return points of this run that count, or others, of all metrics or of one."""
        from objrun.query.metrics import refuse
        from objrun.tables.cuts import counting
        from objrun.tables.points import read_points

        self.flush()
        store, (experiment, run, _) = self._querying(), self._address
        rows = self._rows([run], name)
        return read_points(store, experiment, rows, refuse, run=run, which=which or counting)

    def _tree_points(self, run_type: str | None, name: str | None = None) -> Points:
        """Return the points of this run and of its descendants of a type."""
        from objrun.protocol.live import list_logged
        from objrun.query.metrics import refuse
        from objrun.tables.points import Moment, read_points

        self.flush()
        store, (experiment, run, _) = self._querying(), self._address
        # Before the checkpoints, so that these are listed once for runs and points.
        logged = list_logged(store, experiment)
        below, checkpoint = self._descendants(run_type)
        rows = self._rows([run, *below], name)
        moment = Moment(logged, checkpoint)
        return read_points(store, experiment, rows, refuse, moment=moment)

    def _rows(self, runs: list[str], name: str | None) -> Rows:
        from objrun.tables.reading import of_root

        names = None if name is None else frozenset([name])
        return replace(of_root(self._address.root), runs=frozenset(runs), names=names)

    def _descendants(self, run_type: str | None) -> tuple[list[str], Checkpoint | None]:
        """Return the ids of descendants, and the checkpoint that says so; `Run` knows them."""
        raise NotImplementedError


def _relieve(writer: Writer) -> None:
    """Have blobs sent now; where more would be too much for the memory, wait until some are."""
    writer.hurry()
    until = monotonic() + MAX_BRAKE
    while writer.packs.size() >= MAX_WAITING_BYTES and monotonic() < until:
        sleep(_LOOK)


def _size(value: Cell | Content | pa.Table) -> tuple[int, int]:
    """Return the points of a value that is not a float, and about how many bytes they take."""
    if isinstance(value, Cell | Content):
        return 1, len(value.data or "")
    return value.num_rows, value.nbytes
