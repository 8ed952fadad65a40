"""Rows of the table of runs: they give back every state that a document can hold."""

from __future__ import annotations

import io
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import polars as pl
import pyarrow.parquet as pq
from hypothesis import example, given
from hypothesis import strategies as st

from objrun.format.documents import decode_run, encode_run
from objrun.format.states import RunState, Version
from objrun.format.tables import RUNS
from objrun.tables.run_rows import STORED, last_rows, stored_frame, version_of
from tests.format.strategies import chain_versions, json_values, run_ids, run_states, texts

NOW = datetime(2026, 1, 31, tzinfo=UTC)
STATE = RunState(run_id="a", experiment="e", number=1, root_run_id="a", created=NOW)
FIRST = Version(version=1, write_id="w", written=NOW, ops=({"op": "create"},), state=STATE)


def through_parquet(frame: pl.DataFrame) -> pl.DataFrame:
    file = io.BytesIO()
    pq.write_table(frame.to_arrow().cast(RUNS), file)
    return pl.DataFrame(pq.read_table(file, schema=RUNS))


def changed(**fields: Any) -> Version[RunState]:
    return replace(FIRST, state=replace(STATE, **fields))


odd_errors = st.dictionaries(st.sampled_from(["code", "message"]) | texts, json_values, max_size=3)


@example([changed(type="", properties={"azureml.runsource": "hyperdrive"})])
@example([changed(type=""), changed(type="x"), changed(properties={"azureml.runsource": "x"})])
@example(
    [changed(error={}), changed(error={"code": 3, "message": None}), changed(number=2**64 - 1)]
)
@example([changed(params={"": float("nan"), "a": -0.0, "b": 1e400, "c": 2**70, "d": "True"})])
@example(
    [changed(created=datetime.min.replace(tzinfo=UTC), ended=datetime.max.replace(tzinfo=UTC))]
)
@given(
    st.lists(
        chain_versions(run_states) | odd_errors.map(lambda error: changed(error=error)),
        max_size=4,
    )
)
def test_every_state_comes_back(versions: list[Version[RunState]]) -> None:
    read = [decode_run("key", encode_run(version)) for version in versions]
    frame = stored_frame(read)
    stored = through_parquet(frame)
    assert frame.schema == stored.schema == STORED
    wanted = [version for version in read if version.state]
    found = [version_of(row) for row in stored.iter_rows(named=True)]
    assert len(found) == len(wanted)
    for version, back in zip(wanted, found, strict=True):
        # As text, because 1, 1.0 and True are equal and NaN is not.
        assert repr(back) == repr(replace(version, write_id="", ops=(), base=None))


def test_columns_are_for_those_who_ask_for_runs() -> None:
    frame = stored_frame(
        [changed(error={"code": "C", "message": 3}, params={"a": 1, "b": None}, tags={"t": None})]
    )
    (row,) = frame.to_dicts()
    assert (row["error_code"], row["error_message"]) == ("C", None)
    assert row["params"] == [{"key": "a", "value": "1"}, {"key": "b", "value": None}]
    assert row["param_types"] == ["int", "none"]
    assert row["tags"] == [{"key": "t", "value": None}]
    assert row["rest"] == '{"error":{"code":"C","message":3}}'
    assert stored_frame([FIRST])["rest"].to_list() == [None]


@given(st.lists(st.dictionaries(run_ids, st.integers(1, 3), max_size=4), max_size=4))
def test_the_greatest_version_of_a_run_counts(frames: list[dict[str, int]]) -> None:
    last: dict[str, int] = {}
    for frame in frames:
        last |= {run: max(version, last.get(run, 0)) for run, version in frame.items()}
    stored = last_rows(
        [
            stored_frame(
                replace(FIRST, version=version, state=replace(STATE, run_id=run))
                for run, version in frame.items()
            )
            for frame in frames
        ]
    )
    assert stored.schema == STORED
    assert stored.height == len(last)
    assert dict(stored.select("run_id", "version").rows()) == last
