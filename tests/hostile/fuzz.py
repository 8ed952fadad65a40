"""Call every parser with damaged and hostile bytes, in a process that may die of it.

    python -m tests.hostile.fuzz SEED INPUTS FILE

The input at hand stands in FILE, so that whoever started this sees of what it died. The last line
printed says how many inputs each parser was given.
"""

from __future__ import annotations

import json
import os
import resource
import sys
from contextlib import suppress
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, Any

from tests.hostile.subjects import read_by_pages, subjects

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

MEMORY = 3 * 2**29
"""Bytes that a parser may take beyond what the libraries take when they are loaded."""

_BYTES = b'\x00\x01\x02\x15\x16\x18\x19\x1c\x26\x2c\x4c\x7f\x80\xf5\xfc\xff"\\[]{},:-1e'
_TEXTS = (
    b'"\\ud800"', b"1e400", b"-0", b"1" * 20, b"1" * 5000, b"NaN", b"[" * 300, b'{"a":' * 300,
    b"\xef\xbb\xbf", b"\xe2\x80\xae", b"\xf0\x9f\x98\x80", b"../../etc", b"\\u0000", b"null",
    b'{"int":"9"}', b"true", b"9223372036854775808", b"\xed\xa0\x80",
)  # fmt: skip


def damaged(random: Random, data: bytes) -> bytes:
    """Return `data` with a few places changed, cut, doubled or filled with what is odd."""
    found = data
    for _ in range(random.choice((1, 1, 1, 2, 3, 8))):
        at = random.randrange(len(found) + 1)
        # Parquet tells of itself at its end.
        if random.random() < 0.5:
            at = max(at, len(found) - random.randrange(1, 600))
        piece = found[at : at + random.randrange(1, 30)]
        found = (
            found[:at] + random.choice(_CHANGES)(random, piece, found) + found[at + len(piece) :]
        )
        if random.random() < 0.03:
            found = found[:at]
    if data.endswith(b"PAR1") and random.random() < 0.8:
        length = int.from_bytes(data[-8:-4], "little") + len(found) - len(data)
        found = found[:-8] + max(length, 0).to_bytes(8, "little")[:4] + b"PAR1"
    return found


def _elsewhere(random: Random, piece: bytes, data: bytes) -> bytes:
    at = random.randrange(len(data) + 1)
    return data[at : at + len(piece)]


def _flipped(random: Random, piece: bytes, _data: bytes) -> bytes:
    return bytes([piece[0] ^ 1 << random.randrange(8)]) + piece[1:] if piece else b""


_CHANGES: tuple[Callable[[Random, bytes, bytes], bytes], ...] = (
    _flipped,
    _flipped,
    _elsewhere,
    lambda random, piece, _: bytes([random.randrange(256)]) + piece[1:],
    lambda random, piece, _: bytes(random.choices(_BYTES, k=random.randrange(1, 6))) + piece,
    lambda random, piece, _: bytes(random.choices(_BYTES, k=1)) + piece[1:],
    lambda _random, _piece, _: b"",
    lambda random, piece, _: piece * random.choice((2, 2, 50)),
    lambda random, piece, _: b"\xff" * random.randrange(1, 9) + b"\x01" + piece[1:],
    lambda random, piece, _: random.choice(_TEXTS) + piece[random.randrange(2) :],
)


def inputs(random: Random) -> Iterator[tuple[str, bytes]]:
    """Yield parsers and what to call them with, each as often as the others, without end."""
    every = subjects()
    while True:
        for name, subject in every.items():
            yield name, damaged(random, random.choice(subject.samples))


def main(seed: int, count: int, file: Path) -> None:
    """Try `count` inputs, or end with a traceback at the first that is answered wrongly."""
    random = Random(seed)
    if seed % 2:
        read_by_pages()
    every = subjects()
    for subject in every.values():
        for sample in subject.samples:
            _tried(subject, sample)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    size = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (size + MEMORY, size + MEMORY))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    tried = dict.fromkeys(every, 0)
    held = os.open(file, os.O_RDWR | os.O_CREAT | os.O_TRUNC)
    for (name, data), _ in zip(inputs(random), range(count), strict=False):
        os.pwrite(held, f"{name} {len(data)}\n".encode() + data, 0)
        _tried(every[name], data)
        tried[name] += 1
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 - before
    sys.stdout.write(json.dumps({"tried": tried, "grown": grown}) + "\n")


def _tried(subject: Any, data: bytes) -> None:
    with suppress(subject.raises):
        subject.call(data)


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]), Path(sys.argv[3]))
