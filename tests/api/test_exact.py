"""Whatever is logged comes back as what it was: type, bits, order and number."""

from __future__ import annotations

import enum
import math
import subprocess
import sys
from typing import Any

import numpy as np
import polars as pl
import pyarrow as pa
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from objrun import Experiment, Run, Workspace, clock
from objrun.errors import MetricDroppedWarning
from tests.api.exact import bits, one_or_many
from tests.api.places import another

TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**70), 2**70),
    st.sampled_from([2**53, 2**53 + 1, -(2**53) - 1, 2**63, 10**400, -(10**3000)]),
    st.floats(),
    st.sampled_from([math.nan, math.inf, -math.inf, -0.0, 5e-324, 1.7976931348623157e308]),
    TEXTS,
)
STEPS = st.none() | st.integers(-(2**63), 2**63 - 1) | st.integers(-3, 3)
NAMES = st.sampled_from(["loss", "val/acc", "ä😀", " ", "a.b", "\0"])


def start() -> Run:
    return Experiment(Workspace(f"memory://{clock.random_hex(8)}"), "e").start_logging()


def reread(run: Run) -> Run:
    """The run through a handle that knows nothing but the store."""
    return another(run.experiment.workspace).get_run(run.id)


def in_order(points: list[tuple[Any, int | None]]) -> list[Any]:
    steps = [step for _, step in points if step is not None]
    places: list[int] = [*range(len(points))]
    if len(steps) == len(points):
        places.sort(key=steps.__getitem__)
    return [points[place][0] for place in places]


@pytest.mark.filterwarnings("ignore::objrun.errors.StepWarning")
@settings(max_examples=30)
@example([("loss", 1.0, 3), ("loss", 2.0, 1), ("loss", 3.0, 1)], {1})
@given(
    st.lists(st.tuples(NAMES, SCALARS, STEPS), min_size=1, max_size=12), st.sets(st.integers(0, 12))
)
def test_scalars_come_back(points: list[tuple[str, Any, int | None]], flushes: set[int]) -> None:
    run = start()
    logged: dict[str, list[tuple[Any, int | None]]] = {}
    for place, (name, value, step) in enumerate(points):
        run.log(name, value, step=step)
        logged.setdefault(name, []).append((value, step))
        if place in flushes:
            run.flush()
    expected = {name: one_or_many(in_order(values)) for name, values in logged.items()}
    assert bits(run.get_metrics()) == bits(expected)
    fresh = reread(run)
    assert bits(fresh.get_metrics()) == bits(expected)
    assert list(fresh.get_metrics()) == list(logged), "metrics come in order of first logging"
    name = points[0][0]
    assert bits(fresh.get_metrics(name)) == bits({name: expected[name]})
    frame = fresh.metrics().collect()
    assert frame.height == len(points)
    for name, values in logged.items():
        steps = frame.filter(pl.col("name") == name)["step"].to_list()
        assert steps == in_order([(step, step) for _, step in values])


@settings(max_examples=30)
@given(st.lists(SCALARS, min_size=1, max_size=8), st.lists(SCALARS, max_size=3))
def test_lists_come_back_as_lists(first: list[Any], second: list[Any]) -> None:
    run = start()
    run.log_list("x", first)
    if second:
        run.log_list("x", second)
    run.log("x", "end")
    expected = [*widened(first), *widened(second), "end"]
    run.flush()
    assert bits(reread(run).get_metrics()) == bits({"x": expected})


def widened(items: list[Any]) -> list[Any]:
    """Integers beside floats alone become floats, where a float can hold them."""
    if {type(item) for item in items} != {int, float}:
        return items
    return [float(i) if isinstance(i, int) and abs(i) <= 2**53 else i for i in items]


COLUMNS = st.dictionaries(
    st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=4),
    SCALARS,
    min_size=1,
    max_size=4,
)


@settings(max_examples=30)
@given(st.lists(COLUMNS, min_size=1, max_size=3))
def test_rows_come_back(rows: list[dict[str, Any]]) -> None:
    run = start()
    taken = {"self", "name", "description"}
    rows = [{k: v for k, v in row.items() if k not in taken} or {"a": 1} for row in rows]
    for row in rows:
        run.log_row("r", **row)
    run.flush()
    names = list(dict.fromkeys(name for row in rows for name in row))
    joined = {name: [row.get(name) for row in rows] for name in names}
    assert bits(reread(run).get_metrics()) == bits({"r": rows[0] if len(rows) == 1 else joined})


@settings(max_examples=30)
@given(
    st.integers(1, 4).flatmap(
        lambda n: st.dictionaries(
            TEXTS.filter(bool), st.lists(SCALARS, min_size=n, max_size=n), min_size=1, max_size=3
        )
    )
)
def test_tables_come_back_as_lists(table: dict[str, list[Any]]) -> None:
    run = start()
    run.log_table("t", table)
    assert bits(run.get_metrics()) == bits({"t": table})
    run.log_table("t", table)
    run.flush()
    twice = {name: [*column, *column] for name, column in table.items()}
    assert bits(reread(run).get_metrics()) == bits({"t": twice})


@settings(max_examples=30)
@given(st.dictionaries(TEXTS.filter(bool), SCALARS, max_size=4), st.data())
def test_parameters_come_back(params: dict[str, Any], data: st.DataObject) -> None:
    run = start()
    run.log_params(params)
    assert bits(run.get_params()) == bits(params)
    assert bits(reread(run).get_params()) == bits(params)
    changed = {name: data.draw(SCALARS) for name in params}
    run.log_params(changed)
    assert bits(reread(run).get_params()) == bits(changed)


PLAIN_TYPES = [np.bool_, *np.sctypeDict.values()]
PLAIN_TYPES = sorted({t for t in PLAIN_TYPES if np.dtype(t).kind in "biuf"}, key=str)


@pytest.mark.parametrize("kind", PLAIN_TYPES, ids=lambda kind: kind.__name__)
def test_every_number_of_numpy_is_its_python_value(kind: Any) -> None:
    run = start()
    limits: list[Any] = [0, 1]
    if np.dtype(kind).kind in "iu":
        limits += [np.iinfo(kind).min, np.iinfo(kind).max]
    elif np.dtype(kind).kind == "f":
        info = np.finfo(kind)
        limits += [info.max, info.tiny, info.smallest_subnormal, 0.1, math.nan, math.inf, -0.0]
    values = [np.array(limit).astype(kind)[()] for limit in limits]
    for place, value in enumerate(values):
        run.log("scalar", value, step=place)
        run.log("array", np.array(value))
    run.log_list("list", values)
    run.log_row("row", x=values[-1])
    run.log_table("table", {"x": np.array(values)})
    run.log_params({"p": values[-1]})
    run.tag("t", values[1])
    expected = [value.item() for value in values]
    if kind is np.longdouble:
        expected = [repr(value) for value in values]
    found = run.get_metrics()
    assert bits(found["scalar"]) == bits(expected)
    assert bits(found["array"]) == bits(expected)
    assert bits(found["list"]) == bits(expected)
    assert bits(found["row"]) == bits({"x": expected[-1]})
    assert bits(found["table"]) == bits({"x": expected})
    assert bits(run.get_params()["p"]) == bits(expected[-1])
    assert run.tags["t"] == str(values[1])


@pytest.mark.parametrize(
    "kind", [k for k in PLAIN_TYPES if k is not np.longdouble], ids=lambda k: k.__name__
)
def test_a_batch_of_numpy_comes_back(kind: Any) -> None:
    run = start()
    limits: list[Any] = [0, 1]
    if np.dtype(kind).kind in "iu":
        limits += [max(np.iinfo(kind).min, -(2**53)), min(np.iinfo(kind).max, 2**53)]
    elif np.dtype(kind).kind == "f":
        limits += [np.finfo(kind).max, np.finfo(kind).smallest_subnormal, math.nan, math.inf, -0.0]
    values = np.array([np.array(limit).astype(kind)[()] for limit in limits], dtype=kind)
    run.log_batch("x", values)
    run.log_batch("every-second", values[::2])
    run.log_batch("backwards", values[::-1])
    found = run.get_metrics()
    assert bits(found["x"]) == bits(values.tolist())
    assert bits(found["every-second"]) == bits(one_or_many(values[::2].tolist()))
    assert bits(found["backwards"]) == bits(values[::-1].tolist())


@settings(max_examples=30)
@given(
    npst.arrays(
        npst.floating_dtypes(endianness="=", sizes=(16, 32, 64))
        | npst.integer_dtypes(endianness="=", sizes=(8, 16, 32)),
        st.integers(2, 6),
    ),
    st.lists(st.integers(-(2**63), 2**63 - 1), min_size=6, max_size=6),
)
def test_any_batch_with_steps_comes_back_in_their_order(values: Any, steps: list[int]) -> None:
    run = start()
    count = len(values)
    run.log_batch("x", values, steps=np.array(steps[:count]))
    expected = in_order(list(zip(values.tolist(), steps, strict=False)))
    assert bits(run.get_metrics()) == bits({"x": expected})


BATCHES: dict[str, tuple[Any, list[Any]]] = {
    "list": ([1, 2.5], [1.0, 2.5]),
    "ints": ((1, 2), [1, 2]),
    "bools": ([True, False], [True, False]),
    "nones": ([None, None], [None, None]),
    "range": (range(2), [0, 1]),
    "arrow": (pa.array([1.5, None]), [1.5, None]),
    "arrow slice": (pa.array([9, 1, 2, 9])[1:3], [1, 2]),
    "arrow chunks": (pa.chunked_array([[1], [2, None]]), [1, 2, None]),
    "arrow bools": (pa.array([True, None]), [True, None]),
    "arrow halves": (pa.array(np.array([1, 2], np.float16)), [1.0, 2.0]),
    "polars": (pl.Series([1.0, None, 2.0]), [1.0, None, 2.0]),
    "polars ints": (pl.Series([1, 2], dtype=pl.UInt8), [1, 2]),
    "masked": (np.ma.masked_equal(np.array([1.0, 2.0]), 2.0), [1.0, None]),
    "objects": (np.array([1, 2], dtype=object), [1, 2]),
}


class Tensor:
    """What objrun asks of a tensor of torch."""

    def __init__(self, value: Any) -> None:
        self._held = np.array(value)
        self.shape = self._held.shape
        self.dtype = self._held.dtype

    def item(self) -> Any:
        return self._held.item()

    def __array__(self) -> Any:
        return self._held


def test_a_batch_may_be_a_tensor() -> None:
    run = start()
    held = np.array([0.5, 0.25])
    tensor = Tensor(held)
    tensor._held = held  # noqa: SLF001 - its own memory, as a tensor of torch shares it
    run.log_batch("x", tensor, steps=Tensor([1, 2]))
    held[:] = 9.0
    assert run.get_metrics() == {"x": [0.5, 0.25]}


SINGLES: dict[str, tuple[Any, Any]] = {
    "float": (np.array([0.5]), 0.5),
    "2-d": (np.array([[0.5]]), 0.5),
    "float32": (np.array([0.1], np.float32), np.float32(0.1).item()),
    "int": (np.array([[7]], np.uint64), 7),
    "bool": (np.array([True]), True),
    "text": (np.array(["a"]), "a"),
    "none": (np.array([None]), None),
    "nan": (np.array([math.nan]), math.nan),
    "longdouble": (np.array([0.1], np.longdouble), repr(np.longdouble(np.array([0.1])[0]))),
    "polars": (pl.Series([3]), 3),
    "polars frame": (pl.DataFrame({"a": [3]}), 3),
    "tensor": (Tensor([[2.5]]), 2.5),
    "0-d tensor": (Tensor(2.5), 2.5),
}


@pytest.mark.parametrize("kind", SINGLES)
def test_an_array_of_one_element_is_that_element(kind: str) -> None:
    run = start()
    value, expected = SINGLES[kind]
    run.log("x", value)
    run.log_metrics({"y": value}, step=1)
    assert bits(run.get_metrics()) == bits({"x": expected, "y": expected})


@pytest.mark.parametrize("kind", [np.int8, np.int64, np.uint64, np.intp])
def test_a_step_may_be_any_integer_of_numpy(kind: Any) -> None:
    run = start()
    for step in (2, 1):
        run.log("x", step, step=kind(step))
        run.log("y", step, step=np.array(step, kind))  # type: ignore[arg-type]
    assert run.get_metrics() == {"x": [1, 2], "y": [1, 2]}


@pytest.mark.parametrize("kind", BATCHES)
def test_a_batch_may_be_any_array(kind: str) -> None:
    run = start()
    values, expected = BATCHES[kind]
    run.log_batch("x", values)
    assert bits(run.get_metrics()) == bits({"x": expected})


LOGS = st.one_of(
    st.tuples(st.just("log"), SCALARS),
    st.tuples(st.just("log_batch"), st.lists(st.floats(), min_size=1, max_size=3)),
    st.tuples(st.just("log_batch"), st.lists(st.integers(-9, 9), min_size=1, max_size=3)),
    st.tuples(st.just("log_batch"), st.lists(st.booleans(), min_size=1, max_size=3)),
    st.tuples(
        st.just("log_batch"), st.lists(st.none() | st.integers(0, 9), min_size=1, max_size=3)
    ),
    st.tuples(st.just("log_batch"), st.lists(st.none() | st.floats(), min_size=1, max_size=3)),
    st.tuples(st.just("log_list"), st.lists(TEXTS, min_size=1, max_size=3)),
    st.tuples(st.just("flush"), st.none()),
)


@settings(max_examples=80)
@example([("a", ("log", 1)), ("b", ("log_batch", [1, 2]))])
@example([("a", ("log_batch", [1])), ("a", ("log_batch", [None, 1])), ("a", ("log", "x"))])
@given(st.lists(st.tuples(st.sampled_from("ab"), LOGS), min_size=1, max_size=10))
def test_ways_of_logging_mix(calls: list[tuple[str, tuple[str, Any]]]) -> None:
    run = start()
    expected: dict[str, list[Any]] = {}
    listed = set()
    for name, (way, value) in calls:
        if way == "flush":
            run.flush(20)
            continue
        getattr(run, way)(name, value)
        expected.setdefault(name, []).extend([value] if way == "log" else value)
        if way == "log_list":
            listed.add(name)
    run.flush(20)
    found = reread(run).get_metrics()
    wanted = {n: v if n in listed else one_or_many(v) for n, v in expected.items()}
    assert bits(found) == bits(wanted)


def test_a_batch_is_what_it_was_when_it_was_logged() -> None:
    run = start()
    values, steps = np.arange(4.0), np.arange(4)
    seconds = np.arange(4.0)
    run.log_batch("x", values, steps=steps, times=seconds)
    for array in (values, steps, seconds):
        array[:] = 7
    frame = run.metrics().collect()
    assert frame["value"].to_list() == [0.0, 1.0, 2.0, 3.0]
    assert frame["step"].to_list() == [0, 1, 2, 3]
    assert [time.timestamp() for time in frame["time"]] == [0.0, 1.0, 2.0, 3.0]


def test_the_items_of_a_list_are_what_they_were() -> None:
    run = start()
    values, table = [1.0], {"a": [1]}
    run.log_list("x", values)
    run.log_table("t", table)
    values.append(2.0)
    table["a"].append(2)
    assert run.get_metrics() == {"x": [1.0], "t": {"a": [1]}}


@pytest.mark.parametrize(
    "times",
    [
        [0.5, 1700000000.25],
        np.array(["1970-01-01T00:00:00.5", "2023-11-14T22:13:20.25"], "datetime64[ms]"),
        np.array(["1970-01-01T00:00:00.5", "2023-11-14T22:13:20.25"], "datetime64[ns]"),
        pa.array([500_000, 1_700_000_000_250_000], pa.timestamp("us")),
        pa.array([500, 1_700_000_000_250], pa.timestamp("ms", "Asia/Tokyo")),
    ],
    ids=["seconds", "datetime64[ms]", "datetime64[ns]", "arrow", "arrow in Tokyo"],
)
def test_times_of_a_batch_come_back(times: Any) -> None:
    run = start()
    run.log_batch("x", [1.0, 2.0], times=times)
    found = run.metrics().collect()["time"]
    assert [time.timestamp() for time in found] == [0.5, 1700000000.25]
    assert found.dtype == pl.Datetime("us", "UTC")


class Nothing:
    def __repr__(self) -> str:
        return "<nothing>"


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ((1, 2), "(1, 2)"),
        ({"a": 1}, "{'a': 1}"),
        ({1}, "{1}"),
        (b"x", "b'x'"),
        (1 + 2j, "(1+2j)"),
        (Nothing(), "<nothing>"),
        (np.complex64(1), "(1+0j)"),
        (np.str_("text"), "text"),
        (np.bool_(True), True),
    ],
    ids=repr,
)
def test_other_objects_are_kept_as_they_look(value: Any, expected: Any) -> None:
    run = start()
    run.log("x", value)
    assert bits(run.get_metrics()) == bits({"x": expected})


class Color(str, enum.Enum):  # noqa: UP042 - as most programs still write it
    RED = "red"


class Size(enum.IntEnum):
    LARGE = 3


def test_members_of_enums_are_their_values() -> None:
    run = start()
    run.log("color", Color.RED)
    run.log("size", Size.LARGE)
    run.log_params({"color": Color.RED, "size": Size.LARGE})
    run.tag("color", Color.RED)
    assert bits(run.get_metrics()) == bits({"color": "red", "size": 3})
    assert bits(reread(run).get_params()) == bits({"color": "red", "size": 3})
    assert run.tags == {"color": "red"}


def test_kinds_under_one_name_do_not_mix() -> None:
    run = start()
    run.log("x", 1.0)
    with pytest.warns(MetricDroppedWarning, match="'x'.*is a scalar"):
        run.log_row("x", a=1)
    with pytest.warns(MetricDroppedWarning, match="'x'.*is a scalar"):
        run.log_table("x", {"a": [1]})
    run.log_list("x", [2.0])
    assert run.get_metrics() == {"x": [1.0, 2.0]}


@pytest.mark.parametrize(
    ("method", "value"),
    [("log_list", []), ("log_table", {}), ("log_table", {"a": []}), ("log_batch", [])],
)
def test_what_is_empty_is_dropped_with_a_warning(method: str, value: Any) -> None:
    run = start()
    with pytest.warns(MetricDroppedWarning, match="'x'.*empty.*not kept"):
        getattr(run, method)("x", value)
    with pytest.warns(MetricDroppedWarning, match="without columns"):
        run.log_row("x")
    assert run.get_metrics() == {}


def test_another_process_reads_the_same(tmp_path: Any) -> None:
    run = Experiment(Workspace(tmp_path / "s"), "e").start_logging()
    values = [2**60 + 1, -0.0, 5e-324, math.inf, True, None, "ä😀", math.nan]
    for value in values:
        run.log("x", value)
    run.log_table("t", {"a": [1, None], "b": ["x", 0.5]})
    run.log_params({"big": 2**100, "flag": False})
    run.complete()
    program = (
        "import sys, objrun; run = objrun.Workspace(sys.argv[1]).get_run(sys.argv[2]);"
        "sys.stdout.reconfigure(encoding='utf-8');"
        "print(run.get_metrics(), run.get_params(), run.status)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path / "s"), run.id],
        capture_output=True,
        check=True,
        cwd=tmp_path,
    )
    told = f"{run.get_metrics()} {run.get_params()} Completed"
    assert done.stdout.decode().strip() == told
    assert told.startswith(str({"x": values})[:-1])
