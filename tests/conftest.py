"""Stores for every test: a folder, memory, and local servers for the clouds.

A server starts when a test first asks for it and ends with the session. A server that this machine
cannot have skips its tests by name; where CI is set it fails them.
"""

from __future__ import annotations

import os
import shutil
from contextlib import ExitStack
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import botocore.loaders  # type: ignore[import-untyped]  # it ships no types
import pytest

from objrun import clock
from objrun.format.keys import PROBE
from objrun.storage import connect
from objrun.testing import servers

if TYPE_CHECKING:
    from collections.abc import Iterator
    from contextlib import AbstractContextManager

    from objrun.storage import Store
    from objrun.testing.servers import Server

# Before the suite is imported, so that its failures show their values.
pytest.register_assert_rewrite("objrun.testing.conformance", "objrun.testing.races")

# A client of S3 parses a megabyte of JSON before its first request, each its own; here once.
botocore.loaders.create_loader = cache(botocore.loaders.create_loader)

AZURITE = Path(__file__).parent.parent / ".servers" / "node_modules" / ".bin" / "azurite-blob"

BACKENDS = ["local", "memory", "s3", "gcs", "azure"]


class StoreURL(NamedTuple):
    """Where a fresh, empty store is: `connect(url, **storage_options)`."""

    url: str
    storage_options: dict[str, Any]


@pytest.fixture(scope="session", autouse=True)
def _own_folders(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Leave the readers' cache and the spools of whoever runs the tests alone."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("OBJRUN_CACHE", str(tmp_path_factory.mktemp("cache")))
        patch.setenv("OBJRUN_SPOOL", str(tmp_path_factory.mktemp("spools")))
        # Whether the tests run in a work tree with changes makes no difference.
        patch.setenv("OBJRUN_GIT_DIFF", "off")
        yield


@pytest.fixture(scope="session")
def s3_server() -> Iterator[Server]:
    """A local S3: `.new_bucket()` returns the URL of a new bucket, `.options` how to reach it."""
    yield from _running(servers.s3_server())


@pytest.fixture(scope="session")
def gcs_server() -> Iterator[Server]:
    """A local Google Cloud Storage, used like `s3_server`."""
    yield from _running(servers.gcs_server())


@pytest.fixture(scope="session")
def azure_server() -> Iterator[Server]:
    """A local Azure Blob Storage, used like `s3_server`."""
    program = str(AZURITE) if AZURITE.exists() else shutil.which("azurite-blob")
    yield from _running(servers.azure_server(program))


def proven_bucket(server: Server) -> StoreURL:
    """A new bucket which need not prove any more that a second create is refused.

    That takes 40 requests, and has tests of its own.
    """
    place = StoreURL(server.new_bucket(), server.options)
    connect(place.url, **place.storage_options).put(PROBE, b"")
    return place


@pytest.fixture(params=BACKENDS)
def store_url(request: pytest.FixtureRequest, tmp_path: Path) -> StoreURL:
    """The URL and options of a fresh store, once for each backend."""
    if request.param == "local":
        return StoreURL(str(tmp_path / "store"), {"durability": "none"})
    if request.param == "memory":
        return StoreURL(f"memory://{clock.random_hex(8)}", {})
    server: Server = request.getfixturevalue(f"{request.param}_server")
    return StoreURL(server.new_bucket(), server.options)


@pytest.fixture
def live_store(store_url: StoreURL) -> Store:
    """A fresh store, once for each backend."""
    return connect(store_url.url, **store_url.storage_options)


def _running(server: AbstractContextManager[Server]) -> Iterator[Server]:
    with ExitStack() as stack:
        try:
            running = stack.enter_context(server)
        except servers.ServerMissingError as error:
            if os.environ.get("CI"):
                pytest.fail(str(error))
            pytest.skip(str(error))
        yield running
