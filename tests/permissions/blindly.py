"""A plugin of pytest: all workspaces are those of workers that may only create.

`python -m pytest -p tests.permissions.blindly tests/api/test_tags.py`

What the tests read is answered all the same, so that tests of logging need not know of it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

import pytest

from objrun.errors import PermissionDeniedError
from objrun.protocol.opening import open_for_writing
from objrun.storage import connect
from objrun.storage.creating import CreateOnly

if TYPE_CHECKING:
    from collections.abc import Callable

    from objrun.storage import Store

T = TypeVar("T")


class ReadBeside(CreateOnly):
    """A store for those who may only create; with its own eyes the test reads."""

    def _ask(self, verb: str, key: str, call: Callable[[], T]) -> T:
        if verb in ("delete", "now"):
            raise PermissionDeniedError(f"may not {verb} {key}")
        return call()


def pytest_configure() -> None:
    """Have workspaces blind from the start, in stores that others have made."""

    def connect_blindly(*given: Any, **options: Any) -> Store:
        store = connect(*given, **options)
        open_for_writing(store)
        return ReadBeside(store)

    pytest.MonkeyPatch().setattr("objrun.workspace.connect", connect_blindly)
