"""Where submitted runs work: a small protocol, and this machine as its first implementation."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Protocol, runtime_checkable

from objrun.errors import ExperimentExecutionException, UserErrorException
from objrun.submission.job import GRACE

if TYPE_CHECKING:
    from objrun.submission.job import Job

_START: Final = (
    "import sys; sys.path.insert(0, {!r}); from objrun.submission.{} import {} as go; go()"
)


@runtime_checkable
class ComputeTarget(Protocol):
    """What has launchers run: a machine, a cluster, a scheduler.

    `name` is what users see as the target of a run. One with an attribute `is_attended` that is
    true starts launchers at once: they give signs of life while they wait, and a run that gives
    none is lost. Of others nobody need hear while their runs are Queued.
    """

    @property
    def name(self) -> str:
        """The name, which `Run.list_by_compute` finds runs by."""

    def launch(self, job: Job) -> None:
        """Have `objrun.submission.launcher` given `job`, now or later, and return at once.

        It runs in a process that outlives this one. It may run twice: the second does nothing.
        What is raised fails the run.
        """


class LocalTarget:
    """This machine. With `slots`, at most so many runs at once of all that use this `name`.

    Others wait their turn, whatever process submitted them. `grace_seconds`: how long a script that
    is ended has between SIGTERM and SIGKILL.

    >>> LocalTarget(slots=2).name
    'local'
    """

    is_attended: Final = True

    def __init__(
        self, slots: int | None = None, name: str = "local", grace_seconds: float = GRACE
    ) -> None:
        """Name the queue; nothing is made before a run is submitted."""
        if slots is not None and slots < 1:
            message = f"slots is 1 or more, or None for as many as are submitted, not {slots!r}"
            raise UserErrorException(message)
        self.name = name
        self.slots = slots
        self.grace_seconds = grace_seconds

    def launch(self, job: Job) -> None:
        """Start a launcher, which waits for its turn by itself."""
        slots, grace = self.slots or 0, self.grace_seconds
        start_launcher(replace(job, queue=self.name, slots=slots, grace=grace))


def start_launcher(job: Job) -> None:
    """Start a launcher on this machine, as a process that nobody waits for.

    Raises ExperimentExecutionException where it does not start.
    """
    started = subprocess.run(  # noqa: S603 - this interpreter
        start_command("apart", "main"),
        input=job.to_text().encode(),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        check=False,
    )
    if started.returncode:
        message = f"the launcher did not start: {started.stderr.decode(errors='replace')[-1000:]}"
        raise ExperimentExecutionException(message)


def start_command(module: str, function: str) -> list[str]:
    """Return the command that calls a function of this package in an interpreter like this one."""
    # The same objrun as here; where it is installed for the interpreter, this changes nothing.
    source = str(Path(__file__).parents[2])
    return [sys.executable, "-P", "-c", _START.format(source, module, function)]


def target_of(given: Any) -> ComputeTarget:
    """Return the target that a `compute_target` means; UserErrorException for what is none.

    >>> target_of("local").name
    'local'
    """
    if given is None or given == "local":
        return LocalTarget()
    if isinstance(given, ComputeTarget):
        return given
    message = f"compute_target is 'local' or an object with name and launch, not {given!r:.200}"
    raise UserErrorException(message)
