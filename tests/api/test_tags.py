"""Tags, which change; properties, which never do; parameters."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from objrun import Experiment, Run, UserErrorException, Workspace
from objrun.errors import PropertyConflictError
from objrun.format import keys
from objrun.format.documents import encode_property
from objrun.format.states import Property
from tests.api.places import another, refused, store_of


def stored(run: Run) -> Run:
    return another(run.experiment.workspace).get_run(run.id)


def test_tags(any_ws: Workspace) -> None:
    run = Experiment(any_ws, "digits").start_logging(tags={"a": 1})
    assert run.tag("b") is None  # type: ignore[func-returns-value]
    assert run.tag("c", 0.5) is None  # type: ignore[func-returns-value]
    assert run.set_tags({"a": "2", "d/ä": True}) is None  # type: ignore[func-returns-value]
    run.set_tags("plain")
    expected = {"a": "2", "b": None, "c": "0.5", "d/ä": "True", "plain": None}
    assert run.tags == run.get_tags() == stored(run).tags == expected
    assert run.remove_tags(["a", "b", "nope"]) == {"c": "0.5", "d/ä": "True", "plain": None}
    assert run.remove_tags("plain") == {"c": "0.5", "d/ä": "True"}
    assert stored(run).tags == {"c": "0.5", "d/ä": "True"}


def test_a_handle_keeps_what_it_read_until_it_reads_again(run: Run) -> None:
    other = stored(run)
    run.tag("a", "1")
    assert other.tags == {}
    assert other.get_tags() == other.tags == {"a": "1"}


def test_what_is_returned_is_a_copy(run: Run) -> None:
    for mapping in (run.tags, run.properties, run.get_tags(), run.get_properties()):
        mapping["mine"] = "1"
    run.get_params()["mine"] = "1"
    assert "mine" not in {**run.tags, **run.properties, **run.get_params()}


def test_handles_add_tags_at_once_and_none_is_lost(run: Run) -> None:
    start = threading.Barrier(6)

    def tag(number: int) -> None:
        handle = stored(run)
        start.wait()
        for turn in range(5):
            handle.tag(f"{number}.{turn}", turn)

    with ThreadPoolExecutor(6) as pool:
        list(pool.map(tag, range(6)))
    assert len(run.get_tags()) == 30
    assert len(run.history()) == 31


def test_one_handle_is_shared_by_threads(run: Run) -> None:
    with ThreadPoolExecutor(6) as pool:
        list(pool.map(lambda n: run.tag(str(n), n), range(30)))
    assert run.tags == {str(n): str(n) for n in range(30)}


class TestProperties:
    def test_are_added(self, any_ws: Workspace) -> None:
        run = Experiment(any_ws, "digits").start_logging(properties={"p": 1})
        run.add_properties({"a": "1", "n": 5, "none": None, "ä/../b": "x", "k" * 900: "long"})
        expected = {"p": "1", "a": "1", "n": "5", "none": None, "ä/../b": "x", "k" * 900: "long"}
        for found in (run.properties, run.get_properties(), stored(run).properties):
            assert found.items() >= expected.items()

    def test_start_with_the_facts(self, run: Run) -> None:
        assert {"objrun.host", "objrun.python", "objrun.pid"} <= set(run.properties)

    @pytest.mark.parametrize("other", ["2", None, ""])
    def test_never_change(self, run: Run, other: str | None) -> None:
        run.add_properties({"a": "1"})
        workspace = run.experiment.workspace
        for handle in (run, stored(run)):
            with refused(workspace, PropertyConflictError, "'a'", "'1'", "written once"):
                handle.add_properties({"b": "2", "a": other})
        assert issubclass(PropertyConflictError, UserErrorException)

    def test_of_the_start_never_change_either(self, run: Run) -> None:
        with refused(run.experiment.workspace, PropertyConflictError, "objrun.host"):
            run.add_properties({"objrun.host": "elsewhere"})

    def test_that_another_took_are_told_from_those_that_were_added(self, run: Run) -> None:
        """Another writer has claimed `b` and not yet copied it into the state."""
        theirs = Property(run_id=run.id, key="b", value="theirs", write_id="0" * 32)
        place = keys.run_property(run.id, "b")
        store_of(run.experiment.workspace).put(place, encode_property(theirs))
        with pytest.raises(PropertyConflictError) as caught:
            run.add_properties({"a": "1", "b": "2", "c": "3"})
        assert "property 'b'" in str(caught.value)
        assert "'a' was added" in str(caught.value)
        found = stored(run).properties
        assert {key: found.get(key) for key in "abc"} == {"a": "1", "b": "theirs", "c": None}
        with pytest.raises(PropertyConflictError) as caught:
            run.add_properties({"b": "2", "c": "3"})
        assert "was added" not in str(caught.value)

    def test_given_again_or_not_at_all_write_nothing(self, run: Run) -> None:
        run.add_properties({"a": "1"})
        versions = len(run.history())
        run.add_properties({"a": 1})
        run.add_properties({})
        stored(run).add_properties({"a": "1"})
        assert len(run.history()) == versions

    def test_raced_for_have_one_value(self, run: Run) -> None:
        handles = [stored(run) for _ in range(8)]
        start = threading.Barrier(8)

        def add(number: int) -> int | None:
            start.wait()
            try:
                handles[number].add_properties({"winner": number, f"own{number}": "1"})
            except PropertyConflictError:
                return None
            return number

        with ThreadPoolExecutor(8) as pool:
            winners = [n for n in pool.map(add, range(8)) if n is not None]
        assert len(winners) == 1
        assert run.get_properties()["winner"] == str(winners[0])
        assert run.properties[f"own{winners[0]}"] == "1"
        fresh = stored(run)
        with pytest.raises(PropertyConflictError):
            fresh.add_properties({"winner": "nobody"})


class TestParameters:
    def test_change_and_keep_their_history(self, any_ws: Workspace) -> None:
        run = Experiment(any_ws, "digits").start_logging()
        run.log_params({"lr": 0.1, "n": 3, "on": True, "none": None, "text": "ä"})
        run.log_params({"lr": 0.2})
        run.log_params({})
        expected = {"lr": 0.2, "n": 3, "on": True, "none": None, "text": "ä"}
        assert run.get_params() == stored(run).get_params() == expected
        assert len(run.history()) == 3

    @pytest.mark.parametrize(("old", "new"), [(1, True), (1, 1.0), (0.0, -0.0), (True, 1)])
    def test_change_their_type(self, run: Run, old: Any, new: Any) -> None:
        run.log_params({"x": old})
        run.log_params({"x": new})
        assert repr(stored(run).get_params()["x"]) == repr(new)
