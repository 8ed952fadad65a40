"""Read what is live: the last version of every run, and the segments that count. SPEC section 10.

Listing order is what makes this exact: markers (or segments) first, then checkpoints, then the
objects themselves. An object that vanished between its listing and its GET was superseded, so the
listing is made again; objects already read are immutable and kept.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Final, NamedTuple

from objrun.errors import (
    FormatError,
    NotFoundError,
    RunNotFoundError,
)
from objrun.format import keys
from objrun.format.documents import decode_run, encode_run
from objrun.format.heartbeat_keys import parse_heartbeat
from objrun.protocol.chain import Scheme, last_version, load
from objrun.protocol.settle import insist
from objrun.protocol.updates import replay
from objrun.storage import together

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

    from objrun.format.keys import SegmentKey
    from objrun.format.states import RunState, Version
    from objrun.protocol.cover import Piece
    from objrun.storage import Store

RESTARTS: Final = 20
"""Times a listing is made again because an object vanished meanwhile."""


class Logged(NamedTuple):
    """What is live of the points of runs: segments and their keys, and where writers were cut.

    `cuts`: by run and writer the least step from which on its rows were superseded. A segment that
    was stored behind a cut is never listed without it, because cuts are listed last.
    """

    segments: dict[SegmentKey, str]
    cuts: dict[tuple[str, str], int]


class Shard(NamedTuple):
    """A segment that was read: what its key says, its bytes, and how many rows to skip."""

    key: str
    segment: SegmentKey
    skip: int
    data: bytes


MISSES: Final = 3
"""Versions before that of a marker that are tried before all of the run's are listed."""


class Marked(NamedTuple):
    """A run whose last version may be newer than `known`: up to that of its last marker."""

    experiment: str
    run: str
    known: int
    marked: int


class Feed(NamedTuple):
    """What the feed of an experiment tells of each run that is in it.

    `markers`: the greatest version. `seen`: its last sign of life by the store's clock: when its
    heartbeat, or any of its markers, was put last.
    """

    markers: dict[str, int]
    seen: dict[str, datetime]


class Changed(NamedTuple):
    """Runs that are newer than what was known of them, told apart, in the order of the question.

    `versions`: the last version of each that has a state. `purged`: the tombstones of others.
    `damaged`: why the last version cannot be read; an earlier one must not pass for it.
    """

    versions: dict[Marked, Version[RunState]]
    purged: dict[Marked, Version[RunState]]
    damaged: dict[Marked, FormatError]


def run_scheme(experiment: str, run: str) -> Scheme[RunState]:
    """Return the scheme of a run's chain: its markers stand in its experiment's feed."""
    return Scheme(
        folder=keys.run_states(run),
        key=lambda version: keys.run_state(run, version),
        encode=encode_run,
        decode=decode_run,
        replay=replay,
        purged=lambda: RunNotFoundError(f"run {run!r} was deleted and purged: it is gone"),
        marker=lambda version: keys.marker(experiment, run, version),
    )


def last_markers(store: Store, experiment: str) -> dict[str, int]:
    """Return the greatest version that a marker tells of, by run: one LIST."""
    return list_feed(store, experiment).markers


def list_feed(store: Store, experiment: str) -> Feed:
    """Return what the markers and heartbeats of an experiment tell: one LIST."""
    feed = Feed({}, {})
    for info in insist(lambda: store.list(keys.feed(experiment))):
        marker = keys.parse_marker(info.key)
        if marker is not None:
            feed.markers[marker.run] = max(marker.version, feed.markers.get(marker.run, 0))
        run = marker.run if marker else parse_heartbeat(info.key)
        if run is not None:
            feed.seen[run] = max(info.modified, feed.seen.get(run, info.modified))
    return feed


def read_changed(store: Store, asked: Sequence[Marked]) -> Changed:
    """Return what has become of runs since the version that is known of each, many read at once."""
    changed = Changed({}, {}, {})
    for one, read in zip(asked, together(store, partial(_last_of, store), asked), strict=True):
        try:
            version = read()
        except FormatError as error:
            changed.damaged[one] = error
            continue
        # The marker of one who lost the race for an id stands in another experiment.
        where = version and (version.state.experiment if version.state else version.experiment)
        if version and where == one.experiment:
            (changed.purged if version.purged else changed.versions)[one] = version
    return changed


def _last_of(store: Store, asked: Marked) -> Version[RunState] | None:
    scheme = run_scheme(asked.experiment, asked.run)
    number = asked.marked
    while number > asked.known:
        key = scheme.key(number)
        try:
            version = scheme.decode(key, insist(partial(store.get, key)))
        except NotFoundError:
            # The writer of this version is in flight or dead: the one before is the last.
            number -= 1
            if asked.marked - number == MISSES:
                # A later one where all up to this one were purged.
                number = last_version(store, scheme)
        else:
            return version if version.state else load(store, scheme, number)
    return None


def list_logged(store: Store, experiment: str, run: str | None = None) -> Logged:
    """Return the segments and the cuts of an experiment, or of one run: one LIST."""
    logged = Logged({}, {})
    for info in insist(lambda: store.list(keys.shards(experiment, run))):
        if segment := keys.parse_segment(info.key):
            logged.segments[segment] = info.key
        elif cut := keys.parse_cut(info.key):
            whose = cut.run, cut.writer
            logged.cuts[whose] = min(cut.step, logged.cuts.get(whose, cut.step))
    return logged


def read_pieces(
    store: Store,
    pieces: Sequence[Piece],
    listed: Mapping[SegmentKey, str],
    read: dict[str, bytes],
) -> list[Shard] | None:
    """Return segments by their pieces, None where one has vanished: it was superseded.

    `read` holds the bytes of those read before, and is added to.
    """
    complete = True
    missing = [listed[piece.segment] for piece in pieces if listed[piece.segment] not in read]
    answers = together(store, lambda key: insist(partial(store.get, key)), missing)
    for key, answer in zip(missing, answers, strict=True):
        try:
            read[key] = answer()
        except NotFoundError:
            complete = False
    if not complete:
        return None
    named = ((listed[piece.segment], piece) for piece in pieces)
    return [Shard(key, *piece, read[key]) for key, piece in named]
