"""Reap: mark runs as failed whose process is gone. SPEC section 9.8.

Readers only show that a run gives no sign of life. Here that is stored, by an ordinary commit, when
the store's own clock says so, and only if nobody has changed the run since it was looked at.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, NamedTuple

from objrun.errors import NotFoundError, UserErrorException
from objrun.format import keys
from objrun.format.checking import format_time
from objrun.protocol import heartbeat
from objrun.protocol.chain import create, load, new_version
from objrun.protocol.live import list_feed, run_scheme
from objrun.protocol.settle import insist
from objrun.protocol.updates import SetStatus
from objrun.storage import together

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator
    from datetime import datetime, timedelta

    from objrun.format.states import RunState, Version
    from objrun.storage import Store
    from objrun.workspace import Workspace


class Reaped(NamedTuple):
    """A run that was lost: its status was to be that of a run which goes on.

    `last_seen` is its last sign of life, by the store's clock.
    """

    experiment: str
    run: str
    number: int
    status: str
    last_seen: datetime


def reap(
    workspace: Workspace, names: Collection[str], older_than: timedelta, *, dry_run: bool
) -> Iterator[Reaped]:
    """Fail the runs of some experiments that gave no sign of life for so long, and yield them.

    Raises UserErrorException for a time in which a run that is alive may give none.
    """
    if older_than < heartbeat.GRACE:
        message = (
            f"older_than is {heartbeat.GRACE} at least, which a run may be silent, not {older_than}"
        )
        raise UserErrorException(message)
    store = workspace.reading() if dry_run else workspace.writing()
    for name in names:
        limit = insist(store.now) - older_than
        yield from _reap(store, name, limit, dry_run=dry_run)


def _reap(store: Store, name: str, limit: datetime, *, dry_run: bool) -> Iterator[Reaped]:
    from objrun.query.listing import Known, read_runs_frame

    rows = read_runs_frame(store, {name: Known()})
    is_expected = rows["last_seen"].is_not_null()
    expected = [*rows.filter(is_expected).sort("number")["run_id"]]
    seen = list_feed(store, name).seen if expected else {}
    silent = [run for run in expected if seen.get(run, limit) <= limit]
    heads = {}
    for run, head in zip(silent, together(store, partial(_head, store, name), silent), strict=True):
        if (found := head()) is not None:
            heads[run] = found
    # Once more, as late as can be: a process may have come back meanwhile.
    seen = list_feed(store, name).seen if heads else {}
    lost = {}
    for run, (version, written) in heads.items():
        last = max(written, seen.get(run, written))
        if last <= limit:
            lost[run] = version, last
    done = together(store, lambda run: dry_run or _fail(store, *lost[run]), lost)
    for (version, last), has_failed in zip(lost.values(), done, strict=True):
        state = version.state
        if state is not None and has_failed():
            yield Reaped(name, state.run_id, state.number, state.status, last)


def _head(store: Store, experiment: str, run: str) -> tuple[Version[RunState], datetime] | None:
    """Return the last version of a run and when it was stored; None if it is not to go on."""
    scheme = run_scheme(experiment, run)
    listed = insist(lambda: store.list(scheme.folder))
    stored = {number: info.modified for info in listed if (number := keys.parse_version(info.key))}
    try:
        version = load(store, scheme, max(stored, default=0))
    except NotFoundError:
        # Purged just now.
        return None
    if version.state is None or not heartbeat.is_expected(version.state):
        return None
    return version, max(stored.values())


def _fail(store: Store, head: Version[RunState], last: datetime) -> bool:
    """Commit that a run has failed; False if somebody has changed it since."""
    if head.state is None:
        raise AssertionError
    message = f"no sign of life since {format_time(last)}"
    change = SetStatus(
        "Failed", last, {"code": heartbeat.LOST, "message": message}, head.state.attempt
    )
    version = new_version(head.version + 1, change.apply(head.state), [change.op()])
    scheme = run_scheme(head.state.experiment, head.state.run_id)
    return create(store, scheme, version)
