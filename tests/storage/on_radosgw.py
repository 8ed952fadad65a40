"""The suite on Ceph's S3, by `make test-radosgw`: not among the tests that run by themselves."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from objrun import Experiment, Workspace
from objrun.storage import prove
from objrun.testing.conformance import Place, SharedStoreSuite
from objrun.testing.radosgw import radosgw_server

if TYPE_CHECKING:
    from collections.abc import Iterator

    from objrun.testing.servers import Server


@pytest.fixture(scope="session")
def radosgw() -> Iterator[Server]:
    """Ceph's S3, used like `s3_server`; a failure where it cannot be had."""
    with radosgw_server() as server:
        yield server


class TestRadosgw(SharedStoreSuite):
    """A bucket of radosgw, and a prefix in it."""

    @pytest.fixture
    def place(self, radosgw: Server) -> Place:
        return Place(f"{radosgw.new_bucket()}/a prefix+", radosgw.options)

    def test_it_proves_safe_again_and_again(self, radosgw: Server) -> None:
        for _ in range(10):
            prove(Place(radosgw.new_bucket(), radosgw.options).connect())

    def test_a_run(self, place: Place) -> None:
        """What users do: log, tag, compact, vacuum, read."""
        workspace = Workspace(place.url, place.options)
        with Experiment(workspace, "digits").start_logging(tags={"model": "cnn"}) as run:
            for step in range(100):
                run.log("loss", 1.0 / (1 + step), step=step)
        assert workspace.compact()["digits"].points == 100
        workspace.vacuum()
        again = Workspace(place.url, place.options)
        assert again.runs().collect()["status"].to_list() == ["Completed"]
        assert again.metrics().collect()["step"].to_list() == list(range(100))
