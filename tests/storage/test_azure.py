"""The suite on Azure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from objrun.testing.conformance import Place, SharedStoreSuite
from tests.storage.broken_off import goes_on

if TYPE_CHECKING:
    from collections.abc import Callable

    from objrun.testing.servers import Server


# aiohttp warns of bodies above a megabyte that are bytes, and the client of Azure has no other way.
@pytest.mark.filterwarnings("ignore:Sending a large body directly:ResourceWarning")
class TestAzure(SharedStoreSuite):
    """A container of Azure Blob Storage, and a prefix in it.

    Pages hold 5000 objects there, which takes minutes here, and each delete is one request.
    """

    page = 100

    @pytest.fixture
    def place(self, azure_server: Server) -> Place:
        return Place(f"{azure_server.new_bucket()}/a prefix+", azure_server.options)

    def test_an_upload_that_broke_off_goes_on(self, place: Place) -> None:
        def counted(bucket: Any, tell: Callable[[], None]) -> None:
            write = bucket._write_block  # noqa: SLF001 - where requests are counted

            async def told(path: str, name: str, data: bytes) -> None:
                tell()
                await write(path, name, data)

            bucket._write_block = told  # noqa: SLF001

        goes_on(place, counted)
