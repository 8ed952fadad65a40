"""A process that forks while its threads use a store.

Run as `python -m objrun.testing.forker URL OPTIONS_AS_JSON`.
Each child uses the store that its parent opened, then ends as any program does, with its exit
handlers run. "ok" is printed if all children did and the parent's threads never failed.
"""

from __future__ import annotations

import json
import os
import sys
import threading
from typing import TYPE_CHECKING

from objrun import clock
from objrun.errors import AlreadyExistsError
from objrun.storage import connect

if TYPE_CHECKING:
    from objrun.storage import Store

__all__ = ["main"]

_CHILDREN = 3
_PATIENCE = 90.0  # seconds for a child


def main() -> None:
    """Fork a few times under load."""
    url, options = sys.argv[1:]
    store = connect(url, **json.loads(options))
    store.put("before", b"fork")
    stop = threading.Event()
    threads = [threading.Thread(target=_upload, args=(store, stop, i)) for i in range(4)]
    for thread in threads:
        thread.start()
    children = []
    for number in range(_CHILDREN):
        child = os.fork()
        if child == 0:
            _use(store, number)
            return
        children.append(child)
    failed = [child for child in children if _status(child) != 0]
    stop.set()
    for thread in threads:
        thread.join()
    uploaded = {info.key.partition("/")[0] for info in store.list("")}
    wanted = {"before", "child-0", "child-1", "child-2", "thread-0", "thread-3"}
    sys.stdout.write("ok\n" if not failed and uploaded >= wanted else f"failed: {failed}\n")


def _upload(store: Store, stop: threading.Event, number: int) -> None:
    count = 0
    while not stop.is_set():
        store.put(f"thread-{number}/{count % 10}", b"x" * 1000)
        count += 1


def _use(store: Store, number: int) -> None:
    body = store.get("before")
    store.put_if_absent(f"child-{number}/a", body)
    try:
        store.put_if_absent(f"child-{number}/a", b"")
    except AlreadyExistsError:
        store.put(f"child-{number}/b", store.get(f"child-{number}/a"))
    if [info.size for info in store.list(f"child-{number}/")] != [len(body)] * 2:
        sys.exit("the child does not find what it stored")


def _status(child: int) -> int:
    deadline = clock.monotonic() + _PATIENCE
    while clock.monotonic() < deadline:
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            return os.waitstatus_to_exitcode(status)
        clock.sleep(0.02)
    os.kill(child, 9)
    os.waitpid(child, 0)
    return -9


if __name__ == "__main__":
    main()
