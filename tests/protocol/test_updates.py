"""Updates are pure and idempotent, and what the chain records of them replays to the same state."""

from __future__ import annotations

import copy
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from objrun.errors import CorruptObjectError, PropertyConflictError
from objrun.format.documents import decode_run, encode_experiment, encode_run
from objrun.format.states import LIFECYCLES, STATUSES, TERMINAL, ExperimentState, RunState, Version
from objrun.protocol.updates import (
    CREATE,
    AddProperties,
    Describe,
    RemoveTags,
    Resume,
    SetLifecycle,
    SetParams,
    SetStatus,
    SetTags,
    check_property,
    replay,
)

WHEN = datetime(2026, 1, 31, 12, tzinfo=UTC)
NAMES = st.sampled_from(["a", "b", "c", "ä😀", "a.b/c"])
TEXTS = st.none() | st.text(st.characters(exclude_categories=["Cs"]), max_size=5)
SCALARS = st.one_of(
    TEXTS, st.booleans(), st.integers(), st.integers(-(10**400), 10**400), st.floats()
)
TIMES = st.datetimes(datetime(2000, 1, 1), datetime(2100, 1, 1)).map(  # noqa: DTZ001
    lambda time: time.replace(tzinfo=UTC)
)
ERRORS = st.none() | st.fixed_dictionaries({"code": st.just("X"), "message": st.just("m")})

RUN_UPDATES = st.one_of(
    st.builds(SetStatus, st.sampled_from(STATUSES), TIMES, ERRORS, st.integers(1, 3)),
    st.builds(Resume, st.integers(1, 4), TIMES, st.none() | st.integers(-(2**63), 2**63 - 1)),
    st.builds(SetTags, st.dictionaries(NAMES, TEXTS)),
    st.builds(RemoveTags, st.lists(NAMES).map(tuple)),
    st.builds(SetParams, st.dictionaries(NAMES, SCALARS)),
    st.builds(AddProperties, st.dictionaries(NAMES, TEXTS)),
    st.builds(Describe, st.dictionaries(st.sampled_from(["display_name", "description"]), TEXTS)),
    st.builds(SetLifecycle, st.sampled_from(["active", "deleted"]), TIMES),
)
EXPERIMENT_UPDATES = st.one_of(
    st.builds(SetTags, st.dictionaries(NAMES, TEXTS)),
    st.builds(RemoveTags, st.lists(NAMES).map(tuple)),
    st.builds(Describe, st.fixed_dictionaries({"description": TEXTS})),
    st.builds(SetLifecycle, st.sampled_from(LIFECYCLES), TIMES),
)
RUNS = st.builds(
    RunState,
    run_id=st.just("r"),
    experiment=st.just("e"),
    number=st.just(1),
    root_run_id=st.just("r"),
    created=st.just(WHEN),
    status=st.sampled_from(STATUSES),
    attempt=st.integers(1, 3),
    lifecycle=st.sampled_from(["active", "deleted"]),
    started=st.none() | TIMES,
    tags=st.dictionaries(NAMES, TEXTS),
    params=st.dictionaries(NAMES, SCALARS),
    properties=st.dictionaries(NAMES, TEXTS),
)
EXPERIMENTS = st.builds(
    ExperimentState,
    experiment_id=st.just("x"),
    name=st.just("e"),
    created=st.just(WHEN),
    lifecycle=st.sampled_from(LIFECYCLES),
    tags=st.dictionaries(NAMES, TEXTS),
)


def bytes_of(state: Any, op: Any = CREATE) -> bytes:
    """The exact state: types and bits, where == takes 1 for True and NaN for unequal."""
    encode: Any = encode_run if isinstance(state, RunState) else encode_experiment
    made: bytes = encode(Version(version=1, write_id="w", written=WHEN, ops=(op,), state=state))
    return made


def check(state: Any, update: Any) -> None:
    before, op = bytes_of(state), copy.deepcopy(update.op())
    after = update.apply(state)
    assert bytes_of(state) == before, "applying an update changed the state it was given"
    assert update.op() == op or "nan" in repr(op), "applying an update changed the update"
    assert bytes_of(update.apply(after)) == bytes_of(after), "applied twice is not applied once"
    recorded = orjson.loads(orjson.dumps(update.op()))
    assert bytes_of(replay("k", state, [recorded])) == bytes_of(after)


@given(RUNS, RUN_UPDATES)
def test_an_update_of_a_run_is_pure_idempotent_and_replays(state: RunState, update: Any) -> None:
    check(state, update)


@given(EXPERIMENTS, EXPERIMENT_UPDATES)
def test_an_update_of_an_experiment_too(state: ExperimentState, update: Any) -> None:
    check(state, update)


@given(RUNS, st.lists(RUN_UPDATES, max_size=6))
def test_a_history_replays_to_the_last_state(state: RunState, updates: list[Any]) -> None:
    last = state
    for update in updates:
        last = update.apply(last)
    ops = orjson.loads(orjson.dumps([update.op() for update in updates]))
    assert bytes_of(replay("k", state, ops)) == bytes_of(last)


@given(RUNS, st.lists(st.builds(SetStatus, st.sampled_from(STATUSES), TIMES, ERRORS, st.just(3))))
def test_the_first_end_stays(state: RunState, moves: list[SetStatus]) -> None:
    ends = [state.status] * (state.status in TERMINAL)
    ends += [move.status for move in moves if move.status in TERMINAL]
    for move in moves:
        state = move.apply(state)
    assert state.status == ends[0] if ends else state.status not in TERMINAL


@given(RUNS, st.lists(st.builds(SetStatus, st.sampled_from(STATUSES), TIMES, ERRORS)))
def test_what_is_said_of_an_earlier_attempt_changes_nothing(
    state: RunState, late: list[SetStatus]
) -> None:
    resumed = Resume(state.attempt + 1, WHEN).apply(state)
    assert (resumed.status, resumed.ended, resumed.error) == ("Running", None, None)
    for move in late:
        assert move.apply(resumed) == resumed
    assert Resume(state.attempt + 1, WHEN, 5).apply(resumed) == resumed


@given(RUNS)
def test_a_state_survives_its_document(state: RunState) -> None:
    data = bytes_of(state)
    assert encode_run(decode_run("runs/r/state/00000001.json", data)) == data


def test_a_property_never_changes() -> None:
    state = RunState(
        run_id="r", experiment="e", number=1, root_run_id="r", created=WHEN, properties={"a": "1"}
    )
    assert AddProperties({"a": "1", "b": "2"}).apply(state).properties == {"a": "1", "b": "2"}
    for other in ("2", None, ""):
        assert AddProperties({"b": "2", "a": other}).apply(state).properties["a"] == "1"
        with pytest.raises(PropertyConflictError, match="'a' of run r is '1'"):
            check_property(state, "a", other)
    assert check_property(state, "a", "1")
    assert not check_property(state, "b", "1")


def test_an_unknown_operation_is_named() -> None:
    state = replace(EXPERIMENT)
    with pytest.raises(CorruptObjectError, match=r"the-key.*'fly'.*ops\[1\]"):
        replay("the-key", state, [{"op": "set_tags", "tags": {}}, {"op": "fly"}])
    with pytest.raises(CorruptObjectError, match="tags"):
        replay("the-key", state, [{"op": "set_tags", "tags": {"a": 1}}])


EXPERIMENT = ExperimentState(experiment_id="x", name="e", created=WHEN)


def test_archiving_keeps_the_first_time_and_activating_forgets_it() -> None:
    later = datetime(2027, 1, 1, tzinfo=UTC)
    archived = SetLifecycle("archived", WHEN).apply(EXPERIMENT)
    assert SetLifecycle("archived", later).apply(archived).archived == WHEN
    assert SetLifecycle("active", later).apply(archived).archived is None
