"""Keys: building and parsing are exact inverses, and no name leaves its folder."""

from __future__ import annotations

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from objrun.errors import UserErrorException
from objrun.format import file_keys, keys, names
from objrun.format.immutable import is_immutable
from objrun.storage.keys import check_key
from tests.format import strategies as some


@given(some.names | some.names.map(lambda name: name * 20))
def test_a_name_is_one_short_piece_that_every_backend_can_hold(name: str) -> None:
    piece = keys.encode_name(name)
    assert "/" not in piece
    assert piece.isascii()
    assert not piece.startswith(".")
    assert len(piece) <= keys.MAX_PIECE
    check_key(piece)


@given(some.names)
def test_decoding_a_name_undoes_encoding_or_knows_that_it_was_cut(name: str) -> None:
    piece = keys.encode_name(name)
    assert keys.decode_name(piece) == (None if "~" in piece else name)


@given(st.text("aZ09%~./ü\u0000FfEe2", max_size=12))
def test_only_what_encoding_makes_is_decoded(piece: str) -> None:
    name = keys.decode_name(piece)
    if name is not None:
        assert keys.encode_name(name) == piece


@given(some.names, some.names)
def test_two_names_are_two_pieces(one: str, other: str) -> None:
    assume(one != other)
    assert keys.encode_name(one) != keys.encode_name(other)
    assert keys.encode_name(one * 200) != keys.encode_name(one * 200 + other)


@pytest.mark.parametrize(("length", "cut"), [(180, False), (181, True)])
def test_names_are_cut_above_180_bytes(length: int, *, cut: bool) -> None:
    piece = keys.encode_name("x" * length)
    assert (keys.decode_name(piece) is None) == cut
    assert len(piece) == (165 if cut else length)


@given(some.experiments, some.run_ids, some.versions)
def test_markers(experiment: str, run: str, version: int) -> None:
    key = keys.marker(experiment, run, version)
    check_key(key)
    assert key.startswith(keys.feed(experiment))
    assert keys.parse_marker(key) == (run, version)


@given(some.experiments, some.run_ids, some.writers, some.offsets, some.offsets)
def test_segments(experiment: str, run: str, writer: str, one: int, other: int) -> None:
    assume(one != other)
    start, stop = sorted((one, other))
    key = keys.segment(experiment, run, writer, start, stop)
    check_key(key)
    assert key.startswith(keys.shards(experiment, run))
    assert key.startswith(keys.shards(experiment))
    parsed = keys.parse_segment(key)
    assert parsed is not None
    assert parsed[1:] == (run, writer, start, stop)
    # An experiment whose piece was cut cannot be had from a key.
    assert parsed.experiment == (keys.decode_name(key.split("/")[1]) or "")
    assert parsed.experiment in (experiment, "")
    assert keys.parse_segment(keys.segment(experiment, run, writer, stop, start)) is None


@given(some.experiments, some.run_ids, some.writers, st.integers(-(2**63), 2**63 - 1))
def test_cuts(experiment: str, run: str, writer: str, step: int) -> None:
    key = keys.cut(experiment, run, writer, step)
    check_key(key)
    assert key.startswith(keys.shards(experiment, run))
    assert keys.parse_cut(key) == (run, writer, step)
    assert keys.parse_segment(key) is None
    # Who lists a segment of a new writer has listed the cuts that were made before it.
    assert key > keys.segment(experiment, run, "f" * 16, 999_999_999_998, 999_999_999_999)


@pytest.mark.parametrize(
    "name",
    [
        "rewind-a1-", "rewind-a1-01", "rewind-a1--0", "rewind-a1-1.0", "rewind-a1-+1", "rewind--1",
        "rewind-a1", "rewind-a1-9223372036854775808", "rewind-a1--9223372036854775809", "a1-1",
        "rewind-a1-\u0661", "rewind-a1-1\n",
    ],
)  # fmt: skip
def test_what_is_no_cut(name: str) -> None:
    assert keys.parse_cut(f"experiments/e/shards/r1/{name}") is None


@given(some.experiments, some.run_ids, some.versions)
def test_chains_and_claims(experiment: str, run: str, version: int) -> None:
    for key, folder in (
        (keys.run_state(run, version), keys.run_states(run)),
        (keys.experiment_state(experiment, version), keys.experiment_states(experiment)),
        (keys.number(experiment, version), keys.number_bucket(experiment, version // 1000)),
    ):
        check_key(key)
        assert key.rpartition("/")[0] + "/" == folder
        assert keys.parse_version(key) == version
    assert keys.run_states(run).startswith(keys.run_folder(run))
    assert keys.number(experiment, version).startswith(keys.numbers(experiment))


@given(some.run_ids, some.names)
def test_properties(run: str, name: str) -> None:
    key = keys.run_property(run, name)
    check_key(key)
    folder, _, file = key.rpartition("/")
    assert folder == f"runs/{run}/properties"
    assert keys.decode_name(file.removesuffix(".json")) in (name, None)


@pytest.mark.parametrize(
    "key",
    [
        "r1.1", "r1.000000001", "r1", ".00000001", "...00000001", "r1.0000000a", "r1.0000000\u0661",
        "r 1.00000001", "r1.-0000001", f"{'r' * 201}.00000001", "r\n.00000001",
    ],
)  # fmt: skip
def test_what_is_no_marker(key: str) -> None:
    assert keys.parse_marker(f"experiments/e/feed/{key}") is None


@pytest.mark.parametrize(
    "name",
    [
        "a1-0-1.parquet", "a1-000000000000-000000000001", "a1-000000000000.parquet",
        "a1-000000000001-000000000001.parquet", "a1-000000000002-000000000001.parquet",
        "-000000000000-000000000001.parquet", "a1-000000000000-000000000001-1.parquet",
        "a1-00000000000x-000000000001.parquet", "a/1-000000000000-000000000001.parquet",
    ],
)  # fmt: skip
def test_what_is_no_segment(name: str) -> None:
    assert keys.parse_segment(f"experiments/e/shards/r1/{name}") is None


def test_a_segment_of_no_run_is_none() -> None:
    rows = "a1-000000000000-000000000001.parquet"
    assert keys.parse_segment(f"experiments/e/shards/../{rows}") is None
    assert keys.parse_segment(f"experiments/%FF/shards/r1/{rows}") == ("", "r1", "a1", 0, 1)


@given(st.text(max_size=60))
def test_parsers_take_any_key(key: str) -> None:
    for parse in (keys.parse_marker, keys.parse_segment, keys.parse_version, keys.decode_name):
        assert parse(key) is None or parse(key) == parse(key)


@given(some.run_ids)
def test_run_ids_are_as_they_are_in_keys(run: str) -> None:
    assert names.check_run_id(run) == run
    assert names.is_run_id(run)
    assert keys.run_folder(run) == f"runs/{run}/"


@pytest.mark.parametrize(
    "bad",
    [
        "",
        ".",
        "..",
        "../r",
        "a/b",
        "a b",
        "ü",
        "-a",
        "_a",
        "a\n",
        "a\x00",
        "a" * 201,
        "a~",
        3,
        None,
    ],
)
def test_what_cannot_be_a_run_id(bad: object) -> None:
    with pytest.raises(UserErrorException):
        names.check_run_id(bad)


@pytest.mark.parametrize(
    "bad", ["", " a", "é", "_a", "a b", "a.b", "a/b", "a\n", "a" * 256, 3, None]
)
def test_what_cannot_name_an_experiment(bad: object) -> None:
    with pytest.raises(UserErrorException):
        names.check_experiment(bad)


@pytest.mark.parametrize("bad", ["", "a" * 1001, "\ud800", 3, None, b"a"])
def test_what_cannot_name_a_metric(bad: object) -> None:
    with pytest.raises(UserErrorException):
        names.check_key(bad, "metric")


RUN = "5f0c8a52-8f6c-4a8e-9a40-6d3d5f9a7e11"
NAMED = keys.TableKey(3, "00ff00ff00ff00ff", "runs")


@pytest.mark.parametrize(
    ("key", "immutable"),
    [
        (keys.run_state(RUN, 1), True),
        (keys.run_property(RUN, "a/b"), True),
        (file_keys.run_file(RUN, "a/b", 1), True),
        (keys.experiment_state("Tété", 12), True),
        (keys.segment("e", RUN, "00ff00ff00ff00ff", 0, 10), True),
        (keys.checkpoint("e", 3), True),
        (keys.table("e", NAMED), True),
        (keys.HEADER, False),
        (keys.PROBE, False),
        (keys.marker("e", RUN, 1), False),
        (keys.number("e", 1), False),
        (keys.run_states(RUN) + "latest.json", False),
        (keys.run_folder(RUN) + "artifacts/00000001.json", False),
        (keys.shards("e", RUN) + "more.parquet", False),
        (keys.tables("e") + "more.parquet", False),
        (keys.tables("e") + "00000003-00ff00ff00ff00f-runs.parquet", False),
        (keys.tables("e") + "00000003-00FF00FF00FF00FF-runs.parquet", False),
        (keys.tables("e") + "00000003-00ff00ff00ff00ff-rows.parquet", False),
        (keys.tables("e") + "3-00ff00ff00ff00ff-runs.parquet", False),
        (keys.feed("e") + "state/00000001.json", False),
        ("state/00000001.json", False),
        ("", False),
    ],
)
def test_what_never_changes(key: str, *, immutable: bool) -> None:
    assert is_immutable(key) == immutable
