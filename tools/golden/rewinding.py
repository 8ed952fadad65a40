"""A golden store of runs that went on from older steps."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from objrun.format import keys
from objrun.format.checking import format_time
from tools.golden.build import WRITER, Case, Row, at
from tools.golden.compacting import HOUR, OTHER, THIRD, compact_case

if TYPE_CHECKING:
    from objrun.format.states import RunState


def rewound() -> Case:
    case = Case(
        "rewound",
        "runs that were resumed and rewound: live, folded, folded and then farther back",
        ("5.9", "10.4", "10.9", "11.2", "11.6"),
    )
    case.header()
    case.experiment()
    states = {}
    for number, run in enumerate(("live", "folded", "farther"), 1):
        states[run] = _resumed(case, case.run(run, number=number))
        case.segment(run, [Row("note", 1, seconds=0), *_loss(0.0, 6)])
    for run in ("folded", "farther"):
        _cut(case, run, WRITER, 3)
        case.segment(run, _loss(1.0, 6, first=3), writer=OTHER)
    compact_case(case, HOUR)
    # A process that was taken for dead logs on, and says at last that it has completed.
    case.segment("folded", _loss(2.0, 9, first=6), start=7)
    op = {"op": "set_status", "status": "Completed", "time": format_time(at(90))}
    case.run_version(3, states["folded"], op, blind_base=1)
    for run in ("live", "farther"):
        _cut(case, run, WRITER, 2)
        _cut(case, run, WRITER, 4)
        _cut(case, run, OTHER, 2)
        case.segment(run, _loss(3.0, 4, first=2), writer=THIRD)
    shards = keys.shards("digits", "live")
    for name in (f"rewind-{THIRD}-02", f"rewind-{THIRD}-", f"rewind-{THIRD}-1.0", "rewind--1"):
        case.objects[f"{shards}{name}"] = b"not for this reader\n"
    loss = {
        "live": [*((WRITER, o) for o in (1, 2)), *((THIRD, o) for o in (0, 1))],
        "folded": [*((WRITER, o) for o in (1, 2, 3)), *((OTHER, o) for o in (0, 1, 2))],
        "farther": [*((WRITER, o) for o in (1, 2)), *((THIRD, o) for o in (0, 1))],
    }
    for run, offsets in loss.items():
        case.expect_metric(run, "note", 0)
        case.expect_metric(run, "loss", *offsets)
    return case


def _resumed(case: Case, state: RunState) -> RunState:
    op: dict[str, Any] = {"op": "resume", "attempt": 2, "time": format_time(at(60)), "from_step": 3}
    state = replace(state, attempt=2)
    case.run_version(2, state, op)
    return state


def _loss(value: float, stop: int, first: int = 0) -> list[Row]:
    return [Row("loss", value + i / 8, step=i, seconds=100 * value + i) for i in range(first, stop)]


def _cut(case: Case, run: str, writer: str, step: int) -> None:
    case.objects[keys.cut("digits", run, writer, step)] = b""
