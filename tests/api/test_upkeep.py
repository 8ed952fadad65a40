"""A workspace's upkeep by several workers: threads, processes and Dask do the same work."""

from __future__ import annotations

from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from contextlib import contextmanager
from multiprocessing import get_context
from typing import TYPE_CHECKING

import pytest

from objrun import Experiment, Workspace, clock
from objrun.errors import ExperimentNotFoundError, NotAStoreError, UserErrorException
from objrun.tables import planning
from objrun.upkeep.workspace import HOUR
from tests.clusters import dask_cluster

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from concurrent.futures import Executor
    from contextlib import AbstractContextManager
    from pathlib import Path

    from objrun.testing.servers import Server


def filled(workspace: Workspace) -> Experiment:
    """Twelve runs of a thousand points."""
    experiment = Experiment(workspace, "digits")
    for value in range(12):
        with experiment.start_logging() as run:
            run.log_batch("loss", [float(value)] * 1000, steps=range(1000))
    return experiment


@contextmanager
def dask() -> Iterator[Executor]:
    """Two workers of a real cluster, each a process."""
    from dask.distributed import Client

    with dask_cluster(2) as cluster, Client(cluster) as client:
        yield client.get_executor()


EXECUTORS: Mapping[str, Callable[[], AbstractContextManager[Executor]]] = {
    "threads": lambda: ThreadPoolExecutor(2),
    "processes": lambda: ProcessPoolExecutor(2, mp_context=get_context("spawn")),
    "dask": dask,
}


@pytest.mark.parametrize("kind", EXECUTORS)
def test_workers_of_all_kinds(kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(planning, "LEAST_JOB", 1000)
    workspace = Workspace(tmp_path / "store", {"durability": "none"})
    experiment = filled(workspace)
    before = experiment.metrics().collect()
    told: list[tuple[str, int, int]] = []
    with EXECUTORS[kind]() as executor:
        made = workspace.compact(executor=executor, workers=2, progress=lambda *at: told.append(at))
    tables = made["digits"].checkpoint.of_kind("metrics")
    assert len(tables) == 4
    assert sum(table.rows for table in tables) == made["digits"].points == 12_000
    assert (told[0], told[-1]) == (("digits", 0, 12_000), ("digits", 12_000, 12_000))
    workspace.vacuum()
    assert experiment.metrics().collect().equals(before)


def test_processes_share_the_work_of_a_bucket(s3_server: Server) -> None:
    """The store goes to them as its URL and options, after it was used here."""
    workspace = Workspace(s3_server.new_bucket(), s3_server.options)
    experiment = filled(workspace)
    before = experiment.metrics().collect()
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as executor:
        assert workspace.compact(executor=executor)["digits"].points == 12_000
    workspace.vacuum()
    assert experiment.metrics().collect().equals(before)


def test_only_some_experiments() -> None:
    workspace = Workspace(f"memory://{clock.random_hex(8)}")
    for name in ("a", "b"):
        Experiment(workspace, name).start_logging().complete()
    assert workspace.compact("a").keys() == {"a"}
    assert workspace.compact(["a", "b"]).keys() == {"b"}
    assert workspace.vacuum("b").keys() == {"b"}
    with pytest.raises(ExperimentNotFoundError, match="'c'"):
        workspace.compact(["b", "c"])
    with pytest.raises(UserErrorException, match="retention"):
        workspace.vacuum(retention=-HOUR)


def test_no_store_is_made_by_upkeep() -> None:
    workspace = Workspace(f"memory://{clock.random_hex(8)}")
    for act in (workspace.compact, workspace.vacuum, workspace.stats, workspace.gc):
        with pytest.raises(NotAStoreError):
            act()
