"""Packs of blobs: few objects however slowly they come, and each blob found wherever it went."""

from __future__ import annotations

import io
import threading
import zipfile
from collections import Counter
from contextlib import suppress
from hashlib import sha256
from itertools import count
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from objrun import clock
from objrun.errors import CorruptObjectError, NotFoundError, PermissionDeniedError, UnavailableError
from objrun.format import media
from objrun.format.media import parse_pack
from objrun.protocol import levels, packs
from objrun.protocol.blobs import MANY_PACKS, BlobReader, Kept
from objrun.protocol.packs import Content, Packs
from objrun.storage import CountingStore, MemoryStore
from objrun.storage.creating import CreateOnly
from objrun.storage.wrappers import Around
from tests.protocol.between import Between

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from objrun.format.media import Blob
    from objrun.storage import Store

WRITER = "00000000000000a1"
FOLDER = "runs/r/media/"


class Logger:
    """A writer that logs blobs to a store and flushes them; what it logged is in `logged`."""

    def __init__(self, store: Store | None = None, writer: str = WRITER) -> None:
        self.store: Any = store or CountingStore(MemoryStore(clock.random_hex(8)))
        self.packs = Packs(writer)
        self.logged: list[tuple[Blob, bytes]] = []
        self._number = count()

    def log(self, *sizes: int) -> None:
        """Log blobs of so many bytes, and flush."""
        for size in sizes:
            data = b"%08d" % next(self._number) + bytes(size)
            self.logged.append((self.packs.add("x", Content(".bin", data)), data))
        self.packs.seal()
        assert self.packs.send("r", self._put)
        if superseded := self.packs.superseded():
            with suppress(PermissionDeniedError):
                self.store.delete(superseded)

    def _put(self, key: str, data: bytes) -> bool:
        self.store.put(key, data)
        return True

    def check(self, reader: BlobReader | None = None) -> None:
        """All that was logged is read back, by one who knows nothing yet."""
        reader = reader or BlobReader(self.store)
        assert [*reader.read(kept(self.logged))] == [data for _, data in self.logged]

    def names(self) -> list[str]:
        return [info.key.removeprefix(FOLDER) for info in self.store.list(FOLDER)]


def kept(logged: Sequence[tuple[Blob, bytes]]) -> list[Kept]:
    return [Kept("r", blob) for blob, _ in logged]


def requests(store: CountingStore, act: Callable[[], object]) -> Counter[str]:
    """What an act costs."""
    before = Counter(store.counts)
    act()
    return Counter(store.counts) - before


def test_a_week_of_one_image_a_minute_is_few_objects() -> None:
    logger = Logger()
    most = 0
    for minute in range(7 * 24 * 60):
        logger.log(300)
        if minute % 997 == 0:
            most = max(most, len(logger.names()))
    counts = logger.store.counts
    assert counts["put"] == 10_080
    assert counts["delete"] == 1_008
    assert max(most, len(logger.names())) < 40
    read = requests(logger.store, logger.check)
    assert (read["list"], read.total() < 60) == (1, True), read


def test_what_was_logged_long_ago_is_not_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packs, "REMEMBERED", 2)
    made = Packs(WRITER)
    blobs = [made.add("x", Content(".png", data)) for data in (b"1", b"2", b"2", b"3", b"1")]
    assert blobs[1] == blobs[2]
    assert blobs[4] != blobs[0]


def test_bytes_have_the_ending_that_they_were_logged_with() -> None:
    made = Packs(WRITER)
    members = [made.add("x", Content(ending, b"1")).member for ending in (".png", ".txt", ".png")]
    assert members == ["x/000000.png", "x/000001.txt", "x/000000.png"]


def test_a_signal_that_logs_while_its_thread_logs_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    made, name = Packs(WRITER), media.member_name
    left = [b"2"]

    def interrupted(metric: str, count: int, ending: str) -> str:
        if left:
            made.add("signal", Content(".png", left.pop()))
        return name(metric, count, ending)

    monkeypatch.setattr(media, "member_name", interrupted)
    thread = threading.Thread(target=made.add, args=("x", Content(".png", b"1")), daemon=True)
    thread.start()
    thread.join(20)
    assert not thread.is_alive()


@given(st.lists(st.lists(st.integers(0, 60), max_size=4), max_size=40))
def test_whatever_is_logged_is_read(flushes: list[list[int]]) -> None:
    """Also in packs that are full at once, and by who may only create."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(media, "FULL_BYTES", 1000)
        patch.setattr(media, "FULL_BLOBS", 12)
        patch.setattr(levels, "FAN", 3)
        every = [Logger(), Logger(CreateOnly(MemoryStore(clock.random_hex(8))))]
        for logger in every:
            for sizes in flushes:
                logger.log(*sizes)
        every[1].store = every[1].store.store
        for logger in every:
            logger.check()
            for blob, data in logger.logged:
                assert [*BlobReader(logger.store).read([Kept("r", blob)])] == [data]
        stored = sum(map(len, flushes))
        assert len(every[0].names()) <= 3 * 3 + stored


def test_what_is_put_together_is_one_zip_file_of_all_members_in_order() -> None:
    logger = Logger()
    for _ in range(10):
        logger.log(10, 20)
    assert logger.names() == [f"{WRITER}-00000010-00000001.zip"]
    with zipfile.ZipFile(io.BytesIO(logger.store.get(FOLDER + logger.names()[0]))) as pack:
        assert pack.testzip() is None
        members = [(name, pack.read(name)) for name in pack.namelist()]
    assert members == [(blob.member, data) for blob, data in logger.logged]


def test_a_name_that_repeats_others_stands_behind_theirs() -> None:
    """So a LIST whose pages come one after the other never misses both."""
    logger = Logger()
    before: set[str] = set()
    for _ in range(250):
        logger.log(1)
        now = {*logger.names()}
        for gone in before - now:
            assert any(gone < name for name in now - before)
        before = now


@pytest.mark.parametrize(
    "name",
    [
        "1-2.zip", f"{WRITER}-00000000.zip", f"{WRITER}-1.zip", f"{WRITER.upper()}-00000001.zip",
        f"{WRITER}-00000002-00000002.zip", f"{WRITER}-00000002-00000003.zip",
        f"{WRITER}-00000002-00000000.zip", f"{WRITER}-00000002-0000001.zip",
        f"{WRITER}-0000000\u0661.zip", f"{WRITER}-00000001.zip/x",
    ],
)  # fmt: skip
def test_other_keys_are_none(name: str) -> None:
    assert parse_pack(FOLDER + name) is None
    assert parse_pack(f"runs/../media/{name}") is None


def test_large_packs_are_never_repeated_and_fast_runs_pay_nothing() -> None:
    """A run whose packs fill up within one flush sends each byte once, and deletes nothing."""
    logger = Logger()
    for _ in range(4):
        logger.log(*[100_000] * 90)
    counts = logger.store.counts
    assert (counts["put"], counts["delete"]) == (8, 0)
    read = requests(logger.store, logger.check)
    assert read == {"get_range": read.total()}
    assert read.total() <= 16


def test_medium_packs_become_large_ones() -> None:
    logger = Logger()
    for _ in range(60):
        logger.log(700_000)
    assert len(logger.names()) <= 3 * (60 * 700_000 // media.FULL_BYTES + 1)
    assert max(info.size for info in logger.store.list(FOLDER)) < 2 * media.FULL_BYTES
    logger.check()


def test_a_slow_run_that_logs_much_now_and_then_has_few_objects_as_well() -> None:
    logger = Logger()
    for _ in range(6):
        for _ in range(60):
            logger.log(300)
        logger.log(9 << 20)
    assert len(logger.names()) < 10
    logger.check()


def test_what_a_writer_keeps_is_less_than_a_full_pack() -> None:
    logger = Logger()
    for _ in range(100):
        logger.log(300_000)
        stored = logger.packs._stored  # noqa: SLF001 - memory cannot be asked for otherwise
        assert sum(pack.size for pack in stored) < media.FULL_BYTES
    logger.packs.rest()
    assert logger.packs._stored == []  # noqa: SLF001
    logger.log(300)
    logger.check()


def test_few_are_asked_for_directly_and_many_are_looked_for_first() -> None:
    logger = Logger()
    for _ in range(99):
        logger.log(1)
    old, new = kept(logger.logged[:1]), kept(logger.logged[-1:])
    reader = BlobReader(logger.store)
    assert requests(logger.store, lambda: [*reader.read(new)]) == {"get_range": 1}
    # The pack that is gone, the LIST, the directory of what has it now, and that.
    assert requests(logger.store, lambda: [*reader.read(old)]) == {"get_range": 3, "list": 1}
    assert requests(logger.store, lambda: [*reader.read(old)]) == {"get_range": 1}
    many = kept(logger.logged[: 3 * MANY_PACKS])
    again = BlobReader(logger.store)
    assert requests(logger.store, lambda: [*again.read(many)]) == {"get_range": 6, "list": 1}


def test_a_reader_goes_on_whatever_is_put_together_meanwhile() -> None:
    logger = Logger()
    reader = BlobReader(logger.store)
    for number in range(220):
        logger.log(1)
        if number % 7 == 0:
            logger.check(reader)


@pytest.mark.parametrize("flushes", [1, 9, 10, 90])
def test_what_is_put_together_while_it_is_read_is_looked_for_again(flushes: int) -> None:
    logger = Logger()
    for _ in range(95):
        logger.log(1)
    logged = [*logger.logged]
    times = count()

    def more() -> None:
        for _ in range(flushes if next(times) < 20 else 0):
            logger.log(1)

    reader = BlobReader(Between(logger.store, more))
    assert [*reader.read(kept(logged))] == [data for _, data in logged]
    assert [*reader.read(kept(logged))] == [data for _, data in logged]


def test_damage_of_what_was_put_together_is_named() -> None:
    logger = Logger()
    for _ in range(10):
        logger.log(10)
    (name,) = logger.names()
    key = FOLDER + name
    whole = logger.store.get(key)
    for damaged, told in (
        (whole[:-30], "no ZIP file"),
        (whole.replace(b"00000003", b"00000009"), "not those that were logged"),
        (media.Pack(WRITER, 1).data(), "it has no x/00000"),
    ):
        logger.store.put(key, damaged)
        with pytest.raises(CorruptObjectError, match=told) as caught:
            logger.check()
        assert caught.value.key == key
    logger.store.delete([key])
    with pytest.raises(CorruptObjectError, match="not there") as caught:
        logger.check()
    assert parse_pack(caught.value.key) in {each.pack for each in kept(logger.logged)}


def test_a_pack_that_was_not_acknowledged_is_sent_again_with_the_same_bytes() -> None:
    logger = Logger()
    sent: list[tuple[str, str]] = []

    def refuse(key: str, data: bytes) -> bool:
        sent.append((key, sha256(data).hexdigest()))
        return False

    for _ in range(30):
        logger.packs.add("x", Content(".bin", b"%d" % len(sent)))
        logger.packs.seal()
        assert not logger.packs.send("r", refuse)
        logger.packs.add("x", Content(".bin", b"later %d" % len(sent)))
        assert not logger.packs.send("r", refuse)
        assert sent[-1] == sent[-2]
        assert logger.packs.superseded() == []
        logger.log()


def test_what_is_not_there_for_good_ends_the_looking() -> None:
    class Vanishing(Around):
        def get_range(self, key: str, start: int, length: int) -> bytes:  # noqa: ARG002
            raise NotFoundError(key)

        def _ask(self, verb: str, key: str, call: Callable[[], Any]) -> Any:  # noqa: ARG002
            return call()

    logger = Logger()
    logger.log(1)
    with pytest.raises(UnavailableError, match="faster than they are read"):
        logger.check(BlobReader(Vanishing(logger.store)))


def test_a_thread_that_hung_with_a_pack_that_another_has_stored_changes_nothing() -> None:
    logger = Logger()

    def hang(key: str, data: bytes) -> bool:  # noqa: ARG001 - it arrives nowhere
        assert logger.packs.send("r", logger._put)  # noqa: SLF001
        return True

    for number in range(25):
        data = b"%d" % number
        logger.logged.append((logger.packs.add("x", Content(".bin", data)), data))
        logger.packs.seal()
        assert logger.packs.send("r", hang)
        logger.log(1)
    assert all(parse_pack(info.key) for info in logger.store.list(FOLDER))
    assert len(logger.names()) == 5
    logger.check()
