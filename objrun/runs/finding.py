"""A run's last version, found by its id alone: all that a launcher loads which waits."""

from __future__ import annotations

from typing import TYPE_CHECKING

from objrun.errors import RunNotFoundError
from objrun.protocol.chain import load_last
from objrun.protocol.live import run_scheme
from objrun.protocol.tombstones import is_free

if TYPE_CHECKING:
    from objrun.format.states import RunState, Version
    from objrun.workspace import Workspace


def find_version(workspace: Workspace, run_id: str) -> Version[RunState]:
    """Return the last version of a run, known by nothing but its id: one LIST and one GET.

    Raises RunNotFoundError if there is no such run.
    """
    store = workspace.reading()
    scheme = run_scheme("", run_id)
    version = load_last(store, scheme)
    if version is None or (version.purged and is_free(version)):
        message = f"there is no run {run_id!r} in {workspace.url}"
        raise RunNotFoundError(message)
    if version.purged:
        raise scheme.purged()
    return version
