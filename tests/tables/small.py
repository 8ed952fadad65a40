"""A small store whose every point and run is known, and what must be true of it at any moment."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, TypeVar

from objrun import clock
from objrun.format import keys
from objrun.format.states import RunState
from objrun.protocol.chain import Chain, create, first_version, load
from objrun.protocol.checkpointing import latest_checkpoint
from objrun.protocol.live import read_changed, run_scheme
from objrun.protocol.updates import CREATE, SetTags
from objrun.query.metrics import refuse
from objrun.storage import connect
from objrun.storage.wrappers import Around
from objrun.tables.chunks import full_frame
from objrun.tables.compaction import compact
from objrun.tables.points import read_points
from objrun.tables.reading import Rows
from objrun.tables.runs import list_runs
from objrun.tables.vacuum import vacuum
from tests.protocol.segments import points

if TYPE_CHECKING:
    from collections.abc import Callable

    from objrun.format.checkpoints import TableFile
    from objrun.storage import Store

NAME = "e"
NOW = timedelta(0)
WHEN = datetime(2026, 1, 31, tzinfo=UTC)

K = TypeVar("K")
Writer = tuple[str, str]
"""A run and the id of one of its writers."""


@dataclass
class Truth:
    """What was acknowledged: the points of each writer from 0, the version of each run."""

    points: Counter[Writer] = field(default_factory=Counter)
    versions: dict[str, int] = field(default_factory=dict)

    def copy(self) -> Truth:
        return Truth(self.points.copy(), dict(self.versions))


def fresh() -> Store:
    return connect(f"memory://{clock.random_hex(8)}")


def copy_of(store: Store) -> Store:
    """Return another store with the same objects."""
    other = fresh()
    for info in store.list(""):
        other.put(info.key, store.get(info.key))
    return other


def key_of(writer: Writer, start: int, stop: int) -> str:
    return keys.segment(NAME, *writer, start, stop)


def start_run(store: Store, truth: Truth, run: str, root: str | None = None) -> None:
    state = RunState(
        run_id=run,
        experiment=NAME,
        number=len(truth.versions) + 1,
        root_run_id=root or run,
        parent_run_id=root,
        created=WHEN,
    )
    assert create(store, run_scheme(NAME, run), first_version(state, [CREATE]))
    truth.versions[run] = 1


def tag(store: Store, truth: Truth, run: str, text: str) -> None:
    """Commit the next version of a run."""
    scheme = run_scheme(NAME, run)
    chain = Chain(store, scheme, load(store, scheme, truth.versions[run]))
    chain.commit(SetTags({"t": text}))
    truth.versions[run] = chain.head.version


def flush(store: Store, truth: Truth, writer: Writer, start: int, stop: int) -> None:
    """Store rows of a writer, and delete what they supersede."""
    superseded = truth.points[writer]
    store.put(key_of(writer, start, stop), points(start, stop))
    truth.points[writer] = max(stop, superseded)
    if start < superseded < stop:
        store.delete([key_of(writer, start, superseded)])


def found(store: Store) -> tuple[dict[Writer, int], dict[str, int]]:
    """Read all points and runs; each point must be there once and be what was logged."""
    frame = full_frame(read_points(store, NAME, Rows(), refuse).chunk)
    rows = frame.sort("run_id", "writer", "offset").select("run_id", "writer", "offset", "value")
    counts: Counter[Writer] = Counter()
    for run, writer, offset, value in rows.iter_rows():
        assert offset == value == counts[run, writer], "a gap, or a row twice"
        counts[run, writer] += 1
    listed = list_runs(store, NAME, {})
    assert listed.rows["run_id"].is_unique().all(), "a run twice"
    versions = dict(listed.rows.select("run_id", "version").iter_rows())
    read = read_changed(store, listed.changed(NAME, {}))
    assert not read.damaged
    newer = {one.run: version.version for one, version in read.versions.items()}
    return counts, versions | newer


def check(store: Store, acknowledged: Truth, logged: Truth) -> None:
    """Nothing that was acknowledged is missing, nothing that was never logged is there."""
    counts, versions = found(store)
    _between(acknowledged.points, counts, logged.points)
    _between(acknowledged.versions, versions, logged.versions)


def _between(least: dict[K, int], seen: dict[K, int], most: dict[K, int]) -> None:
    assert least.keys() <= seen.keys() <= most.keys()
    for key, count in seen.items():
        assert least.get(key, 0) <= count <= most[key], (key, least, count, most)


def finish(store: Store, truth: Truth) -> None:
    """After one more compaction and vacuum only what the last checkpoint names is left."""
    start_run(store, truth, "last")
    compact(store, NAME)
    vacuum(store, NAME, retention=NOW)
    check(store, truth, truth)
    checkpoint = latest_checkpoint(store, NAME)
    assert checkpoint is not None
    own = keys.experiment_folder(NAME)
    expected = {f"{keys.tables(NAME)}{file.name}" for file in checkpoint.files}
    expected.add(keys.checkpoint(NAME, checkpoint.number))
    kept = {info.key for info in store.list(own) if not info.key.startswith(f"{own}state/")}
    assert kept == expected


def small_store() -> tuple[Store, Truth]:
    """A store with a checkpoint that was vacuumed, and something new to compact."""
    store, truth = fresh(), Truth()
    start_run(store, truth, "m")
    start_run(store, truth, "c", "m")
    flush(store, truth, ("m", "00"), 0, 3)
    flush(store, truth, ("c", "00"), 0, 2)
    compact(store, NAME)
    vacuum(store, NAME, retention=NOW)
    tag(store, truth, "m", "a")
    start_run(store, truth, "z")
    flush(store, truth, ("m", "00"), 3, 5)
    flush(store, truth, ("m", "11"), 0, 4)
    flush(store, truth, ("c", "00"), 0, 4)
    check(store, truth, truth)
    return store, truth


class Interrupted(Around):
    """Before the first request that `when` is true of, do something else to the store."""

    def __init__(self, store: Store, when: Callable[[str, str], bool], act: Any) -> None:
        super().__init__(store)
        self.when = when
        self.act = act
        self.times = 0

    def _ask(self, verb: str, key: str, call: Callable[[], Any]) -> Any:
        if not self.times and self.when(verb, key):
            self.times += 1
            self.act()
        return call()


def files_of(store: Store, kind: str = "metrics") -> list[TableFile]:
    checkpoint = latest_checkpoint(store, NAME)
    return checkpoint.of_kind(kind) if checkpoint else []


def live_segments(store: Store) -> list[str]:
    """What a vacuum leaves of the segments."""
    vacuum(store, NAME, retention=NOW)
    return [info.key for info in store.list(keys.shards(NAME))]
