"""A place becomes a store once, and only where that harms nobody."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from objrun.errors import NotAStoreError, UnsafeStoreError, UnsupportedFormatError
from objrun.format import keys
from objrun.format.documents import decode_header, encode_header
from objrun.protocol.opening import new_header, open_for_reading, open_for_writing
from objrun.storage.wrappers import CountingStore, FaultyStore

if TYPE_CHECKING:
    from objrun.storage import Store


class Heedless(CountingStore):
    """A store that takes each create for a put."""

    def put_if_absent(self, key: str, data: bytes) -> None:
        self.put(key, data)


def test_who_writes_a_format_that_is_too_old_only_reads(store: Store) -> None:
    header = decode_header(keys.HEADER, new_header())
    store.put(keys.HEADER, encode_header(replace(header, min_writer=2)))
    assert open_for_reading(store).min_writer == 2
    with pytest.raises(UnsupportedFormatError, match="must be written by an objrun of format 2"):
        open_for_writing(store)


@pytest.mark.parametrize("name", ["notes.txt", "photos/1.jpg", "objrun/other.json"])
def test_a_place_with_files_of_others_is_left_alone(store: Store, name: str) -> None:
    store.put(name, b"")
    with pytest.raises(NotAStoreError, match=name.partition("/")[0]):
        open_for_writing(store)
    assert [info.key for info in store.list("")] == [name]


@pytest.mark.parametrize("left", ["objrun.probe", "objrun.probe-00ff/0"])
def test_what_a_proof_has_left_is_nobodys(store: Store, left: str) -> None:
    store.put(left, b"")
    assert open_for_writing(store) == open_for_reading(store)


@pytest.mark.parametrize("is_there", [False, True])
def test_a_store_that_lets_two_creates_win_is_never_written(
    store: Store, *, is_there: bool
) -> None:
    if is_there:
        open_for_writing(store)
    before = store.list("")
    with pytest.raises(UnsafeStoreError, match="overwrite each other"):
        open_for_writing(Heedless(store))
    assert store.list("") == before


@pytest.mark.parametrize("verb", ["folders", "put_if_absent"])
def test_who_is_not_the_first_goes_on_in_the_store_of_the_first(store: Store, verb: str) -> None:
    """It is made while the place is looked at, or just before this one would be."""

    def others(asked: str, _key: str) -> None:
        if asked == verb:
            open_for_writing(store)
            store.put("runs/r/state/00000001.json", b"")

    counting = CountingStore(FaultyStore(store, others))
    assert open_for_writing(counting) == open_for_reading(store)
    assert counting.counts["put"] == 0
