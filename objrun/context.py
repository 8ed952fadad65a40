"""The run that this process was started for, or an offline run that prints what it is told."""

from __future__ import annotations

import json
import os
import warnings
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final

from objrun.errors import RunEnvironmentException, StatusWarning, UserErrorException
from objrun.run import Run, find_run
from objrun.runs.folder import go_back
from objrun.workspace import Workspace

if TYPE_CHECKING:
    from types import TracebackType

RUN_ID: Final = "OBJRUN_RUN_ID"
"""The environment variable that names the run of this process."""

URL: Final = "OBJRUN_URL"
"""The environment variable that names its store."""

OPTIONS: Final = "OBJRUN_STORAGE_OPTIONS"
"""The environment variable with storage options as JSON, optional."""


def get_context(*, allow_offline: bool = True) -> Any:
    """Return the run named by the environment, the same at every call; else an `OfflineRun`.

    Raises RunEnvironmentException where none is named and `allow_offline` is False, and
    UserErrorException for storage options that are no JSON object.
    """
    run_id, url = os.environ.get(RUN_ID), os.environ.get(URL)
    if run_id and url:
        return _submitted(url, run_id, os.environ.get(OPTIONS) or "{}")
    if not allow_offline:
        message = f"this process was not started as a run: {RUN_ID} and {URL} are not both set"
        raise RunEnvironmentException(message)
    from objrun.offline import OfflineRun  # no run of a store needs it

    return OfflineRun()


def get_submitted_run() -> Any:
    """Return the run named by the environment, with a DeprecationWarning for who asks `Run`."""
    message = "Run.get_submitted_run() is deprecated: use Run.get_context(allow_offline=False)"
    warnings.warn(message, DeprecationWarning, stacklevel=3)
    return get_context(allow_offline=False)


@lru_cache(maxsize=1)
def _submitted(url: str, run_id: str, options: str) -> Run:
    run = find_run(SubmittedRun, Workspace(url, _options_of(options)), run_id)
    run.sample_as_asked()
    return run


def _options_of(text: str) -> dict[str, Any]:
    """Return the options that OPTIONS holds; an error shows none of them: they may be secret."""
    try:
        options = json.loads(text)
    except (ValueError, RecursionError) as error:
        message = f"the environment variable {OPTIONS} holds no JSON object: {error}"
        raise UserErrorException(message) from None
    if not isinstance(options, dict):
        message = f"{OPTIONS} holds no JSON object but a {type(options).__name__}"
        raise UserErrorException(message)
    return options


class SubmittedRun(Run):
    """A run seen from inside its own script: the launcher, not the script, sets the last status."""

    def complete(self, _set_status: bool = True) -> None:
        """Make all metrics durable; the status is the launcher's."""
        super().complete(_set_status=False)

    def fail(
        self,
        error_details: str | BaseException | None = None,
        error_code: str | None = None,
        _set_status: bool = True,
    ) -> None:
        """Make all metrics durable, and warn: the status and error are the launcher's."""
        message = f"run {self.id} fails when its script does: raise the error, or sys.exit(1)"
        warnings.warn(message, StatusWarning, stacklevel=2)
        super().fail(error_details, error_code, _set_status=False)

    def wait_for_completion(
        self,
        show_output: bool = False,
        wait_post_processing: bool = False,
        raise_on_error: bool = True,
    ) -> dict[str, Any]:
        """Refuse, with UserErrorException: the run ends after its script."""
        message = f"run {self.id} cannot be waited for in its own script: it ends after that"
        raise UserErrorException(message)

    def cancel(self) -> None:
        """Warn and change nothing: whoever started the script cancels it."""
        message = f"run {self.id} is not canceled from inside its own script: end the script"
        warnings.warn(message, StatusWarning, stacklevel=2)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Make all metrics durable, and be in the working directory of before again."""
        go_back(self._came_from)
        self.complete()
