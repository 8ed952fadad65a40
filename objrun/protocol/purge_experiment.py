"""Purge an experiment that was marked deleted long ago, when all its runs can be. ADR 0015.

Its chain ends in a tombstone, which keeps everybody from making it anew; then all else goes; then
a second tombstone says that the name is free, and the chain goes on behind it. No key is ever used
for something else: handles, copies and caches of other machines still know the former ones.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from objrun.format import keys
from objrun.format.checkpoints import encode_checkpoint
from objrun.format.documents import encode_experiment
from objrun.protocol.chain import create, load_last
from objrun.protocol.checkpointing import latest_checkpoint, next_checkpoint
from objrun.protocol.experiments import experiment_scheme
from objrun.protocol.live import last_markers
from objrun.protocol.purge import PURGE, Freed, purge_runs, versions_among
from objrun.protocol.settle import insist
from objrun.protocol.tombstones import FREE, is_free, tombstone

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from objrun.format.checkpoints import Checkpoint
    from objrun.protocol.purge import Doomed, Drop
    from objrun.storage import ObjectInfo, Store


@dataclass(frozen=True, kw_only=True)
class Condemned:
    """An experiment that can be purged: its runs, its chain, and what else will go.

    `entombed` is the number of its tombstone, put or to be put; `added` the sizes of objects that
    the purge itself leaves there. Where the name is free already, only old versions are left.
    """

    experiment: str
    runs: tuple[Doomed, ...] = ()
    entombed: int
    is_free: bool = False
    chain: tuple[ObjectInfo, ...]
    rest: tuple[ObjectInfo, ...] = ()
    added: tuple[int, ...] = ()

    def freed(self) -> Freed:
        """Return what its purge frees, without that of its runs."""
        going = [*self.chain, *self.rest]
        size = sum(info.size for info in going) - sum(self.added)
        return Freed(self.experiment, None, len(going) - len(self.added), size)


def plan_experiment(
    store: Store, experiment: str, runs: Sequence[Doomed], limit: datetime, *, all_runs: bool
) -> Condemned | None:
    """Return the purge of an experiment, None if it cannot be purged.

    It was marked deleted at `limit` or before, by the store's clock, nothing but tables was written
    since, and `runs` are `all_runs`; or its purge has begun.
    """
    scheme = experiment_scheme(experiment)
    version = load_last(store, scheme)
    if version is None or (version.state and version.state.lifecycle != "deleted"):
        return None
    objects = insist(lambda: store.list(keys.experiment_folder(experiment)))
    chain = versions_among(scheme.folder, objects)
    head, versions = version.version, tuple(chain.values())
    if head != max(chain, default=0):
        return None
    if version.purged and is_free(version):
        older = tuple(info for info in versions if info is not chain[head])
        whole = Condemned(experiment=experiment, entombed=head, is_free=True, chain=older)
        return whole if older else None
    latest = latest_checkpoint(store, experiment)
    rest = _rest(objects, experiment, runs, latest)
    others = (keys.tables(experiment), keys.checkpoints(experiment))
    touched = [info for info in rest if not info.key.startswith(others)]
    touched += [] if version.purged else versions
    is_quiet = all_runs and all(info.modified <= limit for info in touched)
    if not is_quiet and not version.purged:
        return None
    entombed = head if version.purged else head + 1
    added = [len(encode_experiment(tombstone(entombed + 1, experiment, FREE)))]
    if is_quiet and runs:
        added.append(len(encode_checkpoint(next_checkpoint(experiment, latest, ()))))
    return Condemned(
        experiment=experiment,
        runs=tuple(runs),
        entombed=entombed,
        chain=versions,
        rest=tuple(rest) if is_quiet else (),
        added=tuple(added),
    )


def _rest(
    objects: Sequence[ObjectInfo],
    experiment: str,
    runs: Sequence[Doomed],
    latest: Checkpoint | None,
) -> list[ObjectInfo]:
    """Return what of an experiment is neither its chain nor its runs', and need not stay."""
    stays = _last_numbers(objects, experiment)
    floor = latest.orphan_floor if latest else 0
    if runs:
        # A checkpoint without tables will follow.
        floor = latest.number + 1 if latest else 1
    elif latest:
        stays |= _named(latest)
    # A compaction that is at work may yet commit what is not below the floor.
    named = ((info.key, keys.parse_table(info.key)) for info in objects)
    stays |= {key for key, table in named if table and table.base >= floor}
    stays |= {info.key for run in runs for info in (*run.objects, *run.markers)}
    chain = keys.experiment_states(experiment)
    return [i for i in objects if i.key not in stays and not i.key.startswith(chain)]


def _last_numbers(objects: Sequence[ObjectInfo], experiment: str) -> set[str]:
    """Return the claims that stay: by them the next number is found, or none drawn twice."""
    claims = [i.key for i in objects if i.key.startswith(keys.numbers(experiment))]
    drawn = {key for key in claims if (keys.parse_version(key) or 0) >= keys.DRAWN}
    in_order = [key for key in claims if key not in drawn]
    full = keys.number(experiment, keys.BUCKET_SIZE - 1)
    return {*drawn, *in_order[-1:], *({full} & {*in_order})}


def _named(latest: Checkpoint) -> set[str]:
    tables = keys.tables(latest.experiment)
    own = keys.checkpoint(latest.experiment, latest.number)
    return {own, *(f"{tables}{file.name}" for file in latest.files)}


def purge_experiment(store: Store, plan: Condemned, drop: Drop) -> list[Freed] | None:
    """Purge an experiment and return what that freed; None if it was changed meanwhile."""
    if plan.is_free:
        _remove(store, [info.key for info in plan.chain])
        return [plan.freed()]
    scheme = experiment_scheme(plan.experiment)
    own = scheme.key(plan.entombed)
    going = [info.key for info in plan.chain]
    # From here on nobody can restore it, nor make it anew.
    end = tombstone(plan.entombed, plan.experiment, PURGE)
    if own not in going and not create(store, scheme, end):
        return None
    dead = purge_runs(store, plan.runs, drop)
    if len(dead) < len(plan.runs) or _has_others(store, plan):
        plan = replace(plan, rest=(), added=plan.added[:1])
    _remove_rest(store, plan)
    _remove(store, [key for key in going if key != own])
    create(store, scheme, tombstone(plan.entombed + 1, plan.experiment, FREE))
    _remove(store, [own])
    return [*(doomed.freed() for doomed in dead), plan.freed()]


def _has_others(store: Store, plan: Condemned) -> bool:
    """Return whether a run was started since the plan, by a handle that has not looked for long.

    It then is in the experiment that the name stands for next, with numbers and tables as they are.
    """
    known = {marker.run for info in plan.rest if (marker := keys.parse_marker(info.key))}
    return bool(last_markers(store, plan.experiment).keys() - known)


def _remove_rest(store: Store, plan: Condemned) -> None:
    """Remove what is left of an experiment without runs: checkpoints before what they name."""
    latest = latest_checkpoint(store, plan.experiment) if plan.rest else None
    stays = _named(latest) if latest else set()
    folder = keys.checkpoints(plan.experiment)
    going = [info.key for info in plan.rest if info.key not in stays]
    _remove(store, sorted(key for key in going if key.startswith(folder)))
    _remove(store, [key for key in going if not key.startswith(folder)])


def _remove(store: Store, names: list[str]) -> None:
    if names:
        insist(lambda: store.delete(names))
