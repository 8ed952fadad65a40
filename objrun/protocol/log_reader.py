"""Read logs while they grow, and when they are whole. SPEC section 9.9.

A chunk that vanished since it was listed was superseded by a longer one, so the log is listed
again; what was read stays read, since bytes of a writer never change.
"""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

from objrun.errors import CorruptObjectError, NotFoundError, Problem, UnavailableError
from objrun.format.log_keys import ChunkKey, chunk, logs, parse_chunk, stream_folder
from objrun.protocol.cover import walk
from objrun.protocol.live import RESTARTS
from objrun.protocol.settle import insist
from objrun.storage import ObjectInfo, in_flight

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from objrun.storage import Store

AT_ONCE = 4
"""Chunks that are read at the same time."""


def to_read(
    chunks: Iterable[ChunkKey], read: Mapping[str, int] | None = None
) -> list[tuple[ChunkKey, int]]:
    """Return which chunks of one stream to read, each with how many of its bytes to skip: pure.

    Writers come in the order in which they began, each up to its first gap. `read`: how many bytes
    of each writer were read before.

    >>> a, b = ChunkKey("r", "s", "w", 0, 5), ChunkKey("r", "s", "w", 0, 9)
    >>> to_read([a, b], {"w": 5}) == [(b, 5)]
    True
    """
    writers: defaultdict[str, list[ChunkKey]] = defaultdict(list)
    for each in chunks:
        writers[each.writer].append(each)
    return [
        piece
        for writer in sorted(writers)
        for piece in walk(writers[writer], (read or {}).get(writer, 0))
    ]


def list_streams(store: Store, run: str) -> dict[str, ObjectInfo]:
    """Return each stream of a run by its name, sorted: one LIST.

    Of each its folder, how many bytes there are to read, and when the last of them came.
    """
    found: defaultdict[str, dict[ChunkKey, ObjectInfo]] = defaultdict(dict)
    for info in insist(lambda: store.list(logs(run))):
        if parsed := parse_chunk(info.key):
            found[parsed.stream][parsed] = info
    return {name: _stream(run, name, chunks) for name, chunks in sorted(found.items())}


def _stream(run: str, name: str, chunks: Mapping[ChunkKey, ObjectInfo]) -> ObjectInfo:
    size = sum(key.stop - key.start - skip for key, skip in to_read(chunks))
    last = max(info.modified for info in chunks.values())
    return ObjectInfo(stream_folder(run, name), size, last)


class LogReader:
    """Reads one stream; each `read` goes on where the last one ended.

    >>> from objrun.storage import MemoryStore
    >>> store = MemoryStore("logs")
    >>> store.put(chunk(ChunkKey("r1", "std_log.txt", "0199c0ffee00beef", 0, 3)), b"one")
    >>> reader = LogReader(store, "r1", "std_log.txt")
    >>> b"".join(reader.read()), b"".join(reader.read())
    (b'one', b'')
    """

    def __init__(self, store: Store, run: str, stream: str) -> None:
        """Begin at the beginning."""
        self._store = store
        self._folder = stream_folder(run, stream)
        self._read: dict[str, int] = {}

    def read(self) -> Iterator[bytes]:
        """Yield what there is behind what was read: one LIST, and a GET for each chunk.

        Raises CorruptObjectError for a chunk that has not the bytes that its key tells of.
        """
        for _ in range(RESTARTS):
            listed = insist(lambda: self._store.list(self._folder))
            pieces = to_read(filter(None, (parse_chunk(i.key) for i in listed)), self._read)
            try:
                yield from self._bytes(pieces)
            except NotFoundError:
                continue
            return
        message = f"{self._folder} changes faster than it is read: try again"
        raise UnavailableError(message)

    def _bytes(self, pieces: list[tuple[ChunkKey, int]]) -> Iterator[bytes]:
        answers = in_flight(self._get, (key for key, _ in pieces), at_once=AT_ONCE)
        for (key, skip), answer in zip(pieces, answers, strict=True):
            data = answer()
            self._read[key.writer] = key.stop
            yield data[skip:]

    def _get(self, key: ChunkKey) -> bytes:
        place = chunk(key)
        data = insist(lambda: self._store.get(place))
        if len(data) != key.stop - key.start:
            message = f"it has {len(data)} bytes, and {key.stop - key.start} by its key"
            raise CorruptObjectError(place, [Problem("$", "key_mismatch", message)])
        return data
