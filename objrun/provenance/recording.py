"""What is recorded at the start of a run beside its facts: environment, command line, changes."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Final

from objrun.errors import AlreadyExistsError, StoreError
from objrun.format.shared import DIFF, ENVIRONMENT, environment_key, snapshot_key
from objrun.logs import logger
from objrun.provenance.environment import SWITCH, command_line, environment_document, is_off
from objrun.provenance.facts import uncommitted

if TYPE_CHECKING:
    from objrun.storage import Store

DIFF_SWITCH: Final = "OBJRUN_GIT_DIFF"
"""The environment variable that switches it off to keep what is not committed: `off`."""


class Recorder:
    """Puts what runs share into one store, each object once in a process; thread-safe."""

    def __init__(self) -> None:
        self._stored: set[str] = set()

    def properties(self, store: Store) -> dict[str, str]:
        """Return properties of a run that starts now; what they refer to is in `store` by then.

        What cannot be stored is left out: no start fails for it, and none waits for it to be tried
        again.
        """
        found = self.environment(store)
        if not is_off(SWITCH):
            found["objrun.command"] = command_line()
        return found | self.changes(store)

    def environment(self, store: Store, python: str | None = None) -> dict[str, str]:
        """Return what refers to the environment of an interpreter, by default this one."""
        if is_off(SWITCH) or (made := environment_document(python)) is None:
            return {}
        digest, data = made
        return {ENVIRONMENT: digest} if self._store(store, environment_key(digest), data) else {}

    def changes(self, store: Store) -> dict[str, str]:
        """Return what refers to the changes that are not committed."""
        found: dict[str, str] = {}
        if not is_off(DIFF_SWITCH) and (diff := uncommitted()):
            from objrun.snapshots.packing import pack_one

            with pack_one("git.diff", diff) as packed:
                if self._store(store, snapshot_key(packed.digest), packed.read()):
                    found[DIFF] = packed.digest
        return found

    def _store(self, store: Store, key: str, data: bytes) -> bool:
        if key in self._stored:
            return True
        try:
            if not _is_near(store, key):
                store.put_if_absent(key, data)
        except AlreadyExistsError:
            pass  # its name says that it has these bytes
        except StoreError as error:
            logger().info("%s is not recorded: %s", key, error.message)
            return False
        self._stored.add(key)
        return True


def _is_near(store: Store, key: str) -> bool:
    """Return whether an object is there, asked only where that is cheaper than to create it."""
    if store.concurrency == 1:
        with suppress(StoreError):
            return bool(store.get_range(key, 0, 1))
    return False
