"""The suite on Azure."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from objrun.testing.conformance import Place, SharedStoreSuite

if TYPE_CHECKING:
    from objrun.testing.servers import Server


@pytest.mark.xdist_group("azure")
# aiohttp warns of bodies above a megabyte that are bytes, and the client of Azure has no other way.
@pytest.mark.filterwarnings("ignore:Sending a large body directly:ResourceWarning")
class TestAzure(SharedStoreSuite):
    """A container of Azure Blob Storage, and a prefix in it."""

    @pytest.fixture
    def place(self, azure_server: Server) -> Place:
        return Place(f"{azure_server.new_bucket()}/a prefix+", azure_server.options)
