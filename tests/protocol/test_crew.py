"""Threads that are used again."""

from __future__ import annotations

import os
import threading
from typing import TYPE_CHECKING

from objrun import clock
from objrun.protocol import crew as module
from objrun.protocol.crew import Crew

if TYPE_CHECKING:
    import pytest


def worked(crew: Crew, times: int) -> set[int]:
    """The threads that work `times` times, each when the one before is idle again."""
    found = set()
    for _ in range(times):
        done = threading.Event()

        def work(done: threading.Event = done) -> None:
            found.add(threading.get_ident())
            done.set()

        crew.employ(work)
        assert done.wait(90)
        while not crew._idle:  # noqa: SLF001
            clock.sleep(0.001)
    return found


def test_one_thread_does_what_comes_one_after_the_other(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "IDLE_SECONDS", 60.0)
    assert len(worked(Crew("test-one"), 50)) == 1


def test_works_at_once_have_a_thread_each() -> None:
    crew = Crew("test-many")
    together = threading.Barrier(9, timeout=90)

    def work() -> None:
        together.wait()

    for _ in range(8):
        crew.employ(work)
    together.wait()


def test_idle_threads_end_and_nothing_is_lost_then(monkeypatch: pytest.MonkeyPatch) -> None:
    """Work that comes just when a thread gives up waiting is done all the same."""
    monkeypatch.setattr(module, "IDLE_SECONDS", 0.0005)
    crew = Crew("test-ending")
    for _ in range(500):
        done = threading.Event()
        crew.employ(done.set)
        assert done.wait(90)
    for thread in threading.enumerate():
        if thread.name == "test-ending":
            thread.join(90)
            assert not thread.is_alive()


def test_a_forked_child_has_threads_of_its_own() -> None:
    crew = Crew("test-fork")
    worked(crew, 1)
    pid = os.fork()
    if pid == 0:
        done = threading.Event()
        crew.employ(done.set)
        os._exit(0 if done.wait(90) else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
