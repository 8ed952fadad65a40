"""What the format can hold, as hypothesis strategies."""

from __future__ import annotations

from datetime import UTC
from typing import Any

from hypothesis import strategies as st

from objrun.format import keys
from objrun.format.checking import format_time
from objrun.format.checkpoints import Checkpoint, TableFile
from objrun.format.states import (
    LIFECYCLES,
    STATUSES,
    ExperimentState,
    Header,
    NumberClaim,
    Property,
    RunState,
    Version,
)
from objrun.format.values import to_json

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=40)
names = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=300)
ids = st.text("abc0123456789-", min_size=1, max_size=40)
run_ids = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9_.\-]{0,199}", fullmatch=True)
experiments = st.from_regex(r"[A-Za-z0-9][\w\-]{0,254}", fullmatch=True)
writers = st.text("0123456789abcdef", min_size=16, max_size=16)
versions = st.integers(1, 99_999_999)
offsets = st.integers(0, 999_999_999_999)
times = st.datetimes(timezones=st.just(UTC))
integers = st.one_of(
    st.integers(),
    st.integers(2**53 - 2, 2**53 + 2),
    st.integers(-(2**53) - 2, -(2**53) + 2),
    st.integers(-(2**70), 2**70),
    st.just(2**1100),
)
scalars = st.one_of(st.none(), st.booleans(), integers, st.floats(), texts)
maybe_texts = st.none() | texts
maybe_times = st.none() | times
text_maps = st.dictionaries(texts, maybe_texts, max_size=4)
scalar_maps = st.dictionaries(texts, scalars, max_size=4)
json_values = st.recursive(
    st.one_of(
        st.none(), st.booleans(), st.integers(-(2**63), 2**63 - 1), texts,
        st.floats(allow_nan=False, allow_infinity=False),
    ),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=6,
)  # fmt: skip
errors = st.fixed_dictionaries({"code": texts}, optional={"message": maybe_texts, "help": texts})


def extras(known: type) -> st.SearchStrategy[dict[str, Any]]:
    """Return unknown fields: any that a document or state of this class does not know."""
    taken = {*known.__dataclass_fields__, "format"}  # type: ignore[attr-defined]
    return st.dictionaries(texts.filter(lambda name: name not in taken), json_values, max_size=3)


headers = st.builds(
    Header,
    store_id=ids,
    created=times,
    write_id=ids,
    min_reader=st.just(1),
    min_writer=st.integers(1, 2**31),
    features=st.just(()),
    extra=extras(Header),
)
claims = st.builds(
    NumberClaim, number=versions, run_id=run_ids, write_id=ids, extra=extras(NumberClaim)
)
properties = st.builds(
    Property, run_id=run_ids, key=names, value=maybe_texts, write_id=ids, extra=extras(Property)
)
_counts = st.integers(1, 2**53)
table_files = st.builds(
    lambda table, **fields: TableFile(
        name=keys.table("e", table).rpartition("/")[2], kind=table.kind, **fields
    ),
    table=st.builds(
        keys.TableKey, st.integers(0, 99_999_999), writers, st.sampled_from(keys.TABLE_KINDS)
    ),
    level=st.integers(0, 9),
    rows=_counts,
    size=_counts,
    footer=st.integers(8, 2**31),
    crc32=st.integers(0, 2**32 - 1),
    first=run_ids,
    last=run_ids,
    extra=extras(TableFile),
)
checkpoints = st.builds(
    Checkpoint,
    number=versions,
    experiment=experiments,
    write_id=ids,
    written=times,
    orphan_floor=st.integers(0, 99_999_999),
    files=st.lists(table_files, max_size=3).map(tuple),
    extra=extras(Checkpoint).map(lambda extra: {k: extra[k] for k in extra if k != "checkpoint"}),
)
experiment_states = st.builds(
    ExperimentState,
    experiment_id=ids,
    name=experiments,
    created=times,
    description=maybe_texts,
    lifecycle=st.sampled_from(LIFECYCLES),
    archived=maybe_times,
    tags=text_maps,
    extra=extras(ExperimentState),
)
run_states = st.builds(
    RunState,
    run_id=run_ids,
    experiment=experiments,
    number=versions,
    root_run_id=run_ids,
    created=times,
    parent_run_id=st.none() | run_ids,
    name=maybe_texts,
    display_name=maybe_texts,
    description=maybe_texts,
    type=maybe_texts,
    status=st.sampled_from(STATUSES),
    started=maybe_times,
    ended=maybe_times,
    error=st.none() | errors,
    lifecycle=st.sampled_from(LIFECYCLES),
    tags=text_maps,
    params=scalar_maps,
    properties=text_maps,
    extra=extras(RunState),
)
_written_times = times.map(format_time)
ops = st.one_of(
    st.just({"op": "create"}),
    st.fixed_dictionaries(
        {
            "op": st.just("set_status"),
            "status": st.sampled_from(STATUSES),
            "time": _written_times,
        },
        optional={"error": st.none() | errors},
    ),
    st.fixed_dictionaries({"op": st.just("set_tags"), "tags": text_maps}),
    st.fixed_dictionaries({"op": st.just("remove_tags"), "keys": st.lists(texts, max_size=3)}),
    st.fixed_dictionaries(
        {
            "op": st.just("set_params"),
            "params": scalar_maps.map(lambda m: {name: to_json(v) for name, v in m.items()}),
        }
    ),
    st.fixed_dictionaries({"op": st.just("add_properties"), "properties": text_maps}),
    st.fixed_dictionaries(
        {"op": st.just("describe")},
        optional={"display_name": maybe_texts, "description": maybe_texts},
    ),
    st.fixed_dictionaries(
        {
            "op": st.just("set_lifecycle"),
            "lifecycle": st.sampled_from(LIFECYCLES),
            "time": _written_times,
        }
    ),
    st.fixed_dictionaries({"op": st.just("invented_later"), "more": json_values}),
)


@st.composite
def chain_versions(draw: st.DrawFn, states: st.SearchStrategy[Any]) -> Version[Any]:
    """Draw one version of a chain, blind ones and tombstones too."""
    number = draw(versions)
    if draw(st.integers(0, 3)) == 0:
        return Version(
            version=number,
            write_id=draw(ids),
            written=draw(times),
            ops=({"op": "purge"},),
            state=None,
            purged=draw(times),
            experiment=draw(ids),
        )
    blind = number > 1 and draw(st.booleans())
    return Version(
        version=number,
        write_id=draw(ids),
        written=draw(times),
        ops=tuple(draw(st.lists(ops, max_size=3))),
        state=None if blind else draw(states),
        base=draw(st.integers(1, number - 1)) if blind else None,
    )
