"""The spool: a store in a folder of this machine, where runs go on while their own store fails.

It is one more store of the same format, so everything that reads a store reads it. Each process has
one for each workspace that needs it; its contents are copied home again and again until nothing is
left to copy, and the folder is removed at the end of the process if all of it is home.
"""

# Paths are text here: pathlib would cost more than the file does.
# ruff: noqa: PTH100, PTH106, PTH110, PTH111, PTH117, PTH118, PTH120, PTH123
from __future__ import annotations

import os
import threading
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from objrun import clock
from objrun.errors import (
    CreateOnlyError,
    CredentialsError,
    FormatError,
    ObjrunError,
    PermissionDeniedError,
    StoreError,
    UnavailableError,
    UserErrorException,
)
from objrun.logs import logger
from objrun.protocol import endings
from objrun.protocol.numbers import claim_again
from objrun.protocol.opening import open_blind

if TYPE_CHECKING:
    from objrun.format.states import RunState
    from objrun.storage import Store
    from objrun.storage.limited import Limited
    from objrun.workspace import Workspace


FOLDER: Final = "OBJRUN_SPOOL"
"""The environment variable with the folder of spools; `off`: none, so errors are raised."""

SIZE: Final = "OBJRUN_SPOOL_SIZE"
"""The environment variable with the bytes that the spool of a process may take."""

DEFAULT_SIZE: Final = 10 * 2**30
"""Bytes of a spool where SIZE is not set."""

FIRST_LOOK: Final = 5.0
"""Seconds until the store is tried again; each wait doubles, with jitter."""

SLOWEST_LOOK: Final = 60.0
"""Seconds between two tries at most."""

_SHARED: Final = ".shared"


def spools_of(option: object) -> str:
    """Return the folder of spools from the option or the environment, "" where there is none.

    Raises UserErrorException for an option that is neither a path nor False.

    >>> spools_of(False), spools_of("/var/spool/objrun")
    ('', '/var/spool/objrun')
    """
    given = os.environ.get(FOLDER) if option is None else option
    if given is False or str(given).strip().lower() in ("off", "false", "no", "0"):
        return ""
    if given and isinstance(given, str | os.PathLike):
        return os.path.abspath(os.path.expanduser(given))
    if given:
        message = f"spool ({FOLDER}) is a folder, or off, not {given!r}"
        raise UserErrorException(message)
    return os.path.join(state_folder(), "spool")


def state_folder() -> str:
    """Return the folder for what this user's programs leave to later ones, as XDG has it."""
    states = os.environ.get("XDG_STATE_HOME", "")
    # A relative path there counts as none, by the specification.
    root = states if os.path.isabs(states) else os.path.expanduser("~/.local/state")
    # A user without a home.
    root = root if os.path.isabs(root) else "/tmp"  # noqa: S108 - a folder in it is nobody's else
    return os.path.join(root, "objrun")


class Spool:
    """Where the runs of a workspace go while its store fails; thread-safe.

    Nothing is made before `open`. `away`: the store fails, so what begins now begins here; `folder`
    is where. `opening` is held by whoever opens it, or moves a run there.
    """

    def __init__(self, home: Workspace, root: str) -> None:
        """Name the workspace that everything is copied to, and the folder of spools."""
        self._home = home
        self._root = root
        self.away = False
        self._workspace: Workspace | None = None
        self._store: Limited | None = None
        self.folder = ""
        self._owner = 0
        self._copied = 0
        self._conflicts: set[str] = set()
        self._is_told = False
        self._is_refused = False
        self.forked()

    def forked(self) -> None:
        """Have new locks in a forked child, which goes on in the spool of its parent."""
        if self._workspace is not None:
            # The parent must not remove it at its end.
            with suppress(OSError), open(f"{self.folder}{_SHARED}", "wb"):
                pass
        if self._store is not None:
            self._store.forked()
        self.opening = threading.RLock()
        self._turn = threading.Condition()
        self._tries = 0
        self._is_running = False
        self._wake = threading.Event()

    # -- what goes there

    def open(self, error: ObjrunError) -> bool:
        """Have a spool, and say once why; False where `error` has none opened.

        An error that waiting does not mend, of a store that has never been written from here, is
        for the caller to mend: a wrong URL, or credentials that may only read, or only create.
        Credentials that could read there and are refused now have run out, and may be renewed.
        """
        home = self._home
        has_run_out = isinstance(error, CredentialsError) and home.has_read
        is_lasting = isinstance(error, StoreError | FormatError)
        is_lasting = is_lasting and not isinstance(error, UnavailableError) and not has_run_out
        if isinstance(error, CreateOnlyError) or (is_lasting and not home.has_written):
            return False
        with self.opening:
            if self._workspace is None and not self._make(error):
                return False
            if not self.away:
                self.away = True
                told = f"{self._home.url} fails ({error.message}): logging goes on in {self.folder}"
                logger().warning("%s, and from there to the store once it is back", told)
            self._start()
            return True

    def _make(self, error: ObjrunError) -> bool:
        import hashlib

        from objrun.storage.cache import parse_size
        from objrun.storage.limited import Limited
        from objrun.workspace import Workspace

        name = f"{self._home.name}-{hashlib.sha256(self._home.url.encode()).hexdigest()[:8]}"
        stamp = f"{clock.now():%Y%m%dT%H%M%S}-{clock.random_hex(4)}"
        folder = os.path.join(self._root, name, stamp)
        try:
            limit = parse_size(os.environ.get(SIZE) or str(DEFAULT_SIZE), SIZE)
            workspace = Workspace(folder, {"auto_compact": False, "spool": False})
            store = Limited(workspace.store, limit, SIZE, self._start)
            workspace.go_through(lambda _: store)
            workspace.writing()
        except ObjrunError as problem:
            if not self._is_refused:
                self._is_refused = True
                told = f"{self._home.url} fails ({error.message}), and so does the spool {folder}"
                logger().error("%s: %s", told, problem.message)
            return False
        self._workspace, self._store, self.folder = workspace, store, folder
        self._owner = os.getpid()
        endings.watch(self)
        return True

    @property
    def workspace(self) -> Workspace:
        """The spool as a workspace, once it is open."""
        if self._workspace is None:
            raise AssertionError
        return self._workspace

    def admit(self, state: RunState) -> Store:
        """Have room for a run, with its experiment and its number, and return the store."""
        from objrun.experiment import Experiment

        Experiment(self.workspace, state.experiment).state()
        store = self.workspace.writing()
        # A run that left its store refers to what was recorded there.
        self.workspace.recorder.properties(store)
        claim_again(store, state.experiment, state.number, state.run_id)
        return store

    # -- bringing it home

    def waiting(self) -> int:
        """Return how many writes were not copied home yet."""
        return self._puts() - self._copied

    def _puts(self) -> int:
        return self._store.puts if self._store else 0

    def hurry(self) -> None:
        """Try to copy now, without waiting for it."""
        self._start()
        self._wake.set()

    def flush(self, timeout: float) -> None:
        """Try within `timeout` seconds to copy all of it home; else say how to do that later."""
        deadline = clock.monotonic() + timeout
        with self._turn:
            tries = self._tries
            self.hurry()
            while self.waiting() and self._tries < tries + 2 and clock.monotonic() < deadline:
                self._turn.wait(min(1.0, max(0.0, deadline - clock.monotonic())))
        if self.waiting() and not self._is_told:
            import shlex

            self._is_told = True
            command = shlex.join(["objrun", "sync", self.folder, self._home.url])
            command += " (these credentials may not: it reads)" if self._home.is_blind else ""
            logger().error("what was logged waits on this machine; send it with: %s", command)

    def rescue(self) -> None:
        """Do nothing: what waits is safe here."""

    def stop(self) -> None:
        """Remove the folder at the end of the process that made it, if all of it is home."""
        if self._workspace is None or self.waiting() or self._conflicts:
            return
        if self._owner == os.getpid() and not os.path.exists(f"{self.folder}{_SHARED}"):
            import shutil

            shutil.rmtree(self.folder, ignore_errors=True)
            with suppress(OSError):  # others' are there
                os.rmdir(os.path.dirname(self.folder))

    def _start(self) -> None:
        with self._turn, suppress(RuntimeError):  # at the end of the process
            if not self._is_running:
                threading.Thread(target=self._run, name="objrun-spool", daemon=True).start()
                self._is_running = True

    def _run(self) -> None:
        pause = FIRST_LOOK
        while True:
            self._wake.wait(pause * (0.5 + clock.below(1000) / 2000))
            self._wake.clear()
            if self.waiting():
                self._bring_home()
            with self._turn:
                self._tries += 1
                self._turn.notify_all()
            pause = min(SLOWEST_LOOK, 2 * pause)

    def _bring_home(self) -> None:
        """Copy what the store lacks, if it is there."""
        from objrun.upkeep.copying import copy_workspace

        puts = self._puts()
        try:
            copied = copy_workspace(self.workspace, self._home, tell=lambda _: None)
        except (ObjrunError, RuntimeError, OSError) as error:
            # RuntimeError: of a thread whose process ends.
            logger().debug("the spool %s is not copied: %s", self.folder, error)
            if isinstance(error, PermissionDeniedError):
                self._leave_it()
            return
        for conflict in {*copied.conflicts} - self._conflicts:
            logger().error("%s (it stays in the spool %s)", conflict, self.folder)
        self._conflicts.update(copied.conflicts)
        with self._turn:
            self._copied = puts
        if self.away:
            self.away = False
            logger().warning("%s is back, and has all that was logged meanwhile", self._home.url)

    def _leave_it(self) -> None:
        """Have new runs begin in a store that is back, but may not be read: others must copy."""
        with suppress(ObjrunError):
            self._home.writing()
            if self._home.is_blind and self.away:
                open_blind(self._home.store)
                self.away = False
                told = "is back; what was logged meanwhile waits for somebody who may read it, in"
                logger().warning("%s %s %s", self._home.url, told, self.folder)
