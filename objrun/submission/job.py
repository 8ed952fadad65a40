"""What a launcher is told, as one value that goes through a pipe or a scheduler."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from objrun.errors import UserErrorException

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

GRACE = 10.0
"""Seconds between SIGTERM and SIGKILL unless a target says otherwise."""


@dataclass(frozen=True, kw_only=True)
class Job:
    """One run to be launched: which, in which store, and what to start in its snapshot.

    `command` is the program with its arguments; `python` the interpreter that stands for the word
    `python` at its beginning, None for the launcher's own. `limit`: seconds after which it is
    ended. `queue` and `slots`: it waits until fewer than `slots` of this queue run on the machine.
    `keeps_folder`: whether the work folder stays where there is in it what is not stored.

    It holds storage options, with whatever credentials are in them: keep it off command lines.

    >>> job = Job(url="memory://x", run_id="r1", snapshot="", command=["python", "train.py"])
    >>> Job.from_text(job.to_text()) == job
    True
    """

    url: str
    run_id: str
    snapshot: str
    command: Sequence[str]
    storage_options: Mapping[str, Any] = field(default_factory=dict, repr=False)
    python: str | None = None
    limit: float | None = None
    queue: str = ""
    slots: int = 0
    grace: float = GRACE
    keeps_folder: bool = True

    def to_text(self) -> str:
        """Return the job as JSON; UserErrorException for storage options that are none."""
        try:
            return json.dumps(asdict(self))
        except TypeError:
            # Which option it is stays untold: it may hold a secret.
            message = "storage options must be JSON to submit a run: texts, numbers, lists, dicts"
            raise UserErrorException(message) from None

    @classmethod
    def from_text(cls, text: str) -> Job:
        """Return the job that `to_text` made a text of."""
        return cls(**json.loads(text))
