"""Children of runs, and lists of runs: filters, order, and what a list can do."""

from __future__ import annotations

from typing import Any

import pytest

from objrun import Experiment, Run, UserErrorException, Workspace
from tests.api.places import another, refused


def ids(runs: Any) -> list[str]:
    return [run.id for run in runs]


def test_children(live_ws: Workspace) -> None:
    experiment = Experiment(live_ws, "digits")
    root = experiment.start_logging("root")
    first, second = root.child_run("one"), root.child_run("two")
    grandchild = first.child_run()
    other = experiment.start_logging()
    assert (first.name, grandchild.name) == ("root>one", "root>one>")
    assert [run.status for run in (first, second, grandchild)] == ["Running"] * 3
    assert grandchild.parent is not None
    assert grandchild.parent.id == first.id
    again = another(live_ws).get_run(root.id)
    assert ids(again.get_children()) == [second.id, first.id], "newest first, without itself"
    assert ids(again.get_children(recursive=True)) == [grandchild.id, second.id, first.id]
    assert ids(first.get_children(recursive=True)) == [grandchild.id]
    assert ids(second.get_children()) == []
    assert ids(experiment.get_runs()) == [other.id, root.id], "top-level runs, newest first"
    everything = [other.id, grandchild.id, second.id, first.id, root.id]
    assert ids(Run.list(experiment, include_children=True)) == everything


class TestCreateChildren:
    def test_by_count(self, run: Run) -> None:
        children = run.create_children(3)
        assert [child.tags for child in children] == [
            {"azureml.batch_child_number": str(number)} for number in range(3)
        ]
        assert {child.status for child in children} == {"Running"}
        assert set(ids(run.get_children())) == set(ids(children))
        assert isinstance(children, list)

    def test_by_tags(self, run: Run) -> None:
        children = run.create_children(tag_key="fold", tag_values=[1, "b", None])
        assert [child.tags for child in children] == [{"fold": "1"}, {"fold": "b"}, {"fold": None}]

    def test_none(self, run: Run) -> None:
        assert run.create_children(count=0) == []
        assert run.create_children(tag_key="x", tag_values=[]) == []

    @pytest.mark.parametrize(
        ("arguments", "words"),
        [
            ({}, "either count, or tag_key with tag_values"),
            ({"tag_key": "x"}, "tag_key with tag_values"),
            ({"tag_values": ["x"]}, "tag_key with tag_values"),
            ({"count": 1, "tag_key": "x", "tag_values": ["y"]}, "either count"),
            ({"count": 1, "tag_key": "x"}, "either count"),
            ({"count": 101}, "101 children are asked for; one call makes at most 100"),
            ({"tag_key": "x", "tag_values": range(101)}, "101 children"),
            ({"count": -1}, "not -1"),
            ({"count": 1.0}, "not 1.0"),
            ({"count": "1"}, "not '1'"),
            ({"tag_key": "", "tag_values": [1]}, "the name of a tag has 1 to 1000 characters"),
        ],
    )
    def test_that_are_unclear_are_refused(self, run: Run, arguments: Any, words: str) -> None:
        with refused(run.experiment.workspace, UserErrorException, words):
            run.create_children(**arguments)

    def test_on_every_backend_at_once(self, any_ws: Workspace) -> None:
        run = Experiment(any_ws, "digits").start_logging()
        children = run.create_children(tag_key="n", tag_values=range(12))
        assert [child.tags["n"] for child in children] == [str(n) for n in range(12)]
        assert len({child.number for child in children}) == 12


class TestFilters:
    @pytest.fixture
    def tagged(self, experiment: Experiment) -> dict[str, Run]:
        runs = {
            "plain": experiment.start_logging(),
            "a1": experiment.start_logging(tags={"a": "1"}, properties={"p": "1"}),
            "a2": experiment.start_logging(tags={"a": 2, "b": "x"}),
            "a-": experiment.start_logging(tags={"a": None}),
            "empty": experiment.start_logging(tags={"a": ""}),
        }
        runs["a2"].complete()
        runs["a1"].fail()
        return runs

    @pytest.mark.parametrize(
        ("filters", "expected"),
        [
            ({}, "plain a1 a2 a- empty"),
            ({"tags": {}}, "plain a1 a2 a- empty"),
            ({"tags": "a"}, "a1 a2 a- empty"),
            ({"tags": {"a": "1"}}, "a1"),
            ({"tags": {"a": "2"}}, "a2"),
            ({"tags": {"a": None}}, "a-"),
            ({"tags": {"a": ""}}, "empty"),
            ({"tags": {"b": None}}, ""),
            ({"tags": {"a": "2", "b": "x"}}, "a2"),
            ({"tags": {"a": "1", "b": "x"}}, ""),
            ({"tags": "nope"}, ""),
            ({"properties": "p"}, "a1"),
            ({"properties": {"p": "1"}, "tags": "a"}, "a1"),
            ({"properties": {"p": "1"}, "tags": "b"}, ""),
            ({"properties": "objrun.host"}, "plain a1 a2 a- empty"),
            ({"status": "Completed"}, "a2"),
            ({"status": "Failed", "tags": "a"}, "a1"),
            ({"status": "Queued"}, ""),
            ({"type": "azureml.scriptrun"}, ""),
        ],
        ids=repr,
    )
    def test_all_must_pass(self, tagged: dict[str, Run], filters: Any, expected: str) -> None:
        experiment = tagged["plain"].experiment
        wanted = [tagged[name].id for name in reversed(expected.split())]
        assert ids(Run.list(experiment, **filters)) == wanted
        assert ids(experiment.get_runs(**filters)) == wanted
        fresh = Experiment(another(experiment.workspace), experiment.name)
        assert ids(fresh.get_runs(**filters)) == wanted

    def test_of_children(self, run: Run) -> None:
        one, two = run.create_children(tag_key="n", tag_values=["1", "2"])
        deep = one.child_run()
        deep.tag("n", "2")
        one.complete()
        two.add_properties({"azureml.runsource": "kind"})
        assert ids(run.get_children(tags={"n": "2"})) == [two.id]
        assert ids(run.get_children(recursive=True, tags={"n": "2"})) == [deep.id, two.id]
        assert ids(run.get_children(status="Completed")) == [one.id]
        assert ids(run.get_children(type="kind")) == [two.id]
        assert ids(run.get_children(recursive=True, properties={"azureml.runsource": "kind"})) == [
            two.id
        ]

    @pytest.mark.parametrize(
        ("filters", "words"),
        [
            ({"tags": ["a"]}, ("tags is a key or a dict", "list")),
            ({"tags": 5}, ("tags is a key or a dict", "int")),
            ({"tags": {"a": 1}}, ("tags maps text to text or None", "1")),
            ({"properties": ("p",)}, ("properties is a key or a dict", "tuple")),
            ({"status": "Done"}, ("status 'Done' is none of", "Completed")),
            ({"status": "completed"}, ("'completed'",)),
            ({"where": "x > 1"}, ("where is a polars expression", "x > 1")),
        ],
        ids=repr,
    )
    def test_of_another_kind_are_refused_at_the_call(
        self, run: Run, filters: Any, words: tuple[str, ...]
    ) -> None:
        experiment = run.experiment
        with refused(experiment.workspace, UserErrorException, *words):
            Run.list(experiment, **filters)
        with refused(experiment.workspace, UserErrorException, *words):
            experiment.get_runs(**filters)
        with refused(experiment.workspace, UserErrorException, *words):
            run.get_children(**filters)
        with pytest.raises(ValueError, match=r".") as caught:
            Run.list(experiment, **filters)
        assert isinstance(caught.value, UserErrorException)


class TestLists:
    def test_are_sequences_and_iterators(self, run: Run) -> None:
        children = [run.child_run() for _ in range(3)][::-1]
        found = run.get_children()
        assert len(found) == 3
        assert ids(found) == ids(children) == ids(found)
        assert found[0].id == children[0].id
        assert found[-1].id == children[-1].id
        assert ids(found[1:]) == ids(children[1:])
        assert next(found).id == children[0].id
        assert next(found).id == children[1].id
        assert next(run.get_children()).id == children[0].id
        assert bool(run.get_children())
        assert not found[0].get_children()
        with pytest.raises(StopIteration):
            next(found[0].get_children())
        with pytest.raises(IndexError):
            found[3]

    def test_show_themselves(self, run: Run) -> None:
        run.child_run()
        runs = run.get_children()
        assert repr(runs) == f"[{runs[0]!r}]"
        assert runs[0].id in runs._repr_html_()

    def test_see_what_changed(self, run: Run) -> None:
        experiment = run.experiment
        other = another(experiment.workspace)
        assert [r.status for r in experiment.get_runs()] == ["Running"]
        other.get_run(run.id).complete()
        new = Experiment(other, "digits").start_logging()
        assert [(r.id, r.status) for r in experiment.get_runs()] == [
            (new.id, "Running"),
            (run.id, "Completed"),
        ]

    def test_of_a_new_experiment_are_empty(self, run: Run) -> None:
        other = Experiment(run.experiment.workspace, "other")
        assert list(other.get_runs()) == []
        assert other.runs().collect().height == 0
        assert "other" not in run.experiment.workspace.experiments

    def test_hold_runs_that_can_be_used(self, run: Run) -> None:
        found = run.experiment.get_runs()[0]
        found.log("x", 1)
        found.tag("a", "b")
        found.complete()
        assert run.get_status() == "Completed"
        assert run.get_tags() == {"a": "b"}
        assert run.get_metrics() == {"x": 1}
