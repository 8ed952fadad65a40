"""Checkpoints and tables: all there, as told, in order, and each covered point once."""

from __future__ import annotations

import zlib
from dataclasses import replace
from functools import partial
from itertools import groupby
from typing import TYPE_CHECKING, Final, NamedTuple

import polars as pl

from objrun.errors import FormatError, NotFoundError, UnavailableError
from objrun.format import keys
from objrun.format.checkpoints import decode_checkpoint
from objrun.protocol.live import RESTARTS
from objrun.protocol.settle import insist
from objrun.tables.footers import DAMAGES
from objrun.tables.verify.files import is_whole, look_at_file, summed
from objrun.tables.verify.findings import WARNING, Finding, Mend, unreadable
from objrun.tables.verify.lost import absent, told_ranges
from objrun.tables.verify.rebuild import LOST, rebuild, remove_checkpoint

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator

    from objrun.format.checkpoints import Checkpoint, TableFile
    from objrun.format.keys import SegmentKey
    from objrun.storage import Store
    from objrun.tables.verify.files import FileLook
    from objrun.tables.verify.findings import Checked

REBUILT: Final = (
    "all tables of the experiment are made anew of its runs, its segments and what can be read of "
    "its tables; points that are nowhere stay lost"
)


class Tabled(NamedTuple):
    """What the current tables have, and what is wrong with them.

    `runs`: root_run_id, run_id, experiment, version. `stops`: how many rows of each (run, writer).
    `is_known`: whether all of both could be read.
    """

    checkpoint: Checkpoint | None
    runs: pl.DataFrame
    stops: dict[tuple[str, str], int]
    is_known: bool
    findings: list[Finding]


NOTHING: Final = pl.DataFrame(
    schema={
        **dict.fromkeys(("root_run_id", "run_id", "experiment"), pl.String()),
        "version": pl.Int64(),
    }
)


def look_at_tables(
    store: Store, experiment: str, segments: Collection[SegmentKey], checked: Checked
) -> Tabled:
    """Look at the current checkpoint and all its tables; `segments` were listed before."""
    for _ in range(RESTARTS):
        numbers = _numbers(store, experiment)
        if not numbers:
            return Tabled(None, NOTHING, {}, is_known=True, findings=[])
        try:
            checkpoint, findings = _log(store, experiment, numbers)
            if checkpoint is None:
                return Tabled(None, NOTHING, {}, is_known=False, findings=findings)
            tabled = _look(store, checkpoint, segments, checked)
        except NotFoundError:
            # Superseded and removed since it was listed.
            continue
        return tabled._replace(findings=[*findings, *tabled.findings])
    message = f"the tables of {experiment!r} change faster than they can be read: try again"
    raise UnavailableError(message)


def _numbers(store: Store, experiment: str) -> list[int]:
    listed = insist(lambda: store.list(keys.checkpoints(experiment)))
    return sorted(n for info in listed if (n := keys.parse_version(info.key)))


def _log(
    store: Store, experiment: str, numbers: list[int]
) -> tuple[Checkpoint | None, list[Finding]]:
    """Return the current checkpoint, None where it is damaged, and what is wrong with all."""
    findings: list[Finding] = []
    checkpoint: Checkpoint | None = None
    for number in numbers:
        key = keys.checkpoint(experiment, number)
        is_last = number == numbers[-1]
        try:
            read = decode_checkpoint(key, insist(partial(store.get, key)))
        except FormatError as error:
            found = unreadable(key, error)
            if found.code == "damaged":
                repair = REBUILT if is_last else "it is removed, for a greater one counts"
                mend = Mend(remove_checkpoint, (experiment, number))
                found = replace(found, repair=repair, mend=None if is_last else mend)
            findings.append(found)
        except NotFoundError:
            if is_last:
                raise
        else:
            checkpoint = read if is_last else None
    return checkpoint, findings


def _look(
    store: Store, checkpoint: Checkpoint, segments: Collection[SegmentKey], checked: Checked
) -> Tabled:
    looks: dict[str, FileLook] = {}
    findings: list[Finding] = []
    for file in checkpoint.files:
        look, found = _look_at(store, checkpoint, file)
        findings += found
        checked.add(objects=1, points=file.rows if look and file.kind == "metrics" else 0)
        if look is not None:
            looks[file.name] = look
    findings += _levels(checkpoint, looks)
    whole = {
        kind
        for kind in ("runs", "summary", "metrics", "coverage")
        if all(file.name in looks for file in checkpoint.of_kind(kind))
    }
    runs = _held(checkpoint, looks, "runs", NOTHING)
    stops = {
        (run, writer): stop
        for _, run, writer, stop in _held(checkpoint, looks, "coverage").iter_rows()
    }
    if "coverage" in whole:
        findings += _points(store, checkpoint, looks, segments, stops)
        if {"metrics", "summary"} <= whole:
            findings += _sums(checkpoint, looks, stops)
    return Tabled(checkpoint, runs, stops, {"runs", "coverage"} <= whole, findings)


def _look_at(
    store: Store, checkpoint: Checkpoint, file: TableFile
) -> tuple[FileLook | None, list[Finding]]:
    """Look at one file; one that is gone is missed only if its checkpoint still counts."""
    key = f"{keys.tables(checkpoint.experiment)}{file.name}"
    try:
        data = insist(lambda: store.get(key))
    except NotFoundError:
        if _numbers(store, checkpoint.experiment)[-1:] != [checkpoint.number]:
            raise
        told = f"checkpoint {checkpoint.number} names it, and it is not there"
        return None, [Finding("missing_table", key, told, REBUILT)]
    if len(data) != file.size or zlib.crc32(data) != file.crc32:
        told = "its bytes are not those that its checkpoint tells of (size or CRC-32)"
        if file.kind == "metrics":
            told += "; values that changed cannot be told from others"
        return None, [Finding("damaged", key, told, REBUILT)]
    try:
        look = look_at_file(file, data)
    except DAMAGES as error:
        return None, [Finding("damaged", key, f"no table: {error!s:.200}", REBUILT)]
    wrong = [Finding("wrong_table", key, problem, REBUILT) for problem in look.problems]
    return (look if look.held.width else None), wrong


def _levels(checkpoint: Checkpoint, looks: dict[str, FileLook]) -> Iterator[Finding]:
    """Yield files of one kind and level whose rows do not all follow those of the one before."""
    ordered = sorted(checkpoint.files, key=lambda file: (file.kind, file.level))
    for _, group in groupby(ordered, key=lambda file: (file.kind, file.level)):
        named = [(looks[file.name], file.name) for file in group if file.name in looks]
        rows = sorted(((one.first, one.last), name) for one, name in named if one.first)
        for place, ((first, _), name) in enumerate(rows[1:]):
            if first <= rows[place][0][1]:
                key = f"{keys.tables(checkpoint.experiment)}{name}"
                told = f"its rows overlap those of {rows[place][1]}, of the same level"
                yield Finding("wrong_table", key, told, REBUILT)


def _held(
    checkpoint: Checkpoint,
    looks: dict[str, FileLook],
    kind: str,
    empty: pl.DataFrame | None = None,
) -> pl.DataFrame:
    """Return what all files of a kind hold, summed up."""
    frames = [looks[file.name].held for file in checkpoint.of_kind(kind) if file.name in looks]
    frames = [frame for frame in frames if frame.height]
    if not frames:
        return pl.DataFrame() if empty is None else empty
    return summed(kind, pl.concat(frames))


def _points(
    store: Store,
    checkpoint: Checkpoint,
    looks: dict[str, FileLook],
    segments: Iterable[SegmentKey],
    stops: dict[tuple[str, str], int],
) -> Iterator[Finding]:
    """Yield the writers whose points are not exactly those that coverage tells of."""
    wrong: dict[tuple[str, str], str] = {}
    seen: set[tuple[str, str]] = set()
    for root, run, writer, *sums in _held(checkpoint, looks, "metrics").iter_rows():
        seen.add((run, writer))
        if not is_whole(stops.get((run, writer), 0), *sums):
            wrong[run, writer] = root
    for root, run, writer, _ in _held(checkpoint, looks, "coverage").iter_rows():
        if (run, writer) not in seen:
            wrong[run, writer] = root
    accepted = int(checkpoint.extra.get(LOST) or 0)
    found = [*absent(store, checkpoint, wrong, stops, segments)]
    lost = sum(stop - start for one in found for start, stop in one.lost)
    where = keys.tables(checkpoint.experiment)
    for (run, writer), missing, ranges, doubled in found:
        whose = f"of writer {writer} of run {run}"
        if ranges:
            told = f"rows {told_ranges(ranges)} {whose} are in no table and in no segment"
            known = lost <= accepted
            severity, repair = (WARNING, None) if known else ("", REBUILT)
            yield Finding("lost_rows", where, told, repair, severity=severity)
        if missing and all(file.name in looks for file in checkpoint.of_kind("metrics")):
            told = f"rows {told_ranges(missing)} {whose} are covered, and in no table that counts"
            yield Finding("wrong_table", where, told, REBUILT)
        if doubled:
            told = f"rows {told_ranges(doubled)} {whose} are there twice, or not covered"
            yield Finding("doubled_rows", where, told, REBUILT)


def _sums(
    checkpoint: Checkpoint, looks: dict[str, FileLook], stops: dict[tuple[str, str], int]
) -> Iterator[Finding]:
    """Yield the writers of which the summary counts other points than there are."""
    counted, there = (
        {row[1:3]: row[3] for row in _held(checkpoint, looks, kind).iter_rows()}
        for kind in ("summary", "metrics")
    )
    cut = {row[1:3] for row in _held(checkpoint, looks, "cuts").iter_rows()}
    for run, writer in sorted(stops.keys() | counted.keys()):
        told = counted.get((run, writer), 0)
        expected = stops.get((run, writer), 0)
        # How many rows of a writer were cut, only their steps would say.
        is_less = (run, writer) in cut and told < expected
        if not is_less and told not in (expected, there.get((run, writer), 0)):
            what = f"it counts {told} points of writer {writer} of run {run}, not {expected}"
            yield Finding("wrong_summary", keys.tables(checkpoint.experiment), what, REBUILT)


def mended(
    findings: Iterable[Finding], experiment: str, runs: Collection[str]
) -> Iterator[Finding]:
    """Yield findings, those that a rebuild repairs with one and the same mend."""
    every = [*findings]
    rebuilt = [finding for finding in every if finding.repair == REBUILT]
    damaged = {f.key.rpartition("/")[2] for f in rebuilt if f.code == "damaged"}
    mend = Mend(rebuild, (experiment, frozenset(runs), frozenset(damaged)))
    for finding in every:
        yield replace(finding, mend=mend) if finding.repair == REBUILT else finding
