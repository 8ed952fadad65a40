"""Blobs whose packs were put together, beside all that may become of their run."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from objrun import Experiment, Run, Workspace
from objrun.format.media import parse_pack
from objrun.protocol import levels
from objrun.storage import CountingStore
from objrun.storage.creating import CreateOnly
from objrun.tables.verify.store import verify
from tests.api.places import another, contents, store_of

if TYPE_CHECKING:
    from collections.abc import Callable

NOW = timedelta(0)


@pytest.fixture(autouse=True)
def _small_levels(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(levels, "FAN", 3)


def image(step: int) -> bytes:
    return b"P2 1 1 65535 %d" % step


def take(run: Run, *steps: int) -> None:
    """Log an image for each step, each in a flush of its own."""
    for step in steps:
        run.log_image("x", path=image(step), step=step)
        run.flush()


def packs_of(ws: Workspace) -> list[str]:
    return [key for key in contents(ws) if parse_pack(key)]


def seen(ws: Workspace, run: Run) -> list[bytes]:
    return [each.data for each in Run.get(another(ws), run.id).images()]


def test_slow_images_are_few_objects(any_ws: Workspace) -> None:
    run = Experiment(any_ws, "e").start_logging(snapshot_directory=None)
    take(run, *range(30))
    assert len(packs_of(any_ws)) <= 8
    assert seen(any_ws, run) == [*map(image, range(30))]
    run.complete()
    assert [*verify(store_of(any_ws), deep=True)] == []


def test_a_purge_removes_what_was_put_together(ws: Workspace) -> None:
    run, other = (Experiment(ws, "e").start_logging(snapshot_directory=None) for _ in range(2))
    for each in (run, other):
        take(each, *range(8))
        each.complete()
    before = packs_of(ws)
    run.delete()
    ws.gc(NOW)
    assert packs_of(ws) == [key for key in before if other.id in key] != []
    assert seen(ws, other) == [*map(image, range(8))]


def test_who_may_only_create_leaves_packs_and_loses_nothing(ws: Workspace) -> None:
    Workspace.create(ws.url)
    blind = another(ws)
    blind.go_through(CreateOnly)
    run = Experiment(blind, "e").start_logging(snapshot_directory=None)
    take(run, *range(12))
    run.complete()
    assert len(packs_of(ws)) == 12
    assert seen(ws, run) == [*map(image, range(12))]
    assert [*verify(store_of(ws), deep=True)] == []


def test_what_was_superseded_by_a_rewind_keeps_its_blobs(ws: Workspace) -> None:
    run = Experiment(ws, "e").start_logging(snapshot_directory=None)
    take(run, *range(7))
    again = Run.resume(another(ws), run.id, from_step=4)
    take(again, 4, 5)
    again.complete()
    assert seen(ws, run) == [*map(image, range(6))]
    assert [*verify(store_of(ws), deep=True)] == []


ASKED: dict[str, Callable[[Run], object]] = {
    "images": lambda run: [each.data for each in run.images()],
    "populate": lambda run: run.get_metrics(populate=True),
    "table": lambda run: run.get_table("t"),
}


@pytest.mark.parametrize("what", ASKED)
def test_reading_all_of_a_slow_run_takes_few_requests(ws: Workspace, what: str) -> None:
    """And no request that fails for each pack."""
    run = Experiment(ws, "e").start_logging(snapshot_directory=None)
    for step in range(100):
        take(run, step)
        run.log_table("t", {"a": [*range(5000)], "b": [step] * 5000})
        run.flush()
    run.complete()
    ws.compact()
    reader, counting = another(ws), CountingStore(store_of(ws))
    reader.go_through(lambda _: counting)
    found = Run.get(reader, run.id)
    before = counting.counts.copy()
    ASKED[what](found)
    asked = counting.counts - before
    assert asked.total() < 60, asked


def test_one_reference_of_a_slow_run_is_opened(ws: Workspace) -> None:
    run = Experiment(ws, "e").start_logging(snapshot_directory=None)
    take(run, *range(20))
    for step, reference in enumerate(run.get_metrics()["x"]):
        with run.open(reference) as opened:
            assert opened.read() == image(step)


def test_a_run_that_has_ended_keeps_no_images_in_memory(ws: Workspace) -> None:
    run = Experiment(ws, "e").start_logging(snapshot_directory=None)
    take(run, 1)
    assert run._writer is not None  # noqa: SLF001 - memory cannot be asked for otherwise
    packs = run._writer.packs  # noqa: SLF001
    assert packs._stored  # noqa: SLF001
    run.complete()
    assert not packs._stored  # noqa: SLF001
