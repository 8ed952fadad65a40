"""A chain that goes on in another store and is copied home: every commit counts once, in order."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from objrun import Experiment, Workspace, clock
from objrun.errors import CommitUnknownError, ObjrunError
from objrun.protocol import settle
from objrun.protocol.chain import Chain, load
from objrun.protocol.live import run_scheme
from objrun.protocol.updates import SetTags
from objrun.storage.wrappers import Fault, FaultyStore
from objrun.upkeep.copying import copy_workspace
from tests.protocol.faults import DOWN, LOST

if TYPE_CHECKING:
    from objrun.format.states import RunState

STEPS = st.lists(
    st.sampled_from(["commit", "commit", "lost answer", "lost request", "other", "copy"]),
    min_size=2,
    max_size=14,
)


class Handle:
    """A handle on a run that moves to a second store as soon as the first fails."""

    def __init__(self) -> None:
        self.home = Workspace(f"memory://{clock.random_hex(8)}")
        self.away = Workspace(f"memory://{clock.random_hex(8)}")
        self.run = Experiment(self.home, "e").start_logging()
        self.scheme = run_scheme("e", self.run.id)
        self.fault: Fault | None = None
        head = load(self.home.store, self.scheme, 1)
        store = FaultyStore(self.home.store, self._planned)
        self.chain: Chain[RunState] = Chain(store, self.scheme, head)
        self.moved = False

    def _planned(self, verb: str, key: str) -> Fault | None:
        return self.fault if verb == "put_if_absent" and "/state/" in key else None

    def commit(self, number: int, fault: Fault | None) -> None:
        self.fault = fault
        change = SetTags({f"mine {number}": None})
        try:
            self.chain.commit(change)
        except (CommitUnknownError, ObjrunError):
            Experiment(self.away, "e").state()
            self.chain, self.moved = self.chain.moved(self.away.writing()), True
            self.chain.commit(change)

    def copy(self) -> None:
        if self.moved:
            copied = copy_workspace(self.away, self.home, tell=lambda _: None)
            assert not copied.conflicts

    def history(self) -> list[str]:
        """The tags that were set, in the order of the chain at home."""
        entries = self.home.get_run(self.run.id).history()
        return [tag for entry in entries for op in entry["ops"] for tag in op.get("tags", ())]


@settings(max_examples=60, deadline=None)
@given(STEPS)
def test_every_commit_counts_once(steps: list[str]) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(settle, "PATIENCE", 0.0)
        handle = Handle()
        for number, step in enumerate(steps):
            if step == "copy":
                handle.copy()
            elif step == "other":
                handle.home.get_run(handle.run.id).tag(f"other {number}")
            else:
                handle.commit(number, {"lost answer": LOST, "lost request": DOWN}.get(step))
        handle.copy()
        expected = [f"mine {n}" for n, s in enumerate(steps) if s not in ("other", "copy")]
        others = [f"other {n}" for n, s in enumerate(steps) if s == "other"]
        found = handle.history()
        assert [tag for tag in found if tag.startswith("mine")] == expected
        assert [tag for tag in found if tag.startswith("other")] == others
        assert {*handle.home.get_run(handle.run.id).tags} == {*found}
        copied = copy_workspace(handle.away, handle.home) if handle.moved else None
        assert copied is None or copied.size == 0
