"""Which runs there are, of those that segments tell of: late ones of a purged run do not count."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from objrun.errors import FormatError
from objrun.format import keys
from objrun.protocol.chain import load_last
from objrun.protocol.live import run_scheme
from objrun.protocol.settle import insist
from objrun.storage import together
from objrun.tables.reading import Rows, TableReader

if TYPE_CHECKING:
    from objrun.format.checkpoints import Checkpoint
    from objrun.storage import Store


def existing(
    store: Store, experiment: str, checkpoint: Checkpoint | None, runs: frozenset[str]
) -> frozenset[str]:
    """Return those of some runs that there are; segments of others do not count. SPEC section 10.4.

    Without runs nothing is asked. Else one LIST of markers. Of runs without a first marker the ids
    in tables, and for those that are not there a LIST and a GET.
    """
    if not runs:
        return runs
    listed = insist(lambda: store.list(keys.feed(experiment)))
    # The first marker stays until the run is in tables, or goes with its purge.
    markers = (keys.parse_marker(info.key) for info in listed)
    found = runs & {marker.run for marker in markers if marker and marker.version == 1}
    if checkpoint:
        found |= held(store, checkpoint, runs - found, "runs")
    left = sorted(runs - found)
    answers = together(store, partial(_is_there, store, experiment), left)
    return found | {run for run, is_there in zip(left, answers, strict=True) if is_there()}


def held(store: Store, checkpoint: Checkpoint, runs: frozenset[str], kind: str) -> frozenset[str]:
    """Return those of some runs that have rows in the tables of a kind."""
    if not runs:
        return runs
    frames = (
        frame
        for file in checkpoint.of_kind(kind)
        for frame in TableReader(store, checkpoint.experiment, file).frames(
            Rows(runs=runs), ("run_id",)
        )
    )
    return frozenset(run for frame in frames for run in frame["run_id"])


def _is_there(store: Store, experiment: str, run: str) -> bool:
    try:
        version = load_last(store, run_scheme(experiment, run))
    except FormatError:
        return True
    return bool(version and version.state and version.state.experiment == experiment)
