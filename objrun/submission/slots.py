"""A queue on one machine: at most n at once, whatever process submitted them. OS locks, no server.

Each that waits holds a lock on a ticket of its own, whose name says when it came; who is first
tries the slots, which are locks, too. A lock goes with its process, so whoever is killed leaves the
queue and frees its slot.
"""

from __future__ import annotations

import fcntl
import os
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final

from objrun import clock
from objrun.format.keys import encode_name
from objrun.spool import state_folder

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_LOOK: Final = 0.1


def queue_folder(name: str) -> Path:
    """Return the folder of a queue: of this user, on this machine, though homes may be shared."""
    return Path(state_folder(), "queues", encode_name(os.uname().nodename), encode_name(name))


@contextmanager
def slot(name: str, slots: int, is_wanted: Callable[[], bool]) -> Iterator[bool]:
    """Wait for one of `slots` slots of a queue, and have it for this block.

    Yields False, without a slot, where `is_wanted`, which is asked while it waits, says no.
    """
    folder = queue_folder(name)
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    stamp = f"{clock.nanoseconds():020d}-{clock.random_hex(4)}"
    held = locked(folder / f"new-{stamp}")
    # Under this name it is seen, and locked by then.
    ticket = (folder / f"new-{stamp}").rename(folder / f"ticket-{stamp}")
    taken: int | None = None
    try:
        while is_wanted():
            if _is_first(folder, ticket) and (taken := _free(folder, slots)) is not None:
                break
            clock.sleep(_LOOK)
        ticket.unlink(missing_ok=True)
        close(held)
        yield taken is not None
    finally:
        ticket.unlink(missing_ok=True)
        close(taken)


def _is_first(folder: Path, ticket: Path) -> bool:
    """Return whether nobody who lives came before; tickets of the dead are removed."""
    for other in sorted(folder.glob("ticket-*")):
        if other == ticket:
            return True
        if (dead := locked(other, os.O_RDWR)) is None:
            return False
        other.unlink(missing_ok=True)
        close(dead)
    return True


def _free(folder: Path, slots: int) -> int | None:
    """Return the lock of a free slot, None where there is none."""
    locks = (locked(folder / f"slot-{number}") for number in range(slots))
    return next((lock for lock in locks if lock is not None), None)


def locked(path: Path, how: int = os.O_RDWR | os.O_CREAT) -> int | None:
    """Return a file that this call has locked, None where another has it or it is gone."""
    with suppress(FileNotFoundError):
        file = os.open(path, how | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(file)
        else:
            return file
    return None


def close(file: int | None) -> None:
    """Free a lock, if there is one."""
    if file is not None:
        os.close(file)
