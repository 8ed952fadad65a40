"""Golden stores with checkpoints, whose tables are what compaction makes of their objects."""

from __future__ import annotations

import hashlib
import itertools
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final

from objrun import clock
from objrun.format import keys
from objrun.format.checking import format_time
from objrun.storage import MemoryStore
from objrun.tables.compaction import compact
from objrun.tables.vacuum import vacuum
from tools.golden.build import WRITER, Case, Row, at

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from objrun.format.states import RunState

OTHER: Final = "00000000000000b2"
THIRD: Final = "00000000000000c3"
HOUR: Final = 3600

_BUILT: Final = itertools.count()


@contextmanager
def _bucket(case: Case, experiment: str, seconds: float) -> Iterator[MemoryStore]:
    """Give the objects of a case as a store at that time; what it then holds are the case's."""
    name = f"golden-{case.name}-{experiment}-{seconds}"
    # Another one each time a case is built: the clock of a store is never set back.
    store = MemoryStore(f"{name}-{next(_BUILT)}")
    asked = itertools.count()
    now, random_hex = clock.now, clock.random_hex

    def digits(count: int) -> str:
        return hashlib.sha256(f"{name}-{next(asked)}".encode()).hexdigest()[: 2 * count]

    try:
        clock.random_hex = digits
        clock.now = lambda: at(0)
        for key, data in case.objects.items():
            store.put(key, data)
        clock.now = lambda: at(seconds)
        yield store
    finally:
        clock.now, clock.random_hex = now, random_hex
    case.objects = {info.key: store.get(info.key) for info in store.list("")}


def compact_case(case: Case, seconds: float, experiment: str = "digits") -> None:
    with _bucket(case, experiment, seconds) as store:
        made = compact(store, experiment)
    assert made is not None
    assert not made.damaged


def _status(state: RunState, status: str, seconds: float) -> tuple[RunState, dict[str, Any]]:
    op = {"op": "set_status", "status": status, "time": format_time(at(seconds))}
    return replace(state, status=status, ended=at(seconds)), op


def compacted() -> Case:
    case = Case(
        "compacted",
        "two levels of tables and a live tail: one experiment with all that was compacted still "
        "there, one vacuumed",
        ("10.2", "10.4", "11.1", "11.2", "11.3", "11.5"),
    )
    case.header()
    _age(case, "digits")
    _age(case, "vacuumed")
    tables = keys.tables("digits")
    # What a compaction that lost its race, or was killed, leaves behind.
    orphan = keys.TableKey(0, "f" * 16, "metrics")
    case.objects[keys.table("digits", orphan)] = b"not named by any checkpoint\n"
    case.objects[f"{tables}README"] = b"not for this reader\n"
    case.objects[f"{keys.checkpoints('digits')}latest.json"] = b"{}\n"
    return case


def _age(case: Case, experiment: str) -> None:
    """Let an experiment grow older: compacted twice, the second one vacuumed, then it goes on."""
    rows = [Row("loss", 1 / (1 + i), step=i, seconds=i) for i in range(30)]

    def log(run: str, start: int, stop: int) -> None:
        name = f"{experiment}-{run}"
        case.segment(name, rows[start:stop], start=start, experiment=experiment)

    case.experiment(experiment)
    states = _first_runs(case, experiment)
    log("parent", 0, 20)
    log("parent", 0, 4)
    for child in (1, 2, 3, 4):
        log(f"child-{child}", 0, 10)
    case.marker(replace(states["alone"], run_id=f"{experiment}-never"), 1)
    compact_case(case, HOUR, experiment)

    state, op = _status(states["child-3"], "Completed", HOUR)
    case.run_version(2, state, op)
    log("child-3", 5, 12)
    log("child-3", 10, 15)
    compact_case(case, 2 * HOUR, experiment)
    if experiment == "vacuumed":
        with _bucket(case, experiment, 3 * HOUR) as store:
            vacuum(store, experiment, retention=timedelta(0))

    # A writer that flushes from offset 13 on, and one that left a gap; both go on.
    log("child-3", 13, 18)
    log("child-3", 18, 20)
    log("child-1", 12, 15)
    tags = {"late": "yes"}
    state = replace(states["child-4"], tags=tags)
    case.run_version(2, state, {"op": "set_tags", "tags": tags})
    case.marker(states["child-5"], 2)
    late = f"{experiment}-late"
    case.run(late, experiment=experiment, number=20)
    log("late", 0, 2)
    points = {"parent": 20, "child-1": 10, "child-2": 10, "child-3": 20, "child-4": 10, "late": 2}
    for run, stop in points.items():
        case.expect_metric(f"{experiment}-{run}", "loss", *range(stop))


def _first_runs(case: Case, experiment: str) -> dict[str, RunState]:
    """Put a parent with nine children, and two runs whose states have all there is."""
    values: dict[str, Any] = {
        "float": 0.1, "whole": 3.0, "small": 1e-07, "large": 1e22, "minus zero": -0.0,
        "nan": float("nan"), "infinity": float("inf"), "minus infinity": float("-inf"),
        "int": 3, "2^60": 2**60, "-2^70": -(2**70), "true": True, "false": False, "none": None,
        "text": "0.5", "empty": "", "name": "naïve 数",
    }  # fmt: skip
    root = f"{experiment}-parent"
    states = {"parent": case.run(root, experiment=experiment, tags={"a": None, "b": ""})}
    for child in range(1, 10):
        states[f"child-{child}"] = case.run(
            f"{experiment}-child-{child}",
            experiment=experiment,
            number=1 + child,
            parent_run_id=root,
            root_run_id=root,
            params={"lr": child / 8},
        )
    states["alone"] = case.run(
        f"{experiment}-alone",
        experiment=experiment,
        number=11,
        name="a name",
        display_name="Übung",
        description="",
        status="Failed",
        ended=at(60),
        error={"code": "ValueError", "message": None, "help": "lower it", "inner": [1, {"a": 2.5}]},
        tags={"ü": "数", "empty": "", "none": None},
        params=values,
        properties={"azureml.runsource": "automl", "none": None},
        extra={"invented_later": {"deep": [1, 2.5, None]}},
    )
    states["deleted"] = case.run(
        f"{experiment}-deleted",
        ({"op": "set_status", "status": "Queued", "time": format_time(at(1))}, {}),
        experiment=experiment,
        number=12,
        type="script",
        status="Queued",
        started=None,
        lifecycle="deleted",
    )
    return states


def compacted_writers() -> Case:
    case = Case(
        "compacted_writers",
        "three writers into one run over three levels and a live tail: parts are put together",
        ("10.5", "10.8", "11.3", "11.6"),
    )
    case.header()
    case.experiment()
    case.run("r1")
    case.run("r2", number=2, parent_run_id="r1", root_run_id="r1")
    written: dict[str, int] = {}

    def log(writer: str, *rows: Row) -> None:
        start = written.get(writer, 0)
        case.segment("r1", rows, start=start, writer=writer)
        written[writer] = start + len(rows)

    for seconds, stage in enumerate(_stages()):
        if seconds:
            compact_case(case, seconds * HOUR)
        for writer, rows in stage:
            log(writer, *rows)
        if not seconds:
            case.segment("r2", [Row("loss", 0.5, seconds=1), Row("loss", 0.25, seconds=2)])
    a, b, c = WRITER, OTHER, THIRD
    case.expect_metric("r1", "bulk", *range(100))
    case.expect_metric("r1", "steps", (a, 101), (a, 110), (b, 4), (a, 102), (a, 117))
    # The clock of A was set back after 500, that of B stands at 500, too.
    case.expect_metric("r1", "clock", (b, 0), (a, 100), (a, 109), (a, 116), (b, 3))
    case.expect_metric("r1", "mixed", (a, 103), (a, 114))
    case.expect_metric("r1", "text", (a, 104), (b, 6))
    case.expect_metric("r1", "nan", (a, 105), (a, 111), (a, 115))
    case.expect_metric("r1", "wide", (c, 0), (a, 106), (a, 112), (c, 1))
    case.expect_metric("r1", "big", (a, 107), (c, 2))
    case.expect_metric("r1", "half", (a, 108), (b, 5), (c, 3))
    case.expect_metric("r1", "row first", (b, 2), family="row")
    case.expect_metric("r1", "new", (b, 7))
    case.expect_metric("r2", "loss", 0, 1)
    return case


def _stages() -> Iterator[Sequence[tuple[str, Sequence[Row]]]]:
    """Yield what the writers log before each compaction, and after the last."""
    nan = float("nan")
    bulk = [Row("bulk", i / 4, step=i, seconds=i) for i in range(100)]
    yield (
        (
            WRITER,
            [
                *bulk,
                Row("clock", 1.0, seconds=500),
                Row("steps", 10.0, step=5, seconds=501),
                Row("steps", 11.0, step=9, seconds=502),
                Row("mixed", 1.0, seconds=503),
                Row("text", "a", seconds=504),
                Row("nan", nan, seconds=505),
                Row("wide", 1.0, step=1, seconds=506),
                Row("big", 2**60, seconds=507),
                Row("half", 1.0, step=3, seconds=508),
            ],
        ),
        (
            OTHER,
            [
                Row("clock", 2.0, seconds=450),
                Row("mixed", {"x": 1}, kind="row", seconds=510),
                Row("row first", {"x": 1}, kind="row", seconds=511),
            ],
        ),
        (THIRD, [Row("wide", 0.5, step=0, seconds=512)]),
    )
    yield (
        (
            WRITER,
            [
                Row("clock", 3.0, seconds=100),
                Row("steps", 12.0, step=7, seconds=520),
                Row("nan", 2.5, seconds=521),
                Row("wide", 2.0, step=2**40, seconds=522),
                Row("row first", 7, seconds=523),
                Row("mixed", 3, seconds=524),
            ],
        ),
        (
            OTHER,
            [
                Row("clock", 4.0, seconds=500),
                Row("steps", 13.0, step=9, seconds=100),
                Row("half", 2.0, seconds=530),
            ],
        ),
        (
            THIRD,
            [
                Row("wide", 0.25, step=2**40, seconds=531),
                Row("big", 1.5, seconds=532),
            ],
        ),
    )
    yield ((WRITER, [Row("nan", nan, seconds=540)]),)
    yield (
        (WRITER, [Row("clock", 5.0, seconds=99), Row("steps", 14.0, step=9, seconds=541)]),
        (OTHER, [Row("text", None, seconds=542), Row("new", 1, seconds=543)]),
        (THIRD, [Row("half", 4.0, step=1, seconds=544)]),
    )


def newer_checkpoint() -> Case:
    case = Case(
        "newer_checkpoint",
        "a checkpoint of a newer format: of its experiment nothing can be said, of others all",
        ("4.3", "11.7"),
    )
    case.header()
    case.experiment()
    case.experiment("other")
    case.run("r1")
    del case.runs["r1"]
    case.run("r2", experiment="other")
    key = keys.checkpoint("digits", 1)
    case.objects[key] = b'{"format":2}\n'
    case.expect_error(key, "unsupported_format", None)
    return case
