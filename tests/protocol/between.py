"""Readers that are overtaken: something happens behind each of their requests."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from objrun.storage.wrappers import Around

if TYPE_CHECKING:
    from collections.abc import Callable

    from objrun.storage import Store


class Between(Around):
    """A store in which `act` is called behind each request, also behind one that fails."""

    def __init__(self, store: Store, act: Callable[[], None]) -> None:
        super().__init__(store)
        self.act = act

    def _ask(self, verb: str, key: str, call: Callable[[], Any]) -> Any:  # noqa: ARG002
        try:
            return call()
        finally:
            self.act()
