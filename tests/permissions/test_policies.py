"""Each policy of docs/permissions.md allows what its role does every day, and nothing more."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from objrun import Experiment, Run, Workspace
from objrun.errors import CredentialsError, PermissionDeniedError
from objrun.storage import connect
from tests.permissions.conftest import ROLES, options_of, policies

if TYPE_CHECKING:
    from collections.abc import Callable

    from objrun.storage import Store
    from objrun.testing.servers import Server
    from tests.permissions.conftest import Open


VERBS: dict[str, Callable[[Store], Any]] = {
    "create": lambda store: store.put_if_absent("runs/new", b"1"),
    "overwrite": lambda store: store.put("runs/old", b"2"),
    "get": lambda store: store.get("runs/old"),
    "list": lambda store: store.list("runs/"),
    "folders": lambda store: store.folders(""),
    "delete": lambda store: store.delete(["runs/old"]),
    "delete two": lambda store: store.delete(["runs/old", "runs/new"]),
}
ALLOWED = {
    "worker": {"create"},
    "worker-that-reads": {"create", "overwrite", "get", "list", "folders"},
    "reader": {"get", "list", "folders"},
    "maintainer": {*VERBS},
    "stranger": set[str](),
}


def test_the_document_has_four_policies() -> None:
    assert {*policies()} == {*ROLES}


@pytest.mark.parametrize("role", ALLOWED)
def test_what_a_policy_allows(guarded: Server, place: str, role: str) -> None:
    maintainer = connect(place, **options_of(guarded, "maintainer"))
    store = connect(place, **options_of(guarded, role))
    for name, verb in VERBS.items():
        maintainer.put("runs/old", b"1")
        maintainer.delete(["runs/new"])
        if name in ALLOWED[role]:
            verb(store)
            continue
        with pytest.raises(PermissionDeniedError):
            verb(store)
        assert [info.key for info in maintainer.list("")] == ["runs/old"], name
        assert maintainer.get("runs/old") == b"1", name


@pytest.mark.parametrize("role", ROLES)
def test_no_role_may_anything_elsewhere(guarded: Server, role: str) -> None:
    store = connect("s3://objrun/elsewhere/store", **options_of(guarded, role))
    for verb in VERBS.values():
        with pytest.raises(PermissionDeniedError):
            verb(store)


def test_who_signs_with_another_secret_is_nobody(guarded: Server, place: str) -> None:
    store = connect(place, **{**options_of(guarded, "maintainer"), "secret": "another"})
    with pytest.raises(CredentialsError):
        store.get("objrun.json")


def test_a_worker_that_reads(opened: Open, guarded: Server, place: str) -> None:
    ws = opened("worker-that-reads")
    with Experiment(ws, "e").start_logging() as run:
        for value in range(3):
            run.log("x", value)
            run.flush()
        run.tag("a", 1)
        run.add_properties({"p": 1})
        assert run.get_metrics() == {"x": [0, 1, 2]}
    assert run.number == 1
    run.delete()
    run.restore()
    assert [each.id for each in Experiment(ws, "e").get_runs()] == [run.id]
    # What is superseded stays, and is not read.
    listed = connect(place, **options_of(guarded, "reader")).list("experiments/e/shards/")
    assert len(listed) == 3
    with pytest.raises(PermissionDeniedError, match="delete"):
        ws.compact() and ws.vacuum()


def test_a_reader(opened: Open) -> None:
    with Experiment(opened("maintainer"), "e").start_logging(tags={"a": 1}) as run:
        run.log("x", 1.5)
    ws = opened("reader")
    found = Run.get(ws, run.id)
    assert found.get_metrics() == {"x": 1.5}
    assert found.get_tags() == {"a": "1"}
    assert ws.runs().collect().height == 1
    assert ws.metrics().collect().height == 1
    assert [*ws.experiments] == ["e"]
    assert ws.stats().experiments["e"].live.runs == 1
    acts: dict[str, Callable[[], object]] = {
        "start": lambda: Experiment(ws, "e").start_logging(),
        "tag": lambda: found.tag("b", 1),
        "property": lambda: found.add_properties({"p": 1}),
        "complete": found.complete,
        "delete": found.delete,
        "compact": ws.compact,
        "vacuum": ws.vacuum,
        "gc": ws.gc,
    }
    for act in acts.values():
        with pytest.raises(PermissionDeniedError, match="cannot create"):
            act()
    assert not ws.is_blind


def test_a_maintainer(opened: Open) -> None:
    with Experiment(opened("worker"), "e").start_logging() as run:
        for value in range(3):
            run.log("x", value)
            run.flush()
    ws = opened("maintainer")
    assert ws.compact()["e"].points == 3
    assert len(ws.vacuum()["e"].segments) == 3
    assert Run.get(opened("reader"), run.id).get_metrics() == {"x": [0, 1, 2]}
    ws.get_run(run.id).delete()
    assert ws.gc(dry_run=True) == []


def test_a_stranger(opened: Open) -> None:
    ws = opened("stranger")
    with pytest.raises(PermissionDeniedError):
        Experiment(ws, "e").start_logging()
    with pytest.raises(PermissionDeniedError):
        Workspace.get(ws.url, ws.storage_options)
    assert not ws.is_blind
