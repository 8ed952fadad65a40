"""Verify: a sound store has no findings, each damage has its own, and repairs mend it."""

from __future__ import annotations

import os
import threading
import warnings
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from objrun import Experiment, Workspace, clock
from objrun.errors import ObjrunError
from objrun.format import keys
from objrun.format.checkpoints import encode_checkpoint
from objrun.format.documents import (
    decode_number,
    decode_run,
    document_bytes,
    encode_number,
    encode_property,
    encode_run,
)
from objrun.format.states import NumberClaim, Property
from objrun.protocol.chain import create, tombstone
from objrun.protocol.checkpointing import latest_checkpoint
from objrun.protocol.live import run_scheme
from objrun.storage import CountingStore, LatencyStore, LocalStore, MemoryStore
from objrun.tables.compaction import compact, drop_runs
from objrun.tables.reading import Rows, TableReader
from objrun.tables.vacuum import vacuum
from objrun.tables.verify.findings import CODES, Checked, Finding, repair
from objrun.tables.verify.store import verify
from objrun.tables.writing import Target, write_frames

if TYPE_CHECKING:
    import random
    from collections.abc import Callable

    from objrun.storage import Store

NAME = "digits"
LAST = "runs/r1/state/00000004.json"


class Made:
    """A store in memory and what it answers."""

    def __init__(self, objects: dict[str, bytes] | None = None) -> None:
        self.workspace = Workspace(f"memory://{clock.random_hex(8)}")
        self.store: Store = MemoryStore(self.workspace.url.removeprefix("memory://"))
        for key, data in (objects or {}).items():
            self.store.put(key, data)

    @property
    def objects(self) -> dict[str, bytes]:
        return {info.key: self.store.get(info.key) for info in self.store.list("")}

    def answers(self) -> tuple[str, str]:
        """Runs with what their metrics come to, and points, as a fresh reader sees them."""
        experiment = Experiment(Workspace(self.workspace.url), NAME)
        columns = ["tags.t", "params.p", "metrics.loss.last", "metrics.loss.count"]
        runs = experiment.runs(columns).collect().sort("run_id")
        points = experiment.metrics().collect().sort("run_id", "name", "time", "step")
        return repr(runs.to_dicts()), repr(points.to_dicts())

    def find(self, *, deep: bool = True) -> list[Finding]:
        return [*verify(self.store, deep=deep)]

    def checkpoint(self) -> Any:
        checkpoint = latest_checkpoint(self.store, NAME)
        assert checkpoint is not None
        return checkpoint

    def table(self, kind: str) -> str:
        return f"{keys.tables(NAME)}{self.checkpoint().of_kind(kind)[0].name}"

    def rewrite(self, kind: str, change: Callable[[pl.DataFrame], pl.DataFrame]) -> None:
        """Replace the files of a kind by one that is told of truly and has other rows."""
        checkpoint = self.checkpoint()
        old = [file for file in checkpoint.files if file.kind == kind]
        readers = [TableReader(self.store, NAME, file) for file in old]
        frame = pl.concat(part for reader in readers for part in reader.frames(Rows()))
        target = Target(self.store, NAME, checkpoint.number, kind, 0)
        files = write_frames(target, [change(frame)])
        kept = [file for file in checkpoint.files if file.kind != kind]
        self.commit(files=(*kept, *files))
        self.store.delete(f"{keys.tables(NAME)}{file.name}" for file in old)

    def commit(self, **fields: Any) -> None:
        checkpoint = self.checkpoint()
        further = replace(checkpoint, number=checkpoint.number + 1, **fields)
        self.store.put(keys.checkpoint(NAME, further.number), encode_checkpoint(further))

    def damage(self, key: str) -> None:
        self.store.put(key, self.store.get(key)[:-40])


def fill(made: Made, first: int, stop: int) -> None:
    for place in range(first, stop):
        run = Experiment(made.workspace, NAME).start_logging(run_id=f"r{place}", tags={"t": place})
        run.log_params({"p": place / 7})
        for step in range(30):
            run.log("loss", place + 1 / (step + 1), step=step)
            run.log("accuracy", step / 30)
        run.log_table("table", {"a": [1, 2]})
        child = run.child_run("child", run_id=f"r{place}-child")
        child.log("loss", float(place))
        child.complete()
        run.add_properties({"data": f"v{place}"})
        run.complete()


def squeeze(made: Made, *, whole: bool = False) -> None:
    compact(made.store, NAME, whole=whole)
    vacuum(made.store, NAME, retention=timedelta(0))


def live(made: Made) -> None:
    fill(made, 0, 3)


def compacted(made: Made) -> None:
    live(made)
    compact(made.store, NAME)


def vacuumed(made: Made) -> None:
    live(made)
    squeeze(made)


def tailed(made: Made) -> None:
    """Tables of two levels, and a live tail: a new run, and changes of an old one."""
    fill(made, 0, 8)
    squeeze(made)
    late = Experiment(made.workspace, NAME).start_logging(run_id="late")
    late.log("loss", 1.0)
    late.flush()
    squeeze(made)
    late.log("loss", 2.0)
    late.tag("t", "changed")
    late.flush()
    fill(made, 8, 9)
    assert {file.level for file in made.checkpoint().files} == {0, 1}


def purged(made: Made) -> None:
    """Runs that were purged from tables and from the live tail, and an experiment made anew."""
    vacuumed(made)
    fill(made, 3, 5)
    for run in ("r1", "r4"):
        made.workspace.get_run(run).delete()
    Experiment(made.workspace, "gone").start_logging(run_id="with-it").complete()
    Experiment.delete(made.workspace, "gone", with_runs=True)
    made.workspace.gc(timedelta(0))
    Experiment(Workspace(made.workspace.url), "gone").start_logging(run_id="new").complete()
    squeeze(made)


STAGES = {stage.__name__: stage for stage in (live, compacted, vacuumed, tailed, purged)}


@cache
def objects_of(stage: str) -> dict[str, bytes]:
    made = Made()
    STAGES[stage](made)
    return made.objects


def fresh(stage: str) -> Made:
    return Made(objects_of(stage))


def told(findings: list[Finding]) -> list[tuple[str, str]]:
    return [(finding.code, finding.key) for finding in findings]


def mend(made: Made) -> None:
    for finding, error in repair(made.store, made.find()):
        assert error is None, finding


@pytest.mark.parametrize("stage", STAGES)
@pytest.mark.parametrize("deep", [False, True])
def test_a_sound_store_has_no_findings(stage: str, deep: bool) -> None:
    made = fresh(stage)
    before = made.objects
    last = Checked()

    def tell(checked: Checked) -> None:
        nonlocal last
        last = checked

    assert [*verify(made.store, deep=deep, tell=tell)] == []
    assert [*verify(made.store, [NAME], deep=deep)] == []
    assert made.objects == before
    runs, points = (frame(made).height for frame in (all_runs, all_points))
    assert (last.objects, last.known) == (len(before), len(before))
    assert (last.runs, last.points) == (runs, points)


@pytest.mark.parametrize("stage", STAGES)
def test_it_asks_for_each_object_once_and_for_many_at_once(stage: str) -> None:
    made = fresh(stage)
    store = CountingStore(LatencyStore(made.store, 0))
    assert [*verify(store)] == []
    read = Counter(asked.key for asked in store.log if asked.verb == "get")
    assert set(read.values()) == {1}
    assert {*store.counts} == {"get", "list", "folders"}
    # Of the top, of runs; of each experiment all it has, and its checkpoints.
    assert store.counts["folders"] == 2
    assert store.counts["list"] == 1 + 2 * len(made.store.folders(keys.EXPERIMENTS))


def all_runs(made: Made) -> pl.DataFrame:
    return Workspace(made.workspace.url).runs().collect()


def all_points(made: Made) -> pl.DataFrame:
    return Workspace(made.workspace.url).metrics().collect()


def lose(key: str) -> Callable[[Made], str]:
    def act(made: Made) -> str:
        made.store.delete([key])
        return key

    return act


def spoil(key: str) -> Callable[[Made], str]:
    def act(made: Made) -> str:
        made.damage(key)
        return key

    return act


def lose_table(kind: str) -> Callable[[Made], str]:
    return lambda made: lose(made.table(kind))(made)


def spoil_table(kind: str) -> Callable[[Made], str]:
    return lambda made: spoil(made.table(kind))(made)


def spoil_checkpoint(made: Made) -> str:
    return spoil(keys.checkpoint(NAME, made.checkpoint().number))(made)


def spoil_older_checkpoint(made: Made) -> str:
    key = keys.checkpoint(NAME, made.checkpoint().number)
    made.commit()
    return spoil(key)(made)


def orphan(made: Made) -> str:
    prop = Property(run_id="r1", key="new one", value="x", write_id="0" * 32)
    key = keys.run_property("r1", "new one")
    made.store.put(key, encode_property(prop))
    return key


def other_property(made: Made) -> str:
    prop = Property(run_id="r1", key="data", value="another", write_id="0" * 32)
    key = keys.run_property("r1", "data")
    made.store.put(key, encode_property(prop))
    return key


def unmark(made: Made) -> str:
    """Remove the markers of a run that has changed since it was compacted."""
    run = made.workspace.get_run("r1")
    before = {info.key for info in made.store.list(keys.feed(NAME))}
    run.tag("t", "later")
    new = {info.key for info in made.store.list(keys.feed(NAME))} - before
    made.store.delete(new)
    return max(new)


def take_number(made: Made) -> str:
    key = keys.number(NAME, made.workspace.get_run("r1").number)
    claim = NumberClaim(
        number=decode_number(key, made.store.get(key)).number, run_id="r2", write_id="0"
    )
    made.store.put(key, encode_number(claim))
    return key


def contradict(made: Made) -> str:
    version = decode_run(LAST, made.store.get(LAST))
    assert version.state is not None
    other = replace(version.state, created=version.written)
    made.store.put(LAST, encode_run(replace(version, state=other)))
    return LAST


def newer(made: Made) -> str:
    made.store.put(LAST, document_bytes({"format": 9}))
    return LAST


def odd_key(made: Made) -> str:
    made.store.put("experiments/digits/feed/r1.9", b"")
    return "experiments/digits/feed/r1.9"


def odd_folder(made: Made) -> str:
    made.store.put("holiday/photo.jpg", b"")
    return "holiday/"


def no_parent(made: Made) -> str:
    made.store.delete(info.key for info in made.store.list("runs/r1/"))
    made.store.delete(info.key for info in made.store.list(keys.feed(NAME)) if "/r1." in info.key)
    made.store.delete(info.key for info in made.store.list(keys.shards(NAME, "r1")))
    return "runs/r1-child/state/"


def lose_segment(made: Made) -> str:
    run = made.workspace.get_run("r1")
    run.log("more", 1.0)
    run.flush()
    before = {info.key for info in made.store.list(keys.shards(NAME, "r1"))}
    again = Made.__new__(Made)
    again.workspace, again.store = made.workspace, made.store
    (segment,) = (s for key in before if (s := keys.parse_segment(key)) and s.stop - s.start == 1)
    made.store.put(
        keys.segment(NAME, "r1", segment.writer, 1, 2),
        made.store.get(keys.segment(NAME, *segment[1:])),
    )
    made.store.delete([keys.segment(NAME, *segment[1:])])
    return keys.segment(NAME, "r1", segment.writer, 1, 2)


def drop_rows(made: Made) -> str:
    made.rewrite("metrics", lambda frame: frame.filter(~pl.col("offset").is_between(5, 9)))
    return keys.tables(NAME)


def double_rows(made: Made) -> str:
    name = made.checkpoint().of_kind("metrics")[0].name
    key = keys.tables(NAME) + name
    copied = keys.tables(NAME) + name.replace(name[9:25], "0123456789abcdef")
    made.store.put(copied, made.store.get(key))
    checkpoint = made.checkpoint()
    (file,) = checkpoint.of_kind("metrics")
    other = replace(file, name=copied.rpartition("/")[2], level=1)
    made.commit(files=(*checkpoint.files, other))
    return keys.tables(NAME)


def shuffle(made: Made) -> str:
    made.rewrite("runs", lambda frame: frame.reverse())
    return made.table("runs")


def tell_falsely(made: Made) -> str:
    files = made.checkpoint().files
    wrong = [
        replace(file, rows=file.rows + 1) if file.kind == "coverage" else file for file in files
    ]
    made.commit(files=tuple(wrong))
    return made.table("coverage")


def count_wrongly(made: Made) -> str:
    made.rewrite("summary", lambda frame: frame.with_columns(pl.col("points") + 1))
    return keys.tables(NAME)


def sum_wrongly(made: Made) -> str:
    made.rewrite("summary", lambda frame: frame.with_columns(pl.col("sum") + 1))
    return keys.tables(NAME)


def tell_other_status(made: Made) -> str:
    chosen = pl.when(run_id="r1").then(pl.lit("Failed")).otherwise("status")
    made.rewrite("runs", lambda frame: frame.with_columns(chosen.alias("status")))
    return LAST


def tell_other_root(made: Made) -> str:
    chosen = pl.when(run_id="r1-child").then(pl.lit("r0")).otherwise("root_run_id")
    made.rewrite(
        "runs",
        lambda frame: frame.with_columns(chosen.alias("root_run_id")).sort("root_run_id", "run_id"),
    )
    return "runs/r1-child/state/00000002.json"


def entomb(made: Made) -> str:
    """Purge a run by half: its tombstone stands, with nothing that tells of it."""
    create(made.store, run_scheme(NAME, "r1"), tombstone(5, NAME, "purge"))
    made.store.delete([keys.marker(NAME, "r1", 5)])
    return "runs/r1/state/00000005.json"


DAMAGES: dict[str, tuple[str, str, Callable[[Made], str], bool]] = {
    # what: stage, code, what is done, and whether a repair brings all answers back
    "header": ("live", "damaged", spoil("objrun.json"), False),
    "last version": ("live", "damaged", spoil(LAST), False),
    "version of an experiment": (
        "live",
        "damaged",
        spoil("experiments/digits/state/00000001.json"),
        False,
    ),
    "newer version": ("vacuumed", "too_new", newer, False),
    "claim damaged": (
        "live",
        "damaged",
        spoil("experiments/digits/numbers/00000/00000001.json"),
        True,
    ),
    "claim lost": (
        "live",
        "unclaimed",
        lose("experiments/digits/numbers/00000/00000001.json"),
        True,
    ),
    "claim of another": ("live", "number_taken", take_number, False),
    "property damaged": ("live", "damaged", spoil("runs/r1/properties/data.json"), True),
    "property orphaned": ("live", "orphan_property", orphan, True),
    "property differs": ("live", "property_differs", other_property, False),
    "hole": ("live", "hole", lose("runs/r1/state/00000002.json"), True),
    "hole at first": ("vacuumed", "hole", lose("runs/r1/state/00000001.json"), True),
    "version lost that is in tables": (
        "tailed",
        "hole",
        lose("runs/late/state/00000001.json"),
        True,
    ),
    "last lost, in tables": ("vacuumed", "lost_version", lose(LAST), True),
    "contradiction": ("live", "inconsistent", contradict, False),
    "unmarked": ("vacuumed", "unmarked", unmark, True),
    "unmarked live": ("live", "unmarked", lose("experiments/digits/feed/r1.00000004"), True),
    "odd key": ("live", "unknown_object", odd_key, False),
    "odd folder": ("live", "unknown_object", odd_folder, False),
    "parent lost": ("live", "missing_parent", no_parent, False),
    "gap": ("live", "gap", lose_segment, False),
    "experiment lost": (
        "live",
        "missing_experiment",
        lambda made: lose("experiments/digits/state/00000001.json")(made)[:-13],
        True,
    ),
    "checkpoint damaged": ("vacuumed", "damaged", spoil_checkpoint, True),
    "checkpoint damaged, live too": ("tailed", "damaged", spoil_checkpoint, True),
    "older checkpoint damaged": ("vacuumed", "damaged", spoil_older_checkpoint, True),
    "rows out of order": ("vacuumed", "wrong_table", shuffle, True),
    "rows miscounted": ("vacuumed", "wrong_table", tell_falsely, True),
    "rows doubled": ("vacuumed", "doubled_rows", double_rows, True),
    "rows dropped, segments there": ("compacted", "wrong_table", drop_rows, True),
    "points miscounted": ("vacuumed", "wrong_summary", count_wrongly, True),
    "sums wrong": ("vacuumed", "wrong_summary", sum_wrongly, True),
    "status wrong": ("vacuumed", "wrong_run", tell_other_status, True),
    "root wrong": ("vacuumed", "wrong_run", tell_other_root, True),
    **{
        f"{kind} {what}": (stage, code, act(kind), True)
        for kind in ("runs", "summary", "coverage")
        for stage in ("vacuumed", "tailed")
        for what, code, act in (
            (f"damaged, {stage}", "damaged", spoil_table),
            (f"lost, {stage}", "missing_table", lose_table),
        )
    },
    "metrics damaged, segments there": ("compacted", "damaged", spoil_table("metrics"), True),
    "metrics lost, segments there": ("compacted", "missing_table", lose_table("metrics"), True),
    "run purged, in tables": ("vacuumed", "purged_rows", entomb, False),
    "run purged by half": ("live", "unfinished_purge", entomb, False),
}


@pytest.mark.parametrize("what", DAMAGES)
def test_a_damage_is_found_where_it_is_and_repaired(what: str) -> None:
    stage, code, act, answers_return = DAMAGES[what]
    made = fresh(stage)
    if what in ("unmarked", "gap"):
        key = act(made)
        answers = None
    else:
        answers = made.answers()
        key = act(made)
    findings = made.find()
    assert {*told(findings)} == {(code, key)}, findings
    assert {finding.severity for finding in findings} == {CODES[code][0]}
    before = made.objects
    mend(made)
    if findings[0].repair is None:
        assert made.objects == before
        return
    assert made.find() == []
    squeeze(made, whole=True)
    assert made.find() == []
    if answers_return and answers is not None and what != "property orphaned":
        assert made.answers() == answers


def test_an_orphaned_property_is_taken_into_the_state() -> None:
    made = fresh("live")
    orphan(made)
    mend(made)
    assert made.workspace.get_run("r1").properties["new one"] == "x"


def test_a_change_without_a_marker_is_seen_after_the_repair() -> None:
    made = fresh("vacuumed")
    unmark(made)
    assert "later" not in made.answers()[0]
    mend(made)
    assert "later" in made.answers()[0]


@pytest.mark.parametrize("act", [lose_table, spoil_table])
def test_points_that_are_nowhere_are_told_and_the_rest_stays(
    act: Callable[[str], Callable[[Made], str]],
) -> None:
    made = fresh("tailed")
    points = all_points(made)
    key = act("metrics")(made)
    lost = next(f for f in made.checkpoint().of_kind("metrics") if key.endswith(f.name)).rows
    findings = made.find()
    assert told(findings)[0] == ("missing_table" if act is lose_table else "damaged", key)
    assert {finding.code for finding in findings[1:]} == {"lost_rows"}
    assert any("rows 0 to 60 of writer" in finding.message for finding in findings)
    mend(made)
    left = made.find()
    assert {(f.code, f.severity, f.repair) for f in left} == {("lost_rows", "warning", None)}
    assert points.height - all_points(made).height == lost
    assert made.checkpoint().extra == {"lost_points": lost}
    # Whoever logs on is heard, and a retry of old rows changes nothing.
    made.workspace.get_run("late").log("loss", 3.0)
    run = made.workspace.get_run("late")
    run.log("loss", 3.0)
    run.flush()
    squeeze(made)
    assert {f.severity for f in made.find()} == {"warning"}
    assert made.checkpoint().extra == {"lost_points": lost}


def test_rows_lost_after_a_repair_are_errors_again() -> None:
    made = fresh("vacuumed")
    lose_table("metrics")(made)
    mend(made)
    fill(made, 5, 6)
    squeeze(made)
    made.rewrite("metrics", lambda frame: frame.filter(pl.col("offset") != 3))
    assert {f.severity for f in made.find() if f.code == "lost_rows"} == {"error"}


def test_a_run_that_only_tables_have_is_made_again() -> None:
    made = fresh("vacuumed")
    answers = made.answers()
    made.store.delete(info.key for info in made.store.list("runs/r1/state/"))
    findings = made.find()
    assert ("missing_run", LAST) in told(findings)
    mend(made)
    made.store.delete(["runs/r1/properties/data.json"])
    assert made.find() == []
    assert made.answers() == answers
    assert [entry["version"] for entry in made.workspace.get_run("r1").history()] == [1, 2, 3, 4]


def test_a_run_that_is_lost_is_told_once() -> None:
    made = fresh("live")
    made.store.delete(info.key for info in made.store.list("runs/r1-child/"))
    assert told(made.find()) == [("missing_run", "runs/r1-child/state/")]


@pytest.mark.parametrize("left", ["everything", "properties", "rows of tables"])
def test_a_purge_is_finished(left: str) -> None:
    made = fresh("vacuumed")
    tomb = entomb(made)
    folder = [info.key for info in made.store.list("runs/r1/") if info.key != tomb]
    if left == "properties":
        drop_runs(made.store, NAME, {"r1"})
        made.store.delete(key for key in folder if "/properties/" not in key)
    elif left == "rows of tables":
        made.store.delete(folder)
    code = "unfinished_purge" if left == "properties" else "purged_rows"
    assert told(made.find()) == [(code, tomb)]
    mend(made)
    assert made.find() == []
    assert [info.key for info in made.store.list("runs/r1/")] == ["runs/r1/state/00000005.json"]
    assert "r1" not in all_runs(made)["run_id"].to_list()


def test_the_last_number_of_the_first_bucket_is_claimed_for_nobody() -> None:
    made = fresh("live")
    for number in (999, 1000):
        claim = NumberClaim(number=number, run_id=f"nobody-{number}", write_id="0" * 32)
        made.store.put(keys.number(NAME, number), encode_number(claim))
    assert made.find() == []
    made.store.delete([keys.number(NAME, 999)])
    assert told(made.find()) == [("unclaimed", keys.number(NAME, 999))]
    mend(made)
    assert made.find() == []
    assert Experiment(made.workspace, NAME).start_logging().number == 1001


def test_what_is_live_is_not_read_where_tables_have_it() -> None:
    made = fresh("compacted")
    key = next(info.key for info in made.store.list(keys.shards(NAME)))
    made.damage(key)
    assert made.find() == []


def test_a_damaged_segment_that_counts_is_named() -> None:
    made = fresh("tailed")
    key = next(info.key for info in made.store.list(keys.shards(NAME, "r8")))
    made.damage(key)
    assert told(made.find()) == [("damaged", key)]


def test_only_what_is_asked_for_is_looked_at() -> None:
    made = fresh("vacuumed")
    Experiment(made.workspace, "other").start_logging(run_id="o").complete()
    made.damage("runs/o/state/00000002.json")
    assert [*verify(made.store, [NAME])] == []
    assert told([*verify(made.store, ["other"])]) == [("damaged", "runs/o/state/00000002.json")]


def test_a_repair_that_fails_is_told_and_the_next_ones_are_done() -> None:
    made = fresh("live")

    def refuse(_store: Store) -> None:
        message = "no"
        raise ObjrunError(message)

    from objrun.tables.verify.findings import Mend

    bad = Finding("hole", "k", "m", "r", Mend(refuse, ()))
    lose("experiments/digits/numbers/00000/00000001.json")(made)
    done = [*repair(made.store, [bad, *made.find()])]
    assert [error is None for _, error in done] == [False, True]
    assert made.find() == []


def test_a_marker_is_of_a_dead_writer_after_an_hour(tmp_path: Path) -> None:
    for key, data in objects_of("live").items():
        (tmp_path / key).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / key).write_bytes(data)
    store = LocalStore(str(tmp_path), durable=False)
    dead = [keys.marker(NAME, "r1", 5), keys.marker(NAME, "never-made", 1)]
    for key in dead:
        store.put(key, b"")
    assert [*verify(store)] == []
    an_hour_ago = clock.now().timestamp() - 3601
    for key in dead:
        os.utime(tmp_path / key, (an_hour_ago, an_hour_ago))
    assert sorted(told([*verify(store)])) == sorted(("dead_marker", key) for key in dead)


def test_a_store_in_use_has_no_findings() -> None:
    """Writers, compactions, vacuums and purges beside it: nothing that is well looks wrong."""
    made = Made()
    fill(made, 0, 1)
    ended = threading.Event()

    def write(name: int) -> None:
        place = 0
        while not ended.is_set():
            place += 1
            fill(made, 1000 * name + place, 1000 * name + place + 1)
            if place % 3 == 0:
                made.workspace.get_run(f"r{1000 * name + place}").delete()

    def keep() -> None:
        while not ended.is_set():
            squeeze(made)
            made.workspace.gc(timedelta(0))

    with ThreadPoolExecutor(3) as pool:
        jobs = [pool.submit(write, 1), pool.submit(write, 2), pool.submit(keep)]
        try:
            for turn in range(8):
                found = [*verify(made.store, deep=turn % 2 == 0)]
                # A purge that goes on just now is one that has not come to its end.
                assert {finding.code for finding in found} <= {"unfinished_purge"}, found
        finally:
            ended.set()
        for job in jobs:
            job.result()
    squeeze(made)
    assert made.find() == []


def test_every_code_is_in_the_documents() -> None:
    page = (Path(__file__).parents[2] / "docs" / "how-to.md").read_text(encoding="utf-8")
    assert [code for code in CODES if f"| `{code}` |" not in page] == []


def objects(stage: str) -> list[str]:
    return sorted(objects_of(stage))


def is_harmless(stage: str, key: str, made: Made) -> bool:
    """Whether nobody can know, or need know, that an object is gone or another.

    Probes, markers with a body or of versions that others tell of, what tables cover, the end of
    a chain or of a writer of which nothing else tells, and values that were changed into others.
    """
    now = made.objects
    if key not in now:
        if "/feed/" in key or "/shards/" in key or key == "objrun.probe":
            return True
        is_chain = "/state/" in key
        return "/properties/" in key or (is_chain and stage != "vacuumed") or "/checkpoints/" in key
    return (
        key.startswith("objrun.probe")
        or "/feed/" in key
        or "/shards/" in key
        or _decodes(key, now[key])
    )


def _decodes(key: str, data: bytes) -> bool:
    from objrun.format.checkpoints import decode_checkpoint
    from objrun.format.documents import decode_experiment, decode_header, decode_property

    decoders: dict[str, Callable[[str, bytes], object]] = {
        "objrun.json": decode_header,
        "/numbers/": decode_number,
        "/properties/": decode_property,
        "/checkpoints/": decode_checkpoint,
        "runs/": decode_run,
        "experiments/": decode_experiment,
    }
    decode = next(function for piece, function in decoders.items() if piece in key)
    try:
        decode(key, data)
    except ObjrunError:
        return False
    return True


@settings(max_examples=60, deadline=None)
@given(st.sampled_from(["live", "vacuumed", "tailed"]), st.randoms(use_true_random=False))
def test_any_damage_of_one_object_is_told_and_no_repair_loses_more(
    stage: str, chance: random.Random
) -> None:
    made = fresh(stage)
    key = chance.choice(objects(stage))
    data = made.store.get(key)
    how = chance.choice(["delete", "truncate", "flip"])
    if how == "delete":
        made.store.delete([key])
    elif how == "truncate":
        made.store.put(key, data[: chance.randrange(max(len(data), 1))])
    elif data:
        flipped = bytearray(data)
        flipped[chance.randrange(len(data))] ^= 1 << chance.randrange(8)
        made.store.put(key, bytes(flipped))
    if made.store.list("") and made.objects == objects_of(stage):
        return
    findings = made.find()
    assert findings or is_harmless(stage, key, made), (how, key)
    if key == keys.HEADER:
        return
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        mend(made)
        again = made.find()
        assert not [f for f in again if f.repair is not None], again
