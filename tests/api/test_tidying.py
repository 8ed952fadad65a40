"""An experiment is compacted by itself when a run ends: in a time box, and not if told so."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

import pytest

from objrun import Experiment, Workspace, clock
from objrun.errors import PermissionDeniedError, UserErrorException
from objrun.format import keys
from objrun.protocol.checkpointing import latest_checkpoint
from objrun.storage import CountingStore, FaultyStore, LatencyStore
from objrun.storage.wrappers import Around
from objrun.upkeep import tidying
from objrun.upkeep.tidying import ONE_IN, patience_of, tidy

if TYPE_CHECKING:
    from collections.abc import Callable

    from objrun.storage import Store


@pytest.fixture
def experiment(monkeypatch: pytest.MonkeyPatch) -> Experiment:
    """Ten runs that have ended, and so little counts as much."""
    monkeypatch.setattr(tidying, "MUCH", 20)
    found = Experiment(Workspace(f"memory://{clock.random_hex(8)}"), "digits")
    for value in range(10):
        with found.start_logging() as run:
            run.log("loss", value)
    return found


def store_of(experiment: Experiment) -> Store:
    return experiment.workspace.writing()


def test_one_run_in_many_compacts(experiment: Experiment) -> None:
    store = store_of(experiment)
    for number in range(1, 2 * ONE_IN):
        tidy(CountingStore(store), "digits", number, 0 if number == ONE_IN else 60)
    assert latest_checkpoint(store, "digits") is None
    tidy(store, "digits", 2 * ONE_IN, 60)
    made = latest_checkpoint(store, "digits")
    assert made is not None
    assert [sum(f.rows for f in made.of_kind(k)) for k in ("runs", "metrics")] == [10, 10]
    assert store.list(keys.shards("digits")) == []
    assert store.list(keys.feed("digits")) == []


def test_the_end_of_a_run_asks(experiment: Experiment, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tidying, "ONE_IN", 11)
    experiment.start_logging().fail("a run that fails has other worries")
    assert latest_checkpoint(store_of(experiment), "digits") is None
    monkeypatch.setattr(tidying, "ONE_IN", 12)
    experiment.start_logging().complete()
    assert latest_checkpoint(store_of(experiment), "digits") is not None
    assert len(experiment.get_runs()) == 12


def test_little_is_left_alone_for_one_list(experiment: Experiment) -> None:
    tidy(store_of(experiment), "digits", ONE_IN, 60)
    again = CountingStore(store_of(experiment))
    tidy(again, "digits", ONE_IN, 60)
    assert again.counts == {"list": 2}


def test_who_sees_another_at_it_leaves_it_to_them(experiment: Experiment) -> None:
    store = store_of(experiment)
    store.put(keys.table("digits", keys.TableKey(0, "0" * 16, "metrics")), b"just begun")
    tidy(store, "digits", ONE_IN, 60)
    assert latest_checkpoint(store, "digits") is None


def test_the_end_waits_no_longer_than_its_box(experiment: Experiment) -> None:
    store = store_of(experiment)
    released = threading.Event()

    class Waiting(Around):
        def _ask(self, _verb: str, _key: str, call: Callable[[], Any]) -> Any:
            released.wait(60)
            return call()

    tidy(Waiting(store), "digits", ONE_IN, 0.01)
    assert latest_checkpoint(store, "digits") is None
    released.set()


def test_credentials_that_only_write_are_no_hindrance(experiment: Experiment) -> None:
    denied = PermissionDeniedError("not allowed")
    asked: list[str] = []

    def refuse(verb: str, key: str) -> Exception:
        asked.append(f"{verb} {key}")
        return denied

    tidy(FaultyStore(store_of(experiment), refuse), "digits", ONE_IN, 60)
    assert asked == ["list experiments/digits/feed/"]


@pytest.mark.parametrize("told", ["0", "off", "false", "No", 0, False])
def test_it_can_be_switched_off(told: object) -> None:
    assert patience_of(told) == 0


def test_the_environment_and_the_option(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(tidying.VARIABLE, raising=False)
    assert patience_of(None) == tidying.PATIENCE == patience_of(option=True)
    monkeypatch.setenv(tidying.VARIABLE, "2.5")
    assert patience_of(None) == 2.5
    assert patience_of("on") == tidying.PATIENCE
    Workspace("memory://x", {"auto_compact": False})


@pytest.mark.parametrize("told", ["maybe", "-1", "nan", "inf", -1])
def test_what_it_cannot_be(told: object) -> None:
    with pytest.raises(UserErrorException, match="auto_compact"):
        Workspace("memory://x", {"auto_compact": told})


def test_a_slow_store_is_compacted_all_the_same(experiment: Experiment) -> None:
    tidy(LatencyStore(store_of(experiment), 0.001), "digits", ONE_IN, 60)
    assert latest_checkpoint(store_of(experiment), "digits") is not None
