"""Each rule of the protocol, broken: what is patched, and how. The product knows nothing of it.

A mutation is here because the suite must fail for it; the gate says which scene noticed.
"""
# ruff: noqa: SLF001 - rules are broken where they stand, in private functions too

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

from objrun.errors import AlreadyExistsError, NotFoundError, UnavailableError
from objrun.format import keys, media
from objrun.format.media import PackKey
from objrun.protocol import (
    blind,
    blobs,
    chain,
    checkpointing,
    cover,
    live,
    numbers,
    packs,
    purge,
    settle,
    writer,
)
from objrun.protocol.copy import carry
from objrun.protocol.updates import SetStatus, SetTags
from objrun.storage.wrappers import Around
from objrun.tables import compaction, cuts, cutting, folding, points, runs, vacuum
from objrun.testing.sim.actors import current
from objrun.upkeep import reaping, trash

if TYPE_CHECKING:
    from collections.abc import Callable

    import polars as pl
    import pytest

    from objrun.format.checkpoints import Checkpoint
    from objrun.storage import ObjectInfo

    Patch = Callable[[pytest.MonkeyPatch], None]


class Mutation(NamedTuple):
    """A rule that is broken, by a patch of the product, and the scenes that are tried first."""

    name: str
    rule: str
    patch: Patch
    scenes: tuple[str, ...]


MUTATIONS: dict[str, Mutation] = {}


def breaks(rule: str, *scenes: str) -> Callable[[Patch], Patch]:
    """Enter a patch into the table under the name of its function."""

    def enter(patch: Patch) -> Patch:
        name = patch.__name__.replace("_", "-")
        MUTATIONS[name] = Mutation(name, rule, patch, scenes)
        return patch

    return enter


def _of(module: Any, name: str) -> Any:
    """Return what a module has imported from another."""
    return getattr(module, name)


# -- commits


@breaks("a marker is put before its version", "two-writers")
def marker_after_version(patch: pytest.MonkeyPatch) -> None:
    announce, put_once = chain.announce, _of(chain, "put_once")
    waiting: dict[Any, Any] = {}

    def later(store: Any, scheme: Any, number: int) -> None:
        waiting[scheme.key(number)] = (store, scheme, number)

    def put(store: Any, key: str, data: bytes) -> bool:
        done: bool = put_once(store, key, data)
        if key in waiting:
            announce(*waiting.pop(key))
        return done

    patch.setattr(chain, "announce", later)
    patch.setattr(chain, "put_once", put)


@breaks("what exists is read back: it may be one's own", "creators")
def own_try_counts_as_another(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(settle, "_stored", lambda _store, _key, _patience: b"")


@breaks("a try whose outcome is open is made again with the same bytes", "creators")
def other_bytes_on_retry(patch: pytest.MonkeyPatch) -> None:
    def put_once(store: Any, key: str, data: bytes) -> bool:
        attempt = 0
        while True:
            sent = data.replace(b'"write_id":"', b'"write_id":"%x' % attempt)
            attempt += 1
            try:
                store.put_if_absent(key, sent)
            except AlreadyExistsError:
                return bool(settle.insist(partial(store.get, key)) == sent)
            except UnavailableError:
                continue
            return True

    patch.setattr(chain, "put_once", put_once)


@breaks("no other name is tried while an outcome is open", "two-writers")
def open_commit_is_forgotten(patch: pytest.MonkeyPatch) -> None:
    def put_once(store: Any, key: str, data: bytes) -> bool:
        with suppress(UnavailableError, AlreadyExistsError):
            store.put_if_absent(key, data)
            return True
        return False

    patch.setattr(chain, "put_once", put_once)
    advance = chain.Chain._advance

    def skip(self: Any, number: int) -> None:
        with suppress(Exception):
            advance(self, number)

    patch.setattr(chain.Chain, "_advance", skip)


@breaks("after a conflict a change is applied to the winner's state", "two-writers")
def lost_race_keeps_its_state(patch: pytest.MonkeyPatch) -> None:
    advance = chain.Chain._advance

    def renumber(self: Any, number: int) -> None:
        before = self.head
        advance(self, number)
        self.head = replace(self.head, state=before.state)

    patch.setattr(chain.Chain, "_advance", renumber)


@breaks("a version is only created, never overwritten", "two-writers")
def commit_overwrites(patch: pytest.MonkeyPatch) -> None:
    def put(store: Any, key: str, data: bytes) -> bool:
        settle.insist(partial(store.put, key, data))
        return True

    patch.setattr(chain, "put_once", put)


@breaks("updates are idempotent and pure", "two-writers")
def update_replaces_all(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(SetTags, "apply", lambda self, state: replace(state, tags=dict(self.tags)))


@breaks("unknown fields of a state are kept", "many-writers")
def unknown_fields_are_dropped(patch: pytest.MonkeyPatch) -> None:
    load = chain.load

    def forgetful(store: Any, scheme: Any, number: int) -> Any:
        version = load(store, scheme, number)
        return replace(version, state=version.state and replace(version.state, extra={}))

    patch.setattr(chain, "load", forgetful)


@breaks("a blind version is replayed onto the state before it", "many-writers")
def blind_version_is_skipped(patch: pytest.MonkeyPatch) -> None:
    resolve = chain.resolve

    def ignore(scheme: Any, before: Any, version: Any, earlier: Any) -> Any:
        done = resolve(scheme, before, version, earlier)
        return done if version.state is not None else replace(done, state=before.state)

    patch.setattr(chain, "resolve", ignore)


@breaks("a blind version of a write that was done before changes nothing", "blind")
def write_counts_twice(patch: pytest.MonkeyPatch) -> None:
    resolve = chain.resolve

    def again(scheme: Any, before: Any, version: Any, _earlier: Any) -> Any:
        return resolve(scheme, before, version, ())

    patch.setattr(chain, "resolve", again)


@breaks("a blind commit is the same write under the next name", "blind")
def next_name_is_another_write(patch: pytest.MonkeyPatch) -> None:
    def following(self: Any, version: Any) -> Any:
        after, _ = take_next(self, replace(version, write_id=f"{version.write_id}+"))
        return after, self.scheme.encode(after)

    take_next = blind.BlindChain._next
    patch.setattr(blind.BlindChain, "_next", following)


@breaks("who may not read and finds a name taken does not know the state", "many-writers")
def blind_state_is_told(patch: pytest.MonkeyPatch) -> None:
    def following(self: Any, version: Any) -> Any:
        after = replace(version, version=version.version + 1)
        return after, self.scheme.encode(after)

    patch.setattr(blind.BlindChain, "_next", following)


@breaks("who may not read tries no other name while an outcome is open", "blind")
def blind_goes_on(patch: pytest.MonkeyPatch) -> None:
    def put_new(store: Any, key: str, data: bytes) -> bool:
        with suppress(UnavailableError, AlreadyExistsError):
            store.put_if_absent(key, data)
            return True
        return False

    patch.setattr(blind, "put_new", put_new)


@breaks("numbers that were drawn are not the last", "blind-creator")
def drawn_number_is_last(patch: pytest.MonkeyPatch) -> None:
    def last_number(store: Any, experiment: str) -> int:
        listed = store.list(keys.numbers(experiment))
        return max((keys.parse_version(info.key) or 0 for info in listed), default=0)

    patch.setattr(numbers, "last_number", last_number)


@breaks("a run number is created, never overwritten", "creators")
def claim_overwrites(patch: pytest.MonkeyPatch) -> None:
    def put(store: Any, key: str, data: bytes) -> bool:
        settle.insist(partial(store.put, key, data))
        return True

    patch.setattr(numbers, "put_once", put)


# -- listing


@breaks("markers are listed before checkpoints", "reader-of-old-tables")
def checkpoint_before_markers(patch: pytest.MonkeyPatch) -> None:
    _swap(patch, runs, "list_feed")


@breaks("segments are listed before checkpoints", "reader-of-old-tables")
def checkpoint_before_segments(patch: pytest.MonkeyPatch) -> None:
    _swap(patch, points, "list_logged")


def _swap(patch: pytest.MonkeyPatch, module: Any, lists: str) -> None:
    """Have the checkpoint read before what should be listed first."""
    real, latest = getattr(module, lists), module.latest_checkpoint
    early: dict[Any, Any] = {}

    def list_late(store: Any, *given: Any) -> Any:
        early[current()] = latest(store, given[0])
        return real(store, *given)

    patch.setattr(module, lists, list_late)
    patch.setattr(module, "latest_checkpoint", lambda _store, _experiment: early[current()])


@breaks("what vanished since it was listed makes a reader begin again", "reader-of-old-tables")
def vanished_segment_is_skipped(patch: pytest.MonkeyPatch) -> None:
    read = _of(points, "read_pieces")

    def skip(store: Any, pieces: Any, listed: Any, known: Any) -> Any:
        every = [read(store, [piece], listed, known) for piece in pieces]
        return [shard for shards in every for shard in shards or ()]

    patch.setattr(points, "read_pieces", skip)


@breaks("rows below the coverage are skipped", "vacuum-meanwhile")
def coverage_is_ignored(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(points, "choose", lambda segments, _coverage=None: cover.choose(segments))


@breaks("a marker without a version leads to the version before it", "many-writers")
def marker_in_flight_hides_a_run(patch: pytest.MonkeyPatch) -> None:
    def last_of(store: Any, asked: Any) -> Any:
        scheme = live.run_scheme(asked.experiment, asked.run)
        with suppress(NotFoundError):
            return chain.load(store, scheme, asked.marked)
        return None

    patch.setattr(live, "_last_of", last_of)


# -- writers


@breaks("a forked child is another writer", "fork")
def same_writer_after_fork(patch: pytest.MonkeyPatch) -> None:
    def forked(self: Any) -> None:
        before = self._writer
        self.buffer.clear()
        self._reset(first_flush=0.0)
        self._writer = before

    patch.setattr(writer.Writer, "forked", forked)


@breaks("a forked child has logged nothing", "fork")
def child_keeps_points(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(writer.Writer, "forked", lambda self: self._reset(first_flush=0.0))


@breaks("an object is sent when the one before is durable", "one-logger")
def failed_flush_counts(patch: pytest.MonkeyPatch) -> None:
    send = writer.Writer._send

    def sent(self: Any, piece: Any, put: Any) -> bool:
        if not send(self, piece, put):
            self._tail.durable = piece.stop
        return True

    patch.setattr(writer.Writer, "_send", sent)


@breaks("a pack is durable before points that refer to it are sent", "pictures")
def points_before_their_pack(patch: pytest.MonkeyPatch) -> None:
    send_packs, send = packs.Packs.send, writer.Writer._send
    waiting: dict[Any, Any] = {}

    def later(self: Any, *given: Any) -> bool:
        waiting[self] = given
        return True

    def sent(self: Any, piece: Any, put: Any) -> bool:
        return send(self, piece, put) and send_packs(self.packs, *waiting.pop(self.packs))

    patch.setattr(packs.Packs, "send", later)
    patch.setattr(writer.Writer, "_send", sent)


@breaks("packs go when what repeats them is durable", "pictures")
def packs_go_first(patch: pytest.MonkeyPatch) -> None:
    put = writer.Writer._put

    def sent(self: Any, key: str, data: bytes, **given: Any) -> bool:
        if pack := media.parse_pack(key):
            every = (PackKey(*pack[:2], n, n + 1) for n in range(pack.start, pack.stop - 1))
            self._post.forget([media.pack_key(each) for each in every])
        return put(self, key, data, **given)

    patch.setattr(writer.Writer, "_put", sent)


@breaks("who finds that a pack has gone looks for it again", "packs-beside-a-reader")
def vanished_pack_is_damage(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(blobs, "RESTARTS", 1)


@breaks("a run of which a pack has gone is copied from a new listing", "packs-beside-a-copy")
def copy_leaves_out_a_pack(patch: pytest.MonkeyPatch) -> None:
    copied = carry.Carrier.packs

    def forgetful(self: Any, packs: Any) -> set[str]:
        copied(self, packs)
        return set()

    patch.setattr(carry.Carrier, "packs", forgetful)


@breaks("what is superseded goes when what supersedes it is durable", "one-logger")
def superseded_goes_first(patch: pytest.MonkeyPatch) -> None:
    send = writer.Writer._send

    def sent(self: Any, piece: Any, put: Any) -> bool:
        if self._tail.durable > piece.start:
            self._post.forget([self._key(self._tail.durable)])
        return send(self, piece, put)

    patch.setattr(writer.Writer, "_send", sent)


# -- tables


@breaks("coverage is kept for ever", "paused-upkeep")
def coverage_is_forgotten(patch: pytest.MonkeyPatch) -> None:
    frames = folding._frames

    def forget(store: Any, job: Any, kind: str) -> Any:
        return [] if kind == "coverage" else frames(store, job, kind)

    patch.setattr(folding, "_frames", forget)


@breaks("a checkpoint follows the one that was read", "upkeep-that-keeps")
def loser_takes_the_next_number(patch: pytest.MonkeyPatch) -> None:
    commit = _of(compaction, "commit_checkpoint")

    def insist(store: Any, checkpoint: Any) -> bool:
        while not commit(store, checkpoint):
            checkpoint = replace(checkpoint, number=checkpoint.number + 1)
        return True

    patch.setattr(compaction, "commit_checkpoint", insist)


@breaks("deletion goes by the greatest checkpoint, listed anew", "taken-number")
def vacuum_believes(patch: pytest.MonkeyPatch) -> None:
    commit, look = _of(compaction, "commit_checkpoint"), vacuum._look
    believed: dict[Any, str] = {}

    def remember(store: Any, checkpoint: Any) -> bool:
        done: bool = commit(store, checkpoint)
        if done:
            believed[current()] = keys.checkpoint(checkpoint.experiment, checkpoint.number)
        return done

    class Believing(Around):
        def _ask(self, verb: str, key: str, call: Callable[[], Any]) -> Any:
            answer = call()
            own = believed.get(current())
            if verb == "list" and "/checkpoints/" in key and own:
                return [info for info in answer if info.key <= own]
            return answer

    patch.setattr(compaction, "commit_checkpoint", remember)
    patch.setattr(vacuum, "_look", lambda store, *given: look(Believing(store), *given))


@breaks("a table goes when its base is below the orphan floor", "vacuum-meanwhile")
def orphan_floor_is_ignored(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(vacuum, "_is_orphan", lambda info, named, _: info.key.split("/")[-1] not in named)


@breaks("each checkpoint raises the orphan floor", "maintenance")
def orphan_floor_stays(patch: pytest.MonkeyPatch) -> None:
    _following(patch, lambda checkpoint: replace(checkpoint, orphan_floor=0))


@breaks("unknown fields of a checkpoint are kept", "maintenance")
def checkpoint_forgets_fields(patch: pytest.MonkeyPatch) -> None:
    _following(patch, lambda checkpoint: replace(checkpoint, extra={}))


def _following(patch: pytest.MonkeyPatch, change: Callable[[Checkpoint], Checkpoint]) -> None:
    following = _of(compaction, "next_checkpoint")
    patch.setattr(compaction, "next_checkpoint", lambda *given: change(following(*given)))


@breaks("a segment goes when all of it is covered", "paused-upkeep")
def half_covered_segment_goes(patch: pytest.MonkeyPatch) -> None:
    covered = vacuum._covered

    def begun(info: ObjectInfo) -> ObjectInfo:
        segment = keys.parse_segment(info.key)
        assert segment is not None
        return replace(info, key=keys.segment(*segment[:4], segment.start + 1))

    def more(store: Any, checkpoint: Any, listed: Any) -> Any:
        first_rows = {begun(info): info for info in listed}
        found = covered(store, checkpoint, first_rows)
        return {first_rows[info]: root for info, root in found.items()}

    patch.setattr(vacuum, "_covered", more)


@breaks("a marker goes when its version is in tables", "paused-upkeep")
def every_marker_goes(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(vacuum, "_folded", lambda _store, _checkpoint, listed, _now: ([*listed], []))


@breaks("a heartbeat stays while its run goes on", "heartbeats")
def heartbeat_of_the_living_goes(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(vacuum, "TERMINAL", (*_of(vacuum, "TERMINAL"), "Running"))


@breaks("a run that was changed meanwhile is not reaped", "reaped")
def reaper_insists(patch: pytest.MonkeyPatch) -> None:
    def insist_on(store: Any, head: Any, last: Any) -> bool:
        scheme = live.run_scheme(head.state.experiment, head.state.run_id)
        chain.Chain(store, scheme, head).commit(SetStatus("Failed", last))
        return True

    patch.setattr(reaping, "_fail", insist_on)


@breaks("the greatest checkpoint stays", "maintenance")
def greatest_checkpoint_goes(patch: pytest.MonkeyPatch) -> None:
    look = vacuum._look

    def all_of_them(store: Any, experiment: str, retention: Any) -> Any:
        listed = store.list(keys.checkpoints(experiment))
        return replace(look(store, experiment, retention), checkpoints=listed)

    patch.setattr(vacuum, "_look", all_of_them)


@breaks("points that are read are in tables, sums and coverage alike", "maintenance")
def damage_leaves_a_gap(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(folding, "_fetched", _some(folding._fetched))
    patch.setattr(folding._Fold, "_lose", lambda _self, _segment: None)
    patch.setattr(folding._Fold, "_again", lambda _self, _piece, _position: None)


def _some(fetched: Any) -> Any:
    """Find every other segment gone."""
    count = iter(range(10**9))
    return lambda store, key: None if next(count) % 2 else fetched(store, key)


@breaks("points are merged with those of older tables", "maintenance")
def older_points_are_left_out(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(folding, "_tables", lambda _store, _job, _kind: [])


@breaks("a run's row is that of its greatest version", "maintenance")
def older_version_wins(patch: pytest.MonkeyPatch) -> None:
    def oldest(rows: pl.DataFrame) -> pl.DataFrame:
        ordered = rows.sort("root_run_id", "run_id", "version")
        return ordered.unique(("root_run_id", "run_id"), keep="first", maintain_order=True)

    patch.setattr(compaction, "newest", oldest)


@breaks("the current checkpoint is the greatest", "paused-upkeep")
def least_checkpoint_is_current(patch: pytest.MonkeyPatch) -> None:
    class Least(Around):
        def _ask(self, verb: str, key: str, call: Callable[[], Any]) -> Any:
            answer = call()
            return answer[:1] if verb == "list" and "/checkpoints/" in key else answer

    latest = checkpointing.latest_checkpoint
    for module in (compaction, points, runs):
        patch.setattr(module, "latest_checkpoint", lambda store, name: latest(Least(store), name))


# -- rewinds


@breaks("a compaction takes cuts along with what came behind them", "rewound-beside-upkeep")
def compaction_ignores_cuts(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(compaction._Attempt, "_with_cuts", lambda _self, files, *_given: files)


@breaks("what is superseded is in no sum", "rewound-beside-upkeep")
def sums_count_what_is_cut(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(cutting, "counting", lambda chunk, _cuts: chunk)


@breaks("late points of a cut writer are in no sum", "rewound-beside-upkeep")
def late_points_are_summed_up(patch: pytest.MonkeyPatch) -> None:
    real = compaction._Attempt._with_cuts
    patch.setattr(
        compaction._Attempt,
        "_with_cuts",
        lambda self, files, roots, _pieces, drop: real(self, files, roots, [], drop),
    )


@breaks("a cut goes when it is in tables", "rewound-beside-upkeep")
def every_cut_goes(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(
        vacuum,
        "_cuts_in",
        lambda _store, _checkpoint, listed: [info for info in listed if keys.parse_cut(info.key)],
    )


@breaks("a rewind names the writers that only tables know", "rewound-beside-upkeep")
def rewind_forgets_tables(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(cuts, "stops_in_tables", lambda *_given: {})


@breaks("cuts are listed behind all segments of their run", "rewound-beside-a-reader")
def cuts_are_listed_apart(patch: pytest.MonkeyPatch) -> None:
    listed = live.list_logged

    def apart(store: Any, *given: Any) -> Any:
        before = listed(store, *given)
        return listed(store, *given)._replace(cuts=before.cuts)

    patch.setattr(points, "list_logged", apart)


# -- purge


@breaks("a purge puts its tombstone first", "restored")
def no_tombstone(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(purge, "entomb", lambda _store, _doomed: True)


@breaks("a purge of a run that was changed meanwhile leaves it alone", "restored")
def lost_tombstone_counts(patch: pytest.MonkeyPatch) -> None:
    entomb = purge.entomb
    patch.setattr(purge, "entomb", lambda store, doomed: entomb(store, doomed) or True)


@breaks("a commit to a name that a purge has freed is undone", "old-handle")
def freed_name_is_taken(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(chain.Chain, "_check_name", lambda _self, _number: None)


@breaks("the rows of a purged run leave the tables", "paused-beside-a-purge")
def rows_of_purged_runs_stay(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(trash, "_drop", lambda _store, _experiment, _runs: None)


@breaks("the marker of a tombstone goes last", "purge-meanwhile")
def tombstone_cannot_be_found(patch: pytest.MonkeyPatch) -> None:
    def clear(store: Any, doomed: Any) -> None:
        store.delete([purge._last_marker(doomed)])
        named = [info.key for info in (*doomed.objects, *doomed.markers)]
        settle.insist(partial(store.delete, named))

    patch.setattr(purge, "clear", clear)
