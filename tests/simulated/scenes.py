"""The scenes that are played: who is in them, what may go wrong, and with what they begin."""

from __future__ import annotations

from contextlib import contextmanager, suppress
from datetime import timedelta
from functools import cache, partial
from typing import TYPE_CHECKING, NamedTuple

import pytest

from objrun.errors import UnavailableError
from objrun.format import keys
from objrun.format.states import ExperimentState
from objrun.protocol import levels, tail
from objrun.protocol.chain import create, first_version
from objrun.protocol.experiments import experiment_scheme
from objrun.protocol.opening import new_header
from objrun.protocol.updates import CREATE
from objrun.testing.sim import Bucket, Limits, Replay, Scene, World
from objrun.testing.sim.operations import TORN
from tests.simulated.cast import HOUR, NAME, NOW, WHEN, Cast, fork_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from objrun.protocol.writer import Writer

ALBUM = ExperimentState(experiment_id="id", name=NAME, created=WHEN)
DAYS = timedelta(days=2)


@contextmanager
def small_limits() -> Iterator[None]:
    """Have segments of few points, packs put together by twos, buckets of few run numbers."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tail, "CLOSED_ROWS", 3)
        patch.setattr(levels, "FAN", 2)
        patch.setattr(keys, "BUCKET_SIZE", 3)
        yield


class Prepared(NamedTuple):
    """A bucket in which something has happened, and what those who did it were told."""

    bucket: Bucket
    cast: Cast


def prepared(*acts: Callable[[Cast], object]) -> Prepared:
    """Let actors act one after the other."""
    world = World()
    cast = Cast(world)
    for place, act in enumerate(acts):
        world.spawn(f"before{place}", partial(act, cast))
    with small_limits():
        world.run(Replay(""))
    for actor in world.actors.values():
        assert actor.error is None, actor.error
    world.bucket.watchers.clear()
    return Prepared(world.bucket, cast)


# -- chains


@cache
def one_run() -> Prepared:
    return prepared(lambda cast: cast.start_run("r"))


def two_writers(world: World) -> Callable[[], None]:
    cast = Cast(world, one_run().cast)
    for name in "ab":
        world.spawn(name, partial(cast.change, "r", f"{name}1", chain=cast.chain("r")))
    return cast.check_chains


def writer_and_readers(world: World) -> Callable[[], None]:
    cast = Cast(world, one_run().cast)
    world.spawn("a", partial(cast.change, "r", "a1", chain=cast.chain("r")))
    world.spawn("r", partial(cast.read_runs, "r"))
    world.spawn("s", partial(cast.read_one, "s", "r"))
    return cast.check_chains


def many_writers(world: World) -> Callable[[], None]:
    cast = Cast(world, one_run().cast)
    for place, name in enumerate("abcd"):
        change = partial(cast.change, "r", f"{name}1", f"{name}2", future=name == "d")
        world.spawn(name, change, skew=DAYS * (place - 1))
    world.spawn("blind", partial(cast.blind, "r", "x1", "x2"))
    world.spawn("r", partial(cast.read_runs, "r", 3))
    world.spawn("s", partial(cast.read_one, "s", "r", 3))
    return cast.check_chains


def blind(world: World) -> Callable[[], None]:
    """One who may only create sets a tag, and another removes it."""
    cast = Cast(world, one_run().cast)
    world.spawn("blind", partial(cast.blind, "r", "x"))
    world.spawn("o", partial(cast.take_back, "r", "x"))
    return partial(cast.check_taken_back, "r")


def blind_creator(world: World) -> Callable[[], None]:
    """One who may only create starts a run amid those of another: here a bucket has three."""
    cast = Cast(world)

    def several() -> None:
        for name in "abc":
            cast.create_run(name)

    world.spawn("blind", partial(cast.create_blindly, "x"))
    world.spawn("o", several)
    return cast.check_numbers


def creators(world: World) -> Callable[[], None]:
    cast = Cast(world)
    for name in "ab":
        world.spawn(name, partial(cast.create_run, name))
    return cast.check_numbers


def many_creators(world: World) -> Callable[[], None]:
    """Numbers go on in the next bucket: here one has three."""
    cast = Cast(world)

    def several(name: str) -> None:
        for place in range(3):
            cast.create_run(f"{name}{place}")

    for name in "abc":
        world.spawn(name, partial(several, name))
    world.spawn("r", partial(cast.read_runs, "r", 3))
    return cast.check_numbers


# -- points


def one_logger(world: World) -> Callable[[], None]:
    cast = Cast(world, one_run().cast)
    world.spawn("w", lambda: cast.log(cast.writer("r"), 1, "r", [2, 1, 2]))
    world.spawn("r", partial(cast.read_points, "r", live=True))
    return partial(cast.check_points, live=True)


def fork(world: World) -> Callable[[], None]:
    """A process forks while points wait; both go on."""
    cast = Cast(world, one_run().cast)

    def parent() -> None:
        own: Writer = cast.writer("r")
        cast.log(own, 1, "r", [2])
        cast.buffer(own, 1, "r", 1)
        child = fork_of(own)
        world.spawn("child", lambda: cast.log(child, 2, "r", [2, 1]))
        cast.log(own, 1, "r", [1, 1])

    world.spawn("w", parent)
    return partial(cast.check_points, live=True)


def pictures(world: World) -> Callable[[], None]:
    """Two processes log blobs, of which some are equal; one was forked while blobs waited."""
    cast = Cast(world, one_run().cast)
    cast.picturing = {1, 2}

    def parent() -> None:
        own = cast.writer("r")
        cast.log(own, 1, "r", [3])
        cast.buffer(own, 1, "r", 2)
        child = fork_of(own)
        world.spawn("child", lambda: cast.log(child, 2, "r", [2]))
        cast.log(own, 1, "r", [1])

    world.spawn("w", parent)
    return partial(cast.check_points, live=True)


@cache
def one_album() -> Prepared:
    """A store that can be copied, with a run."""

    def old(cast: Cast) -> None:
        cast.store.put(keys.HEADER, new_header())
        create(cast.store, experiment_scheme(NAME), first_version(ALBUM, [CREATE]))
        cast.start_run("r")

    return prepared(old)


def packs_beside(act: Callable[[Cast], object]) -> Callable[[World], Callable[[], None]]:
    """A process logs blobs, and goes on with them while somebody does something."""

    def begin(world: World) -> Callable[[], None]:
        cast = Cast(world, one_album().cast)
        cast.picturing = {1}

        def log() -> None:
            own = cast.writer("r")
            cast.log(own, 1, "r", [2, 2, 2])
            world.spawn("o", partial(act, cast))
            world.spawn("v", lambda: cast.log(own, 1, "r", [2, 2]))

        world.spawn("w", log)
        return partial(cast.check_points, live=True)

    return begin


def loggers(world: World) -> Callable[[], None]:
    cast = Cast(world, one_run().cast)
    for process in (1, 2, 3):
        flushes = [process, 2, 1, 3]
        log = partial(lambda p, flushes: cast.log(cast.writer("r"), p, "r", flushes), process)
        world.spawn(f"w{process}", partial(log, flushes))
    for name in ("r", "s"):
        world.spawn(name, partial(cast.read_points, name, 3, live=True))
    return partial(cast.check_points, live=True)


# -- tables


@cache
def half_compacted() -> Prepared:
    """A store with a checkpoint that was vacuumed, and something new to compact."""

    def old(cast: Cast) -> None:
        cast.start_run("m")
        cast.start_run("c", "m", number=2)
        cast.log(cast.writer("m"), 1, "m", [3])
        cast.log(cast.writer("c"), 2, "c", [2])
        cast.compact()
        cast.compact_in_future()
        cast.vacuum()

    def new(cast: Cast) -> None:
        cast.change("m", "before")
        cast.start_run("z", number=3)
        cast.log(cast.writer("m"), 3, "m", [2, 1, 1])
        cast.log(cast.writer("c"), 4, "c", [1])

    return prepared(old, new)


def write(cast: Cast, process: int) -> None:
    """A process logs to a run and tags it."""
    cast.log(cast.writer("m"), process, "m", [2, 1])
    cast.change("m", f"p{process}")
    cast.log(cast.writer("c"), process + 1, "c", [1])


def upkeep(cast: Cast, retention: timedelta = NOW) -> None:
    cast.compact()
    cast.vacuum(retention)


def paused_upkeep(world: World, retention: timedelta) -> Callable[[], None]:
    """A compaction and vacuum, and all that others may do meanwhile."""
    cast = Cast(world, half_compacted().cast)

    def others() -> None:
        own = cast.writer("m")
        cast.log(own, 5, "m", [2])
        upkeep(cast, retention)
        # The next checkpoint goes on with the points of this one.
        cast.change("z", "again")
        upkeep(cast, retention)
        # A vacuum alone finds a segment and a run of which only the beginning is in tables.
        cast.log(own, 5, "m", [1])
        cast.change("m", "again")
        cast.vacuum(retention)
        cast.late()

    world.spawn("u", partial(upkeep, cast))
    world.spawn("o", others)
    return cast.check_chains


@cache
def new_points() -> Prepared:
    """A store with a checkpoint, and points so few that its tables need not be merged."""

    def old(cast: Cast) -> None:
        cast.start_run("m")
        for number in range(12):
            cast.start_run(f"r{number}", number=10 + number)
        cast.log(cast.writer("m"), 1, "m", [30])
        upkeep(cast)

    return prepared(old, lambda cast: cast.log(cast.writer("m"), 2, "m", [2]))


def taken_number(world: World) -> Callable[[], None]:
    """The number that a compaction wants is taken, superseded and free again when it commits."""
    cast = Cast(world, new_points().cast)

    def others() -> None:
        upkeep(cast)
        # The next checkpoint goes on with the points of this one.
        cast.start_run("y", number=2)
        upkeep(cast)

    world.spawn("u", partial(upkeep, cast))
    world.spawn("o", others)
    return cast.promises.check_visible


def vacuum_meanwhile(world: World) -> Callable[[], None]:
    """A compaction, and a vacuum by somebody else."""
    cast = Cast(world, half_compacted().cast)
    world.spawn("k", cast.compact)
    world.spawn("v", cast.vacuum)
    return cast.check


def paused_reader(world: World, retention: timedelta) -> Callable[[], None]:
    """Somebody reads runs and points while others write, compact and vacuum."""
    cast = Cast(world, half_compacted().cast)

    def others() -> None:
        write(cast, 5)
        upkeep(cast, retention)

    def read() -> None:
        cast.read_runs("r")
        cast.read_points("r")

    world.spawn("r", read)
    world.spawn("o", others)
    return cast.promises.check_visible


def maintenance(world: World) -> Callable[[], None]:
    """Everybody once, one after the other: what dies at any request harms nobody behind it."""
    cast = Cast(world, half_compacted().cast)
    world.spawn("w", partial(write, cast, 5))
    world.spawn("u", partial(upkeep, cast))
    world.spawn("v", partial(upkeep, cast))
    return cast.finish


def crowd(world: World) -> Callable[[], None]:
    cast = Cast(world, half_compacted().cast)

    def patiently(act: Callable[[], None]) -> Callable[[], None]:
        def work() -> None:
            # Others were quicker each time.
            with suppress(UnavailableError):
                act()

        return work

    world.spawn("u", patiently(partial(upkeep, cast)))
    world.spawn("k", patiently(partial(cast.compact, 2)))
    world.spawn("t", patiently(partial(upkeep, cast, HOUR)))
    world.spawn("w", partial(write, cast, 5))
    world.spawn("x", partial(write, cast, 7))
    world.spawn("r", patiently(partial(cast.read_runs, "r", 2)))
    world.spawn("p", patiently(partial(cast.read_points, "p", 2)))
    world.spawn("late", cast.late)
    return cast.check


# -- rewinds


@cache
def preempted() -> Prepared:
    """A run that has logged steps 0 to 2, in tables and live, and whose process is gone."""

    def old(cast: Cast) -> None:
        cast.start_run("p")
        own = cast.writer("p")
        cast.log(own, 1, "p", [2])
        upkeep(cast)
        cast.log(own, 1, "p", [1])

    return prepared(old)


def resume(cast: Cast) -> Writer:
    """Go back to a step and on, while a process that was taken for dead (returned) logs on.

    Of its own it logs the steps from 0 on: that one counts beside the old ones.
    """
    dead, own = cast.writer("p"), cast.writer("p")
    cast.log(dead, 3, "p", [1])
    cast.rewind("p", cast.rewound["p"])
    cast.log(own, 5, "p", [2, 1])
    cast.log(dead, 3, "p", [2])
    return dead


def rewound_beside_upkeep(world: World) -> Callable[[], None]:
    """A run is rewound, and a compaction and vacuum began before."""
    cast = Cast(world, preempted().cast)
    cast.rewound["p"] = 1

    def resumed() -> None:
        dead = resume(cast)
        # Of cuts that are in no table, and of late points of a writer that tables have cut.
        cast.vacuum()
        upkeep(cast)
        cast.log(dead, 3, "p", [1])
        upkeep(cast)
        cast.late()

    def end() -> None:
        cast.check_curve("p", 5)
        cast.finish()

    world.spawn("u", partial(upkeep, cast))
    world.spawn("p", resumed)
    return end


def rewound_beside_a_reader(world: World) -> Callable[[], None]:
    """A run is rewound; who reads it sees one curve at any moment."""
    cast = Cast(world, preempted().cast)
    cast.rewound["p"] = 1

    def read() -> None:
        for _ in range(3):
            cast.points()

    world.spawn("r", read)
    world.spawn("p", partial(resume, cast))
    return partial(cast.check_curve, "p", 5)


# -- purge


@cache
def deleted_run() -> Prepared:
    """A run that was deleted long ago, half of it in tables, and one that goes on."""

    def old(cast: Cast) -> None:
        for number, run in enumerate(("gone", "m"), 1):
            cast.start_run(run, number=number)
            cast.log(cast.writer(run), number, run, [3])
        cast.compact()
        cast.log(cast.writer("gone"), 3, "gone", [1])
        cast.delete_run("gone")
        cast.world.wait(timedelta(days=40))

    return prepared(old, lambda cast: write_to(cast, "m", 4))


def write_to(cast: Cast, run: str, process: int) -> None:
    cast.log(cast.writer(run), process, run, [2])
    cast.change(run, f"p{process}")


def purge_meanwhile(world: World) -> Callable[[], None]:
    """A purge, and meanwhile another one, a compaction and a vacuum; then a segment comes late."""
    cast = Cast(world, deleted_run().cast)

    def others() -> None:
        upkeep(cast)
        cast.collect()
        write_to(cast, "m", 5)
        upkeep(cast)

    world.spawn("g", cast.collect)
    world.spawn("o", others)
    return partial(cast.finish_purge, "gone")


def paused_beside_a_purge(world: World) -> Callable[[], None]:
    """A compaction that has read a run which is purged before it commits."""
    cast = Cast(world, deleted_run().cast)
    world.spawn("u", partial(upkeep, cast))
    world.spawn("g", cast.collect)
    return partial(cast.finish_purge, "gone")


def heartbeats(world: World) -> Callable[[], None]:
    """Processes have runs open, one of which is purged, beside everybody else."""
    cast = Cast(world, deleted_run().cast)

    def open_elsewhere() -> None:
        cast.beat("gone", "m")
        world.wait(2 * HOUR)
        cast.beat("gone")

    world.spawn("h", open_elsewhere)
    world.spawn("u", partial(upkeep, cast))
    world.spawn("g", cast.collect)
    return partial(cast.finish_purge, "gone")


@cache
def silent_run() -> Prepared:
    """A run that has given no sign of life for two hours."""

    def old(cast: Cast) -> None:
        cast.start_run("r")
        cast.world.wait(2 * HOUR)

    return prepared(old)


def reaped(world: World) -> Callable[[], None]:
    """Two reap a run whose process comes back meanwhile."""
    cast = Cast(world, silent_run().cast)

    def back() -> None:
        cast.beat("r")
        cast.change("r", "back")

    world.spawn("z", cast.reap)
    world.spawn("h", back)
    world.spawn("y", cast.reap)
    return partial(cast.check_reaped, "r")


def restored(world: World, known: int) -> Callable[[], None]:
    """Somebody who knows a version brings the run back while it is purged."""
    cast = Cast(world, deleted_run().cast)
    world.spawn("g", cast.collect)
    world.spawn("r", partial(cast.restore_run, "gone", cast.chain("gone", known)))
    return partial(cast.finish_purge, "gone")


def bucket_of(make: Callable[[], Prepared]) -> Callable[[], Bucket]:
    return lambda: make().bucket


ONE = bucket_of(one_run)
HALF = bucket_of(half_compacted)
TRASH = bucket_of(deleted_run)
LOST = bucket_of(preempted)

TORN_ONCE = Limits(faults=1, allowed=frozenset({TORN}))

SCENES = {
    scene.name: scene
    for scene in (
        Scene("two-writers", two_writers, Limits(faults=1), ONE),
        Scene("writer-and-readers", writer_and_readers, start=ONE),
        Scene("many-writers", many_writers, Limits(faults=4, kills=1), ONE),
        Scene("blind", blind, Limits(faults=1), ONE),
        Scene("blind-creator", blind_creator, Limits(faults=1)),
        Scene("creators", creators, Limits(faults=1)),
        Scene("many-creators", many_creators, Limits(faults=4, kills=1)),
        Scene("one-logger", one_logger, Limits(faults=2), ONE),
        Scene("fork", fork, Limits(faults=1), ONE),
        Scene("pictures", pictures, Limits(faults=1, kills=1), ONE),
        Scene(
            "packs-beside-a-reader",
            packs_beside(lambda cast: cast.read_pictures("r", 2)),
            TORN_ONCE,
            bucket_of(one_album),
        ),
        Scene(
            "packs-beside-a-copy",
            packs_beside(lambda cast: cast.copy(2)),
            TORN_ONCE,
            bucket_of(one_album),
        ),
        Scene("loggers", loggers, Limits(faults=6, kills=1), ONE),
        Scene("paused-upkeep", partial(paused_upkeep, retention=NOW), start=HALF),
        Scene("upkeep-that-keeps", partial(paused_upkeep, retention=HOUR), start=HALF),
        Scene("taken-number", taken_number, start=bucket_of(new_points)),
        Scene("vacuum-meanwhile", vacuum_meanwhile, start=HALF),
        Scene("paused-reader", partial(paused_reader, retention=NOW), start=HALF),
        Scene("reader-of-old-tables", partial(paused_reader, retention=HOUR), start=HALF),
        Scene("maintenance", maintenance, start=HALF),
        Scene("rewound-beside-upkeep", rewound_beside_upkeep, start=LOST),
        Scene("rewound-beside-a-reader", rewound_beside_a_reader, start=LOST),
        Scene("purge-meanwhile", purge_meanwhile, start=TRASH),
        Scene("paused-beside-a-purge", paused_beside_a_purge, start=TRASH),
        Scene("heartbeats", heartbeats, start=TRASH),
        Scene("reaped", reaped, start=bucket_of(silent_run)),
        Scene("restored", partial(restored, known=2), Limits(faults=1), TRASH),
        Scene("old-handle", partial(restored, known=1), Limits(faults=1), TRASH),
        Scene("crowd", crowd, Limits(faults=4, kills=2), HALF),
    )
}
