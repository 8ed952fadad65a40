"""Races: many threads or processes create the same objects, and one of them must win each.

Parts of `objrun.testing.conformance`, which see.
"""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import TYPE_CHECKING

from objrun.errors import AlreadyExistsError, NotFoundError
from objrun.testing.racer import body_of

if TYPE_CHECKING:
    from objrun.storage import Store
    from objrun.testing.conformance import Place

__all__ = ["RaceSuite", "SharedRaceSuite"]

_THREADS = 8
_PROCESSES = 4
_RACES = [f"race/{number}" for number in range(15)]
_PATIENCE = 90.0  # seconds: if a racer fails, the others do not wait for ever


def _race(store: Store, start: threading.Barrier, racer: str) -> list[str]:
    won = []
    for key in _RACES:
        start.wait(_PATIENCE)
        try:
            store.put_if_absent(key, body_of(racer, key))
        except AlreadyExistsError:
            assert len(store.get(key)) == len(body_of(racer, key))
        else:
            won.append(key)
    return won


def _watch(store: Store, start: threading.Barrier) -> None:
    for key in _RACES:
        whole = {body_of(str(racer), key) for racer in range(_THREADS)}
        start.wait(_PATIENCE)
        seen = b""
        while not seen:
            with suppress(NotFoundError):
                seen = store.get(key)
        assert seen in whole
        assert seen == store.get(key)


class RaceSuite:
    """Races between threads."""

    def test_one_thread_wins(self, store: Store) -> None:
        """Of many threads one creates the object; nobody ever reads a part of it."""
        start = threading.Barrier(_THREADS + 1)
        with ThreadPoolExecutor(_THREADS + 1) as pool:
            watching = pool.submit(_watch, store, start)
            racing = [pool.submit(_race, store, start, str(name)) for name in range(_THREADS)]
            wins = {racer: future.result() for racer, future in enumerate(racing)}
            watching.result()
        assert sorted(key for won in wins.values() for key in won) == sorted(_RACES)
        for racer, won in wins.items():
            for key in won:
                assert store.get(key) == body_of(str(racer), key)

    def test_an_overwrite_is_never_torn(self, store: Store) -> None:
        """A reader of an object that is replaced sees the old bytes or the new ones."""
        bodies = [bytes([letter]) * size for letter, size in ((65, 10), (66, 50_000), (67, 3_000))]
        store.put("k", bodies[0])
        done = threading.Event()

        def write() -> None:
            for number in range(30):
                store.put("k", bodies[number % 3])
            done.set()

        with ThreadPoolExecutor(1) as pool:
            writing = pool.submit(write)
            while not done.is_set() and not writing.done():
                assert store.get("k") in bodies
            writing.result()


class SharedRaceSuite:
    """Races between processes, and a fork in the middle of one."""

    def test_one_process_wins(self, place: Place, store: Store) -> None:
        """Of several processes one creates the object."""
        command = [sys.executable, "-m", "objrun.testing.racer", place.url]
        racers = [
            subprocess.Popen(  # noqa: S603 - the command is the one above
                [*command, json.dumps(place.options), str(racer)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
                bufsize=1,
            )
            for racer in range(_PROCESSES)
        ]
        try:
            for key in _RACES:
                outcomes = _ask_all(racers, key)
                assert sorted(outcomes) == ["lost"] * (_PROCESSES - 1) + ["won"]
                winner = str(outcomes.index("won"))
                assert store.get(key) == body_of(winner, key)
        finally:
            for racer in racers:
                racer.communicate(timeout=_PATIENCE)
        assert [racer.returncode for racer in racers] == [0] * _PROCESSES

    def test_a_fork_in_full_flight(self, place: Place) -> None:
        """A store used by threads of a parent works in its children, which end in order."""
        command = [sys.executable, "-m", "objrun.testing.forker", place.url]
        done = subprocess.run(  # noqa: S603 - the command is the one above
            [*command, json.dumps(place.options)],
            check=False,
            capture_output=True,
            text=True,
            timeout=120,
        )
        assert (done.stdout, done.returncode) == ("ok\n", 0), done.stderr


def _ask_all(racers: list[subprocess.Popen[str]], key: str) -> list[str]:
    for racer in racers:
        assert racer.stdin is not None
        racer.stdin.write(f"{key}\n")
    outcomes = []
    for racer in racers:
        assert racer.stdout is not None
        outcomes.append(racer.stdout.readline().strip())
    return outcomes
