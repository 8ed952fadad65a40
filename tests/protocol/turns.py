"""Several programs on one store, whose requests take turns as a test says."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from objrun.storage.wrappers import FaultyStore

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from objrun.storage import Store


@dataclass
class Program:
    """A program that waits before each request until it is let on; `result` is how it ended."""

    work: Callable[[Store], object]
    result: object = None
    done: bool = False
    _go: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(0))
    _rest: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(0))

    def start(self, store: Store) -> threading.Thread:
        def wait(_verb: str, _key: str) -> None:
            self._rest.release()
            self._go.acquire()

        def run() -> None:
            try:
                self.result = self.work(FaultyStore(store, wait))
            except Exception as error:  # noqa: BLE001 - an outcome like any other
                self.result = error
            self.done = True
            self._rest.release()

        thread = threading.Thread(target=run)
        thread.start()
        self._rest.acquire()
        return thread

    def step(self) -> None:
        """Let it do one request."""
        if not self.done:
            self._go.release()
            self._rest.acquire()


def take_turns(store: Store, programs: list[Program], turns: Iterable[int]) -> None:
    """Let the programs do one request each in the order of `turns`, then one after the other."""
    threads = [program.start(store) for program in programs]
    for turn in turns:
        programs[turn % len(programs)].step()
    for program in programs:
        while not program.done:
            program.step()
    for thread in threads:
        thread.join()
