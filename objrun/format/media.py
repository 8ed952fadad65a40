"""Blobs: bytes behind points of metrics, many of them in one object, a pack. SPEC section 9.11.

A pack is a ZIP file in the one form of `archives`, its members in the order in which they came. A
point holds a reference to a member: a text that says in which pack it was stored first, and at
which bytes of that. Small packs of a writer are put together later on.
"""

from __future__ import annotations

import re
import zlib
from typing import TYPE_CHECKING, Final, NamedTuple

from objrun.errors import CorruptObjectError, Problem
from objrun.format.archives import Entry, head, tail
from objrun.format.keys import VERSION_DIGITS, encode_name, run_folder
from objrun.format.names import is_run_id
from objrun.format.values import MOST_BLOB, PREFIX

if TYPE_CHECKING:
    from collections.abc import Sequence

FULL_BYTES: Final = 8 << 20
"""Bytes of a pack from which on it takes no more."""

FULL_BLOBS: Final = 8_192
"""Blobs of a pack from which on it takes no more."""

_PACK: Final = r"[0-9a-f]{16}-[0-9]{8}"
_FILE: Final = re.compile(r"([0-9a-f]{16})-([0-9]{8})(?:-([0-9]{8}))?\.zip", re.ASCII)
_NUMBER: Final = "(0|[1-9][0-9]{0,9})"
_REFERENCE: Final = re.compile(
    rf"{PREFIX}({_PACK})/([A-Za-z0-9_%~-][A-Za-z0-9_.%~-]{{0,199}}/[0-9]{{6,12}}\.[a-z0-9]{{1,8}})"
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
    def writer(self) -> str:
        """The writer of its pack."""
        return self.pack[:16]

    @property
    def number(self) -> int:
        """The number of its pack."""
        return int(self.pack[17:])

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


class PackKey(NamedTuple):
    """What the key of a pack says: it holds what a writer's packs `start` to `stop` - 1 do.

    >>> PackKey("r1", "00ff00ff00ff00ff", 1, 2).stop
    2
    """

    run: str
    writer: str
    start: int
    stop: int


def media(run: str) -> str:
    """Return the prefix of a run's packs.

    >>> media("r1")
    'runs/r1/media/'
    """
    return f"{run_folder(run)}media/"


def pack_key(pack: PackKey) -> str:
    """Return the key of a pack; one that repeats others stands behind them in a LIST.

    >>> pack_key(PackKey("r1", "00ff00ff00ff00ff", 1, 2))
    'runs/r1/media/00ff00ff00ff00ff-00000001.zip'
    >>> pack_key(PackKey("r1", "00ff00ff00ff00ff", 1, 11))
    'runs/r1/media/00ff00ff00ff00ff-00000010-00000001.zip'
    """
    last = pack.stop - 1
    since = "" if pack.start == last else f"-{pack.start:0{VERSION_DIGITS}d}"
    return f"{media(pack.run)}{pack.writer}-{last:0{VERSION_DIGITS}d}{since}.zip"


def parse_pack(key: str) -> PackKey | None:
    """Return what the key of a pack says, None where it is no pack's.

    >>> parse_pack("runs/r1/media/00ff00ff00ff00ff-00000010-00000001.zip")
    PackKey(run='r1', writer='00ff00ff00ff00ff', start=1, stop=11)
    """
    match key.split("/"):
        case ["runs", run, "media", name] if is_run_id(run) and (found := _FILE.fullmatch(name)):
            last = int(found[2])
            pack = PackKey(run, found[1], int(found[3] or last), last + 1)
            return pack if 0 < pack.start < pack.stop and pack_key(pack) == key else None
    return None


def member_name(metric: str, count: int, ending: str) -> str:
    """Return the name of the member for the blob of a metric that its writer counts as `count`.

    >>> member_name("a/b", 12, ".png")
    'a%2Fb/000012.png'
    """
    return f"{encode_name(metric)}/{count:06d}{ending}"


class Pack:
    """A pack that is being made; a writer counts its packs from 1.

    >>> made = Pack("00ff00ff00ff00ff", 1)
    >>> made.add("digit/000000.png", b"1"), made.name
    (46, '00ff00ff00ff00ff-00000001')
    """

    def __init__(self, writer: str, number: int) -> None:
        """Hold nothing yet."""
        self.writer = writer
        self.number = number
        self.members: dict[int, tuple[Entry, bytes]] = {}
        self.size = 0

    def add(self, member: str, data: bytes) -> int:
        """Append a member and return where its bytes begin; a signal handler may add meanwhile."""
        mine = Entry(member, len(data), zlib.crc32(data)), data
        start, before = self.size, len(head(mine[0]))
        # setdefault is indivisible.
        while (other := self.members.setdefault(start, mine)) is not mine:
            start += len(head(other[0])) + other[0].size
        self.size = max(self.size, start + before + len(data))
        return start + before

    @property
    def name(self) -> str:
        """The name by which references say that a blob is in it."""
        return f"{self.writer}-{self.number:0{VERSION_DIGITS}d}"

    def data(self) -> bytes:
        """Return all of it: the same bytes each time once nothing is added any more."""
        members = [*self.members.values()]
        parts = [part for entry, data in members for part in (head(entry), data)]
        return b"".join([*parts, tail([entry for entry, _ in members])])


def are_full(packs: Sequence[Pack]) -> bool:
    """Return whether packs are together as much as one shall hold.

    >>> are_full([Pack("00ff00ff00ff00ff", 1)])
    False
    """
    blobs = sum(len(pack.members) for pack in packs)
    return blobs >= FULL_BLOBS or sum(pack.size for pack in packs) >= FULL_BYTES


def join(packs: Sequence[Pack]) -> Pack:
    """Return what holds the members of packs that follow each other, named as the first.

    >>> join([Pack("00ff00ff00ff00ff", 3), Pack("00ff00ff00ff00ff", 4)]).number
    3
    """
    made = Pack(packs[0].writer, packs[0].number)
    for entry, data in (member for pack in packs for member in pack.members.values()):
        made.members[made.size] = entry, data
        made.size += len(head(entry)) + entry.size
    return made


def check_blob(key: str, blob: Blob, data: bytes) -> bytes:
    """Return the bytes of a blob; CorruptObjectError, naming the pack, where they are others."""
    import hashlib  # who only writes has it, or does without

    if hashlib.sha256(data).hexdigest() != blob.sha256:
        told = f"the bytes of {blob.member} are not those that were logged"
        raise CorruptObjectError(key, [Problem("$", "key_mismatch", told)])
    return data
