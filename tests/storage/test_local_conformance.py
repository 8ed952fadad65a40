"""The suite on stores that need no server."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from objrun import clock
from objrun.storage import CountingStore, connect
from objrun.testing.conformance import Place, SharedStoreSuite, StoreSuite

if TYPE_CHECKING:
    from pathlib import Path

    from objrun.storage import Store


class TestLocal(SharedStoreSuite):
    """A folder, without syncing."""

    @pytest.fixture
    def place(self, tmp_path: Path) -> Place:
        return Place(str(tmp_path / "store"), {"durability": "none"})


class TestLocalSynced(SharedStoreSuite):
    """A folder, every object synced to the disk; its path wants encoding."""

    @pytest.fixture
    def place(self, tmp_path: Path) -> Place:
        return Place(str(tmp_path / "a store, 100%" / "new"), {})


class TestMemory(StoreSuite):
    """The memory of this process."""

    @pytest.fixture
    def place(self) -> Place:
        return Place(f"memory://{clock.random_hex(8)}/inner", {})


class TestWrapped(StoreSuite):
    """A wrapper is a store."""

    @pytest.fixture
    def place(self) -> Place:
        return Place(f"memory://{clock.random_hex(8)}", {})

    @pytest.fixture
    def store(self, place: Place) -> Store:
        return CountingStore(connect(place.url))
