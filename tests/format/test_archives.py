"""The one form of a snapshot: what is written is read back, and nothing else is taken for one."""

from __future__ import annotations

import io
import stat
import zipfile
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from objrun.errors import CorruptObjectError
from objrun.format.archives import Entry, head, read_directory, tail, wrong_name

PIECES = st.text(
    st.characters(exclude_categories=["Cs", "Cc"], exclude_characters="/\\"), min_size=1
)
NAMES = st.lists(PIECES.filter(lambda piece: piece not in (".", "..")), min_size=1, max_size=3)
FILES = st.dictionaries(NAMES.map("/".join), st.tuples(st.binary(), st.booleans()), max_size=5)


def archive(files: dict[str, tuple[bytes, bool]]) -> bytes:
    """What a writer makes of these files."""
    entries, data = [], b""
    for name in sorted(files, key=str.encode):
        body, executable = files[name]
        entries.append(Entry(name, len(body), zlib.crc32(body), executable))
        data += head(entries[-1]) + body
    return data + tail(entries)


def entries_of(data: bytes) -> list[Entry]:
    return read_directory("key", len(data), lambda start, length: data[start : start + length])


def are_apart(files: dict[str, tuple[bytes, bool]]) -> bool:
    """No file is the folder of another."""
    return not any(other.startswith(f"{name}/") for name in files for other in files)


@given(FILES.filter(are_apart))
def test_any_zip_program_reads_it(files: dict[str, tuple[bytes, bool]]) -> None:
    data = archive(files)
    with zipfile.ZipFile(io.BytesIO(data)) as found:
        assert found.testzip() is None
        assert {info.filename: found.read(info) for info in found.infolist()} == {
            name: body for name, (body, _) in files.items()
        }
        for info in found.infolist():
            assert bool(info.external_attr >> 16 & stat.S_IXUSR) == files[info.filename][1]
    assert {entry.name: entry.executable for entry in entries_of(data)} == {
        name: executable for name, (_, executable) in files.items()
    }


@given(FILES.filter(are_apart), st.data())
def test_a_changed_byte_of_the_directory_is_found(
    files: dict[str, tuple[bytes, bool]], chosen: st.DataObject
) -> None:
    """But for those of names and checksums, which another snapshot may have."""
    sound = archive(files)
    start = len(sound) - len(tail(entries_of(sound)))
    place = chosen.draw(st.integers(start, len(sound) - 1))
    data = bytearray(sound)
    data[place] ^= 1 << chosen.draw(st.integers(0, 7))
    try:
        entries = entries_of(bytes(data))
    except CorruptObjectError:
        return
    assert tail(entries) == bytes(data[start:])


@given(st.binary(max_size=200))
def test_random_bytes_are_refused(data: bytes) -> None:
    with pytest.raises(CorruptObjectError):
        entries_of(data)


def made_of(*names: str) -> bytes:
    """An archive with these names, in this order."""
    entries = [Entry(name, 1, zlib.crc32(b"1")) for name in names]
    return b"".join(head(entry) + b"1" for entry in entries) + tail(entries)


def patched(place: int, value: int, size: int) -> bytes:
    """A sound archive of one file but for one field of its directory."""
    data = bytearray(made_of("a"))
    start = data.index(b"PK\1\2") + place
    data[start : start + size] = value.to_bytes(size, "little")
    return bytes(data)


def overlapping() -> bytes:
    """Two entries of one place: a little becomes a lot on the way out."""
    one = Entry("a", 1, zlib.crc32(b"1"))
    other = one._replace(name="b")
    begun = head(one) + b"1"
    record = bytearray(tail([one, other]))
    second = record.index(b"PK\1\2", 1)
    record[second + 42 : second + 46] = bytes(4)
    record[-6:-2] = len(begun).to_bytes(4, "little")
    return begun + bytes(record)


HOSTILE = {
    "nothing": b"",
    "an end alone": b"PK\5\6" + bytes(17),
    "above": made_of("../x"),
    "absolute": made_of("/etc/passwd"),
    "through a folder": made_of("a/../../x"),
    "a folder": made_of("a/"),
    "an empty piece": made_of("a//x"),
    "a dot": made_of("a/./x"),
    "backslashes": made_of("a\\..\\x"),
    "a null": made_of("a\0x"),
    "a line break": made_of("a\nx"),
    "a long piece": made_of("x" * 256),
    "twice": made_of("a", "a"),
    "in another order": made_of("b", "a"),
    "a file that is a folder": made_of("a", "a/x"),
    "the same, further off": made_of("a", "a.b", "a/b/x"),
    "more behind it": made_of("a") + b"more",
    "more before it": b"before" + made_of("a"),
    "cut short": made_of("a")[:-1],
    "overlapping entries": overlapping(),
    "deflated": patched(10, 8, 2),
    "encrypted": patched(8, 0x801, 2),
    "with sizes behind the data": patched(8, 0x808, 2),
    "with extra fields": patched(30, 4, 2),
    "with a comment": patched(32, 4, 2),
    "on a second disk": patched(34, 1, 2),
    "a link": patched(38, (stat.S_IFLNK | 0o777) << 16, 4),
    "a device": patched(38, (stat.S_IFCHR | 0o666) << 16, 4),
    "for root": patched(38, 0o104755 << 16, 4),
    "with a time": patched(12, 1, 2),
    "larger than it is": patched(24, 2**32 - 1, 4),
    "elsewhere": patched(42, 1, 4),
}


@pytest.mark.parametrize("case", HOSTILE)
def test_a_hostile_archive_is_refused(case: str) -> None:
    with pytest.raises(CorruptObjectError):
        entries_of(HOSTILE[case])


def test_what_hostile_archives_are_made_of_is_sound() -> None:
    assert [entry.name for entry in entries_of(made_of("a", "b"))] == ["a", "b"]
    assert entries_of(patched(0, int.from_bytes(b"PK\1\2", "little"), 4))


@pytest.mark.parametrize("name", ["a", ".git", "..a", "a..", "~", "aux.py", "C:x", "ü/数", " "])
def test_names_that_do_no_harm_are_kept(name: str) -> None:
    assert not wrong_name(name)


def test_a_name_that_is_no_unicode_is_refused() -> None:
    assert wrong_name("\udcff")
