"""What a store has of some runs, by few LISTs."""

from __future__ import annotations

from itertools import groupby
from typing import TYPE_CHECKING, Final, NamedTuple

from objrun.format import keys
from objrun.protocol.settle import insist
from objrun.storage import together

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Mapping

    from objrun.format.keys import CutKey, SegmentKey
    from objrun.storage import ObjectInfo, Store

    Segments = Mapping[SegmentKey, int]

FEW: Final = 64
"""Runs that are listed one by one; the folders of more are listed as a whole."""


_RUNS: Final = "runs/"


class Folder(NamedTuple):
    """What stands below `runs/<run>/`: sizes in bytes of versions 1, 2, ... up to the first hole.

    `last` is the greatest version, `others` the sizes of all other objects but those of the chain.
    """

    versions: tuple[int, ...] = ()
    last: int = 0
    others: Mapping[str, int] = {}


def list_folders(store: Store, runs: Collection[str]) -> dict[str, Folder]:
    """Return what a store has of the chains of some runs; those it has nothing of are left out.

    >>> from objrun.storage import connect
    >>> store = connect("memory://folders")
    >>> store.put(keys.run_state("r", 1), b"12")
    >>> list_folders(store, ["r", "s"])
    {'r': Folder(versions=(2,), last=1, others={})}
    """
    listed = _listed(store, runs, keys.run_folder, _RUNS)
    return {
        run: _folder(run, found)
        for run, found in groupby(listed, lambda info: info.key.split("/")[1])
        if run in runs
    }


def _folder(run: str, found: Iterable[ObjectInfo]) -> Folder:
    states = keys.run_states(run)
    others: dict[str, int] = {}
    versions: dict[int, int] = {}
    for info in found:
        if not info.key.startswith(states):
            others[info.key] = info.size
        elif (version := keys.parse_version(info.key)) is not None:
            versions[version] = info.size
    sizes: list[int] = []
    while (size := versions.get(len(sizes) + 1)) is not None:
        sizes.append(size)
    return Folder(tuple(sizes), max(versions, default=0), others)


def list_experiment(store: Store, experiment: str) -> dict[int, int]:
    """Return the sizes in bytes of the versions of an experiment, by number: one LIST."""
    listed = insist(lambda: store.list(keys.experiment_states(experiment)))
    return {number: info.size for info in listed if (number := keys.parse_version(info.key))}


def list_segments(
    store: Store, experiment: str, runs: Collection[str]
) -> tuple[dict[str, Segments], list[CutKey]]:
    """Return the segments of some runs of an experiment, and their sizes, by run; and cuts."""
    found: dict[str, dict[SegmentKey, int]] = {run: {} for run in runs}
    cuts: list[CutKey] = []
    listed = _listed(store, runs, lambda run: keys.shards(experiment, run), keys.shards(experiment))
    for info in listed:
        segment, cut = keys.parse_segment(info.key), keys.parse_cut(info.key)
        if segment is not None and segment.run in found:
            found[segment.run][segment] = info.size
        elif cut is not None and cut.run in found:
            cuts.append(cut)
    return {**found}, cuts


def _listed(
    store: Store, runs: Collection[str], folder: Callable[[str], str], whole: str
) -> Iterator[ObjectInfo]:
    if len(runs) > FEW:
        yield from insist(lambda: store.list(whole))
        return
    for answer in together(store, lambda run: insist(lambda: store.list(folder(run))), runs):
        yield from answer()
