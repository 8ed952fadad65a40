"""Tables of any size, texts, histograms and documents: exactly what was logged."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np
import orjson
import polars as pl
import pyarrow as pa
import pytest

from objrun import Experiment, Run, Workspace, clock, schemas
from objrun.errors import CorruptObjectError, MetricDroppedWarning, UserErrorException
from objrun.format.media import parse_pack
from tests.api.places import contents, refused, store_of

if TYPE_CHECKING:
    from collections.abc import Callable

MANY = 5000
NUMBERS = pl.DataFrame(
    {
        "int": np.arange(MANY),
        "byte": pl.Series(np.arange(MANY) % 100, dtype=pl.UInt8),
        "float": np.arange(MANY) / 7,
        "half": pl.Series(np.arange(MANY) / 8, dtype=pl.Float32),
        "odd": [float("nan"), float("inf"), None, -0.0] * (MANY // 4),
        "text": [None, "", "ü\0", "x" * 50] * (MANY // 4),
        "flag": [True, False, None, True] * (MANY // 4),
        "void": pl.Series([None] * MANY, dtype=pl.Null),
    }
)
FRAMES: dict[str, Callable[[pl.DataFrame], Any]] = {
    "polars": lambda frame: frame,
    "arrow": lambda frame: frame.to_arrow(),
    "batch": lambda frame: frame.to_arrow().combine_chunks().to_batches()[0],
    "dict of arrays": lambda frame: {name: frame[name].to_numpy() for name in ("int", "float")},
    "dict of lists": lambda frame: frame.select("int", "float", "text", "flag").to_dict(
        as_series=False
    ),
    "mapping": lambda frame: MappingProxyType({"int": frame["int"].to_list()}),
}


@pytest.mark.parametrize("rows", [1, 3, MANY])
@pytest.mark.parametrize("form", FRAMES)
def test_a_table_reads_back_as_it_was(run: Run, form: str, rows: int) -> None:
    table = FRAMES[form](NUMBERS.head(rows))
    run.log_table("t", table)
    names = [*(table if isinstance(table, dict | MappingProxyType) else NUMBERS.columns)]
    expected = NUMBERS.head(rows).select(names)
    assert repr(run.get_metrics()["t"]) == repr(expected.to_dict(as_series=False))
    found = run.get_table("t")
    assert found.columns == names
    assert repr(found.to_dict(as_series=False)) == repr(expected.to_dict(as_series=False))


def test_a_large_frame_is_pieces_of_a_bounded_size(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("objrun.values.frames.PIECE", 60_000)
    for _ in range(2):
        run.log_table("t", NUMBERS)
    both = pl.concat([NUMBERS, NUMBERS])
    assert run.get_table("t").equals(both, null_equal=True)
    assert run.get_metrics()["t"]["text"] == both["text"].to_list()
    pieces = run.metrics().collect()
    assert pieces.height > 6
    assert pieces["type"].unique().to_list() == ["blob"]
    # The second time they are the same bytes.
    assert pieces["data"].n_unique() == pieces.height // 2


def test_uneven_rows_are_in_pieces_that_readers_take(
    ws: Workspace, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Short rows and then long ones; of a row that nobody would read nothing is logged."""
    monkeypatch.setattr("objrun.values.frames.PIECE", 60_000)
    monkeypatch.setattr("objrun.format.bounds.MOST_BYTES", 200_000)
    uneven = pl.DataFrame({"text": ["x"] * MANY + ["y" * 20_000] * 50})
    run.log_table("t", uneven)
    assert run.get_table("t").equals(uneven)
    too_long = pl.concat([uneven, pl.DataFrame({"text": ["z" * 200_000]})])
    with refused(ws, UserErrorException, "metric 'wrong'"):
        run.log_table("wrong", too_long)
    run.flush()
    assert [*run.get_metrics()] == ["t"]


def test_small_and_large_tables_of_a_name_are_one(run: Run) -> None:
    run.log_table("t", {"int": [-1], "more": ["a"]})
    run.log_table("t", NUMBERS.select("int"))
    assert run.get_metrics()["t"]["int"] == [-1, *range(MANY)]
    assert run.get_metrics()["t"]["more"][:2] == ["a", None]
    assert run.get_table("t")["int"].to_list() == [-1, *range(MANY)]


def test_mixed_columns_stay_what_they_are_at_any_size(run: Run) -> None:
    table = {"mixed": [1, "a", None, 2.5, True] * 1000, "large": [2**70] * MANY}
    run.log_table("t", table)
    assert repr(run.get_metrics()["t"]) == repr(table)


def test_dates_times_decimals_and_categories_become_texts(run: Run) -> None:
    day = dt.date(2026, 1, 30)
    run.log_table(
        "t",
        pa.table(
            {
                "day": [day, None],
                "time": [dt.datetime(2026, 1, 30, 1, 2, 3, tzinfo=dt.UTC)] * 2,
                "price": [Decimal("1.50"), None],
                "word": pa.array(["a", "b"]).dictionary_encode(),
            }
        ),
    )
    assert run.get_metrics()["t"] == {
        "day": ["2026-01-30", None],
        "time": ["2026-01-30 01:02:03.000000Z"] * 2,
        "price": ["1.50", None],
        "word": ["a", "b"],
    }


@pytest.mark.parametrize("many", [1, 2000])
def test_categories_of_polars_become_texts(run: Run, many: int) -> None:
    texts = pl.DataFrame({"word": ["a", None, "ü"] * many, "enum": ["b", "a", None] * many})
    kinds = {"word": pl.Categorical(), "enum": pl.Enum(["a", "b"])}
    frame = texts.cast(kinds)  # type: ignore[arg-type]
    run.log_table("t", pl.concat([frame, frame], rechunk=False))
    assert run.get_table("t").equals(pl.concat([texts, texts]))


@pytest.mark.parametrize(
    ("table", "word"),
    [
        (3, "not int"), ("a", "not str"), ([1], "not list"), (pa.table({"a": [[1]]}), "list<"),
        (pa.table({"a": [b"1"]}), "binary"), (pa.table([[1], [2]], names=["a", "a"]), "one name"),
        (pa.table({"a": pa.array([0], pa.timestamp("s", "No/Where"))}), "['a']"),
        (pa.table({"": [1]}), "column"), ({"a": [1], "b": [1, 2]}, "equally long"),
        ({"a": [*range(MANY)], "b": [1, 2]}, "equally long"), ({"a": [object()] * MANY}, "'a'"),
    ],
)  # fmt: skip
def test_what_is_no_table_is_refused(ws: Workspace, run: Run, table: Any, word: str) -> None:
    with refused(ws, UserErrorException, word):
        run.log_table("t", table)


def test_an_empty_frame_is_not_kept(run: Run) -> None:
    nothing: list[Any] = [NUMBERS.head(0), {}, {"a": []}]
    for empty in nothing:
        with pytest.warns(MetricDroppedWarning, match="empty table"):
            run.log_table("t", empty)
    assert run.get_metrics() == {}
    with pytest.raises(UserErrorException, match="no table 't': it has none"):
        run.get_table("t")


def test_rows_are_a_table_and_what_is_none_is_told(run: Run) -> None:
    run.log_row("speed", batch=32, unit="s")
    run.log_row("speed", batch=64)
    run.log("loss", 1.0)
    assert run.get_table("speed").to_dict(as_series=False) == run.get_metrics("speed")["speed"]
    with pytest.raises(UserErrorException, match="perhaps 'speed'; it has speed"):
        run.get_table("sped")
    with pytest.raises(UserErrorException, match="a scalar: get_metrics"):
        run.get_table("loss")


# -- texts and histograms


def test_texts_of_any_length_are_texts(run: Run) -> None:
    texts = ["", "ü\0\n", "x" * (1 << 16), "ü" * (1 << 16)]
    for step, text in enumerate(texts):
        run.log_text("t", text, step=step)
    assert run.get_metrics() == {"t": texts}
    assert run.metrics().collect()["type"].to_list() == ["str", "str", "str", "blob"]
    for wrong in (None, 3, b"a", "\ud800"):
        with pytest.raises(UserErrorException, match="'t'"):
            run.log_text("t", wrong)


def test_a_text_that_is_none_is_damage(ws: Workspace, run: Run) -> None:
    run.log_text("t", "x" * 100_000)
    run.flush()
    key = next(key for key in contents(ws) if parse_pack(key))
    data = contents(ws)[key]
    store_of(ws).put(key, data.replace(b"xxx", b"\xff\xff\xff", 1))
    with pytest.raises(CorruptObjectError):
        run.get_metrics()


def test_histograms_are_those_of_numpy(run: Run) -> None:
    values = np.random.default_rng(1).normal(size=1000)
    run.log_histogram("h", values, step=1)
    run.log_histogram("h", [*values, float("nan")], bins=[-1, 0, 1], step=2)
    run.log_histogram("h", counts=[3, 0.5], edges=[0, 1, 2], step=3)
    run.log_histogram("empty", [])
    first, second, third = run.get_metrics("h")["h"]
    assert [np.array(first[name]) for name in ("counts", "edges")] == [
        pytest.approx(each, abs=0) for each in np.histogram(values, 30)
    ]
    assert second["counts"] == np.histogram(values, [-1, 0, 1])[0].tolist()
    assert third == {"counts": [3.0, 0.5], "edges": [0, 1, 2]}
    assert sum(run.get_metrics("empty")["empty"]["counts"]) == 0


@pytest.mark.parametrize(
    "given",
    [
        {}, {"counts": [1]}, {"values": [1], "counts": [1], "edges": [0, 1]}, {"values": ["a"]},
        {"counts": [1], "edges": [0, 1, 2]}, {"counts": [1], "edges": [1, 0]},
        {"counts": [-1], "edges": [0, 1]}, {"counts": ["a"], "edges": [0, 1]},
        {"values": [1], "bins": 0}, {"values": [1], "step": "a"},
    ],
)  # fmt: skip
def test_what_is_no_histogram_is_refused(ws: Workspace, run: Run, given: Any) -> None:
    with refused(ws, UserErrorException):
        run.log_histogram("h", **given)


# -- documents

DOCUMENTS = {
    "confusion_matrix": schemas.confusion_matrix([0, 1, 1], [0, 1, 0]),
    "accuracy_table": schemas.accuracy_table([0, 1, 1], [0.2, 0.8, 0.4]),
    "residuals": schemas.residuals([1.0, 2.0], [1.5, 2.0]),
    "predictions": schemas.predictions([1.0, 2.0], [1.5, 2.0]),
}


@pytest.mark.parametrize("kind", DOCUMENTS)
def test_a_document_reads_back_as_it_was(ws: Workspace, run: Run, kind: str) -> None:
    log = getattr(run, f"log_{kind}")
    log("d", DOCUMENTS[kind])
    log("d", orjson.dumps(DOCUMENTS[kind]).decode(), description="again, as JSON")
    found = run.get_metrics("d", populate=True)["d"]
    assert [each.convert_to_object() for each in found] == [DOCUMENTS[kind]] * 2
    assert [each.metric_type for each in found] == [kind] * 2
    assert run.get_metrics()["d"][0].startswith("media://")
    for wrong in ("{", {}, [1], {"schema_type": kind, "data": {}}, 3):
        with refused(ws, UserErrorException):
            log("other", wrong)


def test_what_people_look_at_survives_compaction(any_ws: Workspace) -> None:
    run = Experiment(any_ws, "e").start_logging(snapshot_directory=None)
    run.log_table("table", NUMBERS)
    run.log_text("text", "x" * 100_000)
    run.log_histogram("histogram", [1.0, 2.0])
    run.log_confusion_matrix("matrix", DOCUMENTS["confusion_matrix"])
    run.log("loss", 0.5)
    before = run.get_metrics(populate=True)
    run.complete()
    any_ws.compact()
    any_ws.vacuum(retention=dt.timedelta(0))
    after = Run.get(any_ws, run.id).get_metrics(populate=True)
    assert repr(after) == repr(before)
    again = Workspace(f"memory://{clock.random_hex(8)}")
    any_ws.copy_to(again)
    assert repr(Run.get(again, run.id).get_metrics(populate=True)) == repr(before)
    summary = Experiment(any_ws, "e").runs("metrics.loss.last").collect()
    assert summary["metrics.loss.last"].to_list() == [0.5]
