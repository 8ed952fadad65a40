"""Faulty calls: the right exception, a message that says what to do, and not one byte written."""

from __future__ import annotations

import json
import math
import os
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from objrun import Experiment, ObjrunError, Run, UserErrorException, Workspace
from objrun.errors import (
    NotAStoreError,
    PermissionDeniedError,
    RunExistsError,
    StoreError,
    UnsupportedFormatError,
)
from objrun.storage import connect
from objrun.storage.wrappers import FaultyStore
from tests.api.places import another, contents, refused, store_of

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    Call = Callable[[Any], Any]

LONE = "\ud800"
LONG = "x" * 1001

NAMES: dict[str, tuple[Any, str]] = {
    "empty": ("", "has 1 to 1000 characters, not 0"),
    "over-long": (LONG, "has 1 to 1000 characters, not 1001"),
    "no text": (5, "is text, not int"),
    "none": (None, "is text, not NoneType"),
    "unhashable": ([], "is text, not list"),
    "no Unicode": (LONE, "is not valid Unicode"),
}
TAKES_NAMES: dict[str, tuple[str, Callable[[Run, Any], Any]]] = {
    "log": ("the name of a metric", lambda run, name: run.log(name, 1.0)),
    "log int": ("the name of a metric", lambda run, name: run.log(name, 1)),
    "log_list": ("the name of a metric", lambda run, name: run.log_list(name, [1])),
    "log_row": ("the name of a metric", lambda run, name: run.log_row(name, a=1)),
    "log_table": ("the name of a metric", lambda run, name: run.log_table(name, {"a": [1]})),
    "log_batch": ("the name of a metric", lambda run, name: run.log_batch(name, [1])),
    "log_metrics": (
        "the name of a metric",
        lambda run, name: run.log_metrics({"fine": 1, name: 1}),
    ),
    "log_params": ("the name of a parameter", lambda run, name: run.log_params({"a": 1, name: 1})),
    "tag": ("the name of a tag", lambda run, name: run.tag(name, "x")),
    "set_tags": ("the name of a tag", lambda run, name: run.set_tags({"a": 1, name: "x"})),
    "remove_tags": ("the name of a tag", lambda run, name: run.remove_tags([name])),
    "add_properties": (
        "the name of a property",
        lambda run, name: run.add_properties({"a": "1", name: "x"}),
    ),
    "column of a table": (
        "the name of a column",
        lambda run, name: run.log_table("t", {"a": [1], name: [1]}),
    ),
    "experiment.tag": ("the name of a tag", lambda run, name: run.experiment.tag(name)),
    "start_logging(tags)": (
        "the name of a tag",
        lambda run, name: run.experiment.start_logging(tags={name: "x"}),
    ),
    "start_logging(properties)": (
        "the name of a property",
        lambda run, name: run.experiment.start_logging(properties={name: "x"}),
    ),
    "create_children": (
        "the name of a tag",
        lambda run, name: run.create_children(tag_key=name, tag_values=[1]),
    ),
}


@pytest.mark.parametrize("kind", NAMES)
@pytest.mark.parametrize("taker", TAKES_NAMES)
def test_names(run: Run, taker: str, kind: str) -> None:
    name, words = NAMES[kind]
    what, call = TAKES_NAMES[taker]
    if kind == "unhashable" and taker not in ("log", "log int", "log_list", "remove_tags"):
        return
    if kind == "none" and taker == "create_children":
        words, what = "tag_key with tag_values", "create_children"
    with refused(run.experiment.workspace, UserErrorException, words, what):
        call(run, name)
    assert run.get_metrics() == {}


def test_a_name_may_be_as_long_as_allowed(run: Run) -> None:
    name = "é" * 1000
    run.log(name, 1)
    run.tag(name, "x")
    run.add_properties({name: "x"})
    run.log_params({name: 1})
    run.complete()
    again = another(run.experiment.workspace).get_run(run.id)
    assert again.get_metrics() == {name: 1}
    assert again.tags == {name: "x"}
    assert again.properties[name] == "x"
    assert again.get_params() == {name: 1}


IDS = {
    "empty": "",
    "parent": "../x",
    "dots": "..",
    "slash": "a/b",
    "backslash": "a\\b",
    "NUL": "a\0b",
    "newline": "a\n",
    "dash first": "-a",
    "blank": "a b",
    "colon": "a:b",
    "percent": "a%2Fb",
    "1 kB": "x" * 1024,
    "no ASCII": "é",
    "no text": 5,
}


@pytest.mark.parametrize("kind", IDS)
def test_run_ids(run: Run, kind: str) -> None:
    run_id: Any = IDS[kind]
    workspace, experiment = run.experiment.workspace, run.experiment
    words = "a run id is text, not int" if kind == "no text" else "run id"
    calls: list[Callable[[], object]] = [
        lambda: experiment.start_logging(run_id=run_id),
        lambda: run.child_run(run_id=run_id),
        lambda: workspace.get_run(run_id),
        lambda: Run.get(workspace, run_id),
        lambda: Run(experiment, run_id),
    ]
    for call in calls:
        with refused(workspace, UserErrorException, words):
            call()


def test_a_run_id_that_is_taken(run: Run) -> None:
    workspace = run.experiment.workspace
    elsewhere = Experiment(workspace, "elsewhere")
    for start in (
        run.experiment.start_logging,
        run.child_run,
        elsewhere.start_logging,
        Experiment(another(workspace), "digits").start_logging,
    ):
        with refused(workspace, RunExistsError, run.id, "choose another"):
            start(run_id=run.id)
    assert issubclass(RunExistsError, UserErrorException)


@pytest.mark.parametrize(
    "step", [1.5, 1.0, "1", True, np.float64(1), np.bool_(True), [1], math.nan]
)
@pytest.mark.parametrize("value", [0.5, 1, "x"])
def test_steps_are_integers(run: Run, step: Any, value: Any) -> None:
    kind = type(step).__name__
    with refused(run.experiment.workspace, UserErrorException, "step is an integer", kind):
        run.log("x", value, step=step)
    with refused(run.experiment.workspace, UserErrorException, "step is an integer", kind):
        run.log_metrics({"x": value}, step=step)
    assert run.get_metrics() == {}


@pytest.mark.parametrize("step", [2**63, -(2**63) - 1, 10**30])
def test_steps_have_64_bits(run: Run, step: int) -> None:
    with refused(run.experiment.workspace, UserErrorException, str(step), "64 bits"):
        run.log("x", 1.0, step=step)
    assert run.get_metrics() == {}


VALUES: dict[str, tuple[Call, tuple[str, ...]]] = {
    "several": (lambda run: run.log({"a": 1}), ("log_metrics({...}, step=...)", "log_row(")),
    "several at a step": (lambda run: run.log({"a": 1}, 2), ("log_metrics", "log_row")),
    "no value": (lambda run: run.log("x"), ("'x'", "no value")),
    "metric to read": (lambda run: run.get_metrics(3), ("the name of a metric is text, not int",)),
    "document": (
        lambda run: run.log_confusion_matrix("x", np.eye(2)),
        ("'x'", "is a dict, or its JSON text, not ndarray", "objrun.schemas.confusion_matrix()"),
    ),
    "document of no JSON": (
        lambda run: run.log_residuals("x", "a/b"),
        ("'a/b' is not", "JSON"),
    ),
    "list": (lambda run: run.log("x", [1]), ("'x'", "a list", "use log_list")),
    "range": (lambda run: run.log("x", range(2)), ("'x'", "a range", "use log_list")),
    "generator": (lambda run: run.log("x", (i for i in [1])), ("generator", "use log_list")),
    "function": (lambda run: run.log("x", lambda: 1), ("function", "use log_list")),
    "array": (lambda run: run.log("x", np.array([1, 2])), ("ndarray", "use log_list")),
    "empty array": (lambda run: run.log("x", np.array([])), ("ndarray", "use log_list")),
    "array in an array": (
        lambda run: run.log("x", np.array([[[1, 2]], None], object)[:1]),
        ("a list", "use log_list"),
    ),
    "surrogate": (lambda run: run.log("x", LONE), ("'x'", "not valid Unicode")),
    "far too long": (lambda run: run.log("x", 1 << 13000), ("'x'", "13001 bits", "too long")),
    "item": (lambda run: run.log_list("x", [1, b"y"]), ("'x'[1]", "bytes cannot be logged", "use")),
    "nested": (lambda run: run.log_list("x", [[1]]), ("'x'[0]", "list cannot be logged")),
    "2-d": (lambda run: run.log_list("x", np.ones((2, 2))), ("'x'[0]", "ndarray cannot be")),
    "text": (lambda run: run.log_list("x", "abc"), ("'x'", "a list of values is wanted, not str")),
    "dict": (lambda run: run.log_list("x", {"a": 1}), ("a list of values is wanted, not dict",)),
    "number": (lambda run: run.log_list("x", 5), ("a list of values is wanted, not int",)),
    "0-d": (lambda run: run.log_list("x", np.array(5)), ("a list of values is wanted, not nd",)),
    "cell": (lambda run: run.log_row("x", a=1, b=[1]), ("'x'['b']", "list cannot be logged")),
    "no table": (lambda run: run.log_table("x", [1]), ("'x'", "a dict of column name", "list")),
    "table cell": (lambda run: run.log_table("x", {"a": [1, b""]}), ("'x'['a'][1]", "bytes")),
    "column of bytes": (lambda run: run.log_table("x", {"a": b"yz"}), ("'x'['a']", "bytes")),
    "column of keys": (lambda run: run.log_table("x", {"a": {"b": 1}}), ("'x'['a']", "dict")),
    "unequal": (
        lambda run: run.log_table("x", {"a": [1, 2], "b": [1]}),
        ("'x'", "columns are not equally long", "'a': 2, 'b': 1"),
    ),
    "scalar beside list": (
        lambda run: run.log_table("x", {"a": [1, 2], "b": 5}),
        ("not equally long",),
    ),
    "metrics": (lambda run: run.log_metrics([("a", 1)]), ("a dict of metric", "list")),
    "one of metrics": (lambda run: run.log_metrics({"a": 1, "b": [1]}), ("'b'", "use log_list")),
    "parameters": (lambda run: run.log_params([("a", 1)]), ("a dict of parameter", "list")),
    "no parameters": (lambda run: run.log_params(None), ("a dict of parameter", "NoneType")),
    "parameter": (lambda run: run.log_params({"a": 1, "b": [1]}), ("parameter 'b'", "list cannot")),
    "parameter object": (lambda run: run.log_params({"b": object()}), ("parameter 'b'", "object")),
    "long parameter": (
        lambda run: run.log_params({"b": 1 << 13000}),
        ("parameter 'b'", "too long"),
    ),
    "tags": (lambda run: run.set_tags(["a"]), ("a dict of tag to value is wanted, not list",)),
    "tag": (lambda run: run.tag("a", LONE), ("tag 'a'", "not valid Unicode")),
    "properties": (lambda run: run.add_properties(["a"]), ("a dict of property", "list")),
    "property": (lambda run: run.add_properties({"a": LONE}), ("property 'a'", "not valid")),
    "display name": (lambda run: setattr(run, "display_name", LONE), ("display_name", "not valid")),
    "description": (lambda run: setattr(run, "description", LONE), ("description", "not valid")),
    "start": (
        lambda run: run.experiment.start_logging(description=LONE),
        ("description", "not valid Unicode"),
    ),
    "start name": (
        lambda run: run.experiment.start_logging(""),
        ("the name of a run", "1 to 1000"),
    ),
    "start tags": (lambda run: run.experiment.start_logging(tags=["a"]), ("a dict of tag", "list")),
    "child": (lambda run: run.child_run(LONE), ("the name of a child", "not valid Unicode")),
    "experiment": (
        lambda run: setattr(run.experiment, "description", LONE),
        ("description", "not valid Unicode"),
    ),
    "batch of texts": (
        lambda run: run.log_batch("x", ["a"]),
        ("values of 'x' are numbers, not string", "use log_list"),
    ),
    "batch of lists": (lambda run: run.log_batch("x", [[1]]), ("values of 'x'", "list")),
    "2-d batch": (lambda run: run.log_batch("x", np.ones((2, 2))), ("values of 'x'", "dimension")),
    "batch of a number": (lambda run: run.log_batch("x", 5), ("values of 'x'", "array")),
    "batch of a dict": (lambda run: run.log_batch("x", {1: 2}), ("values of 'x'", "dict")),
    "batch of a set": (lambda run: run.log_batch("x", {1}), ("values of 'x'", "set")),
    "batch of large integers": (
        lambda run: run.log_batch("x", [2**53 + 1]),
        ("values of 'x' do not fit",),
    ),
    "batch with too few steps": (
        lambda run: run.log_batch("x", [1, 2], steps=[1]),
        ("'x'", "2 values and 1 steps"),
    ),
    "batch with steps between": (
        lambda run: run.log_batch("x", [1, 2], steps=[1.5, 2.0]),
        ("steps of 'x' are integers, not double",),
    ),
    "batch with large steps": (
        lambda run: run.log_batch("x", [1], steps=np.array([2**63], np.uint64)),
        ("steps of 'x' do not fit",),
    ),
    "batch with too few times": (
        lambda run: run.log_batch("x", [1, 2], times=[1.0]),
        ("'x'", "2 values and 1 times"),
    ),
    "batch with texts for times": (
        lambda run: run.log_batch("x", [1], times=["now"]),
        ("times of 'x' are timestamps or seconds", "string"),
    ),
    "batch with a null for a time": (
        lambda run: run.log_batch("x", [1, 2], times=[1.0, None]),
        ("times of 'x' hold a null",),
    ),
    "batch with NaN for a time": (
        lambda run: run.log_batch("x", [1], times=[math.nan]),
        ("times of 'x'",),
    ),
    "batch with a time far off": (
        lambda run: run.log_batch("x", [1], times=[1e300]),
        ("times of 'x'",),
    ),
}


@pytest.mark.parametrize("kind", VALUES)
def test_values(run: Run, kind: str) -> None:
    call, words = VALUES[kind]
    with refused(run.experiment.workspace, UserErrorException, *words):
        call(run)
    assert run.get_metrics() == {}
    assert run.get_params() == {}
    assert run.get_tags() == {}


def test_a_refused_call_leaves_the_run_usable(run: Run) -> None:
    for call, _ in VALUES.values():
        with pytest.raises(UserErrorException):
            call(run)
    run.log("x", 1)
    run.complete()
    assert run.get_metrics() == {"x": 1}


def log_and_flush(run: Run) -> None:
    run.log("x", 1)
    run.flush()


class TestPlaces:
    def test_a_folder_that_is_no_store(self, tmp_path: Path) -> None:
        (tmp_path / "thesis.tex").write_text("my work")
        (tmp_path / "deep").mkdir()
        (tmp_path / "deep" / "file").write_text("x")
        workspace = Workspace(tmp_path)
        words = ("is not an objrun store and not empty", "name an empty folder")
        with refused(workspace, NotAStoreError, *words):
            Experiment(workspace, "digits").start_logging()
        with refused(workspace, NotAStoreError, *words):
            Workspace.create(tmp_path)
        for read in (
            lambda: workspace.experiments,
            lambda: workspace.get_run("x"),
            lambda: Experiment(workspace, "digits").get_runs(),
            lambda: Workspace.get(tmp_path),
            workspace.runs,
        ):
            with refused(workspace, NotAStoreError, "there is no objrun store at", str(tmp_path)):
                read()

    def test_a_place_that_is_a_file(self, tmp_path: Path) -> None:
        file = tmp_path / "file"
        file.write_text("x")
        with pytest.raises(ObjrunError) as caught:
            Experiment(Workspace(file), "digits").start_logging()
        assert str(file) in str(caught.value)
        assert file.read_text() == "x"

    @pytest.mark.parametrize(
        ("change", "words"),
        [
            ({"format": 2}, ("format 2", "upgrade")),
            ({"min_reader": 2}, ("upgrade",)),
            ({"features": ["teleport"]}, ("teleport", "upgrade")),
        ],
    )
    def test_a_store_of_a_newer_format(self, run: Run, change: Any, words: Any) -> None:
        workspace = run.experiment.workspace
        store = store_of(workspace)
        header = json.loads(store.get("objrun.json"))
        store.put("objrun.json", json.dumps({**header, **change}).encode())
        for act in (
            lambda: another(workspace).get_run(run.id),
            lambda: another(workspace).experiments,
            lambda: Experiment(another(workspace), "digits").start_logging(),
            lambda: Workspace.create(workspace.url, exist_ok=True),
        ):
            with refused(workspace, UnsupportedFormatError, *words):
                act()

    def test_a_store_that_a_newer_objrun_must_write(self, run: Run) -> None:
        workspace = run.experiment.workspace
        store = store_of(workspace)
        header = json.loads(store.get("objrun.json"))
        store.put("objrun.json", json.dumps({**header, "min_writer": 2}).encode())
        assert another(workspace).get_run(run.id).id == run.id
        with refused(workspace, UnsupportedFormatError, "upgrade"):
            Experiment(another(workspace), "digits").start_logging()
        for act in (Run.complete, Run.cancel, Run.child_run, log_and_flush):
            with refused(workspace, UnsupportedFormatError, "upgrade"):
                act(another(workspace).get_run(run.id))
        # The end of the process would complain about the point that waits.
        store.put("objrun.json", json.dumps(header).encode())

    def test_a_run_of_a_newer_format(self, run: Run) -> None:
        workspace = run.experiment.workspace
        store = store_of(workspace)
        key = f"runs/{run.id}/state/00000001.json"
        store.put(key, json.dumps({**json.loads(store.get(key)), "format": 2}).encode())
        with refused(workspace, UnsupportedFormatError, key, "upgrade"):
            another(workspace).get_run(run.id)

    def test_an_experiment_that_a_newer_objrun_compacted(self, run: Run) -> None:
        workspace = run.experiment.workspace
        run.log("x", 1)
        run.flush()
        store_of(workspace).put("experiments/digits/checkpoints/00000001.json", b'{"format":2}')
        for act in (run.get_metrics, run.experiment.get_runs, run.experiment.runs):
            with refused(workspace, UnsupportedFormatError, "digits/checkpoints", "upgrade"):
                act()

    @pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
    def test_a_folder_without_permission(self, tmp_path: Path) -> None:
        locked = tmp_path / "locked"
        locked.mkdir(mode=0o500)
        with pytest.raises(PermissionDeniedError, match="locked"):
            Experiment(Workspace(locked / "store"), "digits").start_logging()

    def test_a_store_that_may_only_be_read(self, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
        """Reading works as ever; each write says that it is not allowed, and changes nothing."""
        run.log("x", 1)
        run.flush()
        workspace = run.experiment.workspace
        denied = PermissionDeniedError("not allowed")

        def read_only(url: str, **options: Any) -> FaultyStore:
            writes = ("put", "put_if_absent", "delete")
            return FaultyStore(
                connect(url, **options), lambda v, _: denied if v in writes else None
            )

        monkeypatch.setattr("objrun.workspace.connect", read_only)
        reader = another(workspace)
        found = reader.get_run(run.id)
        assert found.get_metrics() == {"x": 1}
        assert [r.id for r in reader.experiments["digits"].get_runs()] == [run.id]
        for act in (
            lambda: found.tag("a", "b"),
            lambda: found.log_params({"a": 1}),
            lambda: found.add_properties({"a": 1}),
            found.complete,
            found.child_run,
            lambda: Experiment(reader, "digits").start_logging(),
        ):
            with refused(workspace, PermissionDeniedError, "not allowed"):
                act()
        found.log("y", 1)
        with refused(workspace, PermissionDeniedError, "not allowed"):
            found.flush()
        assert issubclass(PermissionDeniedError, StoreError)
        assert found.get_status() == "Running"
        found._writer.buffer.discard(0)  # type: ignore[union-attr]  # noqa: SLF001
        found._writer.stop()  # type: ignore[union-attr]  # noqa: SLF001

    def test_nothing_is_made_by_reading(self, ws: Workspace) -> None:
        for act in (lambda: ws.experiments, lambda: ws.get_run("x"), lambda: ws.runs().collect()):
            with refused(ws, NotAStoreError, "there is no objrun store at", ws.url):
                act()
        assert contents(ws) == {}
