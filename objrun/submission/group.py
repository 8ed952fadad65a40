"""A program in a process group of its own, which ends as a whole, and not later than its parent."""

from __future__ import annotations

import os
import signal
import subprocess
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from objrun import clock

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_SITTER: Final = 'read -r _; kill -s KILL -- "-$1"'
"""Ends a process group when its standard input ends, which it does however its parent ends."""

_LOOK: Final = 0.02


class Group:
    """A program that runs, and all that it starts in its process group."""

    def __init__(self, program: subprocess.Popen[bytes], sitter: subprocess.Popen[bytes]) -> None:
        """Take over what `start` has started."""
        self._program = program
        self._sitter = sitter

    @classmethod
    def start(
        cls, command: Sequence[str], folder: str, environment: Mapping[str, str], output: int
    ) -> Group:
        """Start a program that writes to the file descriptor `output`; OSError if it cannot be."""
        # What a run is submitted for is to be started, as it was given and without a shell.
        program = subprocess.Popen(  # noqa: S603
            command,
            cwd=folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            process_group=0,
        )
        # Of another group and session, so that no signal for the program reaches it.
        sitter = subprocess.Popen(  # noqa: S603 - a constant, and a number
            ["/bin/sh", "-c", _SITTER, "objrun", str(program.pid)],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        return cls(program, sitter)

    def exit_code(self) -> int | None:
        """Return the exit code of the program, minus the signal that ended it; None if it runs."""
        return self._program.poll()

    def end(self, grace: float) -> int:
        """End what is left of the group, after `grace` seconds by force; return the exit code."""
        self._signal(signal.SIGTERM)
        deadline = clock.monotonic() + grace
        while self._is_left() and clock.monotonic() < deadline:
            clock.sleep(_LOOK)
        self._signal(signal.SIGKILL)
        code = self._program.wait()
        self._sitter.kill()
        self._sitter.communicate()
        return code

    def _is_left(self) -> bool:
        return self._program.poll() is None or self._signal(0)

    def _signal(self, number: int) -> bool:
        """Send a signal to the group; return whether there is one."""
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self._program.pid, number)
            return True
        return False
