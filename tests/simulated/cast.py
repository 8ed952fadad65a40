"""The actors of the scenes: the product's own code, and notes of what its callers were told."""

from __future__ import annotations

import copy
import io
from collections import Counter, defaultdict
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING, Any

import polars as pl
import pyarrow.parquet as pq

from objrun import Workspace, clock
from objrun.errors import CommitUnknownError, FlushTimeoutError, RunNotFoundError
from objrun.format import keys
from objrun.format.heartbeat_keys import heartbeat as heartbeat_key
from objrun.format.media import parse_reference
from objrun.format.states import RunState
from objrun.protocol.blind import begin, chain_on
from objrun.protocol.blobs import BlobReader, Kept
from objrun.protocol.chain import Chain, create, first_version, load_last
from objrun.protocol.checkpointing import (
    commit_checkpoint,
    latest_checkpoint,
    next_checkpoint,
)
from objrun.protocol.columns import Cell
from objrun.protocol.copy.carry import Carrier
from objrun.protocol.copy.copying import copy_experiments
from objrun.protocol.copy.pair import Pair
from objrun.protocol.heartbeat import Heartbeat
from objrun.protocol.live import read_changed, run_scheme
from objrun.protocol.numbers import Numbers, claims_on
from objrun.protocol.packs import Content
from objrun.protocol.settle import insist
from objrun.protocol.updates import CREATE, RemoveTags, SetLifecycle, SetTags
from objrun.protocol.writer import Writer
from objrun.query.metrics import refuse
from objrun.storage.creating import CreateOnly
from objrun.tables import copying
from objrun.tables.chunks import full_frame
from objrun.tables.compaction import compact
from objrun.tables.cuts import counting, rewind
from objrun.tables.points import read_parts, read_points, read_tail
from objrun.tables.reading import Rows
from objrun.tables.runs import list_runs
from objrun.tables.summing import summed
from objrun.tables.vacuum import vacuum
from objrun.testing.sim import Bucket, Promises
from objrun.testing.sim.blobs import Blobs, references
from objrun.testing.sim.history import Read, Register, stored

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from objrun.tables.chunks import Chunk
    from objrun.tables.cuts import Cuts
    from objrun.testing.sim import World

NAME = "e"
NOW = timedelta(0)
HOUR = timedelta(hours=1)
WHEN = datetime(2026, 1, 30, tzinfo=UTC)
EACH = 1000
"""Values of points: of process p these are p * EACH and on, in the order of logging."""


@dataclass(frozen=True)
class Future:
    """A change that only a later version of the library knows: a field that ours must keep."""

    token: str

    def op(self) -> dict[str, Any]:
        return {"op": "set_future", "future": {self.token: 1}}

    def apply(self, state: RunState) -> RunState:
        future = {**state.extra.get("future", {}), self.token: 1}
        return replace(state, extra={**state.extra, "future": future})


class Cast:
    """Who works on the experiment of a world, and what they were told."""

    def __init__(self, world: World, before: Cast | None = None) -> None:
        self.world = world
        self.store = world.store
        self.promises = Promises(world.bucket, NAME)
        self.registers: defaultdict[str, Register] = defaultdict(Register)
        self.logged: Counter[tuple[str, int]] = Counter()
        self.durable: Counter[tuple[str, int]] = Counter()
        self.numbers: list[int] = []
        self.taken: list[str] = []
        self.rewound: dict[str, int] = {}
        self.beating: set[str] = set()
        self.picturing: set[int] = set()
        if before is not None:
            self.promises.follow(before.promises)
            self.logged.update(before.logged)
            self.durable.update(before.durable)
            for run, register in before.registers.items():
                # What was before all else.
                self.registers[run] = Register(
                    dict.fromkeys(register.began, -2), dict.fromkeys(register.ended, -1)
                )

    # -- chains

    def start_run(self, run: str, root: str | None = None, number: int = 1) -> bool:
        """Commit version 1 of a run."""
        state = self._first(run, number, root)
        done = create(self.store, run_scheme(NAME, run), first_version(state, [CREATE]))
        if done:
            self._told(lambda: self.promises.acknowledge_version(run, 1))
        return done

    def _first(self, run: str, number: int, root: str | None = None) -> RunState:
        return RunState(
            run_id=run, experiment=NAME, number=number, root_run_id=root or run,
            parent_run_id=root, created=WHEN, status="Running",
        )  # fmt: skip

    def chain(self, run: str, number: int = 0) -> Chain[RunState]:
        """A handle that knows the last version, or an earlier one."""
        scheme = run_scheme(NAME, run)
        head = load_last(self.store, scheme, listed=number)
        assert head is not None
        return Chain(self.store, scheme, head)

    def change(
        self, run: str, *tokens: str, chain: Chain[RunState] | None = None, future: bool = False
    ) -> None:
        """Add tokens to a run, each by a commit; one whose outcome stays open is tried again."""
        chain = chain or self.chain(run)
        for token in tokens:
            self._begins(run, token)
            done = False
            while not done:
                try:
                    state = chain.commit(Future(token) if future else SetTags({token: "1"}))
                except CommitUnknownError:
                    continue
                done = True
                assert token in state.tags or future, f"{token} was committed and is not there"
            self._ends(run, token, chain.head.version)

    def blind(self, run: str, *tokens: str) -> None:
        """Add tokens as a worker who may only create, and knows version 1."""
        chain = self.blind_chain(run)
        for token in tokens:
            self._begins(run, token)
            chain.commit(SetTags({token: "1"}))
            self._ends(run, token, chain.head.version)

    def blind_chain(self, run: str) -> Chain[RunState]:
        """A handle of a worker who may only create, as it was when the run began."""
        head = self.chain(run, 1).head
        return chain_on(CreateOnly(self.store), run_scheme(NAME, run), head)

    def take_back(self, run: str, token: str) -> None:
        """Remove a token when it is seen; `check_taken_back` expects it gone then."""
        chain = self.chain(run)
        for _ in range(3):
            if token in chain.refresh().tags:
                chain.commit(RemoveTags((token,)))
                self._told(lambda: self.taken.append(token), f"{token} is taken back")

    def check_taken_back(self, run: str) -> None:
        """What was done once is not done again behind what undid it."""
        left = self.chain(run).state.tags
        for token in self.registers[run].ended:
            assert (token in left) != (token in self.taken), f"{token}: {left}, {self.taken}"

    def _begins(self, run: str, token: str) -> None:
        began = self.registers[run].began
        self._told(lambda: began.setdefault(token, len(self.world.steps)), f"{token} begins")

    def _ends(self, run: str, token: str, version: int) -> None:
        def end() -> None:
            self.registers[run].ended[token] = len(self.world.steps)
            self.promises.acknowledge_version(run, version)

        self._told(end, f"{token} is acknowledged")

    def _told(self, call: Callable[[], Any], what: str = "") -> Any:
        return self.world.note(call, what)

    def create_run(self, run: str, experiment: str = NAME) -> None:
        """Claim a number and start a run, as one who must get what it is told."""
        number = Numbers(self.store, experiment).claim(run)
        assert number < keys.DRAWN, f"{run} was given the number {number}"
        assert self.start_run(run, number=number), f"{run} is nobody else's"
        self._told(lambda: self.numbers.append(number), f"{run} is number {number}")

    def create_blindly(self, run: str) -> None:
        """Start a run as one who may only create."""
        store = CreateOnly(self.store)
        number = claims_on(store, NAME).claim(run)
        begin(store, run_scheme(NAME, run), first_version(self._first(run, number), [CREATE]))
        self._told(lambda: self.promises.acknowledge_version(run, 1))
        self._told(lambda: self.numbers.append(number), f"{run} is number {number}")

    def check_numbers(self) -> None:
        """Each number is of one run, and no run is left out."""
        assert len({*self.numbers}) == len(self.numbers), f"numbers given: {self.numbers}"
        self.promises.check_visible()

    # -- points

    def writer(self, run: str) -> Writer:
        """A writer of one process."""
        return Writer(lambda: self.store, NAME, run)

    def log(self, writer: Writer, process: int, run: str, flushes: Iterable[int]) -> None:
        """Log so many points before each flush; what a flush has confirmed is durable."""
        for count in flushes:
            self.buffer(writer, process, run, count)
            while True:
                try:
                    # Patience for one try: what comes behind it is a wait in real time.
                    writer.flush(timeout=0.002)
                    break
                except FlushTimeoutError:
                    continue
            self._told(lambda: self._durable(writer, process, run), f"points of {process}")

    def buffer(self, writer: Writer, process: int, run: str, count: int) -> None:
        """Log points that wait."""
        for _ in range(count):
            value = process * EACH + self.logged[run, process]
            item = self._picture(writer, value) if process in self.picturing else float(value)
            writer.buffer.add("x", item, value % EACH, value)
            self.logged[run, process] += 1

    def _picture(self, writer: Writer, value: int) -> Cell:
        """A point with a blob; its value, which blobs have not, is what points are counted by."""
        content = Content(".bin", picture(value))
        return Cell("image", "blob", float(value), writer.packs.add("x", content).reference())

    def _durable(self, writer: Writer, process: int, run: str) -> None:
        self.durable[run, process] = self.logged[run, process]
        identity = writer._writer  # noqa: SLF001 - by it the points are found
        self.promises.acknowledge_points(run, identity, self.logged[run, process])

    # -- readers

    def read_runs(self, reader: str, times: int = 1) -> None:
        """List the runs, and look at those whose updates are watched."""
        for _ in range(times):
            began = self._told(lambda: len(self.world.steps), f"{reader} looks")
            least = dict(self.promises.versions)
            seen = self.versions()
            ended = self._told(lambda: len(self.world.steps), f"{reader} has seen {seen}")
            for run, version in least.items():
                if run not in self.promises.purged:
                    assert seen.get(run, 0) >= version, f"{run} has {version}, seen is {seen}"
            for run in self.registers:
                if run in seen:
                    self.registers[run].reads.append(Read(reader, began, ended, seen[run]))

    def read_one(self, reader: str, run: str, times: int = 1) -> None:
        """Read a run by its id."""
        for _ in range(times):
            began = self._told(lambda: len(self.world.steps), f"{reader} looks")
            version = self.chain(run).head.version
            ended = self._told(lambda: len(self.world.steps), f"{reader} has seen {version}")
            self.registers[run].reads.append(Read(reader, began, ended, version))

    def versions(self) -> dict[str, int]:
        """The version of each run as a listing gives it."""
        listed = list_runs(self.store, NAME, {})
        assert listed.rows["run_id"].is_unique().all(), "a run twice"
        found = dict(listed.rows.select("run_id", "version").iter_rows())
        changed = read_changed(self.store, listed.changed(NAME, {}))
        assert not changed.damaged
        found.update({one.run: version.version for one, version in changed.versions.items()})
        for one in changed.purged:
            found.pop(one.run, None)
        return found

    def read_points(self, reader: str, times: int = 1, *, live: bool = False) -> None:
        """Read all points: none twice, none missing below what was durable, never fewer."""
        before: Counter[tuple[str, int]] = Counter()
        for _ in range(times):
            least = self._told(self.durable.copy, f"{reader} looks")
            seen = self.live_points() if live else self.points()
            self._told(lambda: None, f"{reader} has seen {sum(seen.values())} points")
            for (run, process), count in (least | before).items():
                if run not in self.promises.purged:
                    told = f"{seen[run, process]} points of {process} in {run}, not {count}"
                    assert seen[run, process] >= count, told
            before = seen

    def read_pictures(self, reader: str, times: int = 1) -> None:
        """Read what points refer to, each time by one who knows where blobs were."""
        blobs = BlobReader(self.store)
        for _ in range(times):
            least = self._told(self.durable.copy, f"{reader} looks")
            tail, _ = read_tail(self.store, NAME, Rows(), None, lambda checkpoint, _: checkpoint)
            kept = [
                Kept(segment.run, parse_reference(reference))
                for _, segment, _, data in tail.shards
                for reference in references(data)
            ]
            seen = [*blobs.read(kept)]
            self._told(lambda: None, f"{reader} has seen {len(kept)} pictures")
            values = [int(v) for _, _, _, data in tail.shards for v in values_of(data)]
            assert seen == [picture(value) for value in values]
            assert len(seen) >= sum(least.values())

    def copy(self, times: int = 1) -> None:
        """Copy the experiment to a bucket of its own, where all promises about blobs hold, too."""
        there = Bucket()
        blobs = Blobs(there)
        for _ in range(times):
            least = self._told(self.durable.copy, "copy")
            pair = Pair(self.store, there)
            work = Carrier(pair, copying, lambda _: None)
            copy_experiments(pair, {NAME: None}, work, copying, whole=True)
            count = sum(map(len, blobs.referred.values()))
            self._told(lambda: None, "copied")
            # Of two points that follow each other the picture is the same.
            assert 2 * count >= sum(least.values())

    def rewind(self, run: str, step: int) -> None:
        """Supersede what was logged to a run from a step on."""
        writers = self._told(lambda: self.promises.writers(run), f"{run} is rewound to {step}")
        rewind(self.store, NAME, (run, run), step)
        self._told(lambda: self.promises.acknowledge_cuts(writers, step), f"{run} is rewound")

    def points(self) -> Counter[tuple[str, int]]:
        """How many points of each run and process are read; each must be there once, in order.

        Those of a rewound run that count are one curve: each step behind the rewind once.
        """

        def whole(chunk: Chunk, cuts: Cuts) -> Chunk:
            curve = full_frame(counting(chunk, cuts))
            for run, step in self.rewound.items():
                steps = curve.filter(pl.col("run_id") == run, pl.col("step") >= step)["step"]
                assert steps.is_unique().all(), f"{run} has steps {steps.to_list()}"
            return chunk

        frame = full_frame(read_points(self.store, NAME, Rows(), refuse, which=whole).chunk)
        rows = frame.sort("run_id", "writer", "offset").select(
            "run_id", "writer", "offset", "value"
        )
        return self._counted(rows.iter_rows())

    def live_points(self) -> Counter[tuple[str, int]]:
        """The same where there are no tables, without the work of putting points in order."""
        tail, _ = read_tail(self.store, NAME, Rows(), None, lambda checkpoint, _: checkpoint)
        return self._counted(
            (segment.run, segment.writer, segment.start + place, value)
            for _, segment, skip, data in tail.shards
            for place, value in enumerate(values_of(data))
            if place >= skip
        )

    def _counted(self, rows: Iterable[tuple[str, str, int, float]]) -> Counter[tuple[str, int]]:
        offsets: Counter[tuple[str, str]] = Counter()
        counts: Counter[tuple[str, int]] = Counter()
        for run, writer, offset, value in rows:
            assert offset == offsets[run, writer], f"offset {offset} of {writer}: a gap, or twice"
            offsets[run, writer] += 1
            process, place = divmod(int(value), EACH)
            assert place == counts[run, process], (
                f"point {place} of process {process}: a gap, or twice"
            )
            counts[run, process] += 1
        for whose, count in counts.items():
            assert count <= self.logged[whose], f"{whose} has logged {self.logged[whose]}"
        return counts

    def check_curve(self, run: str, process: int) -> None:
        """Behind the step that a run was rewound to, all that counts is of one process."""
        first = self.rewound[run]
        seen = read_points(self.store, NAME, Rows(), refuse).chunk
        behind = full_frame(seen).filter(pl.col("run_id") == run, pl.col("step") >= first)
        values = [process * EACH + step for step in range(first, self.logged[run, process])]
        assert behind.sort("step")["value"].to_list() == values, f"{run} is {behind}"
        sums = summed(read_parts(self.store, NAME, Rows(), refuse)).filter(pl.col("run_id") == run)
        assert sums["count"].to_list() == [seen.where(pl.col("run_id") == run).rows.height]

    # -- upkeep

    def compact(self, times: int = 1) -> None:
        for _ in range(times):
            compact(self.store, NAME)

    def compact_in_future(self) -> None:
        """Commit a checkpoint as a later version of the library, with a field of its own."""
        latest = latest_checkpoint(self.store, NAME)
        assert latest is not None
        following = next_checkpoint(NAME, latest, latest.files)
        assert commit_checkpoint(self.store, replace(following, extra={"future": [1]}))

    def vacuum(self, retention: timedelta = NOW) -> None:
        vacuum(self.store, NAME, retention=retention)

    def late(self) -> None:
        """Requests of those who worked before this world began arrive once more."""
        for key, data in self.promises.ever():
            if keys.parse_segment(key) or keys.parse_marker(key) or keys.parse_cut(key):
                insist(partial(self.store.put, key, data))

    def beat(self, *runs: str) -> None:
        """Say that somebody has runs open."""
        for run in runs:
            self.beating.add(run)
            Heartbeat(lambda: self.store, NAME, run).put(self.store)

    # -- purge

    def delete_run(self, run: str) -> None:
        """Put a run into the trash."""
        chain = self.chain(run)
        chain.commit(SetLifecycle("deleted", clock.now()))
        self._told(lambda: self.promises.acknowledge_version(run, chain.head.version))

    def restore_run(self, run: str, chain: Chain[RunState]) -> None:
        """Bring a run back by a handle that knows it from long ago, unless it was purged."""
        with suppress(RunNotFoundError):
            chain.commit(SetLifecycle("active", clock.now()), SetTags({"back": "1"}))
            self._told(lambda: self.promises.acknowledge_version(run, chain.head.version))

    def collect(self) -> None:
        """Purge what was deleted a month ago."""
        self._opened().gc(timedelta(days=30))

    def reap(self) -> None:
        """Fail what gave no sign of life for an hour."""
        self._opened().reap()

    def _opened(self) -> Workspace:
        """The store of the world as a workspace; the requests of opening are not played."""
        workspace = Workspace("memory://simulated-upkeep")
        workspace.writing()
        workspace._store = self.store  # noqa: SLF001
        return workspace

    def check_reaped(self, run: str) -> None:
        """Whoever was failed by others had changed nothing for an hour."""
        self.check_chains()
        objects = self.world.bucket.objects
        for number in range(2, len(self.stored(run)) + 1):
            (before, then), (after, now) = (
                objects[keys.run_state(run, each)] for each in (number - 1, number)
            )
            is_reaped = b'"status":"Running"' in before and b'"status":"Failed"' in after
            assert not is_reaped or now - then > HOUR, f"{run} was reaped, and changed just before"

    def finish_purge(self, run: str) -> None:
        """After a purge, compaction and vacuum nothing is left of what was purged."""
        self.promises.check_visible()
        self.collect()
        self.finish()
        if run in self.promises.purged:
            left = [key for key in self.world.bucket.objects if f"/{run}" in key]
            versions = self.stored(run)
            # A late request may bring back a version that nobody was told of, below the tombstone.
            assert len(left) == len(versions), f"left of what was purged: {left}"
            assert versions[max(versions)].state is None
            assert run not in self.promises.tables().versions, f"{run} is in tables"
            assert run not in {of for of, _ in self.promises.tables().coverage}
        else:
            # A purge that died behind its marker has given a sign of life: the run may be purged a
            # month later, and the marker was burnt.
            told, chain = self.promises.versions[run], self.stored(run)
            assert self.versions()[run] == max(chain)
            burnt = [version for number, version in chain.items() if number > told]
            assert all(v.state == chain[told].state and not v.added for v in burnt)

    # -- the end

    def check_chains(self) -> None:
        """All updates that were told are there, in an order that is that of real time."""
        self.promises.check_visible()
        for run, register in self.registers.items():
            register.check(self.stored(run))

    def check_points(self, *, live: bool = False) -> None:
        """All points that were told are found once, in order."""
        self.promises.check_visible()
        points = self.live_points() if live else self.points()
        for whose, count in self.durable.items():
            if whose[0] not in self.promises.purged:
                assert points[whose] >= count, f"{whose}: {points[whose]} of {count} are found"

    def check(self) -> None:
        """All that was told is true, and no more."""
        self.check_chains()
        self.check_points()
        seen = self.versions()
        for run, version in self.promises.versions.items():
            assert seen.get(run, 0) >= version, f"{run} has {version}, seen is {seen}"

    def stored(self, run: str) -> dict[int, Any]:
        """The versions of a run's chain."""
        folder = keys.run_states(run)
        objects = self.world.bucket.objects
        found = {
            keys.parse_version(k) or 0: v[0] for k, v in objects.items() if k.startswith(folder)
        }
        return {number: stored(data) for number, data in found.items()}

    def finish(self) -> None:
        """An hour later, a compaction and vacuum leave only what the last checkpoint names."""
        self.world.bucket.time += 2 * HOUR
        self.vacuum()
        self.start_run("last", number=99)
        self.compact()
        self.vacuum()
        self.check()
        checkpoint = self.promises.checkpoint()
        assert checkpoint is not None
        own = keys.experiment_folder(NAME)
        expected = {f"{keys.tables(NAME)}{file.name}" for file in checkpoint.files}
        expected.add(keys.checkpoint(NAME, checkpoint.number))
        # What goes on when this world ends goes on giving signs of life.
        expected |= {heartbeat_key(NAME, run) for run in self.beating - self.promises.purged}
        kept = {key for key in self.world.bucket.objects if key.startswith(own)}
        kept = {key for key in kept if "/state/" not in key and "/numbers/" not in key}
        assert kept == expected, f"left over: {sorted(kept - expected)}"


def values_of(segment: bytes) -> list[float]:
    """The values of a segment."""
    values: list[float] = pq.read_table(io.BytesIO(segment), columns=["value"])["value"].to_pylist()
    return values


def picture(value: int) -> bytes:
    """What is logged as a blob beside a value: of two that follow each other the same."""
    return f"blob {value // 2}".encode()


def fork_of(writer: Writer) -> Writer:
    """What a forked child has of its parent's writer."""
    child = copy.copy(writer)
    child.buffer = copy.copy(writer.buffer)
    for name in ("stepped", "plain", "_mixed"):
        waiting = {key: rows[:] for key, rows in getattr(writer.buffer, name).items()}
        setattr(child.buffer, name, waiting)
    child.buffer._retired = [*writer.buffer._retired]  # noqa: SLF001 - memory is copied
    child._tail, child._post = copy.copy(writer._tail), copy.copy(writer._post)  # noqa: SLF001
    child.forked()
    return child
