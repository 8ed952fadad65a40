"""Purge: free the space of runs that were marked deleted long ago. SPEC section 9.5, ADR 0015.

First a tombstone is put behind the last version of a run's chain, as any commit would be: whoever
restores the run at this moment wins or loses. It stays for ever, so that the id is not used again.
Then everything else goes, then a checkpoint without the run is committed, and last the tombstone's
marker goes, by which a purge that was killed is found again.

The order is what counts. A compaction that has read the run while it was there goes by an older
checkpoint, so it loses against that of the purge, or is followed by it; one that goes by that of
the purge, or a later one, reads the chain after it was removed.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Final, NamedTuple

from objrun.errors import NotFoundError
from objrun.format import keys
from objrun.format.documents import encode_run
from objrun.format.heartbeat_keys import parse_heartbeat
from objrun.protocol.chain import create, load
from objrun.protocol.live import run_scheme
from objrun.protocol.settle import insist
from objrun.protocol.tombstones import tombstone
from objrun.storage import together

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from datetime import datetime

    from objrun.storage import ObjectInfo, Store

    Drop = Callable[[set[str]], None]

PURGE: Final = "purge"
"""The op of a tombstone."""


class Freed(NamedTuple):
    """What a purge frees: fewer objects and bytes in listings of the store, tombstones counted.

    `run` None: what belongs to an experiment and to none of its runs. `model`: whose files they
    are, `name:version`, or the name where no version has them. The checkpoint that a purge
    of runs commits, and its tables, are not counted: what they supersede goes with a vacuum.
    """

    experiment: str | None
    run: str | None
    objects: int
    size: int
    model: str | None = None


@dataclass(frozen=True)
class Doomed:
    """A run that can be purged: the last version of its chain, and all objects that will go."""

    experiment: str
    run: str
    head: int
    is_entombed: bool
    objects: tuple[ObjectInfo, ...]
    markers: tuple[ObjectInfo, ...]

    def freed(self) -> Freed:
        """Return what its purge frees."""
        going = [*self.objects, *self.markers]
        size = sum(info.size for info in going)
        if self.is_entombed:
            return Freed(self.experiment, self.run, len(going), size)
        stays = len(encode_run(tombstone(self.head + 1, self.experiment, PURGE)))
        return Freed(self.experiment, self.run, len(going) - 1, size - stays)


def list_markers(store: Store, experiment: str) -> dict[str, list[ObjectInfo]]:
    """Return the markers and heartbeats of an experiment by run: one LIST."""
    found: dict[str, list[ObjectInfo]] = {}
    for info in insist(lambda: store.list(keys.feed(experiment))):
        marker = keys.parse_marker(info.key)
        run = marker.run if marker else parse_heartbeat(info.key)
        if run is not None:
            found.setdefault(run, []).append(info)
    return found


def plan_runs(
    store: Store,
    experiment: str,
    runs: Iterable[str],
    markers: Mapping[str, Sequence[ObjectInfo]],
    limit: datetime,
) -> list[Doomed]:
    """Return those of `runs` that can be purged.

    They are marked deleted and nothing of them was written since `limit`, by the store's clock, so
    that every handle that knows one of their versions knows an old one, and no process has had
    them open since, for it would have put their heartbeat; or their purge has begun.
    Two LISTs and a GET a run.
    """

    def plan(run: str) -> Doomed | None:
        return _plan_run(store, experiment, run, markers.get(run, ()), limit)

    return [doomed for read in together(store, plan, runs) if (doomed := read())]


def _plan_run(
    store: Store, experiment: str, run: str, markers: Sequence[ObjectInfo], limit: datetime
) -> Doomed | None:
    scheme = run_scheme(experiment, run)
    objects = insist(lambda: store.list(keys.run_folder(run)))
    objects += insist(lambda: store.list(keys.shards(experiment, run)))
    chain = versions_among(scheme.folder, objects)
    if not chain:
        return None
    head = max(chain)
    try:
        version = load(store, scheme, head)
        while version.purged and version.base:
            # A blind version behind the tombstone goes, too.
            head -= 1
            version = load(store, scheme, head)
    except NotFoundError:
        # Another purge has removed it since it was listed.
        return None
    state = version.state
    if (state.experiment if state else version.experiment) != experiment:
        return None
    written = any(info.modified > limit for info in (*objects, *markers))
    if state and (state.lifecycle != "deleted" or written):
        return None
    kept = scheme.key(head) if version.purged else ""
    going = tuple(info for info in objects if info.key != kept)
    return Doomed(experiment, run, head, bool(version.purged), going, tuple(markers))


def versions_among(folder: str, objects: Iterable[ObjectInfo]) -> dict[int, ObjectInfo]:
    """Return the versions of the chain in `folder` by number."""
    named = ((keys.parse_version(i.key), i) for i in objects if i.key.startswith(folder))
    return {number: info for number, info in named if number}


def entomb(store: Store, doomed: Doomed) -> bool:
    """Put the tombstone; False if somebody has changed the run since it was planned for."""
    if doomed.is_entombed:
        return True
    scheme = run_scheme(doomed.experiment, doomed.run)
    return create(store, scheme, tombstone(doomed.head + 1, doomed.experiment, PURGE))


def clear(store: Store, doomed: Doomed) -> None:
    """Remove all of an entombed run but its tombstone and the marker of that."""
    own = _last_marker(doomed)
    named = [info.key for info in (*doomed.objects, *doomed.markers) if info.key != own]
    insist(lambda: store.delete(named))


def _last_marker(doomed: Doomed) -> str:
    last = doomed.head + (not doomed.is_entombed)
    return keys.marker(doomed.experiment, doomed.run, last)


def purge_runs(store: Store, runs: Sequence[Doomed], drop: Drop) -> list[Doomed]:
    """Purge runs of one experiment and return them, without those that were changed meanwhile.

    `drop` commits a checkpoint without the rows of some runs, also where no table has any. Whatever
    is done twice, or was done in part by somebody who was killed, comes to the same.
    """
    answers = together(store, partial(entomb, store), runs)
    dead = [doomed for doomed, won in zip(runs, answers, strict=True) if won()]
    for cleared in together(store, partial(clear, store), dead):
        cleared()
    if dead:
        drop({doomed.run for doomed in dead})
        insist(lambda: store.delete(map(_last_marker, dead)))
    return dead
