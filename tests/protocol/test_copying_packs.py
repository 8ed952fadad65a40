"""Copies of runs with blobs: nobody finds a point there without its blob."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from objrun import Experiment, Run, Workspace
from objrun.format.media import parse_pack
from objrun.protocol import levels
from objrun.storage.wrappers import Around
from objrun.tables.verify.store import verify
from tests.protocol.test_copying import between, contents, copy, fresh, store_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from objrun.storage import Store


@pytest.fixture(autouse=True)
def _small_levels(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(levels, "FAN", 3)


class Camera:
    """A run that logs an image at each flush."""

    def __init__(self, workspace: Workspace) -> None:
        self.run = Experiment(workspace, "e").start_logging(snapshot_directory=None)
        self.taken = 0

    def take(self, count: int = 1) -> None:
        for _ in range(count):
            self.run.log_image("x", path=b"P2 1 1 65535 %d" % self.taken, step=self.taken)
            self.run.flush()
            self.taken += 1

    def seen(self, workspace: Workspace) -> int:
        """How many images are read elsewhere: all up to the last."""
        data = [image.data for image in Run.get(workspace, self.run.id).images()]
        assert data == [b"P2 1 1 65535 %d" % number for number in range(len(data))]
        return len(data)


def packs(workspace: Workspace) -> dict[str, bytes]:
    return {key: data for key, data in contents(workspace).items() if parse_pack(key)}


@pytest.fixture
def camera() -> Camera:
    return Camera(fresh())


def test_what_was_put_together_is_copied(camera: Camera) -> None:
    source, target = camera.run.experiment.workspace, fresh()
    camera.take(20)
    copy(source, target)
    assert packs(target) == packs(source)
    assert len(packs(target)) < 8
    assert camera.seen(target) == 20
    assert copy(source, target).objects == 0


def test_a_copy_again_and_again_has_as_few_objects(camera: Camera) -> None:
    source, target = camera.run.experiment.workspace, fresh()
    for number in range(1, 31):
        camera.take()
        copy(source, target)
        assert camera.seen(target) == number
    camera.run.complete()
    copy(source, target)
    assert packs(target) == packs(source)
    assert [*verify(store_of(target), deep=True)] == []


def test_what_one_who_may_not_delete_has_left_is_not_copied(camera: Camera) -> None:
    source, target = camera.run.experiment.workspace, fresh()
    camera.take(2)
    left = packs(source)
    camera.take(7)
    few = packs(source)
    for key, data in left.items():
        store_of(source).put(key, data)
    copy(source, target)
    assert packs(target) == few
    assert camera.seen(target) == 9


class _Meanwhile(Around):
    """A store in which something happens behind a request that `when` tells of, once."""

    def __init__(
        self, store: Store, when: Callable[[str, str], bool], act: Callable[[], None]
    ) -> None:
        super().__init__(store)
        self.when, self.act, self.done = when, act, False

    def _ask(self, verb: str, key: str, call: Callable[[], Any]) -> Any:
        answer = call()
        if not self.done and self.when(verb, key):
            self.done = True
            self.act()
        return answer


MOMENTS: dict[str, Callable[[str, str], bool]] = {
    "after the first LIST of the run": lambda verb, key: verb == "list" and key[:5] == "runs/",
    "after segments were listed": lambda verb, key: verb == "list" and "/shards/" in key,
    "after the first pack was read": lambda verb, key: verb == "get" and bool(parse_pack(key)),
    "after a segment was read": lambda verb, key: verb == "get" and "/shards/" in key,
}


@pytest.mark.parametrize("compacted", [False, True])
@pytest.mark.parametrize("flushes", [1, 2, 4])
@pytest.mark.parametrize("moment", MOMENTS)
def test_what_is_put_together_while_it_is_copied_is_copied_then(
    camera: Camera, moment: str, flushes: int, compacted: bool
) -> None:
    source, target = camera.run.experiment.workspace, fresh()
    camera.take(8)
    if compacted:
        source.compact()
    if compacted and moment == "after a segment was read":
        moment = "after segments were listed"
    store = _Meanwhile(store_of(source), MOMENTS[moment], lambda: camera.take(flushes))
    between(store, store_of(target), "e")
    assert store.done
    assert 8 <= camera.seen(target) <= 8 + flushes
    copy(source, target)
    assert camera.seen(target) == 8 + flushes


def test_a_run_that_is_purged_while_it_is_copied_stops_nobody(camera: Camera) -> None:
    source, target = camera.run.experiment.workspace, fresh()
    camera.take(4)
    other = Camera(source)
    other.take(4)
    store = store_of(source)

    def purge() -> None:
        store.delete([key for key in contents(source) if camera.run.id in key])

    between(_Meanwhile(store, MOMENTS["after segments were listed"], purge), store_of(target), "e")
    assert other.seen(target) == 4
    assert not [key for key in contents(target) if f"runs/{camera.run.id}/" in key]


def test_packs_stay_where_the_one_that_holds_them_could_not_be_copied(camera: Camera) -> None:
    source, target = camera.run.experiment.workspace, fresh()
    camera.take(2)
    copy(source, target)
    there = packs(target)
    camera.take()
    (key,) = packs(source)

    def spoil() -> None:
        store_of(target).put(key, b"what somebody else has put there")

    moment = MOMENTS["after the first pack was read"]
    copied = between(_Meanwhile(store_of(source), moment, spoil), store_of(target), "e")
    assert copied.conflicts == [f"{key} has other bytes there"]
    assert there.items() <= packs(target).items()
