"""Blobs that one writer has logged, put together into packs, and small packs into larger ones.

A blob has its place in a pack as soon as it is logged, so the point that refers to it is complete.
SPEC section 9.11: a pack is durable before a segment with points that refer to it is sent. Packs
are put together in levels, by the rule of `levels`: a flush is one PUT all the same.
"""

from __future__ import annotations

import threading
from collections import deque
from itertools import count
from typing import TYPE_CHECKING, Final, NamedTuple

from objrun.protocol.levels import Levels

if TYPE_CHECKING:
    from collections.abc import Callable

    from objrun.format.media import Blob, Pack
    from objrun.protocol.levels import Stretch

REMEMBERED: Final = 8_192
"""Blobs of which it is remembered where they are, so that the same bytes are kept once."""


class Content(NamedTuple):
    """A blob as it is logged: the ending of its file, its bytes, width and height of an image.

    >>> Content(".png", b"...", (28, 28)).ending
    '.png'
    """

    ending: str
    data: bytes
    shape: tuple[int, int] | None = None


class Packs:
    """The packs of one writer that wait; many threads may add, one at a time seals and sends.

    Of those that are stored it keeps what the next ones may repeat: less than one full pack.

    >>> packs = Packs("00ff00ff00ff00ff")
    >>> packs.add("digit", Content(".png", b"1")).member
    'digit/000000.png'
    >>> packs.seal()
    >>> packs.send("r1", lambda key, data: print(key, len(data)) is None)
    runs/r1/media/00ff00ff00ff00ff-00000001.zip 131
    True
    """

    def __init__(self, writer: str) -> None:
        """Hold nothing yet."""
        self._writer = writer
        self._made = self._sealed = 0
        self._count = count()
        self._waiting: deque[Pack] = deque()
        self._stored: list[Pack] = []
        self._levels = Levels(1)
        self._superseded: list[str] = []
        self._known: dict[tuple[str, str], Blob] = {}
        # A signal handler may log while its own thread holds it.
        self._lock = threading.RLock()

    def add(self, metric: str, content: Content) -> Blob:
        """Give a blob its place; the same bytes as before stay where they are."""
        import hashlib  # most runs have no blobs

        from objrun.format.media import Blob, Pack, are_full, member_name

        digest = hashlib.sha256(content.data).hexdigest()
        with self._lock:
            known = self._known.get((digest, content.ending))
            if known is not None:
                return known
            if self._made == self._sealed or are_full([self._waiting[-1]]):
                self._made += 1
                self._waiting.append(Pack(self._writer, self._made))
            pack = self._waiting[-1]
            member = member_name(metric, next(self._count), content.ending)
            start = pack.add(member, content.data)
            blob = Blob(pack.name, member, start, len(content.data), digest, content.shape)
            if len(self._known) >= REMEMBERED:
                del self._known[next(iter(self._known))]
            self._known[digest, content.ending] = blob
            return blob

    def size(self) -> int:
        """Return how many bytes wait."""
        return sum(pack.size for pack in [*self._waiting])

    def seal(self) -> None:
        """Have all that was added until now sent before anything else; more goes elsewhere."""
        with self._lock:
            self._sealed = self._made

    def send(self, run: str, put: Callable[[str, bytes], bool]) -> bool:
        """Have `put(key, data)` store all that is sealed, in order; False where it said so.

        A thread that hung with a pack which another has stored meanwhile changes nothing.
        """
        while (following := self._next()) is not None:
            pack, made, parts = following
            if not put(self._key(run, made), parts[-1].data()):
                return False
            with self._lock:
                if self._waiting and self._waiting[0] is pack:
                    self._waiting.popleft()
                    self._superseded += [self._key(run, old) for old in self._levels.store(made)]
                    self._stored = [part for part in parts if part.number >= self._levels.start]
        return True

    def _next(self) -> tuple[Pack, Stretch, list[Pack]] | None:
        """Return the first pack that is sealed, and as what it is to be stored; None without one.

        Then the packs that are stored with it, the last of which is to be sent. All at one moment:
        another thread may just have stored it.
        """
        with self._lock:
            if self._sealed == self._made - len(self._waiting):
                return None
            from objrun.format.media import are_full, join

            pack = self._waiting[0]
            every = [*self._stored, pack]
            made = self._levels.next(pack.number + 1, large=are_full(every))
            left = [each for each in every if each.number < made.start]
            return pack, made, [*left, join(every[len(left) :])]

    def _key(self, run: str, made: Stretch) -> str:
        from objrun.format.media import PackKey, pack_key

        return pack_key(PackKey(run, self._writer, made.start, made.stop))

    def superseded(self) -> list[str]:
        """Return the keys of packs that are of no use any more, once."""
        with self._lock:
            keys, self._superseded = self._superseded, []
            return keys

    def rest(self) -> None:
        """Keep nothing of what is stored: what comes later does not repeat it."""
        with self._lock:
            self._stored, self._levels = [], Levels(self._levels.stop)
