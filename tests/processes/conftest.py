"""Places that real processes share."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from objrun.testing.proxy import proxy_to
from tests.conftest import proven_bucket
from tests.processes.programs import RUNNING, Place

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from objrun.testing.proxy import Proxy
    from objrun.testing.servers import Server

SLOW_S3, SLOW_GCS, SLOW_AZURE = (
    pytest.param(name, marks=pytest.mark.slow) for name in ("s3", "gcs", "azure")
)


@pytest.fixture(autouse=True)
def _nothing_is_left_running() -> Iterator[None]:
    """End the programs that a failed test has left, by their ids."""
    yield
    while RUNNING:
        RUNNING.pop().end()


def _place(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    if request.param == "local":
        return Place(str(tmp_path / "store"), {"durability": "none"})
    return Place(*proven_bucket(request.getfixturevalue(f"{request.param}_server")))


@pytest.fixture(params=["local", "s3"])
def empty_place(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    """A fresh store in a folder, then in S3, to which nobody ever came."""
    if request.param == "local":
        return _place(request, tmp_path)
    server: Server = request.getfixturevalue("s3_server")
    return Place(server.new_bucket(), server.options)


@pytest.fixture(params=["local", "s3"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    """A fresh store in a folder, then in S3."""
    return _place(request, tmp_path)


@pytest.fixture(params=["local", SLOW_S3])
def mostly_local(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    """A fresh store in a folder, and in S3 when slow tests are asked for."""
    return _place(request, tmp_path)


@pytest.fixture(params=["local", "s3", "gcs", "azure"])
def any_place(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    """A fresh store in a folder, then in each cloud."""
    return _place(request, tmp_path)


@pytest.fixture(params=["local", "s3", SLOW_GCS, SLOW_AZURE])
def anywhere(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    """A fresh store in a folder and in S3; in the other clouds when slow tests are asked for."""
    return _place(request, tmp_path)


@pytest.fixture
def proxy(s3_server: Server) -> Iterator[Proxy]:
    """A proxy before the local S3; its `plan` says what goes wrong."""
    with proxy_to(s3_server.port) as running:
        yield running


@pytest.fixture
def behind(s3_server: Server, proxy: Proxy) -> Place:
    """A bucket behind the proxy."""
    return Place(proven_bucket(s3_server).url, s3_server.options_at(proxy.port))
