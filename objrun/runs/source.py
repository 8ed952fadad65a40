"""What a run was done with: its source, its environment, and the secrets that it asks for."""

from __future__ import annotations

import json
import os
import warnings
from typing import TYPE_CHECKING, Any, Final

from objrun.errors import (
    PropertyConflictError,
    SecretWarning,
    SnapshotException,
    UserErrorException,
)
from objrun.format.shared import (
    DIFF,
    ENVIRONMENT,
    SNAPSHOT,
    check_digest,
    decode_environment,
    environment_key,
    snapshot_key,
)
from objrun.protocol.settle import insist
from objrun.runs.annotations import RunAnnotations, last_known
from objrun.secret import Secret, find_secret, has_keyring

if TYPE_CHECKING:
    from collections.abc import Iterable

    from objrun.experiment import Experiment
    from objrun.format.states import RunState
    from objrun.protocol.chain import Chain
    from objrun.run import Run
    from objrun.runs.start import Start
    from objrun.snapshots.packing import Packed
    from objrun.workspace import Workspace


class _Unasked(str):
    """A default that is equal to what Azure ML has, and not the same."""

    __slots__ = ()


UNASKED: Final = _Unasked(".")
"""The folder of a snapshot that nobody asked for: none is taken. Whoever writes "." asks."""


class RunSource(RunAnnotations):
    """The part of `Run` that keeps source and environment."""

    def take_snapshot(self, file_or_folder_path: str | os.PathLike[str]) -> str:
        """Keep a folder, or a file, as the snapshot of this run, and return its id.

        Left out are what `.amlignore` (else `.gitignore`) in the folder names, what is surely no
        source (`.git`, virtual environments, `__pycache__`, `node_modules`, caches of tools), the
        store itself, and links that lead out of the folder. The same files give the same id,
        whatever their times, and are sent once. Raises SnapshotException where the run has a
        snapshot already, for more than 300 MB (`OBJRUN_SNAPSHOT_SIZE`), and for names that a
        snapshot cannot hold.

        >>> from pathlib import Path
        >>> from tempfile import TemporaryDirectory
        >>> with TemporaryDirectory() as folder:
        ...     wrote = Path(folder, "train.py").write_text("print(1)")
        ...     len(run.take_snapshot(folder))
        64
        """
        from objrun.snapshots.packing import pack

        if SNAPSHOT in self._record(last_known).properties:
            raise _has_one(self._chain.state.run_id)
        with pack(os.fspath(file_or_folder_path), folders_of(self._experiment.workspace)) as packed:
            return self.keep_snapshot(packed)

    def keep_snapshot(self, packed: Packed) -> str:
        """Keep a snapshot that is made already; see `take_snapshot`."""
        from objrun.snapshots.packing import keep

        def note(chain: Chain[RunState]) -> None:
            keep(chain.store, packed)
            self._add_properties(chain, {SNAPSHOT: packed.digest})

        try:
            self._record(note)
        except PropertyConflictError:
            raise _has_one(self._chain.state.run_id) from None
        return packed.digest

    def get_snapshot_id(self) -> str | None:
        """Return the id of the snapshot, read again; None where the run has none.

        >>> run.get_snapshot_id()
        """
        return self.get_properties().get(SNAPSHOT)

    def restore_snapshot(
        self, snapshot_id: str | None = None, path: str | os.PathLike[str] | None = None
    ) -> str:
        """Write a snapshot as `<path>/<snapshot_id>.zip` and return the absolute path of that.

        `snapshot_id`: by default that of this run. `path`: a folder, made if it is not there; by
        default a new one for temporary files. What is written was checked: it has the bytes that
        its id stands for, and no file in it has a name that leaves a folder. Raises
        SnapshotException where there is none.
        """
        from objrun.snapshots.unpacking import fetch

        digest = self._snapshot(snapshot_id)
        if path is None:
            import tempfile

            path = tempfile.mkdtemp(prefix="objrun-")
        return fetch(self._chain.store, digest, os.fspath(path))

    def unpack_snapshot(
        self, folder: str | os.PathLike[str], snapshot_id: str | None = None
    ) -> str:
        """Unpack a snapshot into a new or empty folder and return the absolute path of that.

        Raises SnapshotException where there is none, or the folder is not empty.
        """
        import tempfile

        from objrun.snapshots.unpacking import fetch, unpack

        digest = self._snapshot(snapshot_id)
        with tempfile.TemporaryDirectory(prefix="objrun-") as temporary:
            return unpack(fetch(self._chain.store, digest, temporary), os.fspath(folder))

    def git_diff(self) -> str | None:
        """Return what was not committed when the run started, for `git apply`; None if nothing.

        It is recorded of tracked files, up to 1 MB, unless `OBJRUN_GIT_DIFF` is `off`.

        >>> run.git_diff()
        """
        digest = self._chain.refresh().properties.get(DIFF)
        if digest is None:
            return None
        from hashlib import sha256

        from objrun.format.archives import head, read_directory

        key = snapshot_key(digest)
        data = insist(lambda: self._chain.store.get(key))
        check_digest(key, sha256(data).hexdigest())
        [entry] = read_directory(key, len(data), lambda start, size: data[start : start + size])
        start = len(head(entry))
        return data[start : start + entry.size].decode("utf-8", "surrogateescape")

    def get_environment(self) -> dict[str, Any]:
        """Return what the run was started with: python, packages, system, machine, cpus, ...

        `packages` maps names to versions, `memory` is in bytes, `gpus` are names; `host` and
        `command` are those of the process, the command without secrets. What was not known is left
        out. Raises UserErrorException where nothing was recorded (`OBJRUN_ENVIRONMENT=off`).

        >>> run.get_environment()["implementation"]
        'cpython'
        """
        properties = self._chain.refresh().properties
        digest = properties.get(ENVIRONMENT)
        if digest is None:
            message = f"of run {self._chain.state.run_id} no environment was recorded"
            raise UserErrorException(message)
        store = self._readable()
        key = environment_key(digest)
        found = decode_environment(key, insist(lambda: store.get(key)))
        # Of a script that was submitted it is the launcher's.
        host = json.loads(properties.get("objrun.launcher") or "{}").get("host")
        own = {
            "host": host or properties.get("objrun.host"),
            "command": properties.get("objrun.command"),
        }
        return {**found, **{name: value for name, value in own.items() if value}}

    def get_secret(self, name: str) -> str | None:
        """Return a secret from the environment or the keyring; see `get_secrets`.

        >>> import os
        >>> os.environ["OBJRUN_SECRET_DB_PASSWORD"] = "hunter2"
        >>> run.get_secret("db-password") == "hunter2", run.get_secret("db-password")
        (True, ***)
        """
        return look_for([name])[name]

    def get_secrets(self, secrets: Iterable[str]) -> dict[str, str | None]:
        """Return secrets by name, None with a SecretWarning for those that are not found.

        Looked at are the variables `OBJRUN_SECRET_<NAME>`, `<name>` and `<NAME>`, then the service
        `objrun` of the machine's keyring, where `objrun[keyring]` is installed. Nothing of it is
        stored: values show as `***`, tags, parameters and metrics refuse them, and they are taken
        out of what is recorded as text.
        """
        return look_for(secrets)

    def _snapshot(self, given: str | None) -> str:
        digest = given or self.get_snapshot_id()
        if digest is None:
            message = f"run {self._chain.state.run_id} has no snapshot: take one, or name another's"
            raise SnapshotException(message)
        return digest


def start_with_snapshot(experiment: Experiment, start: Start, place: str | os.PathLike[str]) -> Run:
    """Start a run with a snapshot. That is made first: no run is started for what is too large."""
    from objrun.snapshots.packing import pack

    with pack(os.fspath(place), folders_of(experiment.workspace)) as packed:
        run = experiment.start_run(start)
        run.keep_snapshot(packed)
    return run


def folders_of(workspace: Workspace) -> list[str]:
    """Return the folders that no snapshot has in it: the store, where it is a folder."""
    from objrun.storage.location import LOCAL, locate

    place = locate(workspace.url)
    return [place.path] if place.scheme == LOCAL else []


def look_for(names: Iterable[str]) -> dict[str, str | None]:
    """Return secrets by name; see `RunSource.get_secrets`."""
    found: dict[str, Secret | None] = {name: find_secret(name) for name in names}
    if missing := [name for name, value in found.items() if value is None]:
        places = "the environment or the keyring"
        if not has_keyring():
            places = "the environment (to look in the keyring, too: pip install 'objrun[keyring]')"
        warnings.warn(f"not in {places}: {', '.join(missing)}", SecretWarning, stacklevel=3)
    return {**found}


def _has_one(run_id: str) -> SnapshotException:
    message = f"run {run_id} has a snapshot already: take another one for a run of its own"
    return SnapshotException(message)
