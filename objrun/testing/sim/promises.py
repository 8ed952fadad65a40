"""What must be true of an experiment at any moment, looked at after each write.

Only keys, documents and compacted tables are looked at, by code of its own: a mistake of the
product in reading them shall not hide one in writing them.
"""

from __future__ import annotations

import io
from collections import Counter, defaultdict
from functools import lru_cache
from typing import TYPE_CHECKING, Any, NamedTuple

import orjson
import pyarrow.parquet as pq

from objrun.format import keys
from objrun.format.checkpoints import Checkpoint, decode_checkpoint
from objrun.format.heartbeat_keys import parse_heartbeat
from objrun.format.states import TERMINAL
from objrun.testing.sim.blobs import Blobs

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from objrun.testing.sim.bucket import Bucket, Written

__all__ = ["Promises", "Tables"]

Writer = tuple[str, str]


class Tables(NamedTuple):
    """What the tables of a checkpoint say: the version of each run, how far each writer is in.

    `cuts`: from which step on a writer was superseded.
    """

    versions: dict[str, int]
    coverage: dict[Writer, int]
    cuts: dict[Writer, int]


class Promises:
    """Watches a bucket. What callers were told is noted in `versions`, `points` and `cuts`.

    `versions`: run to the version that was acknowledged; `points`: run and writer's id to how many;
    `cuts`: run and writer's id to the step from which on its points are superseded.
    Raises AssertionError at the write that breaks a promise:

    - no object is changed, and no key is used for other bytes (but for numbers of checkpoints);
    - nobody is told of a change of a run that was purged, and none that was changed just now is;
    - a version's marker was there before it;
    - the greatest checkpoint names no table that is missing, and its tables hold each point of each
      writer once, without a gap, with what those come to that were not superseded;
    - no table has points of a writer that came behind a rewind without the cuts of this one;
    - fields of the greatest checkpoint that this version of the library does not know stay;
    - what was acknowledged can be found: in tables, or in what is live;
    - what points refer to is there before them, and stays (`Blobs`);
    - a heartbeat stays until its run has ended or was purged;
    - a segment, cut or marker goes when the greatest checkpoint covers it, or its writer has
      superseded it; a table when that names it not and never will; the greatest checkpoint never.
    """

    def __init__(self, bucket: Bucket, experiment: str) -> None:
        self.bucket = bucket
        self.experiment = experiment
        self.versions: dict[str, int] = {}
        self.points: dict[Writer, int] = {}
        self.cuts: dict[Writer, int] = {}
        self.purged: set[str] = set()
        self._fresh: set[str] = set()
        self._fields: Mapping[str, Any] = {}
        self._ever = {key: data for key, (data, _) in bucket.objects.items()}
        bucket.watchers.append(self._watch)
        self.blobs = Blobs(bucket, self.purged)

    def follow(self, before: Promises) -> None:
        """Also expect what was promised before, in the bucket that this one is a copy of."""
        self.versions.update(before.versions)
        self.points.update(before.points)
        self.cuts.update(before.cuts)
        self.purged |= before.purged
        self._ever.update(before._ever)
        self.blobs.follow(before.blobs)
        self._fields = before._fields

    def ever(self) -> list[tuple[str, bytes]]:
        """Return what was put before this world began, gone or not, in order of key."""
        return sorted(self._ever.items())

    def acknowledge_version(self, run: str, version: int) -> None:
        """Note that somebody was told of a version of a run."""
        assert run not in self.purged, f"version {version} of {run} is told, and {run} was purged"
        self._fresh.add(run)
        self.versions[run] = max(version, self.versions.get(run, 0))
        self.check_visible()

    def acknowledge_points(self, run: str, writer: str, count: int) -> None:
        """Note that somebody was told that so many points of a writer are durable."""
        self.points[run, writer] = max(count, self.points.get((run, writer), 0))
        self.check_visible()

    def writers(self, run: str) -> list[Writer]:
        """Return the writers that a run has."""
        parsed = [keys.parse_segment(key) for key in self._keys(keys.shards)]
        live = {(s.run, s.writer) for s in parsed if s}
        return sorted(whose for whose in live | self.tables().coverage.keys() if whose[0] == run)

    def acknowledge_cuts(self, writers: Iterable[Writer], step: int) -> None:
        """Note that somebody was told that points of writers are superseded from a step on."""
        for whose in writers:
            self.cuts[whose] = min(step, self.cuts.get(whose, step))
        self.check_visible()

    # -- what is there

    def checkpoint(self) -> Checkpoint | None:
        """Return the greatest checkpoint."""
        numbers = [keys.parse_version(key) or 0 for key in self._keys(keys.checkpoints)]
        if not numbers:
            return None
        key = keys.checkpoint(self.experiment, max(numbers))
        return decode_checkpoint(key, self.bucket.objects[key][0])

    def tables(self) -> Tables:
        """Return what the tables of the greatest checkpoint say."""
        found = Tables({}, {}, {})
        checkpoint = self.checkpoint()
        for row in self._rows(checkpoint, "runs", "run_id", "version"):
            found.versions[row[0]] = max(row[1], found.versions.get(row[0], 0))
        for run, writer, stop in self._rows(checkpoint, "coverage", "run_id", "writer", "stop"):
            found.coverage[run, writer] = max(stop, found.coverage.get((run, writer), 0))
        for run, writer, step in self._rows(checkpoint, "cuts", "run_id", "writer", "step"):
            found.cuts[run, writer] = min(step, found.cuts.get((run, writer), step))
        return found

    def _rows(self, checkpoint: Checkpoint | None, kind: str, *columns: str) -> list[Any]:
        folder = keys.tables(self.experiment)
        files = checkpoint.of_kind(kind) if checkpoint else []
        data = [self.bucket.objects[folder + file.name][0] for file in files]
        return [row for one in data for row in _table(one, columns)]

    def _keys(self, folder: Any) -> list[str]:
        prefix = folder(self.experiment)
        return [key for key in self.bucket.objects if key.startswith(prefix)]

    # -- after each write

    def _watch(self, written: Written) -> None:
        key, before, after = written
        if after is not None:
            assert before in (None, after), f"{key} was changed"
            # A commit to a chain that was purged is undone; numbers of checkpoints say nothing.
            may = key.startswith(keys.checkpoints(self.experiment)) or self._is_purged(key)
            assert self._ever.setdefault(key, after) == after or may, f"{key} is used again"
            self._put(key, after)
        elif before is not None:
            self._deleted(key)
            self.check_visible()

    def _is_purged(self, key: str) -> bool:
        pieces = key.split("/")
        return pieces[0] == "runs" and pieces[1] in self.purged

    def _put(self, key: str, data: bytes) -> None:
        if key.startswith("runs/") and "/state/" in key:
            run = key.split("/")[1]
            document = orjson.loads(data)
            experiment = document.get("experiment") or (document["state"] or {}).get("experiment")
            number = document["version"]
            if experiment in (None, self.experiment):
                marker = keys.marker(self.experiment, run, number)
                assert marker in self._ever, f"{key} was put before its marker"
            if document.get("purged"):
                self._forget(run)
        elif key.startswith(keys.checkpoints(self.experiment)):
            self._check_tables()
            self.check_visible()

    def _forget(self, run: str) -> None:
        assert run not in self._fresh, f"{run} is purged, and a change was acknowledged just now"
        self.purged.add(run)
        self.versions.pop(run, None)
        self.points = {whose: n for whose, n in self.points.items() if whose[0] != run}
        self.cuts = {whose: step for whose, step in self.cuts.items() if whose[0] != run}

    def _deleted(self, key: str) -> None:
        segment, marker, table = keys.parse_segment(key), keys.parse_marker(key), None
        if key.startswith(keys.tables(self.experiment)):
            table = keys.parse_table(key)
        if segment is not None and segment.run not in self.purged:
            covered = self.tables().coverage.get((segment.run, segment.writer), 0)
            longer = self._reach(segment.run, segment.writer, segment.start)
            assert segment.stop <= max(covered, longer), f"{key} goes and nothing covers it"
        elif (cut := keys.parse_cut(key)) and cut.run not in self.purged:
            step = self.tables().cuts.get(cut[:2])
            assert step is not None and step <= cut.step, f"{key} goes, and tables have {step}"  # noqa: PT018
        elif marker is not None and marker.run not in self.purged:
            version = self.tables().versions.get(marker.run, 0)
            assert marker.version <= version, f"{key} goes, and tables have version {version}"
        elif beating := parse_heartbeat(key):
            assert beating in self.purged or self._has_ended(beating), (
                f"{key} goes, its run goes on"
            )
        elif table is not None:
            self._check_named()
        elif key.startswith(keys.checkpoints(self.experiment)):
            left = [keys.parse_version(other) or 0 for other in self._keys(keys.checkpoints)]
            number = keys.parse_version(key) or 0
            assert max(left, default=0) > number, f"{key} goes, and it was the greatest"

    def _has_ended(self, run: str) -> bool:
        """Whether the last version of a run that has a state tells of an end, or there is none."""
        folder = keys.run_states(run)
        found = sorted(key for key in self.bucket.objects if key.startswith(folder))
        states = [orjson.loads(self.bucket.objects[key][0])["state"] for key in found]
        told = [state["status"] for state in states if state]
        return not told or told[-1] in TERMINAL

    def _check_named(self) -> Checkpoint | None:
        checkpoint = self.checkpoint()
        folder = keys.tables(self.experiment)
        for file in checkpoint.files if checkpoint else ():
            there = folder + file.name in self.bucket.objects
            assert there, f"checkpoint {checkpoint and checkpoint.number} names {file.name}: gone"
        return checkpoint

    def _check_tables(self) -> None:
        """The points of each writer stand in the tables once, and without a gap."""
        checkpoint = self._check_named()
        fields = checkpoint.extra if checkpoint else {}
        lost = {name: value for name, value in self._fields.items() if fields.get(name) != value}
        assert not lost, f"the greatest checkpoint has lost {lost}"
        self._fields = fields
        _, coverage, cuts = self.tables()
        offsets: defaultdict[Writer, list[int]] = defaultdict(list)
        counting: Counter[Writer] = Counter()
        columns = "run_id", "writer", "offset", "step"
        for run, writer, offset, step in self._rows(checkpoint, "metrics", *columns):
            offsets[run, writer].append(offset)
            until = cuts.get((run, writer))
            counting[run, writer] += step is None or until is None or step < until
        found = {whose: sorted(rows) for whose, rows in offsets.items()}
        expected = {whose: [*range(stop)] for whose, stop in coverage.items()}
        assert found == expected, f"tables have {found}, cover {coverage}"
        sums: Counter[Writer] = Counter()
        for run, writer, points in self._rows(checkpoint, "summary", "run_id", "writer", "points"):
            sums[run, writer] += points
        assert sums == counting, f"sums are of {dict(sums)}, of the points count {counting}"
        later = {run for run, writer in coverage if (run, writer) not in self.cuts}
        needed = {whose: step for whose, step in self.cuts.items() if whose[0] in later}
        missing = {whose for whose, step in needed.items() if cuts.get(whose, step + 1) > step}
        assert not missing, f"tables have points from behind a rewind, and no cuts of {missing}"

    # -- what was acknowledged

    def check_visible(self) -> None:
        """Raise AssertionError unless all that was acknowledged can be found."""
        if not self.versions and not self.points and not self.cuts:
            return
        tables = self.tables()
        for run, version in self.versions.items():
            seen = self._visible_version(run, tables)
            assert seen >= version, f"version {version} of {run} was acknowledged, {seen} is found"
        for (run, writer), count in self.points.items():
            seen = self._reach(run, writer, tables.coverage.get((run, writer), 0))
            assert seen >= count, f"{count} points of {run} {writer} were durable, found are {seen}"

        live = {cut for key in self._keys(keys.shards) if (cut := keys.parse_cut(key))}
        for whose, step in self.cuts.items():
            steps = [cut.step for cut in live if cut[:2] == whose]
            least = min([*steps, tables.cuts.get(whose, step + 1)])
            assert least <= step, f"{whose} was cut at step {step}, and this is nowhere"

    def _visible_version(self, run: str, tables: Tables) -> int:
        parsed = [keys.parse_marker(key) for key in self._keys(keys.feed)]
        marked = max((m.version for m in parsed if m and m.run == run), default=0)
        folder = keys.run_states(run)
        versions = [keys.parse_version(k) or 0 for k in self.bucket.objects if k.startswith(folder)]
        live = max((version for version in versions if version <= marked), default=0)
        return max(live, tables.versions.get(run, 0))

    def _reach(self, run: str, writer: str, start: int) -> int:
        """Return how far segments of a writer reach from an offset, without a gap."""
        parsed = [keys.parse_segment(key) for key in self._keys(keys.shards)]
        own = sorted((s.start, s.stop) for s in parsed if s and (s.run, s.writer) == (run, writer))
        for first, stop in own:
            if first <= start:
                start = max(start, stop)
        return start


@lru_cache(4096)
def _table(data: bytes, columns: tuple[str, ...]) -> list[tuple[Any, ...]]:
    table = pq.read_table(io.BytesIO(data), columns=[*columns])
    return [*zip(*(table.column(name).to_pylist() for name in columns), strict=True)]
