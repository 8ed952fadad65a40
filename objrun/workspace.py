"""A workspace: one store, with its experiments and runs."""

from __future__ import annotations

import os
import warnings
from functools import partial
from typing import TYPE_CHECKING, Any

from objrun.elsewhere import Elsewhere
from objrun.errors import CorruptObjectWarning, FormatError, NotAStoreError, UserErrorException
from objrun.format import keys
from objrun.format.checking import format_time
from objrun.format.immutable import is_immutable
from objrun.format.names import check_run_id, is_experiment
from objrun.logs import logger
from objrun.protocol.opening import open_for_reading, open_for_writing
from objrun.protocol.settle import insist
from objrun.provenance.recording import Recorder
from objrun.spool import Spool, spools_of
from objrun.storage import connect, together
from objrun.storage.creating import CreateOnly
from objrun.upkeep.tidying import patience_of, tidy
from objrun.upkeep.workspace import Upkeep

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path
    from typing import Never

    import polars as pl

    from objrun.experiment import Experiment
    from objrun.format.states import Header
    from objrun.model import Model
    from objrun.query.listing import Known
    from objrun.run import Run
    from objrun.storage import Store

DEFAULT_URL = "./objrun"
"""Where a workspace is when neither an URL nor `OBJRUN_URL` is given."""


class Workspace(Upkeep, Elsewhere):
    """One objrun store: a folder, or a prefix of a bucket.

    `url` is a path or any fsspec URL (`s3://bucket/prefix`); without one, the environment variable
    `OBJRUN_URL` counts, else the folder `./objrun`. `storage_options` go to the file system of the
    URL (for a folder: `durability="none"` switches fsync off), but for `auto_compact`: how many
    seconds the end of a run may wait for a compaction that is due (False: none is done), which
    else the environment variable `OBJRUN_AUTO_COMPACT` says. Nothing is read or written before
    it is needed; a store is made by the first write into an empty place. `spool`: the folder in
    which runs go on while the store fails, else `OBJRUN_SPOOL`, else a folder of the user; False:
    errors of the store are raised instead. `memory://` is a store in
    the memory of one process, gone with it and seen by no other.

    A workspace, its experiments and its runs can be pickled: a copy is a handle of its own on the
    same place, and making it sends nothing. A pickle holds the storage options, with whatever
    credentials are in them, so keep it as safe as those.

    Raises InvalidURLError for an URL that cannot be used.

    >>> Workspace("memory://docs").url
    'memory://docs'
    """

    def __init__(
        self,
        url: str | os.PathLike[str] | None = None,
        storage_options: Mapping[str, Any] | None = None,
        **others: Never,
    ) -> None:
        """Name the store; nothing is sent."""
        if others:
            message = (
                "a workspace is made of the URL of a folder or a bucket, and storage_options, not "
                f"{', '.join(others)}: Workspace('s3://bucket/prefix')"
            )
            raise TypeError(message)
        given = url if url is not None else os.environ.get("OBJRUN_URL") or DEFAULT_URL
        self.storage_options = dict(storage_options or {})
        self._tidy = patience_of(self.storage_options.get("auto_compact"))
        self._store = connect(given, **_without_own(self.storage_options))
        root = spools_of(self.storage_options.get("spool"))
        # What is in memory ends with the process, as a failure of it would.
        self.spool = Spool(self, root) if root and not self.url.startswith("memory:") else None
        self._read: Header | None = None
        self._written: Header | None = None
        self._cached: Store | None = None
        self._runs: dict[str, Known] = {}
        self.recorder = Recorder()

    @property
    def store(self) -> Store:
        """The store as it is, which need not be one yet."""
        return self._store

    def go_through(self, wrap: Callable[[Store], Store]) -> None:
        """Have all requests go through `wrap(store)`, a store around this one, from now on."""
        self._store = wrap(self._store)
        self._cached = None

    @property
    def url(self) -> str:
        """The URL of the store, without credentials."""
        return self._store.url

    @property
    def name(self) -> str:
        """The last piece of the URL."""
        return self.url.rstrip("/").rpartition("/")[2]

    @property
    def location(self) -> str:
        """The scheme of the URL, such as "s3" or "file": what is a region in Azure ML."""
        return self.url.partition("://")[0]

    @property
    def subscription_id(self) -> str:
        """Empty: there are no subscriptions."""
        return ""

    @property
    def resource_group(self) -> str:
        """Empty: there are no groups of resources."""
        return ""

    @property
    def store_id(self) -> str:
        """The random id that the store got when it was made; NotAStoreError if there is none."""
        return self._header().store_id

    def get_details(self) -> dict[str, Any]:
        """Return `id` of the store, `name`, `url` and `creationTime`; NotAStoreError if none.

        >>> ws.get_details()["url"] == ws.url
        True
        """
        header = self._header()
        created = format_time(header.created)
        return {
            "id": header.store_id,
            "name": self.name,
            "url": self.url,
            "creationTime": created,
        }

    def _header(self) -> Header:
        self.reading()
        header = self._read or self._written
        if header is None:
            raise AssertionError
        return header

    @classmethod
    def create(
        cls,
        url: str | os.PathLike[str] | None = None,
        storage_options: Mapping[str, Any] | None = None,
        *,
        exist_ok: bool = False,
        **others: Never,
    ) -> Workspace:
        """Make a store now and return it; one that exists is a UserErrorException or `exist_ok`.

        >>> Workspace.create("memory://made").name
        'made'
        """
        workspace = cls(url, storage_options, **others)
        try:
            workspace.reading()
        except NotAStoreError:
            pass
        else:
            if not exist_ok:
                message = f"there is a store at {workspace.url}: use Workspace.get or exist_ok=True"
                raise UserErrorException(message)
        workspace.writing()
        return workspace

    @classmethod
    def get(
        cls,
        url: str | os.PathLike[str] | None = None,
        storage_options: Mapping[str, Any] | None = None,
        **others: Never,
    ) -> Workspace:
        """Return the store at `url`; NotAStoreError if there is none."""
        workspace = cls(url, storage_options, **others)
        workspace.reading()
        return workspace

    @classmethod
    def from_config(cls, path: str | Path | None = None, auth: Any = None) -> Workspace:
        """Return the workspace of the configuration at `path`, or of the nearest one above.

        `auth` is accepted and means nothing: credentials are those of the file system.
        Raises UserErrorException where there is none or it is damaged.
        """
        from objrun import config

        found = config.read_config(config.find_config(path))
        return cls(found["url"], found.get("storage_options"))

    def write_config(self, path: str | Path | None = None, file_name: str | None = None) -> None:
        """Write `<path>/.objrun/<file_name>`, for `from_config`; `path` must exist.

        Without them it is `config.json` for the working directory. Storage options are not
        written, because they may hold secrets.
        """
        from objrun import config

        config.write_config(path or ".", file_name or "config.json", {"url": self.url})

    def reading(self) -> Store:
        """Return the store for reading; NotAStoreError if there is none. One GET, once."""
        if self._read is None and self._written is None:
            self._read = open_for_reading(self._store)
        return self._store

    def querying(self) -> Store:
        """Return the store for questions: that of `reading`, behind a cache where it is remote."""
        store = self.reading()
        if self._cached is None and store.concurrency > 1:
            from objrun.storage.cache import cached  # those who only write need none

            self._cached = cached(store, self.store_id, is_immutable)
        return self._cached or store

    @property
    def has_read(self) -> bool:
        """Whether a store was found there, by this workspace or the one it was pickled from."""
        return self._read is not None or self.has_written

    @property
    def has_written(self) -> bool:
        """Whether the store was found fit for writing by this workspace."""
        return self._written is not None or self.is_blind

    def writing(self) -> Store:
        """Return the store for writing, made if the place is empty. Two or three requests, once.

        With credentials that may write and not read it is one in which objects are only created.
        """
        if self._written is None and not self.is_blind:
            self._written = open_for_writing(self._store)
            if self._written is None:
                self._store = CreateOnly(self._store)
                told = "may be written and not read with these credentials: runs are logged blindly"
                logger().warning("%s %s", self.url, told)
        return self._store

    @property
    def is_blind(self) -> bool:
        """Whether the credentials were found to allow writing and not reading."""
        return isinstance(self._store, CreateOnly)

    @property
    def experiments(self) -> dict[str, Experiment]:
        """The active experiments by name, sorted. One LIST, and one LIST and GET for each."""
        from objrun.experiment import Experiment

        return {experiment.name: experiment for experiment in Experiment.list(self)}

    @property
    def models(self) -> dict[str, Model]:
        """The latest version of each registered model, by name."""
        from objrun.model import Model

        return {model.name: model for model in Model.list(self, latest=True)}

    def experiment_names(self) -> list[str]:
        """Return the names of all experiments that ever existed, sorted, by one LIST."""
        from objrun.protocol.experiments import full_name

        store = self.querying()
        pieces = insist(lambda: store.folders(keys.EXPERIMENTS))
        names = {piece: keys.decode_name(piece) for piece in pieces}
        cut = [piece for piece, name in names.items() if not name]
        found = [read() for read in together(store, partial(full_name, store), cut)]
        return sorted(name for name in (*names.values(), *found) if name and is_experiment(name))

    def get_run(self, run_id: str) -> Run:
        """Return the run with this id, of whatever experiment; RunNotFoundError if there is none.

        >>> ws = Workspace("memory://docs")
        >>> from objrun import Experiment
        >>> run = Experiment(ws, "docs").start_logging()
        >>> ws.get_run(run.id).number == run.number
        True
        """
        from objrun.run import Run

        return Run.get(self, check_run_id(run_id))

    def runs(self, columns: Sequence[str] | str = ()) -> pl.LazyFrame:
        """Return all runs of all experiments as a frame; see `Experiment.runs`."""
        from objrun.query.listing import all_runs

        store = self.querying()
        known = {name: self.known_runs(name) for name in self.experiment_names()}
        return all_runs(store, known, columns).lazy()

    def metrics(self) -> pl.LazyFrame:
        """Return the points of all experiments as a frame; see `Experiment.metrics`.

        One whose checkpoint is damaged or too new is left out with a CorruptObjectWarning.
        """
        import polars as pl

        from objrun.query.metrics import SCHEMA
        from objrun.query.scan import scan_points

        store = self.querying()
        frames = [SCHEMA.to_frame().lazy()]
        for name in self.experiment_names():
            try:
                frames.append(scan_points(store, name))
            except FormatError as error:
                warnings.warn(f"{error.message}: left out", CorruptObjectWarning, stacklevel=2)
        return pl.concat(frames)

    def sql(self, query: str) -> pl.LazyFrame:
        """Return the answer to a query in SQL, as polars understands it, as a LazyFrame.

        Tables: `runs` (see `runs`) and `metrics` (see `metrics`). Columns by name need no quotes
        where all pieces are plain words: `params.lr`, `metrics.loss.min`. Raises UserErrorException
        where the query cannot be understood.

        >>> ws.sql("select number from runs where tags.model = 'cnn'").collect()["number"].to_list()
        [1]
        """
        from objrun.query.sql import run_sql

        return run_sql(query, self.runs, self.metrics)

    def run_ended(self, experiment: str, number: int) -> None:
        """Compact an experiment where it is time for it, now that run `number` has ended."""
        if self.is_blind or (self.spool and self.spool.away):
            return
        tidy(self.writing(), experiment, number, self._tidy)

    def known_runs(self, experiment: str) -> Known:
        """Return what has been read of an experiment's runs, to be brought up to date."""
        from objrun.query.listing import Known

        return self._runs.setdefault(experiment, Known())

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle as URL and options, and the header if it was read: it never changes."""
        known = (self._read or self._written, self.is_blind)
        return type(self), (self.url, self.storage_options), known

    def __setstate__(self, known: tuple[Header | None, bool]) -> None:
        """Know what the workspace knew that was pickled."""
        self._read, is_blind = known
        self._store = CreateOnly(self._store) if is_blind else self._store

    def _repr_html_(self) -> str:
        """Show a card in a notebook: how many runs have which status, and the newest of them."""
        from objrun.display.showing import workspace_html

        return workspace_html(self)

    def __repr__(self) -> str:
        """Look like the call that makes it."""
        return f"Workspace({self.url!r})"


def _without_own(options: dict[str, Any]) -> dict[str, Any]:
    """Return the options of a store, without those of the workspace."""
    return {name: value for name, value in options.items() if name not in ("auto_compact", "spool")}
