"""Damages of a store: each is an act that returns the key it is found at."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import polars as pl
import pytest

from objrun import clock
from objrun.format import keys
from objrun.format.archives import tail
from objrun.format.documents import (
    decode_number,
    decode_run,
    document_bytes,
    encode_number,
    encode_property,
    encode_run,
)
from objrun.format.shared import snapshot_key
from objrun.format.states import NumberClaim, Property
from objrun.protocol.chain import create
from objrun.protocol.live import run_scheme
from objrun.protocol.tombstones import tombstone
from objrun.tables.vacuum import DEAD
from tests.tables.verify.stores import LAST, NAME, Made, lose, lose_table, spoil, spoil_table

if TYPE_CHECKING:
    from collections.abc import Callable


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
    # Until something is written an hour later its writer may be about to go on.
    assert made.find() == []
    now = clock.now
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(clock, "now", lambda: now() + DEAD)
        made.store.put(LAST, made.store.get(LAST))
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


def lose_environment(made: Made) -> str:
    (info,) = made.store.list("environments/")
    return lose(info.key)(made)


def spoil_environment(made: Made) -> str:
    (info,) = made.store.list("environments/")
    made.damage(info.key)
    return info.key


def spoil_snapshot(made: Made) -> str:
    """Nobody refers to it, and it is as large as one that is sound."""
    key = snapshot_key("0" * 64)
    made.store.put(key, tail([]))
    return key


def odd_snapshot(made: Made) -> str:
    made.store.put("snapshots/latest.zip", tail([]))
    return "snapshots/latest.zip"


def change_file(made: Made) -> str:
    key = "runs/r1/artifacts/notes.txt"
    made.store.put(key, made.store.get(key)[:-1] + b"!")
    return key


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
    "file changed": ("live", "wrong_file", change_file, False),
    "file cut": ("vacuumed", "wrong_file", spoil("runs/r1/artifacts/notes.txt"), False),
    "entry damaged": ("live", "damaged", spoil("runs/r1/files/notes.txt.00000001.json"), False),
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
    "environment lost": ("live", "missing_shared", lose_environment, False),
    "environment damaged": ("vacuumed", "damaged", spoil_environment, False),
    "snapshot damaged": ("live", "damaged", spoil_snapshot, False),
    "odd snapshot": ("live", "unknown_object", odd_snapshot, False),
    "run purged, in tables": ("vacuumed", "purged_rows", entomb, False),
    "run purged by half": ("live", "unfinished_purge", entomb, False),
}
