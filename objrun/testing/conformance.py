"""The suite that every store passes.

A test file subclasses it and says where a fresh store is::

    class TestMyStore(StoreSuite):
        @pytest.fixture
        def place(self) -> Place:
            return Place("mystore://fresh-and-empty", {})

`StoreSuite` is for every store; `SharedStoreSuite` adds what holds between processes. Call
`pytest.register_assert_rewrite("objrun.testing")` first, and failures show their values.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from hashlib import sha256
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest

from objrun.errors import AlreadyExistsError, NotFoundError, UserErrorException
from objrun.storage import connect, open_store, together
from objrun.storage.sharing import LEAST, share
from objrun.testing.races import RaceSuite, SharedRaceSuite

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from objrun.storage import Store

__all__ = [
    "AWKWARD_KEYS",
    "BODIES",
    "MALFORMED_KEYS",
    "PART",
    "Place",
    "SharedStoreSuite",
    "StoreSuite",
]

PART = 5 << 20
"""Bytes of the least part of an upload that may be followed by another one."""

AWKWARD_KEYS = [
    "a b/ c /d",
    "percent%20/100%/%2F/%",
    "hash#1/#/a#b?c",
    "query?versionId=abc/x?versionid=1",
    "plus+and&and=1;2,3/x",
    "glob*/[a-z]/?/{x}",
    "quotes'\"`/<tag>&amp;",
    "tilde~/$HOME/@/!/^|",
    "colon:/::/http:",
    "...three/dots.../.hidden/a.",
    "unicode/ü/日本語/🚀/é/é",  # the last two are different: one is decomposed
    "long/" + "x" * 200,
]
"""Keys that something on the way might take for more than text."""

MALFORMED_KEYS = [
    "",
    "/",
    "/absolute",
    "trailing/",
    "double//slash",
    ".",
    "..",
    "../escape",
    "a/../../b",
    "a/./b",
    "back\\slash",
    "nul\0",
    "new\nline",
    "surrogate\udce9",
    ".objrun-tmp/x",
    "x/" * 513,
]
"""Text that is no key on any store."""

BODIES = {
    "empty": b"",
    "every byte": bytes(range(256)),
    "not unicode": b"\xff\xfe\x00\x80",
    "line ends": b"\r\n\n\r\r\n",
    "a boundary": b"\r\n--==0==--\r\n--==0==\n",
    "a chunk": b"0\r\n\r\n5;chunk-signature=0\r\nhello\r\n",
    "a megabyte": bytes(range(256)) * 4096 + b"end",
}
"""Bodies that something on the way might take for more than bytes."""


class Place(NamedTuple):
    """Where a fresh, empty store is, and the options to reach it."""

    url: str
    options: dict[str, Any]

    def connect(self) -> Store:
        """Return a store object of its own."""
        return connect(self.url, **self.options)


class StoreSuite(RaceSuite):
    """What every store does, seen by one process.

    `page`: how many objects one page of a listing, or one request to delete, can name.
    """

    page = 1000

    @pytest.fixture
    def place(self) -> Place:
        """Return a fresh, empty place: what a subclass provides."""
        raise NotImplementedError

    @pytest.fixture
    def store(self, place: Place) -> Store:
        """Return a store at the place."""
        return place.connect()

    def test_it_opens(self, place: Place) -> None:
        """It proves safe, at once and when it was proven before."""
        for _ in range(2):
            assert open_store(place.url, **place.options).url

    def test_its_url_names_it(self, place: Place, store: Store) -> None:
        """Its canonical URL leads to the same store."""
        store.put("a", b"1")
        again = connect(store.url, **place.options)
        assert (again.url, again.get("a")) == (store.url, b"1")

    @pytest.mark.parametrize("name", BODIES)
    def test_bodies_come_back(self, store: Store, name: str) -> None:
        """Bytes come back as they were, however they were stored."""
        store.put("put", BODIES[name])
        store.put_if_absent("created", BODIES[name])
        assert store.get("put") == store.get("created") == BODIES[name]
        assert [info.size for info in store.list("")] == [len(BODIES[name])] * 2

    def test_awkward_keys_are_only_text(self, store: Store) -> None:
        """Every verb takes every key literally."""
        keys = sorted(AWKWARD_KEYS)
        for key in keys:
            store.put_if_absent(key, key.encode())
            with pytest.raises(AlreadyExistsError):
                store.put_if_absent(key, b"")
            store.put(key, key.encode() * 2)
        read = [answer() for answer in together(store, store.get, keys)]
        assert read == [key.encode() * 2 for key in keys]
        assert [info.key for info in store.list("")] == keys
        assert store.folders("") == sorted({key.partition("/")[0] for key in keys})
        for key in keys:
            folder = key.rpartition("/")[0] + "/"
            assert key in [info.key for info in store.list(folder)]
            store.delete([key])
            assert key not in [info.key for info in store.list("")]

    @pytest.mark.parametrize("key", MALFORMED_KEYS, ids=lambda key: ascii(key)[:20])
    def test_malformed_keys_are_refused(self, store: Store, key: str) -> None:
        """No verb takes a malformed key, and nothing is stored."""
        verbs: list[Callable[[], object]] = [
            lambda: store.get(key),
            lambda: store.get_range(key, 0, 1),
            lambda: store.put(key, b""),
            lambda: store.put_if_absent(key, b""),
            lambda: store.delete([key]),
        ]
        for verb in verbs:
            with pytest.raises(UserErrorException):
                verb()

    @pytest.mark.parametrize("prefix", ["no-slash", "/", "../", "a//", "a/../"])
    def test_malformed_prefixes_are_refused(self, store: Store, prefix: str) -> None:
        """A listing is of a folder or of everything."""
        with pytest.raises(UserErrorException):
            store.list(prefix)
        with pytest.raises(UserErrorException):
            store.folders(prefix)

    def test_absent_objects(self, store: Store) -> None:
        """What is not there is not found, also where a folder or an object is near."""
        store.put("folder/object", b"")
        for key in ("absent", "folder", "folder/absent", "absent/object"):
            with pytest.raises(NotFoundError):
                store.get(key)
            with pytest.raises(NotFoundError):
                store.get_range(key, 0, 0)

    def test_ranges(self, store: Store) -> None:
        """A range is cut at the end of the object."""
        store.put("digits", b"0123456789")
        store.put("empty", b"")
        asked = [(0, 10), (0, 1), (9, 1), (3, 4), (0, 100), (8, 5), (10, 1), (50, 5), (4, 0)]
        assert [store.get_range("digits", *part) for part in asked] == [
            b"0123456789"[start : start + length] for start, length in asked
        ]
        assert store.get_range("empty", 0, 5) == b""
        for part in ((-1, 1), (0, -1)):
            with pytest.raises(UserErrorException):
                store.get_range("digits", *part)

    def test_put_replaces_and_create_does_not(self, store: Store) -> None:
        """`put` overwrites; `put_if_absent` keeps what is there; a deleted key is free."""
        store.put_if_absent("k", b"first")
        with pytest.raises(AlreadyExistsError):
            store.put_if_absent("k", b"second")
        assert store.get("k") == b"first"
        store.put("k", b"a longer third")
        store.put("k", b"4th")
        assert store.get("k") == b"4th"
        store.delete(["k"])
        store.put_if_absent("k", b"fifth")
        assert store.get("k") == b"fifth"

    def test_listings(self, store: Store) -> None:
        """A listing holds all that is below its prefix, in order, and nothing else."""
        keys = ["a!/x", "a/b/c", "a/b/d", "a/e", "a0/x", "ab/x", "b/a/a/a/a", "z", "é"]
        for key in reversed(keys):
            store.put(key, key.encode())
        assert [(info.key, info.size) for info in store.list("")] == [
            (key, len(key.encode())) for key in sorted(keys)
        ]
        assert [info.key for info in store.list("a/")] == ["a/b/c", "a/b/d", "a/e"]
        assert [info.key for info in store.list("a/b/")] == ["a/b/c", "a/b/d"]
        for prefix in ("a/b/c/", "absent/", "é/"):
            assert not store.list(prefix)

    def test_folders(self, store: Store) -> None:
        """Folders are the names that hold objects; they come and go with them."""
        for key in ("top", "a/1", "a/b/2", "c/d/e/f", "a!/1"):
            store.put(key, b"")
        assert store.folders("") == ["a", "a!", "c"]
        assert (store.folders("a/"), store.folders("c/d/")) == (["b"], ["e"])
        assert store.folders("a/b/") == store.folders("absent/") == []
        store.delete(["c/d/e/f"])
        assert store.folders("") == ["a", "a!"]
        assert store.folders("c/") == []

    def test_an_empty_store(self, store: Store) -> None:
        """There is nothing in a fresh store, and that is no error."""
        assert not store.list("")
        assert not store.folders("")
        store.delete([])
        store.delete(["absent", "absent/too"])

    def test_many_objects(self, store: Store) -> None:
        """More objects than one page of a listing, or one request to delete, can name."""
        keys = [f"many/{number % 7}/{number:05d}" for number in range(self.page + 10)]
        with ThreadPoolExecutor(min(16, store.concurrency)) as pool:
            list(pool.map(lambda key: store.put(key, b""), keys))
        assert [info.key for info in store.list("")] == sorted(keys)
        assert store.folders("many/") == [str(number) for number in range(7)]
        store.delete(key for key in keys)
        assert store.list("") == []

    def test_many_at_once(self, store: Store) -> None:
        """Many objects come in the order asked for, absent ones as errors."""
        for number in range(0, 200, 4):
            store.put(f"{number}", b"%d" % number)
        keys = [f"{number}" for number in reversed(range(200))]
        for key, answer in zip(keys, together(store, store.get, iter(keys)), strict=True):
            if int(key) % 4 == 0:
                assert answer() == key.encode()
            else:
                with pytest.raises(NotFoundError):
                    answer()

    @pytest.mark.parametrize("sizes", [[], [0], [7], [PART, 1], [PART] * 3 + [5]], ids=str)
    def test_uploads(self, store: Store, sizes: list[int]) -> None:
        """Parts become one object, which replaces what was there."""
        parts = [bytes([number]) * size for number, size in enumerate(sizes, 1)]
        store.put("folder/k", b"before")
        store.upload("folder/k", iter(parts))
        assert store.get("folder/k") == b"".join(parts)
        assert [info.size for info in store.list("")] == [sum(sizes)]

    @pytest.mark.parametrize("before", [0, 1, 2])
    @pytest.mark.parametrize("error", [OSError, ValueError])
    def test_an_upload_whose_source_fails(
        self, store: Store, before: int, error: type[Exception]
    ) -> None:
        """Nothing is stored, what was there stays, and the error is that of the source."""
        store.put("was there", b"before")

        def parts() -> Iterator[bytes]:
            yield from [b"x" * PART] * before
            raise error("the source")

        for key in ("was there", "was not"):
            with pytest.raises(error, match="the source"):
                store.upload(key, parts())
        assert store.get("was there") == b"before"
        assert [info.key for info in store.list("")] == ["was there"]

    def test_an_upload_is_not_seen_before_its_end(self, store: Store) -> None:
        """A reader sees the old object until the new one is whole."""
        seen: list[bytes] = []

        def parts() -> Iterator[bytes]:
            yield b"x" * PART
            yield b"y" * PART
            seen.append(store.get("k"))
            yield b"z"

        store.put("k", b"before")
        store.upload("k", parts())
        assert seen == [b"before"]
        assert store.get_range("k", 2 * PART - 1, 9) == b"yz"

    def test_sharing_is_not_seen(self, store: Store) -> None:
        """Where a store keeps equal bytes once, each object is its own all the same."""
        body = b"equal" * LEAST
        for key in ("a/1", "a/2", "b/3"):
            store.upload(key, [body])
            share(store, key, sha256(body).hexdigest())
        assert [(info.key, info.size) for info in store.list("")] == [
            (key, len(body)) for key in ("a/1", "a/2", "b/3")
        ]
        store.put("a/1", b"")
        store.delete(["a/2"])
        assert [info.key for info in store.list("")] == ["a/1", "b/3"]
        assert (store.get("a/1"), store.get("b/3")) == (b"", body)

    def test_the_clock(self, store: Store) -> None:
        """The store's clock is the one that its objects bear, never goes back, leaves nothing."""
        before = store.now()
        store.put("stamped", b"")
        (stamped,) = store.list("")
        assert before <= stamped.modified <= store.now()
        assert stamped.modified.utcoffset() == before.utcoffset()
        assert before.utcoffset() is not None
        assert not before.utcoffset()
        assert [info.key for info in store.list("")] == ["stamped"]

    def test_a_buffer_may_change_afterwards(self, store: Store) -> None:
        """What was stored is what the buffer held then."""
        buffer = bytearray(b"before")
        store.put("k", bytes(buffer))
        buffer[:] = b"after!"
        assert store.get("k") == b"before"


class SharedStoreSuite(StoreSuite, SharedRaceSuite):
    """What a store does that several processes share."""

    def test_no_listing_is_stale(self, place: Place) -> None:
        """Two store objects see at once what the other did, also where both looked before."""
        one, other = place.connect(), place.connect()
        for number in range(3):
            key = f"f{number}/k"
            for store in (one, other):
                assert f"f{number}" not in store.folders("")
                assert store.list(f"f{number}/") == []
                with pytest.raises(NotFoundError):
                    store.get(key)
            one.put(key, b"12")
            assert [(info.key, info.size) for info in other.list(f"f{number}/")] == [(key, 2)]
            assert f"f{number}" in other.folders("")
            assert other.get(key) == b"12"
            other.put(key, b"123")
            assert one.get(key) == b"123"
            assert [info.size for info in one.list(f"f{number}/")] == [3]
        other.delete(["f1/k"])
        assert one.folders("") == ["f0", "f2"]
        with pytest.raises(NotFoundError):
            one.get("f1/k")
