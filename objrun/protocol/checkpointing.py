"""The numbered log of an experiment's checkpoints: the latest, and the next. SPEC section 11."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Final

from objrun import clock
from objrun.errors import NotFoundError, UnavailableError
from objrun.format import keys
from objrun.format.checkpoints import Checkpoint, decode_checkpoint, encode_checkpoint
from objrun.protocol.settle import insist, put_once

if TYPE_CHECKING:
    from collections.abc import Iterable

    from objrun.format.checkpoints import TableFile
    from objrun.storage import Store

_RESTARTS: Final = 20


def latest_checkpoint(store: Store, experiment: str) -> Checkpoint | None:
    """Return the checkpoint of the greatest number, None where there is none: a LIST and a GET."""
    for _ in range(_RESTARTS):
        listed = insist(lambda: store.list(keys.checkpoints(experiment)))
        number = max((keys.parse_version(info.key) or 0 for info in listed), default=0)
        if not number:
            return None
        key = keys.checkpoint(experiment, number)
        try:
            return decode_checkpoint(key, insist(partial(store.get, key)))
        except NotFoundError:
            # A greater one was committed and this one removed since the listing.
            continue
    message = f"the checkpoints of {experiment!r} change faster than they can be read: try again"
    raise UnavailableError(message)


def next_checkpoint(
    experiment: str, latest: Checkpoint | None, files: Iterable[TableFile]
) -> Checkpoint:
    """Return a checkpoint that follows the latest one, not yet stored.

    >>> next_checkpoint("mnist", None, []).number
    1
    """
    number = latest.number + 1 if latest else 1
    ordered = sorted(
        files, key=lambda f: (keys.TABLE_KINDS.index(f.kind), f.level, f.first, f.last)
    )
    return Checkpoint(
        number=number,
        experiment=experiment,
        write_id=clock.random_hex(16),
        written=clock.now(),
        # Whoever is based below it cannot commit any more, since this number is taken.
        orphan_floor=number,
        files=tuple(ordered),
        extra=latest.extra if latest else {},
    )


def commit_checkpoint(store: Store, checkpoint: Checkpoint) -> bool:
    """Store a checkpoint and return whether this call did; False if its number is taken.

    What a checkpoint says counts only while it is the greatest: True is no promise of that.
    """
    key = keys.checkpoint(checkpoint.experiment, checkpoint.number)
    return put_once(store, key, encode_checkpoint(checkpoint))
