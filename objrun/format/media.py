"""Blobs: bytes behind points of metrics, many of them in one object, a pack. SPEC section 9.11.

A pack is a ZIP file in the one form of `archives`, its members in the order in which they came. A
point holds a reference to a member: a text that says in which object it is, and at which bytes.
"""

from __future__ import annotations

import re
import zlib
from typing import Final, NamedTuple

from objrun.errors import CorruptObjectError, Problem
from objrun.format.archives import Entry, head, tail
from objrun.format.keys import encode_name, run_folder
from objrun.format.names import is_run_id
from objrun.format.values import MOST_BLOB, PREFIX

FULL_BYTES: Final = 8 << 20
"""Bytes of a pack from which on it takes no more."""

FULL_BLOBS: Final = 8_192
"""Blobs of a pack from which on it takes no more."""

_PACK: Final = re.compile(r"[0-9a-f]{16}-[0-9]{8}", re.ASCII)
_NUMBER: Final = "(0|[1-9][0-9]{0,9})"
_REFERENCE: Final = re.compile(
    rf"{PREFIX}({_PACK.pattern})/([A-Za-z0-9_%~-][A-Za-z0-9_.%~-]{{0,199}}/[0-9]{{6,12}}\.[a-z0-9]{{1,8}})"
    rf"\?start={_NUMBER}&size={_NUMBER}&sha256=([0-9a-f]{{64}})"
    rf"(?:&width={_NUMBER}&height={_NUMBER})?((?:&[!-~]*)?)"
)


class Blob(NamedTuple):
    """Where the bytes of a blob are: `size` of them from `start` on in a pack, under `member`.

    `shape`: width and height of an image in pixels, where they are known; `more`: what a later
    version adds.

    >>> blob = Blob("00ff00ff00ff00ff-00000001", "digit/000000.png", 34, 10, "0" * 64, (28, 28))
    >>> parse_reference(blob.reference()) == blob
    True
    """

    pack: str
    member: str
    start: int
    size: int
    sha256: str
    shape: tuple[int, int] | None = None
    more: str = ""

    @property
    def filename(self) -> str:
        """The last piece of its member: a name for the file that it is written to."""
        return self.member.rpartition("/")[2]

    def reference(self) -> str:
        """Return the text that a point holds."""
        where = f"start={self.start}&size={self.size}&sha256={self.sha256}"
        shape = f"&width={self.shape[0]}&height={self.shape[1]}" if self.shape else ""
        return f"{PREFIX}{self.pack}/{self.member}?{where}{shape}{self.more}"


def parse_reference(text: str) -> Blob:
    """Return the blob that a reference means; ValueError where it is none.

    >>> parse_reference("media://../x")
    Traceback (most recent call last):
    ValueError: no reference to a blob: 'media://../x'
    """
    found = _REFERENCE.fullmatch(text)
    if found is None or int(found[4]) > MOST_BLOB:
        message = f"no reference to a blob: {text[:80]!r}"
        raise ValueError(message)
    shape = (int(found[6]), int(found[7])) if found[6] else None
    return Blob(found[1], found[2], int(found[3]), int(found[4]), found[5], shape, found[8])


def media(run: str) -> str:
    """Return the prefix of a run's packs.

    >>> media("r1")
    'runs/r1/media/'
    """
    return f"{run_folder(run)}media/"


def pack_key(run: str, name: str) -> str:
    """Return the key of a pack.

    >>> pack_key("r1", "00ff00ff00ff00ff-00000001")
    'runs/r1/media/00ff00ff00ff00ff-00000001.zip'
    """
    return f"{media(run)}{name}.zip"


def parse_pack(key: str) -> str | None:
    """Return the name of the pack that a key is of, None where it is no pack's.

    >>> parse_pack("runs/r1/media/00ff00ff00ff00ff-00000001.zip")
    '00ff00ff00ff00ff-00000001'
    """
    pieces = key.split("/")
    if len(pieces) != 4 or not is_run_id(pieces[1]):
        return None
    name = pieces[3].removesuffix(".zip")
    return name if _PACK.fullmatch(name) and pack_key(pieces[1], name) == key else None


def member_name(metric: str, count: int, ending: str) -> str:
    """Return the name of the member for the blob of a metric that its writer counts as `count`.

    >>> member_name("a/b", 12, ".png")
    'a%2Fb/000012.png'
    """
    return f"{encode_name(metric)}/{count:06d}{ending}"


class Pack:
    """A pack that is being made; a writer counts its packs from 1.

    >>> made = Pack("00ff00ff00ff00ff", 1)
    >>> made.add("digit/000000.png", b"1"), made.key("r1")
    (46, 'runs/r1/media/00ff00ff00ff00ff-00000001.zip')
    """

    def __init__(self, writer: str, number: int) -> None:
        """Hold nothing yet."""
        self.name = f"{writer}-{number:08d}"
        self._members: dict[int, tuple[Entry, bytes]] = {}
        self.size = 0

    def add(self, member: str, data: bytes) -> int:
        """Append a member and return where its bytes begin; a signal handler may add meanwhile."""
        mine = Entry(member, len(data), zlib.crc32(data)), data
        start, before = self.size, len(head(mine[0]))
        # setdefault is indivisible.
        while (other := self._members.setdefault(start, mine)) is not mine:
            start += len(head(other[0])) + other[0].size
        self.size = max(self.size, start + before + len(data))
        return start + before

    def is_full(self) -> bool:
        """Return whether another member belongs into the next pack."""
        return self.size >= FULL_BYTES or len(self._members) >= FULL_BLOBS

    def key(self, run: str) -> str:
        """Return the key of it among the objects of a run."""
        return pack_key(run, self.name)

    def data(self) -> bytes:
        """Return all of it: the same bytes each time once nothing is added any more."""
        members = [*self._members.values()]
        parts = [part for entry, data in members for part in (head(entry), data)]
        return b"".join([*parts, tail([entry for entry, _ in members])])


def check_blob(key: str, blob: Blob, data: bytes) -> bytes:
    """Return the bytes of a blob; CorruptObjectError, naming the pack, where they are others."""
    import hashlib  # who only writes has it, or does without

    if hashlib.sha256(data).hexdigest() != blob.sha256:
        told = f"the bytes of {blob.member} are not those that were logged"
        raise CorruptObjectError(key, [Problem("$", "key_mismatch", told)])
    return data
