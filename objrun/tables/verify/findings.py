"""What can be wrong with a store: words for it, where it is, and what mends it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from objrun.errors import CorruptObjectError, FormatError, ObjrunError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from objrun.storage import Store

ERROR: Final = "error"
WARNING: Final = "warning"

CODES: Final = {
    "damaged": (ERROR, "an object cannot be read: its bytes are not what was written"),
    "too_new": (ERROR, "an object was written by a newer objrun, so it was not checked"),
    "hole": (ERROR, "versions of a chain are missing"),
    "lost_version": (ERROR, "tables have a version of a run that its chain has not"),
    "inconsistent": (ERROR, "documents contradict each other in what never changes"),
    "missing_experiment": (ERROR, "runs or their parts are there, and their experiment is not"),
    "missing_run": (ERROR, "parts of a run are there, and the run is not"),
    "missing_parent": (WARNING, "the parent or the root of a run is not there"),
    "unmarked": (ERROR, "the last change of a run has no marker, so nobody sees it"),
    "dead_marker": (WARNING, "a writer announced a version an hour ago and never made it"),
    "unclaimed": (ERROR, "the number of a run is not claimed, so it can be given away again"),
    "number_taken": (WARNING, "two runs have one number, as copies from two stores may"),
    "orphan_property": (
        WARNING,
        "a property was claimed an hour ago, and its run has it not",
    ),
    "property_differs": (ERROR, "a property's object and the state of its run contradict"),
    "wrong_file": (
        ERROR,
        "the bytes of a file or log are not those that its entry or key tells of",
    ),
    "missing_file": (ERROR, "a file of a registered model is not there"),
    "wrong_blob": (ERROR, "what a point refers to is not there, or not as it was logged"),
    "gap": (WARNING, "rows of a writer do not count, since rows before them are missing"),
    "missing_table": (ERROR, "a table that the last checkpoint names is not there"),
    "missing_shared": (WARNING, "a snapshot or an environment that a run refers to is not there"),
    "wrong_table": (ERROR, "a table is not as its checkpoint tells, or not in order"),
    "lost_rows": (ERROR, "points that were in tables are nowhere; a warning once repaired"),
    "doubled_rows": (ERROR, "points are in tables twice, or beyond what these cover"),
    "wrong_summary": (ERROR, "a summary is not what its points come to"),
    "wrong_run": (ERROR, "a row of the table of runs is not what the run's chain says"),
    "purged_rows": (ERROR, "tables have rows of a run that was purged"),
    "unfinished_purge": (WARNING, "a purge has begun and not come to its end"),
    "unknown_object": (WARNING, "an object has a key that nobody knows"),
}
"""Each code: how bad it is, and what it means."""


class Mend(NamedTuple):
    """A repair: `act(store, *args)`. Done twice, or by two at once, it comes to the same."""

    act: Callable[..., None]
    args: tuple[Any, ...]


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong: a code of CODES, the key (or prefix) of what it is wrong with.

    `repair` says what a repair would do, None where there is none.

    >>> Finding("gap", "experiments/e/shards/r/", "rows 3 to 5 are missing").severity
    'warning'
    """

    code: str
    key: str
    message: str
    repair: str | None = None
    mend: Mend | None = field(default=None, repr=False, compare=False)
    severity: str = ""

    def __post_init__(self) -> None:
        """Take the severity from the code, unless one is given."""
        object.__setattr__(self, "severity", self.severity or CODES[self.code][0])


@dataclass
class Checked:
    """How much was checked so far, of how many objects that are known by now.

    `tell` is told of each change.
    """

    tell: Callable[[Checked], None] = lambda _checked: None
    objects: int = 0
    known: int = 0
    runs: int = 0
    points: int = 0

    def add(self, *, objects: int = 0, known: int = 0, runs: int = 0, points: int = 0) -> None:
        """Count so many more."""
        self.objects += objects
        self.known += known
        self.runs += runs
        self.points += points
        self.tell(self)


def unreadable(key: str, error: FormatError) -> Finding:
    """Return the finding of an object that could not be decoded."""
    if not isinstance(error, CorruptObjectError):
        return Finding("too_new", key, error.message)
    told = "; ".join(f"{p.message} ({p.code} at {p.location})" for p in error.problems)
    return Finding("damaged", key, told)


def repair(
    store: Store, findings: Iterable[Finding]
) -> Iterator[tuple[Finding, ObjrunError | None]]:
    """Mend what can be mended, in order, and yield each finding with the error that kept it."""
    done: dict[Mend, ObjrunError | None] = {}
    for finding in findings:
        mend = finding.mend
        if mend is None:
            continue
        if mend not in done:
            try:
                mend.act(store, *mend.args)
            except ObjrunError as error:
                done[mend] = error
            else:
                done[mend] = None
        yield finding, done[mend]
