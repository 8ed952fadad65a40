"""The run that this process was started for, or an offline run that prints what it is told."""

from __future__ import annotations

import json
import os
import warnings
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final

from objrun import clock
from objrun.errors import RunEnvironmentException, StatusWarning, UserErrorException
from objrun.run import Run, find_run
from objrun.source import look_for
from objrun.workspace import Workspace

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
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
    return OfflineRun()


def get_submitted_run() -> Any:
    """Return the run named by the environment, with a DeprecationWarning for who asks `Run`."""
    message = "Run.get_submitted_run() is deprecated: use Run.get_context(allow_offline=False)"
    warnings.warn(message, DeprecationWarning, stacklevel=3)
    return get_context(allow_offline=False)


@lru_cache(maxsize=1)
def _submitted(url: str, run_id: str, options: str) -> Run:
    return find_run(SubmittedRun, Workspace(url, _options_of(options)), run_id)


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
        """Make all metrics durable; the status and error are the launcher's."""
        super().fail(error_details, error_code, _set_status=False)

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
        """Make all metrics durable."""
        self.complete()


class OfflineRun:
    """A run outside of any store: prints what is logged, so scripts work as they are.

    Like Azure ML's it has an id that begins with `OfflineRun` and no `experiment`.

    >>> OfflineRun("OfflineRun_1").log("loss", 0.5, step=3)
    Attempted to log scalar metric loss (step 3):
    0.5
    """

    def __init__(self, run_id: str | None = None) -> None:
        """Take a random id unless one is given."""
        self.id = run_id or f"OfflineRun_{clock.new_id()}"

    def log(self, name: str, value: Any, description: str = "", step: int | None = None) -> None:
        """Print a value."""
        at = "" if step is None else f" (step {step})"
        print(f"Attempted to log scalar metric {name}{at}:\n{value}")

    def log_list(self, name: str, value: Any, description: str = "") -> None:
        """Print a list."""
        print(f"Attempted to log list metric {name}:\n{value}")

    def log_row(self, name: str, description: str = "", **kwargs: Any) -> None:
        """Print a row."""
        print(f"Attempted to log row metric {name}:\n{kwargs}")

    def log_table(self, name: str, value: Mapping[str, Any], description: str = "") -> None:
        """Print a table."""
        print(f"Attempted to log table metric {name}:\n{value}")

    def log_metrics(self, metrics: Mapping[str, Any], step: int | None = None) -> None:
        """Print values."""
        for name, value in metrics.items():
            self.log(name, value, step=step)

    def log_batch(self, name: str, values: Any, steps: Any = None, times: Any = None) -> None:
        """Print how many values there are."""
        print(f"Attempted to log {len(values)} values of metric {name}")

    def log_params(self, params: Mapping[str, Any]) -> None:
        """Print parameters."""
        print(f"Attempted to log parameters: {dict(params)}")

    def tag(self, key: str, value: Any = None) -> None:
        """Print a tag."""
        print(f"Attempted to add tag {key}: {value}")

    def set_tags(self, tags: Mapping[str, Any] | str) -> None:
        """Print tags."""
        print(f"Attempted to add tags: {tags}")

    def remove_tags(self, tags: Iterable[str] | str) -> None:
        """Print tags."""
        print(f"Attempted to remove tags: {tags}")

    def add_properties(self, properties: Mapping[str, Any]) -> None:
        """Print properties."""
        print(f"Attempted to add properties: {properties}")

    def get_secret(self, name: str) -> str | None:
        """Return a secret from the environment or the keyring."""
        return look_for([name])[name]

    def get_secrets(self, secrets: Iterable[str]) -> dict[str, str | None]:
        """Return secrets from the environment or the keyring."""
        return look_for(secrets)

    def child_run(
        self, name: str | None = None, run_id: str | None = None, outputs: str | None = None
    ) -> OfflineRun:
        """Return an offline child."""
        return OfflineRun(f"{self.id}.{run_id or name or clock.random_hex(4)}")

    def flush(self, timeout_seconds: float = 300) -> None:
        """Do nothing: nothing waits."""

    def start(self) -> None:
        """Do nothing."""

    def complete(self, _set_status: bool = True) -> None:
        """Do nothing."""

    def cancel(self) -> None:
        """Do nothing."""

    def fail(
        self,
        error_details: str | BaseException | None = None,
        error_code: str | None = None,
        _set_status: bool = True,
    ) -> None:
        """Print the error."""
        print(f"Error code: {error_code}\nError details: {error_details}")

    def __enter__(self) -> OfflineRun:  # noqa: PYI034 - Self would need typing at run time
        """Print that it starts."""
        print("START: offline run")
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Print that it stops."""
        print("STOP: offline run")
