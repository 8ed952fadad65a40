"""The suite on GCS."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from objrun.testing.conformance import Place, SharedStoreSuite

if TYPE_CHECKING:
    from objrun.testing.servers import Server


class TestGCS(SharedStoreSuite):
    """A bucket of Google Cloud Storage, and a prefix in it."""

    @pytest.fixture
    def place(self, gcs_server: Server) -> Place:
        return Place(f"{gcs_server.new_bucket()}/a prefix+", gcs_server.options)
