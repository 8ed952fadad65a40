"""Paired timings: objrun and bare work in turn, so the ratio holds on a noisy machine."""

from __future__ import annotations

import resource
import time
from collections.abc import Callable
from statistics import median
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest

if TYPE_CHECKING:
    from pathlib import Path

ROUNDS = 7


class Row(NamedTuple):
    """One line of the table at the end."""

    work: str
    measured: str
    bar: str
    more: str


ROWS: list[Row] = []


def cpu_seconds() -> float:
    """CPU of this process and of its children that have ended."""
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    return time.process_time() + children.ru_utime + children.ru_stime


class Clock:
    """Wall and CPU seconds of a call."""

    def __init__(self) -> None:
        self.wall: list[float] = []
        self.cpu: list[float] = []

    def time(self, work: Callable[[], Any]) -> None:
        wall, cpu = time.perf_counter(), cpu_seconds()
        work()
        self.wall.append(time.perf_counter() - wall)
        self.cpu.append(cpu_seconds() - cpu)


Compare = Callable[..., None]


@pytest.fixture
def compare(benchmark: Any) -> Compare:
    """Return a function that times `ours` and `bare` in turn and notes objrun / bare."""

    def run(
        work: str,
        ours: Callable[[], Any],
        bare: Callable[[], Any],
        *,
        bar: str,
        items: int,
        unit: str,
        prepare: Callable[[], Any] = lambda: None,
        rounds: int = ROUNDS,
    ) -> None:
        mine, theirs = Clock(), Clock()

        def before() -> None:
            theirs.time(bare)
            prepare()

        ours()
        mine.wall.clear()
        benchmark.pedantic(lambda: mine.time(ours), setup=before, rounds=rounds)
        ratios = sorted(a / b for a, b in zip(mine.wall, theirs.wall, strict=True))
        cpu = median(a / b for a, b in zip(mine.cpu, theirs.cpu, strict=True))
        each = f"{median(mine.cpu) / items * 1e6:.3g} µs CPU a {unit}"
        rate = f"{items / median(mine.wall):,.0f} {unit}s/s"
        measured = f"{median(ratios):.2f}x ({ratios[0]:.2f}-{ratios[-1]:.2f}), CPU {cpu:.2f}x"
        ROWS.append(Row(work, measured, bar, f"{rate}, {each}"))

    return run


@pytest.fixture
def note() -> Callable[[str, str, str, str], None]:
    """Return a function that adds a line of its own to the table."""

    def add(work: str, measured: str, bar: str, more: str = "") -> None:
        ROWS.append(Row(work, measured, bar, more))

    return add


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return an empty folder."""
    return tmp_path


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Print the table: what was measured, in times of the bare work, and the bar."""
    if ROWS:
        terminalreporter.section("ratios: objrun / bare work, median (least-most)")
        for row in ROWS:
            terminalreporter.write_line(f"| {row.work} | {row.measured} | {row.bar} | {row.more} |")
