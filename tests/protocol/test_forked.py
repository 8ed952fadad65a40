"""A fork while other threads hold our locks: nobody in the child ever gives them back."""

from __future__ import annotations

import os
import signal
import threading
import warnings
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest

from objrun.format.states import RunState
from objrun.protocol.chain import Chain, first_version
from objrun.protocol.columns import Cell
from objrun.protocol.crew import Crew
from objrun.protocol.heartbeat import Heart, Heartbeat
from objrun.protocol.live import run_scheme
from objrun.protocol.numbers import Numbers
from objrun.protocol.packs import Content
from objrun.protocol.updates import SetTags
from objrun.protocol.writer import Writer

if TYPE_CHECKING:
    from collections.abc import Callable

    from objrun.storage import Store

    Kind = Callable[[Store], tuple[Any, Callable[[], object]]]


def a_chain(store: Store) -> tuple[Any, Callable[[], object]]:
    when = datetime(2026, 1, 31, 12, tzinfo=UTC)
    state = RunState(run_id="r", experiment="e", number=1, root_run_id="r", created=when)
    chain = Chain(store, run_scheme("e", "r"), first_version(state))
    return chain, lambda: chain.commit(SetTags({"a": "1"}))


def numbers(store: Store) -> tuple[Any, Callable[[], object]]:
    made = Numbers(store, "e")
    made.claim("r1")
    return made, lambda: made.claim("r2")


def a_buffer(store: Store) -> tuple[Any, Callable[[], object]]:
    writer = Writer(lambda: store, "e", "r")
    writer.buffer.add("x", 0.0, None, 1)
    writer.buffer.retire()
    return writer.buffer, lambda: writer.buffer.add("x", Cell("scalar", "str", None, ""), None, 2)


def packs(store: Store) -> tuple[Any, Callable[[], object]]:
    writer = Writer(lambda: store, "e", "r")
    return writer.packs, lambda: writer.packs.add("p", Content(".png", b"1"))


def a_heart(store: Store) -> tuple[Any, Callable[[], object]]:
    heart, beat = Heart(), Heartbeat(lambda: store, "e", "r")
    heart.take(beat)
    return heart, lambda: not heart.has(beat) or os._exit(2)


def a_crew(_store: Store) -> tuple[Any, Callable[[], object]]:
    crew, done = Crew("test-fork"), threading.Event()

    def work() -> None:
        crew.employ(done.set)
        assert done.wait(10)

    return crew, work


def in_a_child(use: Callable[[], object]) -> int:
    with warnings.catch_warnings():
        # Later versions of Python warn of what is tried here.
        warnings.simplefilter("ignore", DeprecationWarning)
        child = os.fork()
    if not child:
        code = 1
        try:
            signal.alarm(20)
            use()
            code = 0
        finally:
            os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


@pytest.mark.parametrize("kind", [a_chain, numbers, a_buffer, packs, a_heart, a_crew])
def test_a_child_waits_for_no_thread_of_its_parent(store: Store, kind: Kind) -> None:
    held, go_on = threading.Event(), threading.Event()
    thing, use = kind(store)

    def hold() -> None:
        with thing._lock:  # noqa: SLF001
            held.set()
            go_on.wait(60)

    thread = threading.Thread(target=hold)
    thread.start()
    try:
        assert held.wait(20)
        assert in_a_child(use) == 0
    finally:
        go_on.set()
        thread.join()


def test_a_child_has_none_of_the_points_of_its_parent(store: Store) -> None:
    writer = Writer(lambda: store, "e", "r")
    for name in ("old", "new"):
        writer.buffer.add(name, 0.0, None, 1)
        if name == "old":
            writer.buffer.retire()
    assert in_a_child(lambda: writer.waiting() == 0 or os._exit(2)) == 0
    assert writer.waiting() == 2
