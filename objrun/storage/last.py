"""Let the clients of the buckets work until the last moment of the process.

They look up host names in the executor of their event loop, and Python closes all executors before
it runs `atexit` handlers, and also while other threads still run after the main thread has ended.
From then on a client can use the connections that it has and open none: one that was never used,
or was idle for some seconds, fails with "cannot schedule new futures". So the loop gets an executor
of plain daemon threads, which Python closes for nobody.
"""

from __future__ import annotations

import threading
from concurrent.futures import Future, ThreadPoolExecutor
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from asyncio import AbstractEventLoop
    from collections.abc import Callable

__all__ = ["DaemonExecutor", "outlive_executors"]

_MOST = 8  # threads: look-ups are short


def outlive_executors(loop: AbstractEventLoop) -> None:
    """Have `loop` run blocking calls in a DaemonExecutor; once is enough, again does no harm."""
    if not isinstance(getattr(loop, "_default_executor", None), DaemonExecutor):
        loop.set_default_executor(DaemonExecutor())


class DaemonExecutor(ThreadPoolExecutor):
    """An executor whose threads are daemons, so it works for as long as the process lives.

    A ThreadPoolExecutor by name only, because event loops insist on one.

    >>> DaemonExecutor().submit(max, 1, 2).result()
    2
    """

    def __init__(self) -> None:
        super().__init__(_MOST)
        self._waiting: SimpleQueue[tuple[Future[Any], Callable[[], Any]]] = SimpleQueue()
        self._idle = threading.Semaphore(0)
        self._started = 0
        self._starting = threading.Lock()

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        """Call `fn` in a thread and return its future."""
        future: Future[Any] = Future()
        self._waiting.put((future, lambda: fn(*args, **kwargs)))
        if not self._idle.acquire(blocking=False):
            self._start()
        return future

    def _start(self) -> None:
        with self._starting:
            if self._started == _MOST:
                return
            try:
                threading.Thread(target=self._work, name="objrun-client", daemon=True).start()
            except RuntimeError:
                # Some versions start no thread once the process ends: those that run must do.
                if not self._started:
                    raise
            else:
                self._started += 1

    def _work(self) -> None:
        while True:
            future, call = self._waiting.get()
            if future.set_running_or_notify_cancel():
                try:
                    future.set_result(call())
                except BaseException as error:  # noqa: BLE001 - it is raised where it is awaited
                    future.set_exception(error)
            self._idle.release()
