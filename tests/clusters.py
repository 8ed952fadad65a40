"""Dask clusters for tests: of real processes, on the loopback, any number at the same time."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dask.distributed import LocalCluster


def dask_cluster(workers: int, **more: Any) -> LocalCluster:
    """Start a cluster of so many workers with one thread each; it is a context manager."""
    from dask.distributed import LocalCluster

    # Also without a dashboard its scheduler has a web server, by default on one port for all.
    return LocalCluster(
        n_workers=workers,
        threads_per_worker=1,
        host="127.0.0.1",
        dashboard_address=None,
        scheduler_kwargs={"dashboard_address": "127.0.0.1:0"},
        **more,
    )
