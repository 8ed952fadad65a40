"""Kill a verb of a local store at each of its system calls: a program for test_local_killed.

`python -m tests.storage.killing FOLDER CASE DURABLE` makes FOLDER/1, FOLDER/2, ...: in each, a
process was killed by SIGKILL just before its n-th call, or in the middle of it where that is a
write (FOLDER/n-half). The last folder is that of a process that came to its end. It prints the
names of the calls.
"""

from __future__ import annotations

import inspect
import os
import re
import signal
import sys
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from objrun.storage import LocalStore, local, recipes, sharing, tree

if TYPE_CHECKING:
    from collections.abc import Callable

OLD: Final = b"old" * 1000
NEW: Final = b"new!" * 5000
KEY: Final = "a/b/object"
OF_OLD: Final = sha256(OLD).hexdigest()

CALLS: Final = {
    name
    for module in (local, recipes, sharing, tree)
    for name in re.findall(r"\bos\.([a-z_]+)\(", inspect.getsource(module))
}
"""All that the local store asks of the system."""


def before(store: LocalStore, case: str) -> None:
    """What is there already."""
    store.put("other/object", OLD)
    if case in {"replace", "delete", "share"}:
        store.put(KEY, OLD)
    if case == "share":
        sharing.LEAST = 1  # type: ignore[misc]
        store.share("other/object", OF_OLD)  # which leaves a hint


def act(store: LocalStore, case: str) -> None:
    """What a process is killed in."""
    if case == "delete":
        store.delete([KEY])
    elif case == "share":
        store.share(KEY, OF_OLD)
    elif case in {"put", "replace"}:
        store.put(KEY, NEW)
    elif case == "empty":
        store.put(KEY, b"")
    else:
        if case == "named":
            # Opening a folder to write is EISDIR, as where there are no unnamed files.
            os.O_TMPFILE = os.O_DIRECTORY  # type: ignore[misc]
        store.put_if_absent(KEY, NEW)


class Killer:
    """Stands before the system: the `last` call is not made, or half made."""

    def __init__(self, last: int, *, half: bool) -> None:
        self.made: list[str] = []
        self.last = last
        self.half = half

    def before(self, name: str, call: Callable[..., Any]) -> Callable[..., Any]:
        """Return `call`, counted."""

        def counted(*args: Any, **kwargs: Any) -> Any:
            self.made.append(name)
            if len(self.made) == self.last:
                if self.half and name == "write":
                    call(args[0], args[1][: len(args[1]) // 2])
                os.kill(os.getpid(), signal.SIGKILL)
            return call(*args, **kwargs)

        return counted


def child(folder: Path, case: str, last: int, *, durable: bool, half: bool) -> None:
    store = LocalStore(str(folder), durable=durable)
    killer = Killer(last, half=half)
    for name in CALLS:
        setattr(os, name, killer.before(name, getattr(os, name)))
    act(store, case)
    sys.stdout.write(" ".join(killer.made) + "\n")
    sys.stdout.flush()


def main() -> None:
    root, case, durable = Path(sys.argv[1]), sys.argv[2], sys.argv[3] == "fsync"
    last, code = 0, -signal.SIGKILL
    while code:
        last += 1
        for half in (True, False):
            folder = root / (f"{last}-half" if half else f"{last}")
            before(LocalStore(str(folder), durable=False), case)
            pid = os.fork()
            if pid == 0:
                child(folder, case, last, durable=durable, half=half)
                os._exit(0)
            code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


if __name__ == "__main__":
    main()
