"""Whatever bytes a store gives: a value, or an error that has a name, in bounded memory."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING

import polars as pl
import pytest

from objrun.storage import MemoryStore
from objrun.tables import writing
from objrun.tables.reading import Rows, TableReader
from tests.hostile.bombs import BOMBS
from tests.hostile.fuzz import MEMORY
from tests.hostile.subjects import ELSEWHERE, parsers, rows_of, subjects

if TYPE_CHECKING:
    from pathlib import Path

LITTLE = 2**28
"""Bytes that refusing a bomb may take."""


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)


def test_every_parser_is_tried() -> None:
    """Whoever adds one names it in `subjects`, or among those that others call."""
    assert parsers() - subjects().keys() == ELSEWHERE.keys()


@pytest.mark.parametrize("name", subjects())
def test_each_sample_is_sound(name: str) -> None:
    """Else hardly anything of the parser would be tried."""
    subject = subjects()[name]
    if name != "objrun.format.pages.Column.pages":
        subject.call(subject.samples[0])


@pytest.mark.parametrize("seed", [1, 2])
def test_no_bytes_do_any_harm(seed: int, tmp_path: Path) -> None:
    """In a process of its own, for a library that aborts takes its process with it."""
    tried = run("tests.hostile.fuzz", str(seed), "5000", str(tmp_path / "held"))
    assert tried.returncode == 0, f"{tried.stderr[-3000:]}\nof {(tmp_path / 'held').read_bytes()!r}"
    told = json.loads(tried.stdout.splitlines()[-1])
    assert min(told["tried"].values()) > 100
    assert told["grown"] < MEMORY


def test_no_bomb_goes_off() -> None:
    """One after the other in one process: only what is more than for those before is seen."""
    tried = run("tests.hostile.bombs", *BOMBS)
    assert tried.returncode == 0, tried.stderr[-3000:]
    told = [json.loads(line) for line in tried.stdout.splitlines()]
    assert [each["name"] for each in told] == [*BOMBS]
    for each in told:
        assert " is damaged: " in each["told"], each
        assert each["taken"] < LITTLE, each


def test_a_writer_stays_below_what_a_reader_refuses(monkeypatch: pytest.MonkeyPatch) -> None:
    """Rows that are large together become several row groups."""
    monkeypatch.setattr(writing, "GROUP_BYTES", 300)
    store = MemoryStore("large")
    writer = writing.FileWriter(writing.Target(store, "e", 0, "coverage", 0))
    table = rows_of("coverage")
    writer.write(table, "r0", "r4")
    writer.finish_file()
    reader = TableReader(store, "e", writer.files[0])
    assert reader.footer.num_row_groups == 4
    frame = pl.concat(reader.frames(Rows()))
    assert frame.rows() == pl.DataFrame(table).select(frame.columns).rows()
