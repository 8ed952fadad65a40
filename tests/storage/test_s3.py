"""The suite on S3."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from objrun.testing.conformance import Place, SharedStoreSuite

if TYPE_CHECKING:
    from objrun.testing.servers import Server


@pytest.mark.xdist_group("s3")
class TestS3(SharedStoreSuite):
    """A bucket of S3, and a prefix in it."""

    @pytest.fixture
    def place(self, s3_server: Server) -> Place:
        return Place(f"{s3_server.new_bucket()}/a prefix+", s3_server.options)
